package replica

import (
	"context"
	"slices"

	"github.com/cocoframework/coco/consensus"
)

// maxInFlight is how many sealed batches may wait for their commit. Execution pauses beyond it,
// the queue fills, and the next batch is larger: that is all of group commit.
const maxInFlight = 2

// slots gives out the slots of the log to the executor, in the view that this node leads. At most one permit is out. A slot is
// given only once everything before the view is applied, and while fewer than maxInFlight batches wait for their commit.
type slots struct {
	applied  uint64            // index of the last entry that the executor has applied
	view     uint64            // that this node leads, 0 if none
	start    uint64            // index of the view's first entry, 0 until appended
	between  []consensus.Entry // entries of the view, since its last batch, that carry no transactions
	inFlight []uint64          // indexes of the view's batches that are not known to be committed
	permit   *permit           // that is out, nil if none is
}

// lead begins a view.
func (s *slots) lead(view uint64) { s.view = view }

// lose ends the view. A permit stays out until the executor gives it back.
func (s *slots) lose() { *s = slots{applied: s.applied, permit: s.permit} }

// appended notes the entries of the view that carry no transactions: the next batch follows them.
func (s *slots) appended(entries []consensus.Entry) {
	for _, e := range entries {
		if s.view == 0 || e.View != s.view || e.Kind == consensus.Batch {
			continue
		}
		if s.start == 0 {
			s.start = e.Index
		}
		s.between = append(s.between, e)
	}
}

// open reports whether slots of a view may be given out: this node leads it, and everything before it is applied.
func (s *slots) open(view uint64) bool {
	return view == s.view && s.start != 0 && s.applied >= s.start
}

// give gives out the next slot of the view, or returns nil if a permit is out or too many batches are in flight.
func (s *slots) give(ctx context.Context, index uint64) *permit {
	s.inFlight = slices.DeleteFunc(s.inFlight, func(i uint64) bool { return i <= s.applied })
	if s.permit != nil || len(s.inFlight) >= maxInFlight {
		return nil
	}
	s.permit = newPermit(ctx, s.view, index, s.between)
	return s.permit
}

// returned notes that the executor has given the permit back.
func (s *slots) returned() {
	s.permit.end()
	s.permit = nil
}

// proposed notes that consensus has accepted a batch.
func (s *slots) proposed(index uint64) {
	s.between = nil
	s.inFlight = append(s.inFlight, index)
}
