package history

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/store"
)

// builder is a segment in memory: 20 bytes a record, 40 a batch. One goroutine adds; others may look
// things up meanwhile.
type builder struct {
	rowRecords
	run int // how many records are sorted at once

	next    uint64      // the entry to read next
	chain   coco.Digest // chain digest of the entry before
	chained bool        // it is known
	tree    merkle.Frontier
	epoch   uint64   // of the last batch
	slots   [][]byte // encoded frontiers, before each slotEvery-th batch
	adding  batchRecords

	mu             sync.RWMutex // guards what follows, against readers
	segment.Header              // without records and after, which come with the file
	refs           []segment.Ref
	runs           [][]segment.Record // each sorted
	fresh          []segment.Record   // not sorted yet
	count          int                // records
}

// rowRecords is what a row has records of: its key, and its terms unless that is nil.
type rowRecords struct {
	hash  func(table string, key []byte) segment.Hash
	terms func(table string, key, value []byte, add func(term []byte))
}

// batchRecords are the records of the batch that is being added, in memory that the next one uses again.
type batchRecords struct {
	writes  []store.Write
	records []segment.Record // each key once
}

// newBuilder begins a segment with the first batch at or after an entry.
func (x *Index) newBuilder(next uint64, tree merkle.Frontier) *builder {
	b := &builder{rowRecords: rowRecords{hash: x.hash, terms: x.cfg.Terms}, run: x.limits.run, next: next, tree: tree.Clone()}
	b.Before, b.To = tree.Root(), tree.Size()
	b.From = b.To + 1
	return b
}

// brokenChain says that a batch does not follow what was read before it: the entry before it, or an
// earlier one, is not what the network wrote.
type brokenChain struct{ index uint64 }

func (e *brokenChain) Error() string {
	return fmt.Sprintf("%v: batch %d of the ledger does not follow the entries before it", coco.ErrVerify, e.index)
}

func (e *brokenChain) Unwrap() error { return coco.ErrVerify }

// add takes the next entry. On an error nothing has changed.
func (b *builder) add(e batch.Entry, keys func(uint64) (*batch.Keys, error), check func(tree *merkle.Frontier, h *batch.Header) error) error {
	if e.Kind != batch.KindBatch {
		if b.chained {
			b.chain = e.Chain(b.chain)
		}
		b.next++
		return nil
	}
	batch, err := batch.Decode(e.Data)
	if err != nil {
		return err
	}
	h := &batch.Header
	if h.Index != e.Index || h.View != e.View || h.First != b.To+1 {
		return fmt.Errorf("%w: batch of view %d, index %d, first seqno %d stands in view %d, index %d, after seqno %d",
			coco.ErrVerify, h.View, h.Index, h.First, e.View, e.Index, b.To)
	}
	k, err := keys(h.Epoch)
	if err != nil {
		return err
	}
	records, err := batch.Open(k) // from here on the header is authentic, up to its roots and digests
	if err != nil {
		return err
	}
	tree, err := b.follow(batch, check)
	if err != nil {
		return err
	}
	if err := b.hashAll(records); err != nil {
		return err
	}
	if len(b.refs)%segment.SlotEvery == 0 {
		slot, _ := b.tree.MarshalBinary()
		b.slots = append(b.slots, slot)
	}
	b.tree, b.epoch = tree, h.Epoch
	b.chain, b.chained = e.Chain(h.Prev), true
	b.next++
	b.note(batch)
	b.sort()
	return nil
}

// follow verifies that a batch follows what was read before it, and returns the tree after it.
func (b *builder) follow(next *batch.Batch, check func(tree *merkle.Frontier, h *batch.Header) error) (merkle.Frontier, error) {
	h := &next.Header
	if b.chained && h.Prev != b.chain {
		return merkle.Frontier{}, &brokenChain{h.Index}
	}
	tree := b.tree.Clone()
	if err := next.VerifyRoot(&tree); err != nil {
		return merkle.Frontier{}, err
	}
	return tree, check(&tree, h)
}

// hashAll leaves the records of a batch in b.adding.records, each key once.
func (b *builder) hashAll(records []batch.Record) (err error) {
	b.adding.records = b.adding.records[:0]
	n := uint32(len(b.refs))
	for i := range records {
		for _, part := range [2][]byte{records[i].Public, records[i].Private} {
			if b.adding.writes, err = store.AppendWrites(b.adding.writes[:0], part); err != nil {
				return err
			}
			for _, w := range b.adding.writes {
				b.adding.records = append(b.adding.records, segment.NewRecord(b.hash(w.Table, w.Key), n))
				if b.terms != nil && !w.Delete {
					b.terms(w.Table, w.Key, w.Value, func(term []byte) {
						b.adding.records = append(b.adding.records, segment.NewRecord(b.hash(termTable(w.Table), term), n))
					})
				}
			}
		}
	}
	clear(b.adding.writes[:cap(b.adding.writes)]) // it would keep the batch in memory
	slices.SortFunc(b.adding.records, segment.CompareRecords)
	b.adding.records = slices.Compact(b.adding.records)
	return nil
}

// note adds a batch and the records in b.adding.records to what readers see.
func (b *builder) note(batch *batch.Batch) {
	h := &batch.Header
	digest := sha256.Sum256(batch.HeaderBytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.refs) == 0 {
		b.First, b.Prev = h.Index, h.Prev
	}
	b.Last, b.To, b.Digest = h.Index, h.Last(), digest
	b.Header.Chain = b.chain
	b.refs = append(b.refs, segment.Ref{First: h.First, Index: h.Index, View: h.View, Digest: [segment.DigestSize]byte(digest[:])})
	b.Batches = uint32(len(b.refs))
	b.fresh = append(b.fresh, b.adding.records...)
	b.count += len(b.adding.records)
}

// sort makes a run of the fresh records once there are enough of them.
func (b *builder) sort() {
	if len(b.fresh) < b.run {
		return
	}
	run := slices.Clone(b.fresh)
	slices.SortFunc(run, segment.CompareRecords)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runs = append(b.runs, run)
	b.fresh = b.fresh[:0]
}

// full says that the segment should end.
func (b *builder) full(records, batches int) bool {
	return b.count >= records || len(b.refs) >= batches
}

// Latest returns the last batch below one of that number that wrote a key of the hash.
func (b *builder) Latest(h segment.Hash, below uint32) (batch uint32, at segment.Ref, ok bool, _ error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	limit := segment.NewRecord(h, below)
	best := -1
	found := func(r *segment.Record) {
		if segment.Hash(r[:]) == h && r.Batch() < below {
			best = max(best, int(r.Batch()))
		}
	}
	for _, run := range b.runs {
		if i := sort.Search(len(run), func(i int) bool { return bytes.Compare(run[i][:], limit[:]) >= 0 }); i > 0 {
			found(&run[i-1])
		}
	}
	for i := range b.fresh {
		found(&b.fresh[i])
	}
	if best < 0 {
		return 0, segment.Ref{}, false, nil
	}
	return uint32(best), b.refs[best], true, nil
}

// Find returns the number of the batch that holds a seqno, which the segment must cover.
func (b *builder) Find(seqno uint64) (uint32, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return uint32(sort.Search(len(b.refs), func(i int) bool { return b.refs[i].First > seqno }) - 1), nil
}

// contents is what is there, for a file; add MUST NOT be called meanwhile.
func (b *builder) contents() *segment.Contents {
	c := &segment.Contents{Header: b.Header, Refs: b.refs, Runs: slices.Clone(b.runs)}
	c.Header.After, c.Header.Records = b.tree.Root(), uint32(b.count)
	if len(b.fresh) > 0 {
		fresh := slices.Clone(b.fresh)
		slices.SortFunc(fresh, segment.CompareRecords)
		c.Runs = append(c.Runs, fresh)
	}
	end, _ := b.tree.MarshalBinary()
	c.Frontiers = append(slices.Clip(b.slots), end)
	return c
}

func (b *builder) Close() {}

// covers says whether the segment holds a seqno.
func (b *builder) covers(seqno uint64) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return seqno >= b.From && seqno <= b.To
}

func (b *builder) cover() cover {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return cover{from: b.From, to: b.To, first: b.First}
}
