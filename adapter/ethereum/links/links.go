// Package links says whose an Ethereum address is: which organisation's, and which of its users'. It holds the rows of the
// table ethereum.links, byte for byte, and the reading of them.
//
// A link is a row under the address. Beside it each holder has a row with its addresses in the order in which they were linked. An
// address belongs to one holder at a time: linking it again ends the earlier link. Whoever lost an address leaves the row with the
// time of the last statement behind, so that an older statement has no effect if it is sent again.
//
// The rows are written by transactions of the ledger only: what links an address is a statement that the address itself has signed.
//
// Trust: enclave
package links

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// MaxAddresses is how many addresses a holder may have at a time.
const MaxAddresses = 64

// Holder is whose an address is.
type Holder struct {
	Actor coco.ActorID
	User  string // "" is the organisation itself
	Since uint64 // seqno of the transaction that linked the address; 1 if it was linked at the network's start
}

// Is reports whether the address is a caller's: a caller that is the organisation itself has the addresses of all its users.
func (h *Holder) Is(actor coco.ActorID, user string) bool {
	return h.Actor == actor && (user == "" || h.User == user)
}

// Of returns the holder of an address. A row that does not decode is no link: nobody sees more by it.
func Of(src rows.Source, addr common.Address) (Holder, bool) {
	r, err := Read(src, addr)
	if err != nil || !r.Linked {
		return Holder{}, false
	}
	return r.Holder, true
}

// Addresses returns the addresses that are linked to exactly this actor and user, in the order in which they were linked.
func Addresses(src rows.Source, actor coco.ActorID, user string) []common.Address {
	b, ok := src.Get(rows.Links, holderKey(actor, user))
	if !ok {
		return nil
	}
	addresses, err := decodeAddresses(b)
	if err != nil {
		return nil
	}
	return addresses
}

// Linked is one link.
type Linked struct {
	Address common.Address
	Holder
}

// OfActor calls fn with each link of an organisation, those of the organisation itself first, then by user, until fn returns false.
func OfActor(src store.Reader, actor coco.ActorID, fn func(Linked) bool) {
	from := holderKey(actor, "")
	more := true
	src.Range(rows.Links, from, store.Behind(from), func(_, value []byte) bool {
		addresses, err := decodeAddresses(value)
		if err != nil {
			return true
		}
		for _, addr := range addresses {
			if h, ok := Of(src, addr); ok && more {
				more = fn(Linked{addr, h})
			}
		}
		return more
	})
}

// OfCaller returns a caller's addresses: a user's, or up to most of those of an organisation and all its users, in the order of OfActor.
func OfCaller(src store.Reader, actor coco.ActorID, user string, most int) (out []common.Address) {
	if user != "" {
		return Addresses(src, actor, user)
	}
	OfActor(src, actor, func(l Linked) bool {
		out = append(out, l.Address)
		return len(out) < most
	})
	return out
}

// Row is the row of an address.
type Row struct {
	Holder
	Linked bool
	Issued uint64 // of the newest statement about the address, in milliseconds since 1970; 0 if there was none
}

// Read returns the row of an address; the zero Row if there is none. The error is coco.ErrCorrupt.
func Read(src rows.Source, addr common.Address) (Row, error) {
	b, ok := src.Get(rows.Links, addressKey(addr))
	if !ok {
		return Row{}, nil
	}
	return DecodeRow(b)
}

// The first byte of a key says what the row is.
const (
	keyAddress = 0 // ‖ address
	keyHolder  = 1 // ‖ actor ‖ user
)

// AddressOf returns the address that a row is about; it is not ok for a holder's row.
func AddressOf(key []byte) (addr common.Address, ok bool) {
	if len(key) != 1+len(addr) || key[0] != keyAddress {
		return addr, false
	}
	return common.BytesToAddress(key[1:]), true
}

func addressKey(addr common.Address) []byte { return append([]byte{keyAddress}, addr[:]...) }

func holderKey(actor coco.ActorID, user string) []byte {
	return append(append([]byte{keyHolder}, actor[:]...), user...)
}

// Encode returns the row:
//
//	issued u64 | [since u64 | actor 32 bytes | user]
//
// What is in brackets is there only if the address is linked.
func (r *Row) Encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, r.Issued)
	if !r.Linked {
		return b
	}
	b = binary.BigEndian.AppendUint64(b, r.Since)
	return append(append(b, r.Actor[:]...), r.User...)
}

// DecodeRow is the inverse of Row.Encode; what it accepts encodes to the same bytes.
func DecodeRow(b []byte) (Row, error) {
	const issued, linked = 8, 16 + len(coco.ActorID{})
	switch {
	case len(b) == issued:
		return Row{Issued: binary.BigEndian.Uint64(b)}, nil
	case len(b) < linked:
		return Row{}, fmt.Errorf("%w: link row of %d bytes: expected 8, or at least %d", coco.ErrCorrupt, len(b), linked)
	}
	r := Row{Linked: true, Issued: binary.BigEndian.Uint64(b)}
	r.Since = binary.BigEndian.Uint64(b[8:])
	copy(r.Actor[:], b[16:])
	r.User = string(b[linked:])
	if err := coco.CheckUser(r.User); err != nil {
		return Row{}, fmt.Errorf("%w: link row: %w", coco.ErrCorrupt, err)
	}
	return r, nil
}

func decodeAddresses(b []byte) ([]common.Address, error) {
	if len(b) == 0 || len(b)%common.AddressLength != 0 || len(b) > MaxAddresses*common.AddressLength {
		return nil, fmt.Errorf("%w: row of %d bytes of a holder's addresses: expected 1 to %d addresses of %d", coco.ErrCorrupt, len(b), MaxAddresses, common.AddressLength)
	}
	addresses := make([]common.Address, 0, len(b)/common.AddressLength)
	for ; len(b) > 0; b = b[common.AddressLength:] {
		addresses = append(addresses, common.BytesToAddress(b[:common.AddressLength]))
	}
	return addresses, nil
}

// Transaction is what a change of links reads and writes.
type Transaction interface {
	rows.Source
	rows.Sink
}

// Link makes an address the holder's, by a statement of that time; it ends the link that the address had. What was the holder's already is so since then. Errors are coco.ErrInvalid
// for a holder with too many addresses or without a valid user, and coco.ErrCorrupt.
func Link(tx Transaction, addr common.Address, h Holder, issued uint64) error {
	if err := coco.CheckUser(h.User); err != nil {
		return err
	}
	old, err := Read(tx, addr)
	if err != nil {
		return err
	}
	if old.Linked && old.Actor == h.Actor && old.User == h.User {
		h.Since = old.Since
	} else {
		if len(Addresses(tx, h.Actor, h.User)) >= MaxAddresses {
			return fmt.Errorf("%w: link of %v: its holder has %d addresses already, which is as many as it may have; unlink another one first", coco.ErrInvalid, addr, MaxAddresses)
		}
		leave(tx, addr, &old)
		join(tx, addr, &h)
	}
	row := Row{Holder: h, Linked: true, Issued: issued}
	tx.Put(rows.Links, addressKey(addr), row.Encode())
	return nil
}

// Unlink ends an address's link, by a statement of that time. Without a link only the time is kept.
func Unlink(tx Transaction, addr common.Address, issued uint64) error {
	old, err := Read(tx, addr)
	if err != nil {
		return err
	}
	leave(tx, addr, &old)
	row := Row{Issued: issued}
	tx.Put(rows.Links, addressKey(addr), row.Encode())
	return nil
}

func join(tx Transaction, addr common.Address, h *Holder) {
	key := holderKey(h.Actor, h.User)
	b, _ := tx.Get(rows.Links, key)
	tx.Put(rows.Links, key, slices.Concat(b, addr[:]))
}

func leave(tx Transaction, addr common.Address, r *Row) {
	if !r.Linked {
		return
	}
	addresses := Addresses(tx, r.Actor, r.User)
	rest := make([]byte, 0, len(addresses)*common.AddressLength)
	for _, a := range addresses {
		if a != addr {
			rest = append(rest, a[:]...)
		}
	}
	if key := holderKey(r.Actor, r.User); len(rest) == 0 {
		tx.Delete(rows.Links, key)
	} else {
		tx.Put(rows.Links, key, rest)
	}
}
