package pulse_test

import (
	"context"
	"testing"
	"time"

	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/pulse"
)

// waits is a follower of leader 2 among three voters, with reads that wait.
type waits struct {
	pulse.Readers
	members consensus.Membership
	applied uint64
}

func newWaits() *waits {
	return &waits{Readers: pulse.Readers{Machine: pulse.New(1), Again: 10}, members: consensus.Membership{Voters: []consensus.ID{1, 2, 3}}}
}

func (w *waits) begin(at time.Duration) uint64 {
	w.Machine.Begin(at, w.members)
	return w.Machine.Round()
}

// echo has the leader echo a round, knowing what is committed.
func (w *waits) echo(round, known uint64) {
	w.Machine.Hear(2, pulse.Beat{Round: round, Echo: round, View: 4, Known: known, Leads: true})
}

func (w *waits) freshen() (time.Duration, bool) {
	return w.Freshen(w.members, pulse.Standing{View: 4, Known: w.applied}, w.applied)
}

// read adds a read, and returns whether it may go on.
func (w *waits) read() (begin bool, gone func() bool) {
	done := make(chan struct{})
	begin = w.Await(context.Background(), done)
	return begin, func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

func TestAReadWaitsForARoundThatBeginsAfterIt(t *testing.T) {
	w := newWaits()
	w.begin(10) // of the clock, before the read
	begin, first := w.read()
	if !begin {
		t.Fatal("no round begins for the first read")
	}
	w.echo(1, 0)
	if fresh, _ := w.freshen(); fresh != 10 || first() {
		t.Errorf("a round that began before the read: fresh since %v, the read is gone: %v", fresh, first())
	}
	w.begin(20)
	w.Began()
	begin, second := w.read() // while the round of the first is under way
	if begin {
		t.Error("a round begins for each read")
	}
	w.echo(2, 0)
	fresh, again := w.freshen()
	if fresh != 20 || !again || !first() || second() {
		t.Errorf("fresh since %v, another round: %v, the first read is gone: %v, the second: %v", fresh, again, first(), second())
	}
	w.begin(30)
	w.Began()
	w.echo(3, 0)
	if _, again := w.freshen(); again || !second() {
		t.Errorf("another round: %v, the second read is gone: %v", again, second())
	}
}

func TestAReadWaitsUntilWhatWasCommittedIsApplied(t *testing.T) {
	w := newWaits()
	_, gone := w.read()
	w.begin(10)
	w.Began()
	w.echo(1, 7)
	for w.applied = range uint64(7) {
		if fresh, _ := w.freshen(); fresh != 0 || gone() {
			t.Fatalf("with %d of 7 entries applied: fresh since %v, the read is gone: %v", w.applied, fresh, gone())
		}
	}
	w.applied = 7
	if fresh, _ := w.freshen(); fresh != 10 || !gone() {
		t.Errorf("with all applied: fresh since %v, the read is gone: %v", fresh, gone())
	}
}

// The leader of the old voters has been deposed by the new ones without knowing it. What this node applies says that it asked the wrong ones.
func TestVotersThatWereReplacedMeanwhileConfirmNothing(t *testing.T) {
	w := newWaits()
	_, gone := w.read()
	w.begin(10)
	w.Began()
	w.echo(1, 7)
	w.freshen()
	w.applied, w.members = 7, consensus.Membership{Voters: []consensus.ID{1, 4, 5}}
	if fresh, _ := w.freshen(); fresh != 0 || gone() {
		t.Errorf("fresh since %v, the read is gone: %v", fresh, gone())
	}
}

func TestARoundThatIsNotAnsweredIsBegunAgainUntilTheReadIsGivenUp(t *testing.T) {
	w := newWaits()
	ctx, cancel := context.WithCancel(context.Background())
	if !w.Await(ctx, make(chan struct{})) {
		t.Fatal("no round begins")
	}
	w.begin(10)
	w.Began()
	for i := range 10 {
		if got, want := w.Tick(), i == 9; got != want {
			t.Errorf("tick %d: another round: %v", i+1, got)
		}
	}
	cancel()
	for range 20 {
		if w.Tick() {
			t.Error("a round begins for a read that was given up")
		}
	}
}
