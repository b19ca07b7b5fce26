package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/recent"
	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
)

// begin begins segments where they are needed: for the newest transactions, and for the oldest that are
// not covered.
func (x *Index) begin(chunks []ledger.Chunk) (began bool) {
	if x.cfg.Clock.Elapsed() < x.loop.beginAt {
		return false
	}
	x.mu.RLock()
	holes := x.holes(x.loop.claimed)
	start, end, tail := x.start, x.end.Seqno, x.tail
	x.mu.RUnlock()
	var missing []Range
	for _, s := range x.loop.claimed {
		if s.To < start.Seqno && !x.here(chunks, s.Last) {
			missing = append(missing, Range{s.From, s.To})
		}
	}
	for _, h := range holes {
		if tail != nil && tail.To+1 == h.from || x.loop.fill != nil && x.loop.fill.To+1 == h.from {
			continue
		}
		newest := h.to == end && h.from > start.Seqno
		if entry, known := h.entry(&start); known && !x.here(chunks, entry) {
			missing = append(missing, Range{h.from, h.to})
		}
		if newest && tail != nil && len(tail.refs) > 0 || !newest && x.loop.fill != nil {
			continue
		}
		b := x.builderFor(h, chunks)
		if b == nil || newest && tail != nil && b.From >= tail.From {
			continue // a tail without batches gives way to one that begins before it
		}
		began = true
		if !newest {
			x.loop.fill = b
			continue
		}
		x.mu.Lock()
		x.tail = b
		x.mu.Unlock()
	}
	x.mu.Lock()
	x.found.missing = missing
	x.mu.Unlock()
	return began
}

// here says whether the ledger has an entry. What was brought back is noticed when it is asked for, which
// is done now and then; it is among the chunks the next time.
func (x *Index) here(chunks []ledger.Chunk, entry uint64) bool {
	if _, ok := chunkAt(chunks, entry); ok {
		return true
	}
	if now := x.cfg.Clock.Elapsed(); now >= x.loop.lookAt {
		x.loop.lookAt = now + poll
		_, _ = x.cfg.Ledger.Read(entry, entry+1, 0) // makes the ledger look, whatever comes of it
	}
	return false
}

// entry returns the entry that a hole begins with, if the tree before it is known.
func (h *hole) entry(start *Position) (uint64, bool) {
	switch {
	case h.from == 1:
		return 1, true
	case h.from == start.Seqno+1:
		return start.Index + 1, true
	case h.prev != nil:
		return h.prev.Last + 1, true
	case h.after != nil:
		return h.after.last + 1, true
	}
	return 0, false
}

// builderFor returns a builder for the beginning of a hole; or, where that part of the ledger is not
// here, for a later part of which a frontier is in memory. It returns nil if there is no such part.
func (x *Index) builderFor(h hole, chunks []ledger.Chunk) *builder {
	entry, known := h.entry(&x.start)
	if _, ok := chunkAt(chunks, entry); known && !ok && h.from > x.start.Seqno {
		return x.builderBehind(h, entry, chunks)
	} else if !known || !ok {
		return nil
	}
	switch {
	case h.from == 1:
		b := x.newBuilder(1, merkle.Frontier{})
		b.chained = true
		return b
	case h.from == x.start.Seqno+1:
		return x.newBuilder(entry, x.start.Tree)
	case h.after != nil:
		b := x.newBuilder(entry, h.after.tree)
		b.chain, b.chained = h.after.chain, true
		return b
	}
	tree, err := h.prev.End()
	if err != nil {
		return nil // the segment is broken now, and will be made again
	}
	b := x.newBuilder(entry, tree)
	b.chain, b.chained = h.prev.Chain, true
	return b
}

func (x *Index) builderBehind(h hole, entry uint64, chunks []ledger.Chunk) *builder {
	c, ok := chunkAfter(chunks, entry)
	if !ok {
		return nil
	}
	x.mu.RLock()
	tree, at, ok := x.recent.SlotFrom(c.First)
	x.mu.RUnlock()
	if !ok || at.Index > h.last {
		return nil
	}
	if _, ok := chunkAt(chunks, at.Index); !ok {
		return nil
	}
	return x.newBuilder(at.Index, tree)
}

// grow adds the next entries to a builder, or writes its file when it is done. It returns how long
// there is nothing to do, 0 if there may be more.
func (x *Index) grow(ctx context.Context, b *builder, chunks []ledger.Chunk) time.Duration {
	x.mu.RLock()
	holes := x.holes(x.loop.claimed)
	end, start := x.end.Seqno, x.start.Seqno
	x.mu.RUnlock()
	i := slices.IndexFunc(holes, func(h hole) bool { return h.from <= b.To+1 && b.To+1 <= h.to })
	bounded := i < 0 && (b.To != end || b == x.loop.fill) // what follows is covered, or the tail's
	if len(b.refs) > 0 {
		c, ok := chunkAt(chunks, b.next-1)
		chunkDone := ok && c.Complete && c.Last == b.next-1
		if chunkDone || bounded || b.full(x.limits.records, x.limits.batches) || b.To == start {
			return x.finish(ctx, b)
		}
	}
	switch {
	case bounded:
		x.drop(b)
		return 0
	case i < 0:
		return nothing
	}
	c, ok := chunkAt(chunks, b.next)
	if !ok {
		return x.away(ctx, b)
	}
	limit := min(holes[i].last, c.Last)
	if b == x.loop.fill && x.doubted(chunks) && b.next <= x.loop.doubt {
		limit = min(limit, x.loop.doubt-1)
	}
	if limit < b.next {
		if len(b.refs) > 0 {
			return x.finish(ctx, b)
		}
		return poll
	}
	entries, err := x.cfg.Ledger.Read(b.next, limit+1, x.limits.slice)
	switch {
	case errors.Is(err, coco.ErrMissing):
		return x.away(ctx, b)
	case errors.Is(err, coco.ErrNotFound): // committed by others before this disk has it
		return notYet
	case errors.Is(err, coco.ErrCorrupt):
		x.quarantine(b.next, err)
		return trouble
	case err != nil:
		x.trouble("the ledger cannot be read", err)
		return trouble
	}
	for _, e := range entries {
		err := b.add(e, x.keys, x.vouch)
		if errors.Is(err, errClosed) {
			if len(b.refs) > 0 {
				return x.finish(ctx, b)
			}
			err = x.pass(b, e, err)
		}
		if err != nil {
			return x.refused(b, e.Index, err)
		}
	}
	x.fine()
	return 0
}

// errNoKey says that an epoch's key is not here yet.
var errNoKey = errors.New("no key")

// errClosed is the kind of an error that says that no node opens an epoch.
var errClosed = coco.ErrMissing

func (x *Index) keys(epoch uint64) (*batch.Keys, error) {
	k, err := x.cfg.Ahead(epoch)
	if err != nil && !errors.Is(err, errClosed) {
		err = fmt.Errorf("%w: %w", errNoKey, err)
	}
	return k, err
}

// vouch holds a batch that was read back against what is known of it: the executor's word, or the
// tree that the state began with.
func (x *Index) vouch(tree *merkle.Frontier, h *batch.Header) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	root := recent.Root(tree)
	if last := h.Last(); last <= x.start.Seqno {
		if last == x.start.Seqno && root != recent.Root(&x.start.Tree) {
			return &brokenChain{h.Index}
		}
		return nil
	}
	if known, ok := x.recent.At(h.Index); ok && (known.Root != root || known.View != h.View) {
		return fmt.Errorf("%w: batch %d of the ledger is not the one that was committed", coco.ErrVerify, h.Index)
	} else if since, any := x.recent.Since(); !ok && any && h.First >= since {
		return fmt.Errorf("%w: entry %d was committed without transactions", coco.ErrVerify, h.Index)
	}
	return nil
}

// away deals with a chunk that is not here: what the builder has becomes a segment.
func (x *Index) away(ctx context.Context, b *builder) time.Duration {
	if len(b.refs) > 0 {
		return x.finish(ctx, b)
	}
	x.drop(b)
	return 0
}

// refused deals with an entry that the builder did not take.
func (x *Index) refused(b *builder, index uint64, err error) time.Duration {
	if errors.Is(err, errNoKey) {
		return poll
	}
	x.quarantine(index, err)
	if bad := (*brokenChain)(nil); errors.As(err, &bad) {
		x.distrust(b)
	}
	return trouble
}

// distrust drops what was indexed before an entry that proves it wrong.
func (x *Index) distrust(b *builder) {
	x.drop(b)
	if len(b.refs) > 0 {
		x.quarantine(b.Last, errors.New("a later batch does not follow it"))
		return
	}
	x.mu.Lock()
	segments := x.segments
	i := slices.IndexFunc(x.found.passed, func(p passed) bool { return p.to+1 == b.From })
	if i >= 0 { // which nothing had authenticated
		last := x.found.passed[i].last
		x.found.passed = slices.Delete(x.found.passed, i, i+1)
		x.mu.Unlock()
		x.quarantine(last, errors.New("the batch after it does not follow it"))
		return
	}
	x.mu.Unlock()
	for _, s := range segments {
		if s.To+1 == b.From {
			s.Broken.Store(true)
			x.quarantine(s.Last, errors.New("the batch after it does not follow it"))
		}
	}
}

// drop gives a builder up. The next one waits a little, should it come to the same end.
func (x *Index) drop(b *builder) {
	x.loop.beginAt = x.cfg.Clock.Elapsed() + notYet
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.loop.fill == b {
		x.loop.fill = nil
	}
	if x.tail == b {
		x.tail = nil
	}
}

// finish writes a builder's file, and puts it in the builder's place.
func (x *Index) finish(ctx context.Context, b *builder) time.Duration {
	if ok, known := x.confirmed(b); !known {
		x.loop.doubt = b.Last
		x.drop(b)
		return notYet
	} else if !ok {
		x.quarantine(b.Last, errors.New("it does not lead to the batch after it"))
		x.drop(b)
		return trouble
	}
	kind := seal.Kind{Epoch: b.epoch, Terms: b.terms != nil, Own: x.ownKey()}
	from, err := x.keying(kind)
	if err != nil {
		return poll
	}
	last := x.cfg.Clock.Elapsed()
	pause := func() error {
		x.rest(ctx, x.cfg.Clock.Elapsed()-last)
		last = x.cfg.Clock.Elapsed()
		return ctx.Err()
	}
	s, err := b.contents().Save(ctx, x.cfg.Disk, x.cfg.Dir, kind, from, x.caches.blocks, pause)
	if ctx.Err() != nil {
		return nothing
	}
	if err != nil {
		x.trouble("an index file cannot be written", err)
		return trouble
	}
	// It has replaced a file of the same name that could not be opened so far.
	x.loop.locked = slices.DeleteFunc(x.loop.locked, func(name string) bool { return name == segment.FileName(s.First, s.Last) })
	x.publish(b, s)
	x.fine()
	return 0
}

// confirmed says whether a builder's last batch is what the network wrote, and whether that is known. Of
// those before it, the batch after each one told. What is after the start, and the start itself, the
// executor vouched for.
func (x *Index) confirmed(b *builder) (ok, known bool) {
	x.mu.RLock()
	segments, start, end := x.segments, x.start.Seqno, x.end.Index
	x.mu.RUnlock()
	for _, s := range segments {
		if s.From == b.To+1 {
			return s.Before == b.tree.Root(), true
		}
	}
	if b.To >= start {
		return true, true
	}
	chain, passes := b.chain, false // entries that nothing authenticates yet
	for next := b.next; next <= end; next++ {
		entries, err := x.cfg.Ledger.Read(next, next+1, 0)
		if errors.Is(err, coco.ErrCorrupt) {
			x.quarantine(next, err)
		}
		if err != nil {
			return false, false
		}
		if entries[0].Kind != batch.KindBatch {
			chain = entries[0].Chain(chain)
			continue
		}
		o, err := decodeEntry(entries[0])
		if err != nil {
			return false, false
		}
		k, err := x.keys(o.Header.Epoch)
		closed := errors.Is(err, errClosed)
		if err == nil {
			_, err = o.Open(k) // only an authentic header counts, unless the epoch is closed: the next one that opens confirms those before it
		}
		switch {
		case err != nil && !closed:
			return false, false
		case o.Header.Prev == chain && closed:
			chain, passes = entries[0].Chain(chain), true
			continue
		case closed || passes && o.Header.Prev != chain: // this one or the one before it, and nothing tells which
			x.quarantine(next-1, errors.New("it does not lead to the batch after it"))
			if closed {
				x.quarantine(next, errors.New("it does not follow the batch before it"))
			}
			return false, false
		}
		return o.Header.Prev == chain, true
	}
	return false, false
}

// doubted says whether there is a batch that nothing confirms because the chunk after it is not here.
// Segments end before it as long as that is so.
func (x *Index) doubted(chunks []ledger.Chunk) bool {
	if c, ok := chunkAt(chunks, x.loop.doubt); ok && !x.here(chunks, c.Last+1) {
		return true
	}
	x.loop.doubt = 0
	return false
}

// publish puts a file in its builder's place.
func (x *Index) publish(b *builder, s *segment.File) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.trust(s)
	if x.loop.fill == b {
		x.loop.fill = nil
	}
	if x.tail == b {
		x.tail = nil
		if s.To == x.end.Seqno || !slices.ContainsFunc(x.loop.claimed, func(o *segment.File) bool { return o.From == s.To+1 }) {
			x.tail = x.newBuilder(b.next, b.tree)
			x.tail.chain, x.tail.chained = b.chain, true
		}
	}
}

// trust takes a segment into use. x.mu is held.
func (x *Index) trust(s *segment.File) {
	segments := append(slices.Clone(x.segments), s)
	slices.SortFunc(segments, func(a, b *segment.File) int {
		if a.From < b.From {
			return -1
		}
		return 1
	})
	x.segments = segments
	x.found.passed = slices.DeleteFunc(x.found.passed, func(p passed) bool { return p.from <= s.To && s.From <= p.to }) // a file of it could be opened since
	covered := x.start.Seqno
	for _, s := range segments {
		if s.From <= x.behind(covered)+1 {
			covered = max(covered, s.To)
		}
	}
	x.recent.Trim(covered, x.limits.keep)
}
