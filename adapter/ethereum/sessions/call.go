package sessions

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Call is a call of the ledger that begins a session, or ends one. It was checked on the node that its caller reached, by Judge.
type Call struct {
	// SignIn begins a session of the caller; if End is set, only its id counts, and the session must be the caller's.
	SignIn SignIn
	End    bool
}

// wireCall is a Call in RLP.
type wireCall struct {
	End     bool
	ID      coco.Digest
	Address common.Address
	Name    string
	Origin  string
	Scope   []string
	Issued  uint64
	Until   uint64
}

// Payload returns what travels to the leader.
func (c *Call) Payload() []byte {
	s := &c.SignIn
	return owncall.Session.Payload(&wireCall{c.End, s.ID, s.Address, s.Name, s.Origin, s.Scope, s.Issued, s.Until})
}

// Decode reads a payload. It is not is if the payload is none of a Call. The error is coco.ErrCorrupt.
func Decode(payload []byte) (c *Call, is bool, err error) {
	var w wireCall
	if is, err := owncall.Session.Decode(payload, &w); !is || err != nil {
		return nil, is, err
	}
	s := SignIn{ID: w.ID, Address: w.Address, Name: w.Name, Origin: w.Origin, Scope: w.Scope, Issued: w.Issued, Until: w.Until}
	if !w.End && (checkName(s.Name) != nil || s.Scope.check() != nil || len(s.Origin) > maxOrigin) {
		return nil, true, fmt.Errorf("%w: session: a name, scope or origin that no message can have", coco.ErrCorrupt)
	}
	return &Call{SignIn: s, End: w.End}, true, nil
}

// Execute executes a call at a time of the ledger, in milliseconds. Errors are coco.ErrInvalid, coco.ErrDenied, coco.ErrNotFound and coco.ErrCorrupt;
// then nothing of the transaction may be committed.
func (c *Call) Execute(tx owncall.Transaction, caller coco.Caller, now uint64) error {
	s := &c.SignIn
	old, found, err := Read(tx, s.ID)
	if err != nil {
		return err
	}
	if c.End {
		if !found || old.Actor != caller.Actor || caller.User != "" && old.User != caller.User {
			return fmt.Errorf("%w: session %s is none of the caller's", coco.ErrNotFound, s.ID)
		}
		old.Ended = true
		tx.Put(rows.Sessions, sessionKey(s.ID), old.Encode())
		tx.Claim(claim(KindEnd, s.ID, &old))
		return nil
	}
	if found {
		return refuse("the message was used already: sign a new one, for another token")
	}
	if err := s.timely(now); err != nil {
		return err
	}
	h, err := holder(tx, s.Address)
	if err != nil {
		return err
	}
	if h.Actor != caller.Actor || h.User != caller.User {
		return fmt.Errorf("%w: sign-in: %v is linked to another one than the caller by now", coco.ErrDenied, s.Address)
	}
	r := Row{Address: s.Address, Actor: h.Actor, User: h.User, Linked: h.Since, Name: s.Name, Origin: s.Origin, Scope: s.Scope, Issued: s.Issued, Began: now, Until: s.Until}
	if err := list(tx, s.ID, &r, now); err != nil {
		return err
	}
	tx.Put(rows.Sessions, sessionKey(s.ID), r.Encode())
	tx.Claim(claim(KindBegin, s.ID, &r))
	return nil
}

// list adds a session to those of its holder, and removes those of which nothing can come any more, and that of its page and name, which it replaces. Messages of a page
// and name are used in the order of their times of issue, so that of a session that was replaced begins none again.
func list(tx owncall.Transaction, id coco.Digest, r *Row, now uint64) error {
	ids, err := idsOf(tx, r.Actor, r.User)
	if err != nil {
		return err
	}
	var kept []byte
	n := 0
	for _, other := range ids {
		is, found, err := Read(tx, other)
		if err != nil {
			return err
		}
		same := is.Origin == r.Origin && is.Name == r.Name
		if found && same && is.Issued >= r.Issued {
			return refuse("the session %q of %s was signed later than this message, or at the same time: sign a new one", r.Name, r.Origin)
		}
		if !found || same || is.gone(tx, now) {
			tx.Delete(rows.Sessions, sessionKey(other))
			continue
		}
		kept = append(kept, other[:]...)
		n++
	}
	if n >= MaxSessions {
		return refuse("the user has %d sessions, which is as many as there may be: sign in by the name of one at the same page, which replaces it, or end one (coco identity sessions lists them, coco identity end-session ends one, which keeps its place for up to %v)", n, span(MaxAge))
	}
	tx.Put(rows.Sessions, holderKey(r.Actor, r.User), slices.Concat(kept, id[:]))
	return nil
}

// Claim is what the receipt of such a transaction proves: RLP of what was done, the session, and whose it is.
type Claim struct {
	Kind    string
	ID      coco.Digest
	Address common.Address
	Actor   coco.ActorID
	User    string
}

// The kinds of claims.
const (
	KindBegin = "sign_in"
	KindEnd   = "session_end"
)

func claim(kind string, id coco.Digest, r *Row) []byte {
	return owncall.Encode(&Claim{kind, id, r.Address, r.Actor, r.User})
}

// DecodeClaim reads a claim; it is not ok if the bytes are none.
func DecodeClaim(b []byte) (c Claim, ok bool) {
	err := rlp.DecodeBytes(b, &c)
	return c, err == nil && (c.Kind == KindBegin || c.Kind == KindEnd)
}
