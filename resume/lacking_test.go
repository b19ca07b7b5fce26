package resume

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/basis"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/snapshot"
)

func TestALedgerBeginsWithWhatItsSnapshotOrItsFirstBatchIsSealedUnder(t *testing.T) {
	at := func(epoch uint64) *basis.Snapshot { return &basis.Snapshot{Header: snapshot.Header{Epoch: epoch}} }
	for _, c := range []struct {
		basis *basis.Snapshot
		held  []uint64
		lacks bool
	}{{nil, []uint64{1, 2}, false}, {nil, []uint64{2, 3}, true}, {at(2), []uint64{2, 3}, false}, {at(1), []uint64{2, 3}, true}, {nil, nil, true}} {
		secrets := map[uint64]keys.Secret{}
		for _, e := range c.held {
			secrets[e] = keys.Secret{1}
		}
		if got := (&Ledger{Basis: c.basis}).lacks(secrets); got != c.lacks {
			t.Errorf("with %v and the epochs %v: lacks %v, expected %v", c.basis, c.held, got, c.lacks)
		}
	}
}

type virtualClock struct{ host.Clock }

var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Hour)

func (virtualClock) Elapsed() time.Duration { return time.Since(began) }

// A node that lacks a snapshot says that it waits once it has one, or once so many nodes as are needed have had none for a while.
func TestANodeThatLacksASnapshotDoesNotWaitYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none, asked := errors.New("none"), 0
		answer := none
		trusted := map[coco.NodeID]string{{1}: "n1", {2}: "n2", {3}: "n3"}
		process := func() *Process {
			asked = 0
			return &Process{
				cfg: Config{
					Log: slog.New(slog.DiscardHandler), Clock: virtualClock{}, State: state(), Ledger: &Ledger{Nodes: trusted},
					Fetch: func(_ context.Context, nodes map[coco.NodeID]string) error {
						if _, self := nodes[coco.NodeID{1}]; self || len(nodes) == 0 {
							t.Errorf("asks %v", nodes)
						}
						asked++
						return answer
					},
				},
				member: peer.ResumeMember{Node: coco.NodeID{1}}, begins: make(chan *peer.ResumeAsk, 1), mu: host.NewLock(), lacking: true,
			}
		}
		all := []met{waiting(1, peer.ResumeEnd{}, 1, 2, 3), waiting(2, peer.ResumeEnd{}, 1, 2, 3), waiting(3, peer.ResumeEnd{}, 1, 2, 3)}
		waits := func(p *Process) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.tell().Waits
		}
		round := func(p *Process, of []met) {
			p.fetch(t.Context(), of)
			time.Sleep(fetchEvery)
		}

		p := process()
		if waits(p) {
			t.Error("a node that lacks a snapshot says that it waits")
		}
		if err := p.promise(coco.NodeID{2}, &peer.ResumeAsk{View: 1 << 20, Members: []peer.ResumeMember{p.member}}); !errors.Is(err, coco.ErrBusy) {
			t.Errorf("it promises: %v", err)
		}
		for range 100 {
			round(p, all[:1])
			round(p, all[:2])
		}
		if waits(p) || asked != 100 {
			t.Errorf("while one of three is missing: waits %v, asked %d times, expected 100", waits(p), asked)
		}
		p.fetch(t.Context(), all)
		p.fetch(t.Context(), all) // at once
		if asked != 101 {
			t.Errorf("asks again at once")
		}
		time.Sleep(fetchEvery)
		for range fetchRounds - 2 {
			round(p, all)
		}
		if waits(p) {
			t.Error("it gives up early")
		}
		if round(p, all); !waits(p) {
			t.Error("it never goes on without")
		}

		p = process()
		answer = nil
		if round(p, all[:2]); !waits(p) || asked != 1 {
			t.Errorf("with a snapshot: waits %v, asked %d times", waits(p), asked)
		}
		if round(p, all); asked != 1 {
			t.Error("it fetches what it has")
		}

		p = process()
		leads := append([]met(nil), all...)
		leads[1].told.Leads = true
		if round(p, leads); waits(p) || asked != 0 {
			t.Error("it fetches from a network that lives, which would admit it")
		}
	})
}

// What is told to an operator names the file, and what is to be done with it.
func TestANodeThatCannotBeginSaysWhichFileIsMissing(t *testing.T) {
	n := &Node{ledger: &Ledger{Recorded: []table.SnapshotRecord{{Index: 40, Seqno: 90, Digest: coco.Digest{7}}, {Index: 20, Seqno: 50}}}, local: catchup.Local{Snapshots: "snapshots"}, state: state()}
	_, _, err := n.Begin(&peer.ResumeAsk{Secrets: map[uint64]keys.Secret{5: {1}}}, keys.NewRing())
	if !errors.Is(err, coco.ErrMissing) {
		t.Fatalf("found %v", err)
	}
	for _, want := range []string{"epoch 1 ", "snapshots/snapshot_40_90", coco.Digest{7}.String(), "coco recovery start"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	n.ledger.Recorded = nil
	if err := n.unopened(); !strings.Contains(err.Error(), "has written none") {
		t.Errorf("found %v", err)
	}
}
