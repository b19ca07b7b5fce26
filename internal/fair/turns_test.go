package fair

import (
	"testing"

	"pgregory.net/rapid"
)

// deal deals n turns among callers that always wait, and returns how much each one got.
func deal(turns *Turns, n int, costs []int64) []int64 {
	got := make([]int64, len(costs))
	for range n {
		first := 0
		for i := range costs {
			if turns.Start(actor(i)) < turns.Start(actor(first)) {
				first = i
			}
		}
		turns.Deal(actor(first))
		turns.Charge(actor(first), costs[first])
		got[first] += costs[first]
	}
	return got
}

func TestCallersThatAlwaysWaitGetTheSameWhateverATurnCosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		costs := rapid.SliceOfN(rapid.Int64Range(1, 100_000), 1, 8).Draw(t, "costs")
		var longest int64
		for _, c := range costs {
			longest = max(longest, c)
		}
		got := deal(NewTurns(), rapid.IntRange(1, 2000).Draw(t, "turns"), costs)
		for i := range got {
			for j := range got {
				if got[i]-got[j] > 2*longest {
					t.Fatalf("caller %d got %d, caller %d got %d; the longest turn costs %d", i, got[i], j, got[j], longest)
				}
			}
		}
	})
}

func TestACallerThatComesLateStartsWhereTheOthersAre(t *testing.T) {
	turns := NewTurns()
	for range 100 {
		turns.Deal(actor(1))
		turns.Charge(actor(1), 1000)
	}
	if turns.Start(actor(2)) >= turns.Start(actor(1)) {
		t.Fatal("a caller that comes for the first time waits behind one that has always been served")
	}
	got := deal(turns, 100, []int64{0: 1 << 40, 1: 10, 2: 10}) // actor 0 is served once at most
	if got[1] > got[2]+1000+10 || got[2] > got[1]+1000+10 {
		t.Errorf("after a pause a caller gets %d while another gets %d", got[2], got[1])
	}
}

func TestCallersThatCameAndWentAreForgotten(t *testing.T) {
	turns := NewTurns()
	for i := range 10 * maxIdle {
		who := actor(i)
		who[1], who[2] = byte(i>>8), byte(i>>16)
		turns.Deal(who)
		turns.Charge(who, 1)
		turns.Deal(actor(0))
		turns.Charge(actor(0), 2)
	}
	if len(turns.next) > 2*maxIdle {
		t.Errorf("%d callers are remembered", len(turns.next))
	}
}
