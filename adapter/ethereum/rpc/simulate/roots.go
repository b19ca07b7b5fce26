package simulate

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/store"
)

// roots computes the state roots of simulated blocks. That takes as long as reading the whole state and hashing it, for each block,
// so it is done for small states that are in memory. Else a block repeats the root of its parent's header, as the blocks of a network
// do while no newer root is known.
type roots struct {
	ctx    context.Context
	base   store.Reader // the state of the view; nil if it is not in memory
	blocks int          // that are to be hashed
	claim  *budget.Claim
	over   map[string]map[string]map[string][]byte // what was written, by tables and by the first bytes of keys, which are addresses
}

// maxRows is how many rows are read for all blocks of a request together, at most.
const maxRows = 1 << 18

// askedEvery is after how many rows stateroot asks whether to go on, and rowBytes what it keeps of each.
const (
	askedEvery = 1024
	rowBytes   = 192
)

func newRoots(ctx context.Context, v *chain.View, claim *budget.Claim) *roots {
	return &roots{ctx: ctx, claim: claim, base: v.Rows(), over: map[string]map[string]map[string][]byte{}}
}

// prefix is the part of a key that rows which are read together have in common.
func prefix(key []byte) string { return string(key[:min(len(key), common.AddressLength)]) }

// Put implements rows.Sink: what the simulated blocks write lies over the state.
func (r *roots) Put(table string, key, value []byte) {
	if r.over[table] == nil {
		r.over[table] = map[string]map[string][]byte{}
	}
	p := prefix(key)
	if r.over[table][p] == nil {
		r.over[table][p] = map[string][]byte{}
	}
	r.over[table][p][string(key)] = value
}

// Delete implements rows.Sink.
func (r *roots) Delete(table string, key []byte) { r.Put(table, key, nil) }

// Get implements store.Reader.
func (r *roots) Get(table string, key []byte) ([]byte, bool) {
	if value, ok := r.over[table][prefix(key)][string(key)]; ok {
		return value, value != nil
	}
	return r.base.Get(table, key)
}

// Range implements store.Reader for a whole table and for an address, but for the order, which a root does not depend on.
func (r *roots) Range(table string, from, to []byte, fn func(key, value []byte) bool) {
	over, more := r.over[table], true
	r.base.Range(table, from, to, func(key, value []byte) bool {
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

// next returns the root of the state as it is now, or else the parent's.
func (r *roots) next(parent common.Hash) (common.Hash, error) {
	if r.base == nil {
		return parent, nil
	}
	read := 0
	var busy error
	root, err := stateroot.Recompute(r, func() bool {
		if busy = r.claim.Take(askedEvery * rowBytes); busy == nil {
			read += askedEvery
		}
		return busy == nil && read*r.blocks <= maxRows && r.ctx.Err() == nil
	})
	r.claim.Give(read * rowBytes)
	if busy != nil {
		return common.Hash{}, busy
	}
	if errors.Is(err, stateroot.ErrStopped) {
		r.base = nil // the same holds for every later block
		return parent, nil
	}
	return root, err
}
