package coco

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// TxID names a transaction for ever: the view (the consensus term of the leader that executed
// it) and its sequence number in the one total order of the network. Its text form is
// "view.seqno". The first transaction of a network has seqno 1.
type TxID struct {
	View  uint64
	Seqno uint64
}

// String returns the text form, "view.seqno".
func (t TxID) String() string {
	return strconv.FormatUint(t.View, 10) + "." + strconv.FormatUint(t.Seqno, 10)
}

// ParseTxID reads the text form of a transaction id.
func ParseTxID(s string) (TxID, error) {
	view, seqno, ok := strings.Cut(s, ".")
	if ok {
		v, err1 := strconv.ParseUint(view, 10, 64)
		n, err2 := strconv.ParseUint(seqno, 10, 64)
		t := TxID{View: v, Seqno: n}
		if err1 == nil && err2 == nil && t.String() == s {
			return t, nil
		}
	}
	return TxID{}, fmt.Errorf("%w: transaction id %q: expected view.seqno, such as 2.17", ErrInvalid, s)
}

// MarshalText implements encoding.TextMarshaler.
func (t TxID) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *TxID) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTxID(string(b))
	return err
}

// Digest is a SHA-256 digest. Its text form is lower-case hexadecimal.
type Digest [sha256.Size]byte

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first eight hexadecimal digits, for people.
func (d Digest) Short() string { return hex.EncodeToString(d[:4]) }

// FingerprintDigits is how many hexadecimal digits a fingerprint has: to make two texts with the same ones takes about 2⁸⁰ attempts.
const FingerprintDigits = 40

// Fingerprint returns the first FingerprintDigits digits in groups of four, for people to compare.
func (d Digest) Fingerprint() string {
	text := d.String()
	groups := make([]string, 0, FingerprintDigits/4)
	for i := 0; i < FingerprintDigits; i += 4 {
		groups = append(groups, text[i:i+4])
	}
	return strings.Join(groups, " ")
}

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error {
	p, err := hex.DecodeString(string(b))
	if err != nil || len(p) != len(d) {
		return fmt.Errorf("%w: digest %q: expected %d hexadecimal digits", ErrInvalid, b, 2*len(d))
	}
	copy(d[:], p)
	return nil
}

// NodeID identifies a validating node: the SHA-256 of its public key in PKIX DER form. The key is
// made inside the TEE at every start, so a restarted node is a new node.
type NodeID = Digest

// ActorID identifies an organisation: the SHA-256 of its certificate in DER form.
type ActorID = Digest

// Role says what an actor may do.
type Role string

// The roles of an actor.
const (
	Member      Role = "member"      // governs and transacts
	Participant Role = "participant" // transacts
)

// GovernanceUnit is the organisational unit (OU) in the subject of the certificates with which a member
// governs. A node's administrative listener takes no others, and its listener for applications none of
// them, so that a credential that leaks from an application cannot reach governance.
const GovernanceUnit = "governance"

// NodesUnit is the organisational unit (OU) of the certificates with which an organisation signs for its nodes, and which are
// good for nothing else. By rules 2 only they and the organisation's own certificate make a node the organisation's.
const NodesUnit = "nodes"

// Caller is the authenticated sender of a request.
type Caller struct {
	Actor ActorID `cbor:"1,keyasint"` // the organisation
	Name  string  `cbor:"2,keyasint"` // the organisation's name in the constitution
	Role  Role    `cbor:"3,keyasint"`
	// User is the organisation's user for whom its front end acts, as the organisation names them; "" is the organisation
	// itself. See CheckUser.
	User string `cbor:"4,keyasint,omitempty"`
}

// Session is what a ledger says of a session that it has given to a user of an organisation.
type Session struct {
	Actor ActorID   // the organisation
	User  string    // never empty: no session stands for an organisation itself
	From  time.Time // when it began, or what is signed for it was; by the ledger's time
	Until time.Time // the latest end, by the ledger's time; zero if the credential is good for one request only
	Scope any       // what it is good for; only the ledger knows what that means
}

// MaxUser is how many bytes the name of a user may have.
const MaxUser = 128

// CheckUser checks the name of an organisation's user: UTF-8 without control characters, of at most MaxUser bytes. The error is
// ErrInvalid, and does not contain the name.
func CheckUser(user string) error {
	if len(user) > MaxUser {
		return fmt.Errorf("%w: name of a user of %d bytes: expected at most %d", ErrInvalid, len(user), MaxUser)
	}
	if !utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl) {
		return fmt.Errorf("%w: name of a user: expected UTF-8 without control characters", ErrInvalid)
	}
	return nil
}

// Measurement names the code that runs in a TEE, in the platform's own terms, such as
// "virtual:3f0c…" or "snp:9a…": the platform, a colon, and hexadecimal digits.
type Measurement string

// Platform returns the part before the colon, for people to read. It decides nothing: the platform of a
// TEE is that of the driver which verified its evidence.
func (m Measurement) Platform() string {
	p, _, _ := strings.Cut(string(m), ":")
	return p
}

// Short returns the platform and the first eight digits, for people.
func (m Measurement) Short() string {
	if n := len(m.Platform()) + 9; len(m) > n {
		return string(m[:n]) + "…"
	}
	return string(m)
}

// Kinds of errors. A package wraps one of them so that a caller decides by errors.Is, never by
// text; the command line turns them into exit codes and the gateway into status codes.
var (
	// ErrInvalid: the request itself is wrong; sending it again cannot help.
	ErrInvalid = errors.New("invalid")
	// ErrNotFound: the thing does not exist, as far as this caller may know.
	ErrNotFound = errors.New("not found")
	// ErrDenied: the caller, authenticated or not, may not do this.
	ErrDenied = errors.New("denied")
	// ErrBusy: a limit is reached, or the node does not serve yet; nothing happened, and the same request
	// may be sent again.
	ErrBusy = errors.New("busy")
	// ErrNotCommitted: the transaction is certainly not in the ledger; the same request may be
	// sent again.
	ErrNotCommitted = errors.New("not committed")
	// ErrUnknown: the outcome is unknown; the transaction may still commit.
	ErrUnknown = errors.New("outcome unknown")
	// ErrUnreachable: no node answered, or the node reaches no leader.
	ErrUnreachable = errors.New("unreachable")
	// ErrVerify: a signature, proof, digest or measurement is not what it must be.
	ErrVerify = errors.New("verification failed")
	// ErrCorrupt: bytes from disk or network do not decode.
	ErrCorrupt = errors.New("corrupt")
	// ErrPending: the answer is being prepared; the same request may be sent again in a while.
	ErrPending = errors.New("not ready yet")
	// ErrMissing: the part of the ledger that holds the answer is not on this node, or does not open to it.
	ErrMissing = errors.New("ledger missing")
)
