package dryrun

import (
	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/store"
)

// Overlay is a state in memory with what a run has written over it, for what reads whole accounts or the whole state. It is
// the sink of the run's state, and holds what messages have written that are finished. It belongs to one goroutine.
type Overlay struct {
	base store.Reader
	over map[string]map[string]map[string][]byte // by tables and by the first bytes of keys, which are addresses; nil: deleted
}

// NewOverlay returns an overlay of the rows of a view. It MUST NOT be read if these are nil, not in memory.
func NewOverlay(base store.Reader) *Overlay {
	return &Overlay{base: base, over: map[string]map[string]map[string][]byte{}}
}

// prefix is the part of a key that rows which are read together have in common.
func prefix(key []byte) string { return string(key[:min(len(key), common.AddressLength)]) }

// Put implements rows.Sink.
func (o *Overlay) Put(table string, key, value []byte) {
	if o.over[table] == nil {
		o.over[table] = map[string]map[string][]byte{}
	}
	p := prefix(key)
	if o.over[table][p] == nil {
		o.over[table][p] = map[string][]byte{}
	}
	o.over[table][p][string(key)] = value
}

// Delete implements rows.Sink.
func (o *Overlay) Delete(table string, key []byte) { o.Put(table, key, nil) }

// Get implements store.Reader.
func (o *Overlay) Get(table string, key []byte) ([]byte, bool) {
	if value, ok := o.over[table][prefix(key)][string(key)]; ok {
		return value, value != nil
	}
	return o.base.Get(table, key)
}

// Range implements store.Reader for a whole table, and for the rows of one address, which from is then. It has no order.
func (o *Overlay) Range(table string, from, to []byte, fn func(key, value []byte) bool) {
	over, more := o.over[table], true
	o.base.Range(table, from, to, func(key, value []byte) bool {
		if _, ok := over[prefix(key)][string(key)]; !ok {
			more = fn(key, value)
		}
		return more
	})
	for p, rows := range over {
		if from != nil && p != string(from) {
			continue
		}
		for key, value := range rows {
			if value != nil && more {
				more = fn([]byte(key), value)
			}
		}
	}
}
