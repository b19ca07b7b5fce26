package history

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// verdict says whether a segment found on the disk belongs to the network's ledger.
type verdict int

const (
	unknown   verdict = iota // nobody can say yet
	trusted                  // yes
	refuted                  // no: the ledger went another way
	redundant                // others cover it
	damaged                  // it cannot be read
)

// review takes segments into use that something vouches for, and removes those that do not belong
// here. It says whether it did anything.
func (x *Index) review() bool {
	for i, s := range slices.Backward(x.claimed) {
		v := x.judge(s)
		if v == unknown {
			continue
		}
		above := x.claimed[i+1:]
		x.claimed = slices.Concat(x.claimed[:i], above)
		switch v {
		case trusted:
			x.mu.Lock()
			x.trust(s)
			x.mu.Unlock()
		case redundant:
			x.remove(s.name, "other files cover what it covers")
		case damaged:
			x.remove(s.name, "it is damaged")
		case refuted:
			x.remove(s.name, "the network's ledger went another way")
			for _, later := range above {
				x.remove(later.name, "it follows one that is not of the network's ledger")
			}
			x.claimed = x.claimed[:i]
		}
		return true
	}
	return false
}

// judge looks for somebody who vouches for a segment: the executor, the snapshot that the state began
// with, the segment that follows, or the ledger's batch at its end.
func (x *Index) judge(s *segment) verdict {
	x.mu.RLock()
	v, ask := x.judgeFromMemory(s)
	end, newest := x.end.Seqno, recentBatch{}
	if n := len(x.recent.items); n > 0 {
		newest = x.recent.items[n-1]
	}
	x.mu.RUnlock()
	if !ask {
		if end < s.to && !x.reaches(s.last) {
			return refuted
		}
		if s.from <= newest.first && end < s.to {
			return s.passes(newest)
		}
		return v
	}
	if _, ok := chunkAt(x.cfg.Ledger.Chunks(), s.last); !ok {
		return unknown
	}
	batch, err := x.batchAt(s.last)
	switch {
	case err != nil:
		return unknown
	case sha256.Sum256(batch.HeaderBytes) == s.digest:
		return trusted
	}
	return refuted
}

// reaches says whether the ledger has come to an entry. A segment is made of what is committed and on the
// disk: one that ends behind the ledger's end is of a part that was cut off.
func (x *Index) reaches(entry uint64) bool {
	chunks := x.cfg.Ledger.Chunks()
	return len(chunks) > 0 && chunks[len(chunks)-1].Last >= entry
}

// passes says whether a segment that ends after the last commit can still be of the network's ledger. A
// view has one batch at an index at most, so that of another way has another view or another place.
func (s *segment) passes(b recentBatch) verdict {
	r := s.reader()
	defer r.close()
	n, err := r.find(b.first)
	if err != nil {
		return damaged
	}
	switch at, _, err := r.ref(n); {
	case err != nil:
		return damaged
	case at.first != b.first || at.index != b.index || at.view != b.view:
		return refuted
	}
	return unknown
}

// judgeFromMemory is judge, as far as it needs no disk. x.mu is held.
func (x *Index) judgeFromMemory(s *segment) (v verdict, ask bool) {
	var next *segment
	for _, o := range x.segments {
		if o.from <= s.to && s.from <= o.to {
			return redundant, false
		}
		if o.from == s.to+1 {
			next = o
		}
	}
	for _, b := range []*builder{x.tail, x.fill} {
		if b != nil && b.from <= b.to && b.from <= s.to && s.from <= b.to {
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
	case s.to > x.end.Seqno:
		return unknown, false
	case s.to > x.start.Seqno:
		at, ok := x.recent.at(s.last)
		return is(ok && bytes.Equal(at.root[:], s.after[:digestSize]))
	case s.to == x.start.Seqno:
		return is(s.after == x.start.Tree.Root())
	case next != nil:
		if next.before == s.after {
			return trusted, false
		}
		return redundant, false
	}
	return unknown, true
}
