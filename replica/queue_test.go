package replica

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
)

func waitingItem(caller, calls, size int) *Item {
	it := &Item{Ledger: "kv"}
	for range calls {
		it.Calls = append(it.Calls, &adapter.Call{Caller: coco.Caller{Actor: coco.ActorID{byte(caller)}}, Payload: make([]byte, size)})
	}
	return it
}

func ownItem() *Item {
	return &Item{Run: func(*store.Tx) ([]byte, error) { return nil, nil }}
}

func TestAPoliteCallerIsServedBesideAGreedyOne(t *testing.T) {
	q := newQueue(1000, 1<<20)
	greedy := 0
	for q.put(waitingItem(1, 1, 10)) == nil {
		greedy++
	}
	if err := q.put(waitingItem(1, 1, 10)); !errors.Is(err, errShareFull) || !errors.Is(err, coco.ErrBusy) {
		t.Errorf("a caller beyond its share is told %v", err)
	}
	if greedy != 500 {
		t.Errorf("a greedy caller alone holds %d of 1000, want half", greedy)
	}
	polite := waitingItem(2, 1, 10)
	if err := q.put(polite); err != nil {
		t.Fatalf("a polite caller is refused: %v", err)
	}
	for n, it := range q.remove(Limits{Count: 2 * quantum, Bytes: 1 << 20}) {
		if it == polite {
			return
		} else if n > quantum {
			t.Fatal("a polite caller waits for more than one turn of the other")
		}
	}
	t.Fatal("a polite caller is not in the next batch")
}

func TestTurnsAreEqualInCallsAndInBytes(t *testing.T) {
	q := newQueue(100_000, 1<<30)
	for range 2000 {
		for caller, it := range map[int]*Item{1: waitingItem(1, 1, 10), 2: waitingItem(2, 20, 10), 3: waitingItem(3, 1, 64<<10)} {
			if err := q.put(it); err != nil {
				t.Fatalf("caller %d: %v", caller, err)
			}
		}
	}
	costs := map[byte]int{}
	for _, it := range q.remove(Limits{Count: 1500, Bytes: 1 << 30}) {
		costs[it.caller()[0]] += it.cost()
	}
	for caller, cost := range costs {
		if low, high := costs[1]-quantum, costs[1]+quantum; cost < low || cost > high {
			t.Errorf("caller %d got %d, the first %d: %v", caller, cost, costs[1], costs)
		}
	}
}

func TestWorkOfTheNodeItselfGoesFirst(t *testing.T) {
	q := newQueue(2, 100)
	for q.put(waitingItem(1, 1, 1)) == nil {
	}
	own := ownItem()
	if err := q.put(own); err != nil {
		t.Fatalf("the node's own work is refused: %v", err)
	}
	if got := q.remove(Limits{Count: 1, Bytes: 1}); len(got) != 1 || got[0] != own {
		t.Errorf("took %v first", got)
	}
	for range maxOwn {
		if err := q.put(ownItem()); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.put(ownItem()); !errors.Is(err, coco.ErrBusy) {
		t.Errorf("the node's own work is unbounded: %v", err)
	}
}

// TestQueueAgainstAModel puts and removes at random. What comes out is what went in, in each caller's order;
// a token is there whenever something waits; the bounds hold.
func TestQueueAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := Load{MaxCalls: rapid.IntRange(1, 300).Draw(t, "calls"), MaxBytes: rapid.IntRange(1, 5000).Draw(t, "bytes")}
		q := newQueue(most.MaxCalls, most.MaxBytes)
		model := map[byte][]*Item{}
		waiting, calls, bytes := 0, 0, 0
		out := func(items []*Item) {
			for _, it := range items {
				of := byte(0)
				if it.Run == nil {
					of = it.caller()[0]
					calls, bytes = calls-it.size(), bytes-it.payload()
				}
				if len(model[of]) == 0 || model[of][0] != it {
					t.Fatalf("an item of caller %d comes out of turn", of)
				}
				model[of] = model[of][1:]
				waiting--
			}
		}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				it := ownItem()
				if q.put(it) == nil {
					model[0] = append(model[0], it)
					waiting++
				}
			case 1, 2:
				if waiting > 0 && len(q.ready) == 0 {
					t.Fatalf("%d items wait and no token was given", waiting)
				}
				select { // as the executor does
				case <-q.ready:
				default:
				}
				want := Limits{Count: rapid.IntRange(1, 100).Draw(t, "most"), Bytes: rapid.IntRange(1, 5000).Draw(t, "most bytes")}
				got := q.remove(want)
				if waiting > 0 && len(got) == 0 {
					t.Fatalf("%d items wait, none is removed", waiting)
				}
				n, size := 0, 0
				for _, it := range got {
					if n >= want.Count || size >= want.Bytes {
						t.Fatalf("more is removed after %d calls of %d bytes", n, size)
					}
					n, size = n+it.size(), size+it.payload()
				}
				out(got)
			default:
				it := waitingItem(rapid.IntRange(1, 5).Draw(t, "caller"), rapid.IntRange(1, 120).Draw(t, "n"), rapid.IntRange(0, 60).Draw(t, "size"))
				err := q.put(it)
				if err != nil {
					if !errors.Is(err, coco.ErrBusy) {
						t.Fatal(err)
					}
					if calls == 0 {
						t.Fatalf("refused by an empty queue: %v", err)
					}
					continue
				}
				of := it.caller()[0]
				if calls > 0 && calls+it.size() > most.MaxCalls || bytes > 0 && bytes+it.payload() > most.MaxBytes {
					t.Fatalf("%d calls of %d bytes wait, beyond %+v", calls+it.size(), bytes+it.payload(), most)
				}
				model[of] = append(model[of], it)
				waiting, calls, bytes = waiting+1, calls+it.size(), bytes+it.payload()
			}
			if l := q.load(); l.Calls != calls+len(model[0]) || l.Bytes != bytes {
				t.Fatalf("load %+v, want %d calls of %d bytes", l, calls+len(model[0]), bytes)
			}
		}
		out(q.drain())
		if waiting != 0 || len(q.lines) != 0 || len(q.ring) != 0 {
			t.Fatalf("%d items are left in the model, %d lines in the queue", waiting, len(q.lines))
		}
	})
}
