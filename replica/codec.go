package replica

import (
	"crypto"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/store"
)

// codec seals executed sets as batches of the ledger, and opens the batches of others.
type codec struct {
	self     coco.NodeID
	signer   crypto.Signer
	keys     Keys
	maxBatch int // bytes of a sealed batch
}

// seal makes the entry of an executed set for the permit's slot on top of the head, and notes in b where the ledger ends
// with it. Committed is the highest index known to be committed. The set is not installed.
func (c *codec) seal(b *sealed, set *store.Set, p *permit, head Position, committed uint64) (consensus.Entry, error) {
	start := p.start(head)
	if start.Index+1 != p.index {
		return consensus.Entry{}, fmt.Errorf("%w: permit for index %d on top of entry %d", coco.ErrCorrupt, p.index, start.Index)
	}
	epoch, keys := c.keys.Current()
	records := make([]batch.Record, set.Len())
	for i, r := range set.Records() {
		records[i] = batch.Record(r)
	}
	tree := start.Tree.Clone()
	data, err := batch.Seal(batch.Header{
		View: p.view, Index: p.index, First: set.First(), Node: c.self, Time: set.Time(),
		Epoch: epoch, Committed: committed, Prev: start.Chain,
	}, records, &tree, keys, c.signer)
	if err != nil {
		return consensus.Entry{}, fmt.Errorf("seal batch %d: %w", p.index, err)
	}
	entry := consensus.Entry{View: p.view, Index: p.index, Kind: consensus.Batch, Data: data}
	if len(data) > c.maxBatch {
		return entry, nil // the caller drops it; its digest is not needed
	}
	b.end = start.after(entry)
	b.end.Tree, b.end.Seqno, b.end.Time = tree, set.Next()-1, set.Time()
	b.epoch, b.size = epoch, len(data)
	return entry, nil
}

// headerRoom is what a sealed batch holds beside its records, at most.
const headerRoom = 64 << 10

// room is how many bytes the records of a batch may have.
func (c *codec) room() int { return max(0, c.maxBatch-headerRoom) }

// fits fails with coco.ErrInvalid if a sealed batch is too large for a frame.
func (c *codec) fits(e consensus.Entry) error {
	if len(e.Data) <= c.maxBatch {
		return nil
	}
	return fmt.Errorf("%w: a batch of %d bytes, expected at most %d: lower limits.batch_bytes and the adapters' limits",
		coco.ErrInvalid, len(e.Data), c.maxBatch)
}

// open returns the writes of a batch, those of the public part first in each record.
func open(b *batch.Batch, keys *batch.Keys) ([]store.Write, error) {
	records, err := b.Open(keys)
	if err != nil {
		return nil, err
	}
	var writes []store.Write
	for _, r := range records {
		for _, part := range [2][]byte{r.Public, r.Private} {
			if writes, err = store.AppendWrites(writes, part); err != nil {
				return nil, err
			}
		}
	}
	return writes, nil
}
