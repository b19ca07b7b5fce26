package store

import (
	"bytes"
	"fmt"
	"io"
	"slices"

	"github.com/cocoframework/coco"
)

// Audience is a list of actors, rising and each once: those who may see and write a row. It is a part of the row's name, so
// one key in two audiences is two rows. A table of such rows (Table.Audience) holds
//
//	key   = count u8 ‖ actor id × count ‖ the owner's key
//	value = salt (SaltSize random bytes) ‖ the owner's value
//
// The salt keeps a digest of the state from confirming a guess at a value.
type Audience []coco.ActorID

const (
	// MaxAudience is how many actors an audience may have.
	MaxAudience = 16
	// SaltSize is the length of a row's salt in bytes.
	SaltSize = 16
)

// NewAudience returns the audience of these actors, in any order. The error is coco.ErrInvalid if there are none, if there
// are too many, or if one is there twice.
func NewAudience(actors ...coco.ActorID) (Audience, error) {
	if len(actors) == 0 || len(actors) > MaxAudience {
		return nil, fmt.Errorf("%w: audience of %d actors: expected 1 to %d", coco.ErrInvalid, len(actors), MaxAudience)
	}
	a := slices.Clone(Audience(actors))
	slices.SortFunc(a, compareActors)
	for i := 1; i < len(a); i++ {
		if a[i] == a[i-1] {
			return nil, fmt.Errorf("%w: audience: actor %s is there twice", coco.ErrInvalid, a[i].Short())
		}
	}
	return a, nil
}

func compareActors(a, b coco.ActorID) int { return bytes.Compare(a[:], b[:]) }

// Has reports whether an actor is in the audience.
func (a Audience) Has(actor coco.ActorID) bool {
	_, ok := slices.BinarySearchFunc(a, actor, compareActors)
	return ok
}

// Append encodes the audience as keys of rows begin with it.
func (a Audience) Append(b []byte) []byte {
	b = append(b, byte(len(a)))
	for i := range a {
		b = append(b, a[i][:]...)
	}
	return b
}

// Size is the length of the encoded audience in bytes.
func (a Audience) Size() int { return 1 + len(a)*len(coco.ActorID{}) }

// CutAudience reads an audience from the front of a key, and returns the owner's key, a part of it. Each audience has one
// encoding. The error is coco.ErrCorrupt.
func CutAudience(key []byte) (a Audience, rest []byte, err error) {
	const size = len(coco.ActorID{})
	if len(key) == 0 || key[0] < 1 || key[0] > MaxAudience || len(key) < 1+int(key[0])*size {
		return nil, nil, fmt.Errorf("%w: a key of %d bytes does not begin with an audience", coco.ErrCorrupt, len(key))
	}
	a, rest = make(Audience, key[0]), key[1:]
	for i := range a {
		a[i], rest = coco.ActorID(rest[:size]), rest[size:]
		if i > 0 && compareActors(a[i-1], a[i]) >= 0 {
			return nil, nil, fmt.Errorf("%w: an audience whose actors do not rise", coco.ErrCorrupt)
		}
	}
	return a, rest, nil
}

// CutSalt returns the owner's value of a row that has an audience, a part of it. The error is coco.ErrCorrupt.
func CutSalt(value []byte) ([]byte, error) {
	if len(value) < SaltSize {
		return nil, fmt.Errorf("%w: a value of %d bytes does not begin with a salt", coco.ErrCorrupt, len(value))
	}
	return value[SaltSize:], nil
}

// Party reads the rows of one audience of a committed state, for one actor. It implements Reader with the owner's keys and
// values, over the tables that have audiences. For an actor outside the audience there are no rows, and nothing is looked up.
type Party struct {
	of       *Snapshot
	tables   map[string]*table
	audience []byte // encoded; nil for an outsider
}

// For reads the tables of a scope that have audiences, as of a snapshot that the scope has made.
func (p *Snapshot) For(c *Scope, actor coco.ActorID, audience Audience) *Party {
	party := &Party{of: p, tables: c.parties}
	if p.store != c.store {
		panic("store: a scope of another store")
	}
	if audience.Has(actor) {
		party.audience = audience.Append(nil)
	}
	return party
}

// Get implements Reader.
func (p *Party) Get(name string, key []byte) ([]byte, bool) {
	t := named(p.tables, name)
	if p.audience == nil {
		return nil, false
	}
	return unsalted(t.get(slices.Concat(p.audience, key), p.of.version))
}

// Range implements Reader.
func (p *Party) Range(name string, from, to []byte, fn func(key, value []byte) bool) {
	t := named(p.tables, name)
	if p.audience == nil {
		return
	}
	first, end := bounds(p.audience, from, to)
	t.scan(first, end, p.of.version, func(key, value []byte) bool {
		value, _ = unsalted(value, true)
		return fn(key[len(p.audience):], value)
	})
}

// bounds returns the keys between which the rows of an audience are whose own keys are from <= key < to.
func bounds(audience, from, to []byte) (first, end []byte) {
	first = slices.Concat(audience, from)
	if to != nil {
		return first, slices.Concat(audience, to)
	}
	return first, Behind(audience)
}

// unsalted returns the owner's value. Only a PartyTx writes rows of such a table, and each has a salt.
func unsalted(value []byte, ok bool) ([]byte, bool) {
	if !ok {
		return nil, false
	}
	return value[SaltSize:], true
}

// PartyTx is the part of a transaction that is about one audience. It MUST NOT be used after the transaction has ended.
type PartyTx struct {
	tx       *Tx
	tables   map[string]*table
	audience []byte // encoded
}

// For returns the part of a transaction over the tables of a scope that have audiences. The error is coco.ErrDenied for an
// actor outside the audience.
func (t *Tx) For(c *Scope, actor coco.ActorID, audience Audience) (*PartyTx, error) {
	if t.set.store != c.store {
		panic("store: a scope of another store")
	}
	if !audience.Has(actor) {
		return nil, fmt.Errorf("%w: only an actor of an audience writes to it", coco.ErrDenied)
	}
	return &PartyTx{tx: t, tables: c.parties, audience: audience.Append(nil)}, nil
}

func (p *PartyTx) table(name string) *table {
	if p.tx.tables == nil {
		panic("store: the transaction of an audience has ended")
	}
	return named(p.tables, name)
}

// Get returns a row as the transaction sees it.
func (p *PartyTx) Get(name string, key []byte) ([]byte, bool) {
	t, key := p.table(name), slices.Concat(p.audience, key)
	if e := p.tx.whole.find(t, key); e != nil {
		return unsalted(e.value, !e.deleted)
	}
	return unsalted(p.tx.set.get(t, key))
}

// Put writes a row, under a salt of its own.
func (p *PartyTx) Put(name string, key, value []byte) {
	t := p.table(name)
	salted := make([]byte, SaltSize, SaltSize+len(value))
	if _, err := io.ReadFull(p.tx.Rand(), salted); err != nil {
		panic("store: no randomness: " + err.Error())
	}
	p.tx.whole.write(t, slices.Concat(p.audience, key), append(salted, value...), false)
}

// Delete removes a row, whether or not it exists.
func (p *PartyTx) Delete(name string, key []byte) {
	p.tx.whole.write(p.table(name), slices.Concat(p.audience, key), nil, true)
}
