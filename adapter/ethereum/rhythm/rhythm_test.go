package rhythm

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/host/local"
)

func TestABlockBeginsAtOnceUnlessTheConstitutionHasItWait(t *testing.T) {
	s := &settings.Settings{BlockTransactions: 100}
	var r Rhythm
	for now := uint64(1_000_000); now < 1_000_010; now++ {
		if at := r.due(s, now, 1); at > now {
			t.Fatalf("at %d a block is due at %d", now, at)
		}
		r.Sealed(now)
	}
}

// The first call of a block decides when the block begins. What the block before has left waits no longer.
func TestABlockWaitsForMoreCallsOnce(t *testing.T) {
	s := &settings.Settings{BlockTransactions: 100, BlockWait: 50}
	var r Rhythm
	due := func(now uint64, waiting int, want uint64) {
		t.Helper()
		if at := r.due(s, now, waiting); at != want {
			t.Fatalf("at %d, with %d calls, a block is due at %d, expected %d", now, waiting, at, want)
		}
	}
	due(1000, 1, 1050)
	due(1030, 2, 1050)
	due(1040, 100, 1040) // they fill a block
	due(1050, 99, 1050)
	r.Sealed(1050)
	due(1060, 3, 1050) // that block was full
	r.Sealed(1060)
	due(1060, 0, 1060)
	due(1061, 1, 1111)
	due(900, 1, 950) // the clock was set back
}

func TestBlocksOfAnIntervalBeginWithItsSlots(t *testing.T) {
	s := &settings.Settings{BlockTransactions: 1, BlockInterval: 200}
	var r Rhythm
	due := func(now uint64, waiting int, want uint64) {
		t.Helper()
		if at := r.due(s, now, waiting); at != want {
			t.Fatalf("at %d, with %d calls, a block is due at %d, expected %d", now, waiting, at, want)
		}
	}
	due(1010, 1, 1200)
	due(1190, 50, 1200)
	due(1203, 50, 1200)
	r.Sealed(1203)
	due(1204, 49, 1400) // what is left of a full block waits for the next slot
	due(1400, 49, 1400)
	r.Sealed(1400)
	due(1401, 0, 1401)
	due(2399, 1, 2400)
	due(2405, 1, 2400)
	r.Sealed(90_000)   // a leader whose clock was ahead
	due(2405, 1, 2600) // no longer than one interval
	for interval, want := range map[uint64]uint64{0: 91_000, 1: 90_100, 50: 90_100, 200: 90_200, 7000: 91_000} {
		s.BlockInterval = interval
		if at := r.emptyDue(s, 100_000); at != want {
			t.Errorf("interval %d: a block without transactions is due at %d, expected %d", interval, at, want)
		}
	}
}

func TestTheCoreIsWokenWhenABlockIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		woken := 0
		r := New(local.Clock{}, func() { woken++ })
		defer r.Close()
		s := &settings.Settings{BlockTransactions: 10, BlockWait: 50}
		r.Tell(7_000) // whatever the clock says
		for range 3 {
			if !r.Gathers(s, 1) {
				t.Fatal("a block begins at once")
			}
		}
		time.Sleep(49 * time.Millisecond)
		synctest.Wait()
		if woken != 0 || !r.Gathers(s, 9) {
			t.Fatalf("after 49 ms the core was woken %d times", woken)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if woken != 1 || r.Gathers(s, 9) {
			t.Fatalf("after 50 ms the core was woken %d times, expected once", woken)
		}
		s.BlockInterval = 200
		r.Tell(7_050)
		r.Sealed(7_050)
		if r.EmptyNow(s) || r.Empty(s, 7_199) || !r.Empty(s, 7_200) {
			t.Fatal("a block without transactions may follow in the slot of another one")
		}
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if woken != 2 || !r.EmptyNow(s) {
			t.Fatalf("in the next slot the core was woken %d times, expected once more", woken)
		}
	})
}
