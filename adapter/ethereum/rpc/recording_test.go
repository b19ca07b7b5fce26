package rpc

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// recording keeps what every transaction wrote, as the ledger does, and serves as Env.Past.
type recording struct {
	mu       sync.Mutex
	versions map[string][]adapter.PastValue // of each table's keys, oldest first
	batches  []recordedBatch
	pending  int // searches that find the index not ready
	end      uint64
	fail     func(read int) error // instead of the read's answer, unless nil
	reads    int
	newest   uint64 // the greatest seqno that was asked for
	walked   uint64 // transactions between the seqnos that were asked for and those that wrote the rows of archives
}

func (r *recording) add(t testing.TB, set *store.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.versions == nil {
		r.versions = map[string][]adapter.PastValue{}
	}
	terms := map[string]bool{}
	defer func() { r.batches = append(r.batches, recordedBatch{set.First(), set.Next() - 1, terms}) }()
	for i, rec := range set.Records() {
		r.end = set.First() + uint64(i)
		if len(rec.Private) == 0 {
			continue
		}
		writes, err := store.DecodeWrites(rec.Private)
		must(t, err)
		for _, w := range writes {
			if w.Table == rows.Txs {
				logs.Terms(w.Value, func(term []byte) { terms[string(term)] = true })
			}
			name := w.Table + "\x00" + string(w.Key)
			r.versions[name] = append(r.versions[name], adapter.PastValue{
				Value: w.Value, Deleted: w.Delete, TxID: coco.TxID{View: set.View(), Seqno: r.end}, Time: set.Time(),
			})
		}
	}
}

func (r *recording) read(ctx context.Context, table string, key []byte, at uint64) (adapter.PastValue, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	r.newest = max(r.newest, at)
	if err := ctx.Err(); err != nil {
		return adapter.PastValue{}, err
	}
	if r.fail != nil {
		if err := r.fail(r.reads); err != nil {
			return adapter.PastValue{}, err
		}
	}
	if at > r.end {
		return adapter.PastValue{}, fmt.Errorf("%w: seqno %d", coco.ErrPending, at)
	}
	versions := r.versions[table+"\x00"+string(key)]
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].TxID.Seqno <= at {
			if table == rows.Blocks || table == rows.BlockHashes || table == rows.Txs {
				r.walked += at - versions[i].TxID.Seqno
			}
			return versions[i], nil
		}
	}
	return adapter.PastValue{}, fmt.Errorf("%w: nobody had written %s %x", coco.ErrNotFound, table, key)
}

// count returns how many reads fn causes.
func (r *recording) count(fn func()) int {
	before := r.reads
	fn()
	return r.reads - before
}

// recordedBatch is what the index of the past has of a batch.
type recordedBatch struct {
	first, last uint64
	terms       map[string]bool
}

// search is adapter.Env.Search over rows.Txs.
func (r *recording) search(_ context.Context, _ string, groups [][][]byte, from, to uint64, fn func(first, last uint64) error) (uint64, error) {
	r.mu.Lock()
	all := r.batches
	if r.pending > 0 {
		r.pending--
		r.mu.Unlock()
		return from - 1, fmt.Errorf("%w: being indexed", coco.ErrPending)
	}
	r.mu.Unlock()
	for _, b := range all {
		match := b.last >= from && b.first <= to
		for _, g := range groups {
			match = match && slices.ContainsFunc(g, func(term []byte) bool { return b.terms[string(term)] })
		}
		if match {
			if err := fn(b.first, b.last); err != nil {
				return b.first - 1, err
			}
		}
	}
	return to, nil
}
