package fair

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
)

func actor(i int) coco.ActorID { return coco.ActorID{byte(i)} }

func TestGreedyCallersLeaveRoomForOneMore(t *testing.T) {
	for callers, want := range map[int]int{1: 500, 2: 333, 3: 250, 9: 100} {
		s := New(1000)
		for moved := true; moved; {
			moved = false
			for i := range callers {
				if s.Fits(actor(i), 1) {
					s.Take(actor(i), 1)
					moved = true
				}
			}
		}
		for i := range callers {
			if got := s.held[actor(i)]; got < want-1 || got > want+1 {
				t.Errorf("%d greedy callers: one holds %d, want about %d", callers, got, want)
			}
		}
		if !s.Fits(actor(callers), want-callers-1) {
			t.Errorf("%d greedy callers leave no room for another one: %d of %d are used", callers, s.Used(), s.Limit())
		}
	}
}

func TestWhatIsLargerThanEverythingFitsAlone(t *testing.T) {
	s := New(10)
	if !s.Fits(actor(1), 50) {
		t.Fatal("refused for ever")
	}
	s.Take(actor(1), 50)
	if s.Fits(actor(2), 1) || !s.Full(1) {
		t.Error("more fits beside what is larger than everything")
	}
	s.Give(actor(1), 50)
	if !s.Fits(actor(2), 1) {
		t.Error("nothing fits after it was given back")
	}
}

func TestSharesStayWithinTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 200).Draw(t, "limit")
		s, held, used := New(limit), map[int]int{}, 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			who, n := rapid.IntRange(0, 4).Draw(t, "who"), rapid.IntRange(1, 20).Draw(t, "n")
			if rapid.Bool().Draw(t, "take") {
				before := used
				fits := s.Fits(actor(who), n)
				if fits {
					s.Take(actor(who), n)
					held[who], used = held[who]+n, used+n
				}
				if fits && before > 0 && used > limit {
					t.Fatalf("%d taken of %d", used, limit)
				}
				if !fits && held[who] == 0 && !s.Full(n) {
					t.Fatalf("a caller who holds nothing is refused %d, while %d of %d are used", n, used, limit)
				}
			} else if n <= held[who] {
				s.Give(actor(who), n)
				held[who], used = held[who]-n, used-n
			}
			if s.Used() != used {
				t.Fatalf("used %d, want %d", s.Used(), used)
			}
		}
		for who, n := range held {
			s.Give(actor(who), n)
		}
		if s.Used() != 0 || len(s.held) != 0 {
			t.Fatalf("%d used by %d callers after all was given back", s.Used(), len(s.held))
		}
	})
}
