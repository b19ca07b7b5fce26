package history

import (
	"cmp"
	"slices"

	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/ledger"
)

// hole is a range of transactions that no segment covers.
type hole struct {
	from, to uint64        // seqnos
	prev     *segment.File // that ends before it, if one does
	after    *passed       // that does
	last     uint64        // the last entry that can be of it
}

// cover is a range of transactions that is covered.
type cover struct {
	from, to uint64
	first    uint64 // the entry of the first batch
	segment  *segment.File
	passed   *passed
}

// holes returns the holes in order, also that between the last segment and the last commit; claimed
// segments count as if they were trusted. None goes across the start, where the tree is known. x.mu
// is held.
func (x *Index) holes(claimed []*segment.File) []hole {
	covers := make([]cover, 0, len(x.segments)+len(claimed)+1)
	for _, s := range x.segments {
		covers = append(covers, cover{s.From, s.To, s.First, s, nil})
	}
	for _, s := range claimed {
		covers = append(covers, cover{s.From, s.To, s.First, nil, nil})
	}
	for i := range x.found.passed {
		p := &x.found.passed[i]
		covers = append(covers, cover{p.from, p.to, p.first, nil, p})
	}
	if x.tail != nil {
		if c := x.tail.cover(); c.from <= c.to {
			covers = append(covers, c)
		}
	}
	slices.SortFunc(covers, func(a, b cover) int { return cmp.Compare(a.from, b.from) })
	covers = append(covers, cover{from: x.end.Seqno + 1, to: x.end.Seqno, first: x.end.Index + 1})

	var out []hole
	at := hole{from: 1}
	for _, c := range covers {
		if c.from > x.end.Seqno+1 {
			c = covers[len(covers)-1]
		}
		if fence := x.start.Seqno; at.from <= fence && c.from > fence+1 {
			at.to, at.last = fence, x.start.Index
			out = append(out, at)
			at = hole{from: fence + 1}
		}
		if at.from < c.from {
			at.to, at.last = c.from-1, c.first-1
			out = append(out, at)
		}
		if c.to < at.from {
			break // the last one, or one that the commits have not reached
		}
		at = hole{from: c.to + 1, prev: c.segment, after: c.passed}
	}
	return out
}

// chunkAt returns the chunk that holds an entry.
func chunkAt(chunks []ledger.Chunk, index uint64) (ledger.Chunk, bool) {
	i, ok := slices.BinarySearchFunc(chunks, index, func(c ledger.Chunk, index uint64) int {
		switch {
		case c.Last < index:
			return -1
		case c.First > index:
			return 1
		}
		return 0
	})
	if !ok {
		return ledger.Chunk{}, false
	}
	return chunks[i], true
}

// chunkAfter returns the first chunk that begins after an entry.
func chunkAfter(chunks []ledger.Chunk, index uint64) (ledger.Chunk, bool) {
	i := slices.IndexFunc(chunks, func(c ledger.Chunk) bool { return c.First > index })
	if i < 0 {
		return ledger.Chunk{}, false
	}
	return chunks[i], true
}
