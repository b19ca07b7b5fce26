package replica

import (
	"testing"
	"time"

	"github.com/cocoframework/coco/consensus"
)

// leading returns the slots of a node that leads view 3, whose first entry is 11, with everything before it applied.
func leading() *slots {
	s := &slots{applied: 10}
	s.lead(3)
	s.appended([]consensus.Entry{{View: 2, Index: 10}, {View: 3, Index: 11, Kind: consensus.View}, {View: 3, Index: 12, Kind: consensus.Members}})
	return s
}

func TestSlotsOpenOnceTheViewsFirstEntryIsApplied(t *testing.T) {
	var s slots
	s.applied = 10
	if s.open(3) {
		t.Error("open on a node that does not lead")
	}
	s.lead(3)
	if s.open(3) {
		t.Error("open before the view's first entry is appended")
	}
	s = *leading()
	if s.open(3) {
		t.Error("open before the view's first entry is applied")
	}
	s.applied = 11
	if !s.open(3) || s.open(4) {
		t.Errorf("open in view 3: %v, in view 4: %v; expected true and false", s.open(3), s.open(4))
	}
}

func TestOnePermitIsOutAtATime(t *testing.T) {
	s := leading()
	p := s.give(t.Context(), 13)
	if p == nil || p.view != 3 || p.index != 13 || len(p.between) != 2 {
		t.Fatalf("the permit is %+v, expected slot 13 of view 3 after two entries", p)
	}
	if s.give(t.Context(), 13) != nil {
		t.Error("a second permit was given while the first is out")
	}
	s.returned()
	if p.ctx.Err() == nil {
		t.Error("a permit that was given back has a live context")
	}
	if again := s.give(t.Context(), 13); again == nil || again.index != 13 || len(again.between) != 2 {
		t.Error("a permit that came back unused is not given again")
	}
}

func TestNoSlotIsGivenWhileTooManyBatchesWaitForTheirCommit(t *testing.T) {
	s := leading()
	for i := range uint64(maxInFlight) {
		if s.give(t.Context(), 13+i) == nil {
			t.Fatalf("no permit with %d batches in flight", i)
		}
		s.returned()
		s.proposed(13 + i)
	}
	if s.give(t.Context(), 13+maxInFlight) != nil {
		t.Errorf("a permit was given with %d batches in flight", maxInFlight)
	}
	s.applied = 13
	if p := s.give(t.Context(), 13+maxInFlight); p == nil || len(p.between) != 0 {
		t.Errorf("after a commit the permit is %+v, expected one that follows the last batch directly", p)
	}
}

func TestALostViewKeepsWhatIsAppliedAndThePermitThatIsOut(t *testing.T) {
	s := leading()
	p := s.give(t.Context(), 13)
	s.proposed(13)
	s.lose()
	if s.view != 0 || s.start != 0 || len(s.between) != 0 || len(s.inFlight) != 0 {
		t.Errorf("of the lost view remains %+v", s)
	}
	if s.applied != 10 || s.permit != p {
		t.Errorf("applied %d, permit %v; expected 10 and the permit that is out", s.applied, s.permit)
	}
	s.appended([]consensus.Entry{{View: 4, Index: 13, Kind: consensus.View}})
	if s.start != 0 {
		t.Error("an entry of another leader began a view")
	}
}

func TestAPermitIsSlowOnlyDuringALongExecute(t *testing.T) {
	const began = time.Minute
	p := newPermit(t.Context(), 1, 1, nil)
	if p.slow(time.Hour) {
		t.Error("a permit without an Execute is slow")
	}
	p.since.Store(int64(began))
	if p.slow(began + executePatience) {
		t.Error("an Execute within its patience is slow")
	}
	if !p.slow(began + executePatience + 1) {
		t.Error("an Execute beyond its patience is not slow")
	}
	p.end()
	if p.slow(time.Hour) {
		t.Error("a permit that was asked back is asked back again")
	}
}

func TestADiskHangsIfItConfirmsNothingForTooLong(t *testing.T) {
	var w writes
	if w.hang(time.Hour) {
		t.Error("a disk without work hangs")
	}
	w.add(time.Minute)
	w.add(2 * time.Minute) // the first one counts
	if w.hang(time.Minute+DiskPatience) || !w.hang(time.Minute+DiskPatience+1) {
		t.Error("the patience does not begin with the first append")
	}
	w.confirm(1, time.Hour)
	if w.hang(time.Hour+DiskPatience) || !w.hang(time.Hour+DiskPatience+1) {
		t.Error("the patience does not begin again with a confirmation")
	}
	w.confirm(1, time.Hour)
	if w.hang(24 * time.Hour) {
		t.Error("a disk that confirmed everything hangs")
	}
}
