package history

import (
	"bytes"
	"context"
	"sort"

	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/ledger"
)

// Rows are found by terms too. A term is some bytes that an adapter derives from a row, such as an address that
// it mentions; the index has a record of it for each batch that wrote such a row, as it has one of the row's key. So an
// answer that is wanted by what rows hold, and not by their keys, is looked for in few batches of a long ledger.

// termTable is the table's name under which terms of its rows are hashed: no table has such a name.
func termTable(table string) string { return table + "?" }

// Search calls fn, in order, with the batches that hold transactions from..to and may hold rows of a table with at
// least one term of each group; with all batches, if there are no groups. A batch that fn is called with need not have
// them, as hashes may collide and files of an earlier format know no terms; one that fn is not called with has none.
//
// It returns the seqno up to which nothing is left to be done: to, if there is no error. Errors are those of Find, for
// the seqno after it, and those of fn.
func (x *Index) Search(ctx context.Context, table string, groups [][][]byte, from, to uint64, fn func(Batch) error) (done uint64, err error) {
	hashes := make([][]segment.Hash, len(groups))
	for i, g := range groups {
		for _, term := range g {
			hashes[i] = append(hashes[i], x.hash(termTable(table), term))
		}
	}
	for done = from - 1; done < to; {
		if done, err = x.searchSegment(ctx, hashes, done+1, to, fn); err != nil {
			return done, err
		}
	}
	return done, nil
}

// searchSegment is Search within the segment that covers from.
func (x *Index) searchSegment(ctx context.Context, groups [][]segment.Hash, from, to uint64, fn func(Batch) error) (done uint64, err error) {
	done = from - 1
	x.mu.RLock()
	end := x.end.Seqno
	x.mu.RUnlock()
	if from > end {
		return done, pendingError("seqno %d is not committed on this node, the last one is %d", from, end)
	}
	_, c, err := x.candidates(from)
	if err != nil {
		return done, err
	}
	defer c.Close()
	if !c.HasTerms() {
		groups = nil
	}
	batches, upTo := c.Size() // of the newest segment, which grows, what was there when the search came to it
	s := search{in: c, groups: groups, batches: batches}
	n, err := c.Find(from)
	if err == nil {
		err = s.begin(n)
	}
	for err == nil {
		if err := context.Cause(ctx); err != nil {
			return done, err
		}
		var ok bool
		if n, ok, err = s.next(n); err != nil || !ok || n >= batches {
			break
		}
		b, last, err := c.Ref(n)
		if err != nil {
			return done, x.lost(err)
		}
		if b.First > to {
			return to, nil
		}
		if err := fn(Batch{First: b.First, Last: last, Index: b.Index, View: b.View}); err != nil {
			return done, err
		}
		done = last
		n++
	}
	if err != nil {
		return done, x.lost(err)
	}
	return min(upTo, to), nil
}

// search goes through the batches of a segment that have a term of each group: each group goes to its next batch that
// is not before the one of the group that is furthest, until all stand at the same.
type search struct {
	in      candidates
	groups  [][]segment.Hash
	batches uint32
	at      [][]uint32 // for each term, the next batch that has it: not before the last one that was asked for
}

// begin goes to the first batch of each term from a number on.
func (s *search) begin(from uint32) (err error) {
	s.at = make([][]uint32, len(s.groups))
	for i, g := range s.groups {
		s.at[i] = make([]uint32, len(g))
		for j, h := range g {
			if s.at[i][j], err = s.in.Following(h, from); err != nil {
				return err
			}
		}
	}
	return nil
}

// next returns the first batch from a number on.
func (s *search) next(from uint32) (uint32, bool, error) {
	if len(s.groups) == 0 {
		return from, from < s.batches, nil
	}
	for {
		start := from
		for i := range s.groups {
			nearest, err := s.nearest(i, from)
			if err != nil || nearest == segment.None {
				return 0, false, err
			}
			from = max(from, nearest)
		}
		if from == start || len(s.groups) == 1 {
			return from, true, nil // every group has the batch
		}
	}
}

// nearest returns the first batch from a number on that has a term of the group, or none.
func (s *search) nearest(group int, from uint32) (uint32, error) {
	nearest := uint32(segment.None)
	for j, h := range s.groups[group] {
		if s.at[group][j] < from {
			n, err := s.in.Following(h, from)
			if err != nil {
				return 0, err
			}
			s.at[group][j] = n
		}
		nearest = min(nearest, s.at[group][j])
	}
	return nearest, nil
}

func (b *builder) HasTerms() bool { return b.terms != nil }

func (b *builder) Size() (batches uint32, to uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return uint32(len(b.refs)), b.To
}

func (b *builder) Following(h segment.Hash, from uint32) (uint32, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	limit := segment.NewRecord(h, from)
	best := uint32(segment.None)
	found := func(r *segment.Record) {
		if segment.Hash(r[:]) == h && r.Batch() >= from {
			best = min(best, r.Batch())
		}
	}
	for _, run := range b.runs {
		if i := sort.Search(len(run), func(i int) bool { return bytes.Compare(run[i][:], limit[:]) >= 0 }); i < len(run) {
			found(&run[i])
		}
	}
	for i := range b.fresh {
		found(&b.fresh[i])
	}
	return best, nil
}

// Ref returns a batch and its last seqno.
func (b *builder) Ref(n uint32) (at segment.Ref, last uint64, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	at, last = b.refs[n], b.To
	if int(n)+1 < len(b.refs) {
		last = b.refs[n+1].First - 1
	}
	return at, last, nil
}

// renew takes a file out of use that an earlier program wrote, without terms: it is made again from the ledger. One at a
// time, the newest first, and only where the ledger's entries are here: for a moment, nothing older is known of that part.
func (x *Index) renew(chunks []ledger.Chunk) bool {
	if x.cfg.Terms == nil || x.loop.fill != nil {
		return false
	}
	x.mu.RLock()
	segments := x.segments
	x.mu.RUnlock()
	for i := len(segments) - 1; i >= 0; i-- {
		s := segments[i]
		first, ok := chunkAt(chunks, s.First)
		last, here := chunkAt(chunks, s.Last)
		if s.Terms || !ok || !here || first.First != last.First {
			continue
		}
		s.Broken.Store(true)
		x.sweep()
		return true
	}
	return false
}
