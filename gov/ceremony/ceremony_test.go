package ceremony_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/store"
)

func refused(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, expected coco.ErrInvalid about %q", err, text)
	}
}

// A network gets a committee by a ceremony, and its members open all epochs with their own keys, from the tables alone. A restart shares the same key anew, and the members open
// everything by the newest committee alone.
func TestMembersOpenEveryEpochByTheNewestCommittee(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	c := w.join(2, "c:1")
	first := w.run()
	if first.Ceremony == 0 || first.Threshold() != 2 || len(first.Seats) != 3 {
		t.Fatalf("committee %d by ceremony %d: %d of %d", first.Number, first.Ceremony, first.Threshold(), len(first.Seats))
	}
	if n := w.need(); n != nil {
		t.Fatalf("another ceremony is needed: %s", n.Cause)
	}
	w.same(w.recovered(w.Members[0], w.Members[2]))
	if w.recovered(w.Members[1]) != nil {
		t.Error("one member opens what needs two")
	}
	w.restart(c)
	n := w.need()
	if n == nil || n.Cause != table.SeatLost || n.Session.Old == nil {
		t.Fatalf("after a restart: %+v", n)
	}
	second := w.run()
	if second.Number != first.Number+1 || second.Version != first.Version || second.Commitment[0] != first.Commitment[0] || second.Commitment[1] == first.Commitment[1] {
		t.Errorf("committee %d, key version %d", second.Number, second.Version)
	}
	w.same(w.recovered(w.Members[0], w.Members[1]))
	w.same(w.recovered(w.Members[1], w.Members[2]))
}

func TestOnlyTheNodeThatActsSpeaks(t *testing.T) {
	w := newWorld(t)
	b := w.join(1, "b:1")
	w.begin()
	list := w.owed(all)
	if len(list) != 3 {
		t.Fatalf("%d statements are owed", len(list))
	}
	for _, x := range list {
		other := b.ID
		if x.from == other {
			other = w.first.ID
		}
		refused(t, w.speak(other, x.raw), "does not act for")
		if err := w.speak(x.from, x.raw); err != nil {
			t.Fatal(err)
		}
		refused(t, w.speak(x.from, x.raw), "") // twice
	}
	rec := w.ceremony()
	raw, err := dkg.Marshal(rec.Session.Digest(), &dkg.Close{Phase: dkg.Committing})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, w.speak(b.ID, raw), "no node's to say")
}

// Statements of a ceremony that failed are of no use in the next one.
func TestAStatementOfAnotherSessionIsRefused(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.begin()
	old := w.owed(all)
	if err := w.speak(old[0].from, old[0].raw); err != nil {
		t.Fatal(err)
	}
	refused(t, w.close(), "cannot be closed before")
	w.pass(time.Minute)
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	failed := w.ceremony()
	if failed.State != table.CeremonyFailed || len(failed.Faults) != 2 || failed.Faults[0].Code != dkg.Silent || failed.Faults[0].Phase != dkg.Registering {
		t.Fatalf("%s, faults %v", failed.State, failed.Faults)
	}
	refused(t, w.speak(old[1].from, old[1].raw), "no ceremony runs")
	again := w.begin()
	if again.Number != 2 || again.Session.Digest() == failed.Session.Digest() {
		t.Fatalf("ceremony %d", again.Number)
	}
	for _, x := range old {
		refused(t, w.speak(x.from, x.raw), "a statement of session")
	}
	rows := 0
	w.Read(func(r store.Reader) {
		r.Range(table.CeremoniesTable, nil, nil, func(key, _ []byte) bool { rows++; return true })
	})
	if rows != 2 {
		t.Errorf("%d rows, expected the two ceremonies: statements of the one that failed are swept", rows)
	}
}

func TestOneCeremonyAtATime(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.begin()
	for range 2 { // while it runs, and while it is done
		if err := w.Transact(func(tx *store.Tx) error { _, err := w.book.Begin(tx, nil); return err }); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("another ceremony begins: %v", err)
		}
		w.talk(all)
	}
	if s := w.ceremony().State; s != table.CeremonyDone {
		t.Fatalf("%s", s)
	}
	w.install()
	if s := w.ceremony().State; s != table.CeremonyInstalled {
		t.Fatalf("%s", s)
	}
	if err := w.close(); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a phase is closed, and no ceremony runs: %v", err)
	}
}

// A node's own book, which has followed another branch, comes to the same conclusion: a leader that loses its view takes back what it had executed.
func TestABookFollowsWhateverBecameOfTheLedger(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.begin()
	lost := errors.New("the view is lost")
	for w.ceremony().State == table.CeremonyRuns {
		list := w.owed(all)
		for i, x := range list {
			other := list[(i+1)%len(list)]
			for _, y := range []say{other, x} { // each executed and taken back
				if err := w.Transact(func(tx *store.Tx) error {
					if err := w.book.Speak(tx, y.from, y.raw); err != nil {
						return nil // it was said before
					}
					return lost
				}); err != nil && !errors.Is(err, lost) {
					t.Fatal(err)
				}
			}
			if err := w.speak(x.from, x.raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.install()
	w.same(w.recovered(w.Members[0], w.Members[1]))
}

func TestACeremonyNamesWhoActs(t *testing.T) {
	w := newWorld(t)
	b := w.join(1, "b:1")
	stranger := w.Node(w.Members[2], "c:1")
	err := w.Transact(func(tx *store.Tx) error {
		_, err := w.book.Begin(tx, []coco.NodeID{w.first.ID, b.ID, stranger.ID})
		return err
	})
	refused(t, err, "is not trusted")
	rec := w.begin()
	for i, actor := range rec.Session.Receivers {
		want := map[coco.ActorID]coco.NodeID{w.Members[0].Actor(): w.first.ID, w.Members[1].Actor(): b.ID}
		if own, ok := want[actor]; ok && rec.Acting[i] != own {
			t.Errorf("node %s acts for %s", rec.Acting[i].Short(), actor.Short())
		}
	}
	if i := bytes.Compare(rec.Session.Receivers[0][:], rec.Session.Receivers[1][:]); i >= 0 {
		t.Error("receivers are not in order")
	}
}
