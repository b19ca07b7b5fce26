package history

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history/segment"
)

// verdict says whether a segment found on the disk belongs to the network's ledger.
type verdict int

const (
	unknown    verdict = iota // not to be told yet
	trusted                   // yes
	refuted                   // no: the ledger went another way
	redundant                 // others cover it
	unfinished                // not to be told, as the commits have not come to its end
)

// review takes segments into use that something vouches for, and removes those that do not belong
// here. It says whether it did anything.
func (x *Index) review() bool {
	for i, s := range slices.Backward(x.loop.claimed) {
		v := x.judge(s)
		if v == unknown || v == unfinished {
			continue
		}
		above := x.loop.claimed[i+1:]
		x.loop.claimed = slices.Concat(x.loop.claimed[:i], above)
		switch v {
		case trusted:
			x.mu.Lock()
			x.trust(s)
			x.mu.Unlock()
		case redundant:
			x.removeUnused(s, "other files cover what it covers")
		case refuted:
			x.remove(s.Name, "the network's ledger went another way")
			for _, later := range above {
				x.remove(later.Name, "it follows one that is not of the network's ledger")
			}
			x.loop.claimed = x.loop.claimed[:i]
		}
		return true
	}
	return false
}

// removeUnused removes a file unless a segment in use has written one of that name in its place.
func (x *Index) removeUnused(s *segment.File, reason string) {
	x.mu.RLock()
	used := slices.ContainsFunc(x.segments, func(o *segment.File) bool { return o.Name == s.Name })
	x.mu.RUnlock()
	if !used {
		x.remove(s.Name, reason)
	}
}

// judge looks for a witness of a segment: the executor, the snapshot that the state began
// with, the segment that follows, or the ledger's batch at its end.
func (x *Index) judge(s *segment.File) verdict {
	x.mu.RLock()
	v, ask := x.judgeFromMemory(s)
	x.mu.RUnlock()
	if !ask {
		return v
	}
	chunks := x.cfg.Ledger.Chunks()
	if _, ok := chunkAt(chunks, s.Last); !ok {
		// A segment is made of what is committed and on the disk. One that ends behind the ledger's
		// end is of a part that was cut off.
		if len(chunks) == 0 || chunks[len(chunks)-1].Last < s.Last {
			return refuted
		}
		return unknown
	}
	entries, err := x.cfg.Ledger.Read(s.Last, s.Last+1, 0)
	if errors.Is(err, coco.ErrCorrupt) {
		x.quarantine(s.Last, err)
	}
	if err != nil {
		return unknown
	}
	batch, err := decodeEntry(entries[0])
	if err != nil || sha256.Sum256(batch.HeaderBytes) != s.Digest {
		return refuted // or the ledger is damaged, which shows when the segment is made again
	}
	if s.Compared = true; v == unfinished {
		return unknown // the ledger may still be cut
	}
	return trusted
}

// judgeFromMemory is judge, as far as it needs no disk. x.mu is held.
func (x *Index) judgeFromMemory(s *segment.File) (v verdict, ask bool) {
	var next *segment.File
	for _, o := range x.segments {
		if o.From <= s.To && s.From <= o.To {
			return redundant, false
		}
		if o.From == s.To+1 {
			next = o
		}
	}
	for _, b := range []*builder{x.tail, x.loop.fill} {
		if b != nil && b.From <= b.To && b.From <= s.To && s.From <= b.To {
			return redundant, false
		}
	}
	is := func(ok bool) (verdict, bool) {
		if ok {
			return trusted, false
		}
		return refuted, false
	}
	switch {
	case s.To > x.end.Seqno:
		return unfinished, s.From <= x.end.Seqno+1 && !s.Compared
	case s.To > x.start.Seqno:
		at, ok := x.recent.At(s.Last)
		return is(ok && bytes.Equal(at.Root[:], s.After[:segment.DigestSize]))
	case s.To == x.start.Seqno:
		return is(s.After == x.start.Tree.Root())
	case next != nil:
		if next.Before == s.After {
			return trusted, false
		}
		return redundant, false
	}
	return unknown, true
}
