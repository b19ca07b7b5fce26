// Package linking makes and checks the statements by which Ethereum addresses become an organisation's, or one of its users' (package links
// has the rows). A statement is typed data (EIP-712), so any wallet signs it and shows what it says:
//
//	address ─ signs ─► Statement ─ Check, on the node that the caller reached ─► call ─ Execute, on the leader ─► ethereum.links
//	caller  ─ asks for it, as the organisation or user that the statement names
//
// Both are needed: the signature says that whoever holds the address's key agrees, and the caller's credential that the organisation does. The
// domain names the network, so a statement is of no use in another one. Statements about an address have times that only grow, so an
// older one is of no use either, in this network, for ever.
//
// Trust: enclave
package linking

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
	"github.com/cocoframework/coco/adapter/ethereum/signature"
)

// Times of a statement, in milliseconds.
const (
	MaxAhead = 60_000           // of the ledger's time, for clocks that differ
	MaxLife  = 24 * 3600 * 1000 // from issued to expires
	life     = 10 * 60 * 1000   // of a statement that New makes
	maxName  = 256              // bytes of an organisation's name
)

// Statement says whose an address is. Its JSON is the message of the typed data.
type Statement struct {
	Address      common.Address `json:"account"`
	Organisation string         `json:"organisation"` // its name, for those who read it
	Actor        coco.ActorID   `json:"-"`            // in the message: actor
	User         string         `json:"user"`         // "" is the organisation itself
	Issued       uint64         `json:"issued"`       // milliseconds since 1970
	Expires      uint64         `json:"expires"`      // the same
}

// New returns the statement that an address is a caller's, for a wallet to sign at a time.
func New(address common.Address, caller coco.Caller, now time.Time) Statement {
	ms := uint64(now.UnixMilli())
	return Statement{Address: address, Organisation: caller.Name, Actor: caller.Actor, User: caller.User, Issued: ms, Expires: ms + life}
}

// message is a Statement in JSON.
type message struct {
	plain
	Actor hexutil.Bytes `json:"actor"`
}

type plain Statement

// MarshalJSON implements json.Marshaler.
func (s Statement) MarshalJSON() ([]byte, error) { return json.Marshal(message{plain(s), s.Actor[:]}) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Statement) UnmarshalJSON(text []byte) error {
	var m message
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return err
	}
	if len(m.Actor) != len(s.Actor) {
		return fmt.Errorf("actor: expected %d bytes in hexadecimal", len(s.Actor))
	}
	*s = Statement(m.plain)
	copy(s.Actor[:], m.Actor)
	return nil
}

// The types of the typed data (EIP-712, "encodeType").
const (
	domainType = "EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)"
	linkType   = "Link(address account,string organisation,bytes32 actor,string user,uint64 issued,uint64 expires)"
)

// TypedData returns what a wallet signs, as eth_signTypedData_v4 takes it.
func (s *Statement) TypedData(of owncall.Network) map[string]any {
	fields := func(typ string) (out []map[string]string) {
		_, list, _ := strings.Cut(strings.TrimSuffix(typ, ")"), "(")
		for _, f := range strings.Split(list, ",") {
			kind, name, _ := strings.Cut(f, " ")
			out = append(out, map[string]string{"name": name, "type": kind})
		}
		return out
	}
	return map[string]any{
		"types":       map[string]any{"EIP712Domain": fields(domainType), "Link": fields(linkType)},
		"primaryType": "Link",
		"domain":      map[string]any{"name": "Coco", "version": "1", "chainId": json.Number(of.ChainID.String()), "salt": hexutil.Encode(of.ID[:])},
		"message":     s,
	}
}

// Hash returns what is signed (EIP-712): Keccak-256 of 0x19, 0x01, the domain's hash and the message's.
func (s *Statement) Hash(of owncall.Network) common.Hash {
	text := func(s string) []byte { return crypto.Keccak256([]byte(s)) }
	number := func(n uint64) []byte { return common.LeftPadBytes(new(big.Int).SetUint64(n).Bytes(), 32) }
	domain := crypto.Keccak256(text(domainType), text("Coco"), text("1"), common.LeftPadBytes(of.ChainID.Bytes(), 32), of.ID[:])
	is := crypto.Keccak256(text(linkType), common.LeftPadBytes(s.Address[:], 32), text(s.Organisation), s.Actor[:], text(s.User), number(s.Issued), number(s.Expires))
	return crypto.Keccak256Hash([]byte{0x19, 0x01}, domain, is)
}

// Check checks the signature (65 bytes: r, s and v of 27 or 28) and all that does not depend on the state, for a caller. The error is coco.ErrInvalid, or
// coco.ErrDenied if the caller may not ask for it.
func (s *Statement) Check(of owncall.Network, sig []byte, caller coco.Caller, now time.Time) error {
	if err := coco.CheckUser(s.User); err != nil {
		return err
	}
	if len(s.Organisation) > maxName {
		return fmt.Errorf("%w: link: name of an organisation of %d bytes: expected at most %d", coco.ErrInvalid, len(s.Organisation), maxName)
	}
	if caller.Actor != s.Actor || caller.Name != s.Organisation {
		return fmt.Errorf("%w: link: the statement is for the organisation %q (%s), and the caller is of %q (%s)", coco.ErrDenied, s.Organisation, s.Actor.Short(), caller.Name, caller.Actor.Short())
	}
	if caller.User != "" && caller.User != s.User {
		return fmt.Errorf("%w: link: the statement is for another user than the caller", coco.ErrDenied)
	}
	signer, err := signature.Signer("link", s.Hash(of), sig)
	if err != nil && !errors.Is(err, signature.ErrNobody) {
		return err
	}
	if err != nil || signer != s.Address {
		return fmt.Errorf("%w: link: the signature is not that of %v over this statement for this network (chain id %v, salt %s)", coco.ErrInvalid, s.Address, of.ChainID, of.ID)
	}
	return s.timely(uint64(now.UnixMilli()))
}

// timely checks the times, by that of the ledger in milliseconds.
func (s *Statement) timely(now uint64) error {
	switch {
	case s.Issued > now+MaxAhead:
		return fmt.Errorf("%w: link: the statement was issued at %s, which is after the ledger's time %s", coco.ErrInvalid, owncall.Time(s.Issued), owncall.Time(now))
	case s.Expires <= now:
		return fmt.Errorf("%w: link: the statement expired at %s, and the ledger's time is %s: sign a new one", coco.ErrInvalid, owncall.Time(s.Expires), owncall.Time(now))
	case s.Expires > s.Issued+MaxLife:
		return fmt.Errorf("%w: link: the statement is good for longer than %v: expected at most that from issued to expires", coco.ErrInvalid, time.Duration(MaxLife)*time.Millisecond)
	}
	return nil
}

// Call is a call of the ledger that links an address or unlinks it. It was checked on the node that its caller reached.
type Call struct {
	// Statement links its Address; if Unlink is set, only the address counts, and the caller must hold it.
	Statement Statement
	Unlink    bool
}

// wireCall is a Call in RLP.
type wireCall struct {
	Unlink       bool
	Address      common.Address
	Organisation string
	Actor        coco.ActorID
	User         string
	Issued       uint64
	Expires      uint64
}

// Payload returns what travels to the leader.
func (c *Call) Payload() []byte {
	s := &c.Statement
	return owncall.Link.Payload(&wireCall{c.Unlink, s.Address, s.Organisation, s.Actor, s.User, s.Issued, s.Expires})
}

// Decode reads a payload. It is not is if the payload is none of a Call. The error is coco.ErrCorrupt.
func Decode(payload []byte) (c *Call, is bool, err error) {
	var w wireCall
	if is, err := owncall.Link.Decode(payload, &w); !is || err != nil {
		return nil, is, err
	}
	return &Call{Unlink: w.Unlink, Statement: Statement{w.Address, w.Organisation, w.Actor, w.User, w.Issued, w.Expires}}, true, nil
}

// Execute executes a call at a time of the ledger, in milliseconds. Errors are coco.ErrInvalid, coco.ErrDenied and coco.ErrNotFound; then nothing of
// the transaction may be committed.
func (c *Call) Execute(tx owncall.Transaction, caller coco.Caller, now uint64) error {
	s := &c.Statement
	row, err := links.Read(tx, s.Address)
	if err != nil {
		return err
	}
	if c.Unlink {
		if !row.Linked || !row.Is(caller.Actor, caller.User) {
			return fmt.Errorf("%w: unlink: %v is not linked to the caller", coco.ErrNotFound, s.Address)
		}
		tx.Claim(claim(c, &row.Holder))
		return links.Unlink(tx, s.Address, max(now, row.Issued))
	}
	if err := s.timely(now); err != nil {
		return err
	}
	if s.Issued <= row.Issued {
		return fmt.Errorf("%w: link: the statement about %v is not newer than the last one, of %s: sign a new one", coco.ErrInvalid, s.Address, owncall.Time(row.Issued))
	}
	h := links.Holder{Actor: s.Actor, User: s.User, Since: tx.Seqno()}
	tx.Claim(claim(c, &h))
	return links.Link(tx, s.Address, h, s.Issued)
}

// Claim is what the receipt of such a transaction proves: RLP of what was done, the address, and its holder.
type Claim struct {
	Kind    string // link or unlink
	Address common.Address
	Actor   coco.ActorID
	User    string
	Issued  uint64 // of the statement; 0 if there was none
}

// The kinds of claims.
const (
	KindLink   = "link"
	KindUnlink = "unlink"
)

func claim(c *Call, h *links.Holder) []byte {
	is := Claim{Kind: KindLink, Address: c.Statement.Address, Actor: h.Actor, User: h.User, Issued: c.Statement.Issued}
	if c.Unlink {
		is.Kind, is.Issued = KindUnlink, 0
	}
	return owncall.Encode(&is)
}

// DecodeClaim reads a claim; it is not ok if the bytes are none.
func DecodeClaim(b []byte) (c Claim, ok bool) {
	err := rlp.DecodeBytes(b, &c)
	return c, err == nil && (c.Kind == KindLink || c.Kind == KindUnlink)
}
