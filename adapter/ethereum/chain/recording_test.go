package chain

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// recording keeps what every transaction wrote, as the ledger does, and serves as Env.Past.
type recording struct {
	mu       sync.Mutex
	versions map[string][]adapter.PastValue // of each table's keys, oldest first
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
	for i, rec := range set.Records() {
		r.end = set.First() + uint64(i)
		if len(rec.Private) == 0 {
			continue
		}
		writes, err := store.DecodeWrites(rec.Private)
		must(t, err)
		for _, w := range writes {
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
