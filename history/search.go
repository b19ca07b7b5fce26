package history

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"sort"

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
	hashes := make([][]hash, len(groups))
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
func (x *Index) searchSegment(ctx context.Context, groups [][]hash, from, to uint64, fn func(Batch) error) (done uint64, err error) {
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
	defer c.close()
	if !c.hasTerms() {
		groups = nil
	}
	batches, upTo := c.size() // of the newest segment, which grows, what was there when the search came to it
	s := search{in: c, groups: groups, batches: batches}
	n, err := c.find(from)
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
		b, last, err := c.ref(n)
		if err != nil {
			return done, x.lost(err)
		}
		if b.first > to {
			return to, nil
		}
		if err := fn(Batch{First: b.first, Last: last, Index: b.index, View: b.view}); err != nil {
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
	groups  [][]hash
	batches uint32
	at      [][]uint32 // for each term, the next batch that has it: not before the last one that was asked for
}

// none is the number of a batch that no segment has.
const none = math.MaxUint32

// begin goes to the first batch of each term from a number on.
func (s *search) begin(from uint32) (err error) {
	s.at = make([][]uint32, len(s.groups))
	for i, g := range s.groups {
		s.at[i] = make([]uint32, len(g))
		for j, h := range g {
			if s.at[i][j], err = s.in.following(h, from); err != nil {
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
			if err != nil || nearest == none {
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
	nearest := uint32(none)
	for j, h := range s.groups[group] {
		if s.at[group][j] < from {
			n, err := s.in.following(h, from)
			if err != nil {
				return 0, err
			}
			s.at[group][j] = n
		}
		nearest = min(nearest, s.at[group][j])
	}
	return nearest, nil
}

func (r *reader) hasTerms() bool { return r.s.Terms }

func (r *reader) size() (batches uint32, to uint64) { return r.s.batches, r.s.to }

// following returns the first batch from a number on that has a record of the hash, or none.
func (r *reader) following(h hash, from uint32) (uint32, error) {
	target := newRecord(h, from)
	a := &r.s.keyArea
	n, item, ok, err := r.floor(a, target[:])
	if err != nil {
		return 0, err
	}
	if !ok || !bytes.Equal(item, target[:]) {
		if ok {
			n++
		}
		if n >= int(r.s.records) {
			return none, nil
		}
		if item, err = r.item(a, 0, n); err != nil {
			return 0, err
		}
	}
	if hash(item[:hashSize]) != h {
		return none, nil
	}
	batch := binary.BigEndian.Uint32(item[hashSize:])
	if batch < from || batch >= r.s.batches {
		return 0, r.nonsense()
	}
	return batch, nil
}

func (b *builder) hasTerms() bool { return b.terms != nil }

func (b *builder) size() (batches uint32, to uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return uint32(len(b.refs)), b.to
}

func (b *builder) following(h hash, from uint32) (uint32, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	limit := newRecord(h, from)
	best := uint32(none)
	found := func(r *record) {
		if hash(r[:]) == h && r.batch() >= from {
			best = min(best, r.batch())
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

// ref returns a batch and its last seqno.
func (b *builder) ref(n uint32) (at ref, last uint64, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	at, last = b.refs[n], b.to
	if int(n)+1 < len(b.refs) {
		last = b.refs[n+1].first - 1
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
		first, ok := chunkAt(chunks, s.first)
		last, here := chunkAt(chunks, s.last)
		if s.Terms || !ok || !here || first.First != last.First {
			continue
		}
		s.broken.Store(true)
		x.sweep()
		return true
	}
	return false
}
