package history

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/recent"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/merkle"
)

// Batch is where a batch stands.
type Batch struct {
	First, Last uint64 // seqnos
	Index, View uint64 // of the entry, and of the leader that wrote it
}

// Version is what a key held.
type Version struct {
	Seqno   uint64 // of the transaction that wrote it
	TxID    coco.TxID
	Value   []byte // nil if Deleted
	Deleted bool
	Time    uint64 // of its batch, in milliseconds since 1970
}

// Find returns the batch of a committed transaction. It fails with coco.ErrNotFound where none has that
// seqno, with coco.ErrPending or coco.ErrMissing where the answer is older than this node's state; with coco.ErrMissing, too, where it was not indexed because no node opens its epoch.
func (x *Index) Find(seqno uint64) (Batch, error) {
	p, err := x.locate(seqno)
	return p.Batch, err
}

// place is a batch, with what is needed to read it.
type place struct {
	Batch
	slot merkle.Frontier // before an earlier batch, or before this one
	from uint64          // the entry of that batch
	// One of these is known: the beginning of the root after the batch, or of its header's digest.
	root, digest [segment.DigestSize]byte
}

// check says whether a batch that was read is the one of that place, given the tree after it.
func (p *place) check(b *batch.Batch, tree *merkle.Frontier) error {
	h := &b.Header
	digest := sha256.Sum256(b.HeaderBytes)
	if h.Index != p.Index || h.View != p.View || h.First != p.First || h.Last() != p.Last ||
		recent.Root(tree) != p.root && [segment.DigestSize]byte(digest[:]) != p.digest {
		return fmt.Errorf("%w: batch %s is not the one that was committed at index %d", coco.ErrVerify, b, p.Index)
	}
	return nil
}

// locate is Find. It also looks up the frontier that the batch's own follows from.
func (x *Index) locate(seqno uint64) (place, error) {
	x.mu.RLock()
	if seqno == 0 || seqno > x.end.Seqno {
		defer x.mu.RUnlock()
		return place{}, fmt.Errorf("%w: no transaction with seqno %d is committed on this node, the last one is %d", coco.ErrNotFound, seqno, x.end.Seqno)
	}
	if p, ok := x.locateRecent(seqno); ok {
		x.mu.RUnlock()
		return p, nil
	}
	s := x.segmentOf(seqno)
	x.mu.RUnlock()
	if s == nil {
		return place{}, x.uncovered(seqno)
	}
	p, err := locateIn(s, seqno)
	if err != nil {
		return place{}, x.lost(err)
	}
	return p, nil
}

// locateRecent looks into memory. x.mu is held.
func (x *Index) locateRecent(seqno uint64) (p place, ok bool) {
	b, ok := x.recent.Find(seqno)
	if !ok {
		return p, false
	}
	p.Batch = Batch{First: b.First, Last: x.end.Seqno, Index: b.Index, View: b.View}
	if b.Next > 0 {
		p.Last = b.Next - 1
	}
	p.slot, p.from, p.root = b.Slot, b.From, b.Root
	return p, true
}

// locateIn is locate in a file.
func locateIn(s *segment.File, seqno uint64) (p place, err error) {
	r := s.Reader()
	defer r.Close()
	n, err := r.Find(seqno)
	if err != nil {
		return p, err
	}
	at, last, err := r.Ref(n)
	if err != nil {
		return p, err
	}
	p.Batch, p.digest = Batch{First: at.First, Last: last, Index: at.Index, View: at.View}, at.Digest
	p.slot, p.from, err = r.Before(n)
	return p, err
}

// segmentOf returns the segment that covers a seqno, or nil. x.mu is held.
func (x *Index) segmentOf(seqno uint64) *segment.File {
	i := sort.Search(len(x.segments), func(i int) bool { return x.segments[i].From > seqno }) - 1
	if i < 0 || x.segments[i].To < seqno {
		return nil
	}
	return x.segments[i]
}

// uncovered says why nothing is known of a seqno.
func (x *Index) uncovered(seqno uint64) error {
	x.Wake()
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, r := range x.found.missing {
		if r.First <= seqno && seqno <= r.Last {
			return fmt.Errorf("%w: the ledger's chunk that holds seqno %d is not on this node, nor are others between seqnos %d and %d: bring them back, or ask another node",
				coco.ErrMissing, seqno, r.First, r.Last)
		}
	}
	for _, p := range x.found.passed {
		if p.from <= seqno && seqno <= p.to {
			return p.why
		}
	}
	for _, h := range x.holes(nil) {
		if h.from <= seqno && seqno <= h.to && h.to < x.end.Seqno { // something later is indexed already
			return pendingError("the part of the ledger that holds seqno %d, transactions %d to %d, is being indexed on this node", seqno, h.from, h.to)
		}
	}
	indexed := x.start.Seqno
	if n := len(x.segments); n > 0 {
		indexed = max(indexed, x.segments[n-1].To)
	}
	if x.tail != nil {
		indexed = max(indexed, x.tail.cover().to)
	}
	return pendingError("seqno %d is not indexed yet; the index of this node's ledger has come to seqno %d of %d", seqno, indexed, x.end.Seqno)
}

// lost says that a segment's file turned out damaged.
func (x *Index) lost(err error) error {
	x.Wake()
	return pendingError("a part of this node's index is made again: %v", err)
}

// Batch reads the batch of a committed transaction, and returns it with the Merkle tree before it, which
// the batch's root was checked against. Errors are as those of Find.
func (x *Index) Batch(ctx context.Context, seqno uint64) (*batch.Batch, merkle.Frontier, error) {
	none := merkle.Frontier{}
	p, err := x.locate(seqno)
	if err != nil {
		return nil, none, err
	}
	if o, ok := x.caches.opened.Get(p.Index); ok && o.tree != nil {
		return o.Batch, o.tree.Clone(), nil
	}
	if err := x.inTurn(ctx); err != nil {
		return nil, none, err
	}
	defer x.endTurn()
	o, err := x.roll(ctx, &p)
	if err != nil {
		return nil, none, err
	}
	x.keep(p.Index, o)
	return o.Batch, o.tree.Clone(), nil
}

// roll reads the batches from a known frontier up to a place.
func (x *Index) roll(ctx context.Context, p *place) (*opened, error) {
	tree := p.slot
	for next := p.from; ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := x.cfg.Ledger.Read(next, p.Index+1, 1<<20)
		if errors.Is(err, coco.ErrCorrupt) {
			return nil, x.suspect(next, err)
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if next++; e.Kind != batch.KindBatch {
				continue
			}
			before := tree
			o, err := decodeEntry(e)
			if err == nil {
				err = o.VerifyRoot(&tree)
			}
			if err == nil && e.Index == p.Index {
				err = p.check(o.Batch, &tree)
			}
			if err != nil {
				return nil, x.suspect(e.Index, err)
			}
			if e.Index == p.Index {
				o.tree = &before
				return o, nil
			}
		}
	}
}

// Get returns what a key held as of a committed seqno: the last version that a transaction up to it
// wrote, which may be a deletion. It fails with coco.ErrNotFound where the key had not been written, with
// coco.ErrPending where the index has not come so far, and with coco.ErrMissing where a part of the
// ledger that may hold the answer is not on this node, or is of an epoch that no node opens.
func (x *Index) Get(ctx context.Context, table string, key []byte, at uint64) (Version, error) {
	x.mu.RLock()
	end := x.end.Seqno
	x.mu.RUnlock()
	if at > end {
		return Version{}, pendingError("seqno %d is not committed on this node, the last one is %d", at, end)
	}
	if err := x.inTurn(ctx); err != nil {
		return Version{}, err
	}
	defer x.endTurn()
	h := x.hash(table, key)
	for upTo := at; upTo > 0; {
		if err := ctx.Err(); err != nil {
			return Version{}, err
		}
		from, c, err := x.candidates(upTo)
		if err != nil {
			return Version{}, err
		}
		v, ok, err := x.pick(c, upTo, h, table, key)
		c.Close()
		if err != nil || ok {
			return v, err
		}
		upTo = from - 1
	}
	return Version{}, fmt.Errorf("%w: the key had not been written up to seqno %d", coco.ErrNotFound, at)
}

// inTurn waits until fewer than maxReads other look-ups are under way.
func (x *Index) inTurn(ctx context.Context) error {
	select {
	case x.caches.reads <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (x *Index) endTurn() { <-x.caches.reads }

// candidates finds batches of a segment that may have written a key.
type candidates interface {
	// Find returns the batch that holds a seqno.
	Find(seqno uint64) (uint32, error)
	// Latest returns the last one that wrote a key of the hash and has a lower number.
	Latest(h segment.Hash, below uint32) (uint32, segment.Ref, bool, error)
	// Following returns the first one from a number on that has a record of the hash, or none.
	Following(h segment.Hash, from uint32) (uint32, error)
	// Ref returns a batch and its last seqno.
	Ref(n uint32) (segment.Ref, uint64, error)
	HasTerms() bool
	Size() (batches uint32, to uint64)
	Close()
}

// candidates returns the segment that covers a seqno, and where it begins.
func (x *Index) candidates(seqno uint64) (from uint64, c candidates, err error) {
	x.mu.RLock()
	tail, s := x.tail, x.segmentOf(seqno)
	x.mu.RUnlock()
	switch {
	case s != nil:
		return s.From, s.Reader(), nil
	case tail != nil && tail.covers(seqno):
		return tail.From, tail, nil
	}
	return 0, nil, x.uncovered(seqno)
}

// pick returns the last version of a key in a segment, up to a seqno of it.
func (x *Index) pick(c candidates, at uint64, h segment.Hash, table string, key []byte) (Version, bool, error) {
	n, err := c.Find(at)
	for n++; err == nil; {
		var r segment.Ref
		var ok bool
		if n, r, ok, err = c.Latest(h, n); err != nil || !ok {
			break
		}
		o, err := x.recordsAt(r)
		if err != nil {
			return Version{}, false, err
		}
		w, seqno, err := o.lastWrite(table, key, at)
		if err != nil {
			return Version{}, false, x.suspect(r.Index, err)
		}
		if seqno == 0 {
			continue // written only later in the batch, or another key of the same hash
		}
		v := Version{Seqno: seqno, TxID: coco.TxID{View: r.View, Seqno: seqno}, Deleted: w.Delete, Time: o.Header.Time}
		if !w.Delete {
			v.Value = append([]byte{}, w.Value...)
		}
		return v, true, nil
	}
	if err != nil {
		err = x.lost(err)
	}
	return Version{}, false, err
}

func pendingError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", coco.ErrPending, fmt.Sprintf(format, args...))
}
