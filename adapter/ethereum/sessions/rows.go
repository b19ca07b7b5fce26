package sessions

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// Row is a session, as its row in the table ethereum.sessions holds it: RLP of these fields in this order.
type Row struct {
	Address common.Address // that has signed in
	Actor   coco.ActorID   // whose user
	User    string
	Linked  uint64 // seqno of the transaction that linked the address: the session ends with this link
	Name    string
	Origin  string // of the pages for which it is
	Scope   Scope
	Issued  uint64 // by the message, in milliseconds since 1970
	Began   uint64 // by the ledger
	Until   uint64
	Ended   bool // before its time
}

// gone reports whether nothing can be done with a session any more, nor with the message that it was made by. A link that has ended does not come back:
// the next one of the address has a later seqno.
func (r *Row) gone(src Source, now uint64) bool {
	return r.Issued+MaxAge <= now && !r.Live(src, now)
}

// Live reports whether a session has not ended by itself or by its link, at a time of the ledger in milliseconds.
func (r *Row) Live(src Source, now uint64) bool {
	return !r.Ended && r.Until > now && r.linked(src)
}

// linked reports whether the address has still the link by which the session began.
func (r *Row) linked(src Source) bool {
	h, linked := links.Of(src, r.Address)
	return linked && h.Actor == r.Actor && h.User == r.User && h.Since == r.Linked
}

// The first byte of a key says what the row is.
const (
	keySession = 0 // ‖ id
	keyHolder  = 1 // ‖ actor ‖ user; the ids of the holder's sessions in the order in which they began
)

// IDOf returns the id of the session that a row is; it is not ok for a holder's row.
func IDOf(key []byte) (id coco.Digest, ok bool) {
	if len(key) != 1+len(id) || key[0] != keySession {
		return id, false
	}
	return coco.Digest(key[1:]), true
}

func sessionKey(id coco.Digest) []byte { return append([]byte{keySession}, id[:]...) }

func holderKey(actor coco.ActorID, user string) []byte {
	return append(append([]byte{keyHolder}, actor[:]...), user...)
}

// Encode returns the row.
func (r *Row) Encode() []byte { return owncall.Encode(r) }

// DecodeRow is the inverse of Row.Encode; what it accepts encodes to the same bytes. The error is coco.ErrCorrupt.
func DecodeRow(b []byte) (r Row, err error) {
	if err := rlp.DecodeBytes(b, &r); err != nil {
		return Row{}, fmt.Errorf("%w: row of a session: %w", coco.ErrCorrupt, err)
	}
	return r, nil
}

// Read returns a session, whether it has ended or not. The error is coco.ErrCorrupt.
func Read(src Source, id coco.Digest) (r Row, found bool, err error) {
	b, found := src.Get(rows.Sessions, sessionKey(id))
	if !found {
		return r, false, nil
	}
	r, err = DecodeRow(b)
	return r, err == nil, err
}

// idsOf returns the ids of a holder's sessions.
func idsOf(src Source, actor coco.ActorID, user string) ([]coco.Digest, error) {
	b, _ := src.Get(rows.Sessions, holderKey(actor, user))
	return decodeIDs(b)
}

func decodeIDs(b []byte) (ids []coco.Digest, err error) {
	const n = len(coco.Digest{})
	if len(b)%n != 0 || len(b) > MaxSessions*n {
		return nil, fmt.Errorf("%w: row of %d bytes of a user's sessions: expected up to %d ids of %d", coco.ErrCorrupt, len(b), MaxSessions, n)
	}
	for ; len(b) > 0; b = b[n:] {
		ids = append(ids, coco.Digest(b[:n]))
	}
	return ids, nil
}

// Listed is a session with its id.
type Listed struct {
	ID coco.Digest
	Row
}

// OfActor calls fn with each session of an organisation's users, by user, until fn returns false; with those of one user unless user is empty.
func OfActor(src store.Reader, actor coco.ActorID, user string, fn func(Listed) bool) {
	each := func(value []byte) bool {
		ids, err := decodeIDs(value)
		if err != nil {
			return true // a row that does not decode is nobody's session
		}
		for _, id := range ids {
			if r, ok, err := Read(src, id); err == nil && ok && !fn(Listed{id, r}) {
				return false
			}
		}
		return true
	}
	if user != "" {
		value, _ := src.Get(rows.Sessions, holderKey(actor, user))
		each(value)
		return
	}
	from := holderKey(actor, "")
	src.Range(rows.Sessions, from, store.Behind(from), func(_, value []byte) bool { return each(value) })
}
