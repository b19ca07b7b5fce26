package ceremony_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/store"
)

// Whatever nodes do, and whenever they go: a ceremony comes to an end, an audit repeats it, and any threshold of the members opens every epoch of the committee in force and before.
func TestWhateverNodesDoTheMembersOpenThePast(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		w := newWorld(t)
		r := rand.New(rand.NewPCG(seed, 1))
		nodes := map[int]table.NodeRecord{1: w.join(1, "b:1"), 2: w.join(2, "c:1")}
		committees := w.newest().Number
		for step := 0; step < 120; step++ {
			switch x := r.IntN(40); {
			case x == 0:
				i := 1 + r.IntN(2) // the first one signs the batches of this test
				nodes[i] = w.restart(nodes[i])
			case x == 1:
				w.Decide(action.Action{Kind: action.Refresh})
			case x == 2:
				threshold := map[int]string{2: "3", 3: "2"}[w.Load().Shares.Threshold]
				w.Decide(govtest.Act(action.Set, action.Args{Setting: "shares.threshold", Value: threshold}))
			case x == 3:
				w.pass(time.Minute)
			case x == 4:
				if err := w.Transact(func(tx *store.Tx) error { return w.announce(tx) }); err != nil {
					t.Fatal(err)
				}
			case x == 5:
				w.book = new(ceremony.Book) // another node leads
			default:
				w.advance(r)
			}
		}
		for range 4 { // what began comes to its end, once nodes stay
			for range 10 {
				if w.ceremony().State != table.CeremonyRuns {
					break
				}
				w.talk(all)
				w.pass(time.Minute)
				if w.closable() {
					if err := w.close(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if w.ceremony().State == table.CeremonyDone {
				w.install()
			}
			if w.need() != nil {
				w.begin()
			}
		}
		if n := w.need(); n != nil || w.ceremony().State != table.CeremonyInstalled {
			t.Errorf("seed %d: needed %+v, the newest ceremony is %s", seed, n, w.ceremony().State)
		}
		rec := w.newest()
		if rec.Number == committees {
			t.Errorf("seed %d: no ceremony has made a committee: the test shows nothing", seed)
		}
		w.same(w.recovered(w.Members[:rec.Threshold()]...))
		w.same(w.recovered(w.Members[3-rec.Threshold():]...))
		if rec.Threshold() > 1 && w.recovered(w.Members[:rec.Threshold()-1]...) != nil {
			t.Errorf("seed %d: too few members open the past", seed)
		}
		if _, err := w.audited(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// advance lets one thing happen in the ceremony that is under way, or begins one.
func (w *world) advance(r *rand.Rand) {
	w.t.Helper()
	switch w.ceremony().State {
	case table.CeremonyDone:
		w.install()
		return
	case table.CeremonyRuns:
	default:
		if w.need() != nil {
			w.begin()
		}
		return
	}
	list := w.owed(all)
	if len(list) == 0 || r.IntN(20) == 0 {
		if w.closable() {
			if err := w.close(); err != nil {
				w.t.Fatal(err)
			}
		}
		return
	}
	x := list[r.IntN(len(list))]
	switch r.IntN(12) {
	case 0: // executed by a leader that loses its view
		_ = w.Transact(func(tx *store.Tx) error {
			if err := w.book.Speak(tx, x.from, x.raw); err != nil {
				w.t.Fatal(err)
			}
			return coco.ErrNotCommitted
		})
		return
	case 1: // a dishonest node's
		x.raw = w.lie(x)
		if err := w.speak(x.from, x.raw); err == nil {
			return // what is possible may be said, and is found out later
		}
		return
	}
	if err := w.speak(x.from, x.raw); err != nil {
		w.t.Fatal(err)
	}
}

// lie alters a statement. One that the ledger can refuse is refused; a dealing that breaks its commitment, too.
func (w *world) lie(x say) []byte {
	session, s, err := dkg.Parse(x.raw)
	if err != nil {
		w.t.Fatal(err)
	}
	switch s := s.(type) {
	case *dkg.Register:
		s.Proof[3] ^= 1
	case *dkg.Commit:
		s.Proof[3] ^= 1
	case *dkg.Reveal:
		s.Boxes[0][3] ^= 1
	case *dkg.Verdict:
		s.Disputes = append(s.Disputes, dkg.Dispute{Dealer: 1})
	case *dkg.Confirm:
		s.Sealed = s.Sealed[:len(s.Sealed)-1]
	}
	raw, err := dkg.Marshal(session, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}
