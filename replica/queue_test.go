package replica

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
)

func waitingItem(caller, calls, size int) *Item {
	it := &Item{Ledger: "kv", Done: func([]adapter.Result) {}}
	for range calls {
		it.Calls = append(it.Calls, &adapter.Call{Caller: coco.Caller{Actor: coco.ActorID{byte(caller)}}, Payload: make([]byte, size)})
	}
	return it
}

func ownItem(by int) *Item {
	return &Item{
		Run: func(*store.Tx) ([]byte, error) { return nil, nil }, By: coco.ActorID{byte(by)}, Done: func([]adapter.Result) {},
	}
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
	served := q.next("kv")
	q.charge("kv", served.item.caller(), time.Millisecond, 10)
	polite := waitingItem(2, 1, 10)
	if err := q.put(polite); err != nil {
		t.Fatalf("a polite caller is refused: %v", err)
	}
	if p := q.next("kv"); p.item != polite {
		t.Error("a polite caller waits for more than the turn that has begun")
	}
}

// TestTurnsAreEqualInTimeAndInBytes has three organisations that always wait: one with many short calls, one with calls
// that take as long as a thousand of those, one with large calls.
func TestTurnsAreEqualInTimeAndInBytes(t *testing.T) {
	q := newQueue(100_000, 1<<30)
	took := map[byte]time.Duration{1: 10 * time.Microsecond, 2: 10 * time.Millisecond, 3: 10 * time.Microsecond}
	for range 2000 {
		for caller, it := range map[int]*Item{1: waitingItem(1, 8, 10), 2: waitingItem(2, 1, 10), 3: waitingItem(3, 1, 64<<10)} {
			if err := q.put(it); err != nil {
				t.Fatalf("caller %d: %v", caller, err)
			}
		}
	}
	got := map[byte]time.Duration{}
	for range 10_000 {
		p := q.next("kv")
		who := p.item.caller()
		bytes := len(p.call().Payload)
		q.charge("kv", who, took[who[0]], bytes)
		got[who[0]] += took[who[0]] + callCost + time.Duration(bytes)*byteCost
	}
	low, high := slices.Min([]time.Duration{got[1], got[2], got[3]}), slices.Max([]time.Duration{got[1], got[2], got[3]})
	if high-low > 2*took[2] || low == 0 {
		t.Errorf("organisations got %v", got)
	}
}

func TestWorkOfTheNodeItselfGoesBeforeThatOfOrganisations(t *testing.T) {
	q := newQueue(2, 100)
	for q.put(waitingItem(1, 1, 1)) == nil {
	}
	flood := 0
	for q.put(ownItem(1)) == nil {
		flood++
	}
	if flood != maxOwn/2 {
		t.Errorf("one organisation's own work holds %d of %d places", flood, maxOwn)
	}
	other, self := ownItem(2), ownItem(0)
	for _, it := range []*Item{other, self} {
		if err := q.put(it); err != nil {
			t.Fatalf("own work is refused beside a flood of another organisation's: %v", err)
		}
	}
	if p := q.next(own); p.item != self {
		t.Error("the node's own work waits")
	}
	q.charge(own, q.next(own).item.caller(), time.Millisecond, 0) // one of the flood's at most
	if p := q.next(own); p.item != other {
		t.Error("an organisation waits for more than one turn of a flood of votes")
	}
}

func TestACallThatIsHandedBackIsTheNextOfItsCaller(t *testing.T) {
	q := newQueue(100, 1000)
	first, second, other := waitingItem(1, 2, 10), waitingItem(1, 1, 10), waitingItem(2, 1, 10)
	for _, it := range []*Item{first, second, other} {
		if err := q.put(it); err != nil {
			t.Fatal(err)
		}
	}
	p := q.next("kv")
	q.charge("kv", p.item.caller(), time.Second, 0)
	q.back(p)
	if l := q.load(); l.Calls != 4 || l.Bytes != 40 {
		t.Errorf("after a call came back the load is %+v", l)
	}
	if got := q.next("kv"); got.item != other {
		t.Error("a call that came back goes before another organisation's turn")
	}
	for _, want := range []*pending{p, nil, nil} {
		got := q.next("kv")
		if want != nil && got != want {
			t.Error("a call that came back is not the next of its caller")
		}
	}
}

// TestQueueAgainstAModel puts, removes and hands back at random. What comes out is what went in, in each caller's order;
// the bounds hold; what nobody waits for any more is found.
func TestQueueAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := Load{MaxCalls: rapid.IntRange(1, 300).Draw(t, "calls"), MaxBytes: rapid.IntRange(1, 5000).Draw(t, "bytes")}
		q := newQueue(most.MaxCalls, most.MaxBytes)
		type place struct {
			it *Item
			at int
		}
		model := map[byte][]place{}
		calls, bytes, own_ := 0, 0, 0
		out := func(p *pending) {
			of := p.item.caller()[0]
			if p.item.Run != nil {
				of += 100
				own_--
			} else {
				calls, bytes = calls-1, bytes-len(p.call().Payload)
			}
			if len(model[of]) == 0 || model[of][0] != (place{p.item, p.at}) {
				t.Fatalf("a call of line %d comes out of turn", of)
			}
			model[of] = model[of][1:]
		}
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				it := ownItem(rapid.IntRange(0, 3).Draw(t, "by"))
				if q.put(it) == nil {
					model[100+it.By[0]] = append(model[100+it.By[0]], place{it, 0})
					own_++
				}
			case 1, 2, 3:
				name := rapid.SampledFrom([]string{"kv", own}).Draw(t, "lane")
				if want := map[string]int{"kv": calls, own: own_}[name]; q.waiting(name) != want {
					t.Fatalf("in lane %q wait %d, expected %d", name, q.waiting(name), want)
				}
				p := q.next(name)
				if p == nil {
					continue
				}
				if name == "kv" && rapid.Bool().Draw(t, "back") {
					q.back(p)
					continue
				}
				q.charge(name, p.item.caller(), time.Duration(rapid.IntRange(0, 1000).Draw(t, "took")), 0)
				out(p)
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
				for i := range it.Calls {
					model[of] = append(model[of], place{it, i})
				}
				calls, bytes = calls+it.size(), bytes+it.payload()
			}
			if l := q.load(); l.Calls != calls+own_ || l.Bytes != bytes {
				t.Fatalf("load %+v, want %d calls of %d bytes and %d of own work", l, calls, bytes, own_)
			}
		}
		gone := map[*Item]bool{}
		for _, line := range model {
			for i, p := range line {
				if i%2 == 0 {
					gone[p.it] = true
				}
			}
		}
		for _, p := range q.removeIf(func(p *pending) bool { return gone[p.item] }) {
			if !gone[p.item] {
				t.Fatal("what is waited for was removed")
			}
		}
		for _, p := range q.removeIf(func(*pending) bool { return true }) {
			if gone[p.item] {
				t.Fatal("what nobody waits for was not removed")
			}
		}
		if l := q.load(); l.Calls != 0 || l.Bytes != 0 || q.waiting("kv")+q.waiting(own) > 0 {
			t.Fatalf("after everything was removed the load is %+v", l)
		}
	})
}
