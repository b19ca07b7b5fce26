package gov

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
)

// EvidenceContext is the purpose of the evidence in a NodeRecord; see attest.ReportData.
const EvidenceContext = "coco node"

// NodeContext begins what the owner of a node signs.
const NodeContext = "coco node"

// Bounds of a node's record.
const (
	minNonce        = 16
	maxNonce        = 64
	maxAddress      = 255
	maxNodeKey      = 256
	maxSignature    = 128
	maxRecord       = 512 << 10
	maxUnixMilli    = 1 << 52
	maxServiceBytes = 64 << 10
)

// NodeState says whether a node belongs to the network.
type NodeState string

// The states of a node. A pending one has asked to join and waits for a vote. A retired node never
// comes back: its key lived in the enclave only.
const (
	Pending NodeState = "pending"
	Trusted NodeState = "trusted"
	Retired NodeState = "retired"
)

// NodeRecord is a row of the node list: the tuple that its owner signed, the evidence that the
// node's key lives in a TEE that runs known code, and what the network made of it.
type NodeRecord struct {
	ID            coco.NodeID  `cbor:"1,keyasint"`
	Owner         coco.ActorID `cbor:"2,keyasint"`
	Address       string       `cbor:"3,keyasint"` // host:port for other nodes
	ClientAddress string       `cbor:"4,keyasint"` // host:port for clients; may be empty
	Key           []byte       `cbor:"5,keyasint"` // PKIX DER, ECDSA P-256
	// OwnerCertificates begins with the certificate whose key made OwnerSignature and leads to the
	// organisation's, which may be left out unless it signed itself.
	OwnerCertificates [][]byte `cbor:"6,keyasint"` // DER
	OwnerSignature    []byte   `cbor:"7,keyasint"` // see NodeTuple

	// Evidence is bound to EvidenceContext, Key and Nonce.
	Evidence    attest.Evidence  `cbor:"8,keyasint"`
	Nonce       []byte           `cbor:"9,keyasint"` // 16 to 64 bytes, the verifier's choice
	Measurement coco.Measurement `cbor:"10,keyasint"`

	// Certificate is the node's, issued by the service over Key, in DER form.
	Certificate []byte    `cbor:"11,keyasint"`
	State       NodeState `cbor:"12,keyasint"`
	// Since is the seqno of the transaction that gave the node its state.
	Since uint64 `cbor:"13,keyasint"`
	// Time is the batch's, in milliseconds since 1970, when the node was admitted. The owner's
	// certificates are valid then.
	Time uint64 `cbor:"14,keyasint"`
}

// NodeTuple returns the bytes that the owner of a node signs:
//
//	"coco node" ‖ 0x00 ‖ CBOR [owner (bytes), address (text), client address (text), node key (bytes)]
//
// The signature is ECDSA P-256 over their SHA-256, in ASN.1 form.
func NodeTuple(owner coco.ActorID, address, clientAddress string, key []byte) []byte {
	tuple, err := canon.Marshal(struct {
		_             struct{} `cbor:",toarray"`
		Owner         coco.ActorID
		Address       string
		ClientAddress string
		Key           []byte
	}{Owner: owner, Address: address, ClientAddress: clientAddress, Key: key})
	if err != nil {
		panic(err) // strings and bytes always encode
	}
	return append(append([]byte(NodeContext), 0), tuple...)
}

// SignNode fills in OwnerSignature with the owner's key, which belongs to the first certificate of
// OwnerCertificates.
func SignNode(rec *NodeRecord, owner crypto.Signer) error {
	digest := sha256.Sum256(NodeTuple(rec.Owner, rec.Address, rec.ClientAddress, rec.Key))
	sig, err := owner.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return fmt.Errorf("signing the node as its owner: %w", err)
	}
	rec.OwnerSignature = sig
	return nil
}

// Reason says why a node is refused, in a form that programs can tell apart.
type Reason string

// The reasons to refuse a node.
const (
	BadRecord        Reason = "bad_record"           // the record's form
	UnlistedOwner    Reason = "unlisted_owner"       // the owner is not in the constitution
	BadOwner         Reason = "bad_owner"            // the owner's certificates do not lead to it
	BadSignature     Reason = "bad_owner_signature"  // the owner did not sign this tuple
	UnlistedPlatform Reason = "unlisted_platform"    // not in the TEE manifest
	UnlistedCode     Reason = "unlisted_code"        // not in the code manifest
	DebugTEE         Reason = "debug_tee"            // somebody can look inside
	InsecureTEE      Reason = "insecure_tee"         // simulated, and the network is not insecure
	BadEvidence      Reason = "bad_evidence"         // for another key, nonce or purpose
	KnownNode        Reason = "known_node"           // its key was used before
	BadCertificate   Reason = "bad_node_certificate" // not what the service endorsed
	NotVotedIn       Reason = "not_voted_in"         // too early: the policy wants a vote first
	StaleEvidence    Reason = "stale_evidence"       // made too long ago, or for another connection
	OldTEE           Reason = "old_tee"              // older than the platform's policy in the TEE manifest allows
	TEEPolicy        Reason = "tee_policy"           // not what the platform's policy in the TEE manifest asks for
)

// Refusal is why a node is not admitted. It is coco.ErrDenied.
type Refusal struct {
	Node   coco.NodeID
	Reason Reason
	Detail string
	Cause  error // of attest; may be nil
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%v: node %s refused (%s): %s", coco.ErrDenied, r.Node.Short(), r.Reason, r.Detail)
}

// Unwrap returns coco.ErrDenied and the cause.
func (r *Refusal) Unwrap() []error {
	if r.Cause == nil {
		return []error{coco.ErrDenied}
	}
	return []error{coco.ErrDenied, r.Cause}
}

func refuse(rec *NodeRecord, reason Reason, format string, args ...any) error {
	return &Refusal{Node: rec.ID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// PublicKey returns the node's public key.
func (rec *NodeRecord) PublicKey() (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(rec.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: the node key is not in PKIX form: %w", coco.ErrInvalid, err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: the node key is %T, expected ECDSA on P-256", coco.ErrInvalid, parsed)
	}
	return key, nil
}

// check looks at the record's form, its certificate apart.
func checkForm(rec *NodeRecord) error {
	if len(rec.Key) > maxNodeKey {
		return refuse(rec, BadRecord, "the node key has %d bytes, expected at most %d", len(rec.Key), maxNodeKey)
	}
	if id := coco.NodeID(sha256.Sum256(rec.Key)); rec.ID != id {
		return refuse(rec, BadRecord, "the id is %s, expected %s, the SHA-256 of the node key", rec.ID, id)
	}
	if _, err := rec.PublicKey(); err != nil {
		return refuse(rec, BadRecord, "%v", err)
	}
	if err := checkAddress(rec.Address); err != nil {
		return refuse(rec, BadRecord, "the address %q: %v", rec.Address, err)
	}
	if rec.ClientAddress != "" {
		if err := checkAddress(rec.ClientAddress); err != nil {
			return refuse(rec, BadRecord, "the client address %q: %v", rec.ClientAddress, err)
		}
	}
	if n := len(rec.Nonce); n < minNonce || n > maxNonce {
		return refuse(rec, BadRecord, "the nonce has %d bytes, expected %d to %d", n, minNonce, maxNonce)
	}
	if n := len(rec.Evidence.Quote); n == 0 || n > attest.MaxQuote {
		return refuse(rec, BadRecord, "the evidence has %d bytes, expected 1 to %d", n, attest.MaxQuote)
	}
	if n := len(rec.OwnerSignature); n == 0 || n > maxSignature {
		return refuse(rec, BadRecord, "the owner's signature has %d bytes, expected 1 to %d", n, maxSignature)
	}
	if n := len(rec.OwnerCertificates); n == 0 || n > MaxChain {
		return refuse(rec, BadRecord, "there are %d owner's certificates, expected 1 to %d", n, MaxChain)
	}
	for _, der := range rec.OwnerCertificates {
		if len(der) == 0 || len(der) > maxCertificate {
			return refuse(rec, BadRecord, "an owner's certificate has %d bytes, expected 1 to %d", len(der), maxCertificate)
		}
	}
	if rec.Time == 0 || rec.Time > maxUnixMilli {
		return refuse(rec, BadRecord, "the time is %d, expected the batch's in milliseconds since 1970", rec.Time)
	}
	return nil
}

func checkAddress(s string) error {
	if len(s) > maxAddress {
		return fmt.Errorf("expected at most %d bytes, found %d", maxAddress, len(s))
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return fmt.Errorf("expected host:port")
	}
	for _, r := range []byte(host) {
		if r <= ' ' || r >= 0x7f {
			return fmt.Errorf("expected a host name or address in ASCII")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("expected a port of 1 to 65535")
	}
	return nil
}

// VerifyOwner checks that a member or participant owns the node: the owner's certificates lead to its
// organisation's and are valid at the record's time, and the first one's key has signed the
// tuple. The error is a *Refusal.
func VerifyOwner(c *Constitution, rec *NodeRecord) error {
	if _, ok := c.Role(rec.Owner); !ok {
		return refuse(rec, UnlistedOwner, "its owner %s is not in the constitution", rec.Owner.Short())
	}
	var certs []*x509.Certificate
	for i, der := range rec.OwnerCertificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return refuse(rec, BadOwner, "certificate %d of its owner is not X.509: %v", i, err)
		}
		certs = append(certs, cert)
	}
	org, _, err := c.Signer(certs, time.UnixMilli(int64(rec.Time)))
	if err != nil {
		return refuse(rec, BadOwner, "its owner's certificate: %v", err)
	}
	if org.Actor != rec.Owner {
		return refuse(rec, BadOwner, "its owner's certificate is %q's, expected %q's", org.Name, c.Name(rec.Owner))
	}
	key, ok := certs[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return refuse(rec, BadOwner, "its owner's key is %T, expected ECDSA on P-256", certs[0].PublicKey)
	}
	digest := sha256.Sum256(NodeTuple(rec.Owner, rec.Address, rec.ClientAddress, rec.Key))
	if !ecdsa.VerifyASN1(key, digest[:], rec.OwnerSignature) {
		return refuse(rec, BadSignature, "%q has not signed this owner, address, client address and node key", org.Name)
	}
	return nil
}
