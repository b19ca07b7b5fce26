// Package leftbehind finds out whether the network went on without a node.
//
// A missing leader alone does not show that: it may be a partition. These do, once the node has heard of no leader for a while (Silence):
//
//   - a node that the service has endorsed and that is not in this node's list: the network has committed at least its admission since;
//   - a committed entry of an epoch whose secret no node gives: they refuse it to a node that the network trusts no more.
//
// So does a leader that does not have the entries any more that the node needs, and a connection that shows a service which follows the node's own:
// members have recovered the network.
//
// The node's other parts note what they meet (Lacks, Unlisted, Behind, Asked, Recovered), and Run draws the conclusion.
//
// Trust: enclave
package leftbehind

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/join"
)

// Silence is for how long a node hears of no leader, while nodes that it does not know reach it with
// the service's endorsement, before it concludes that the network went on without it.
const Silence = 5 * time.Second

// Config is what a watch asks of its node. All functions may be called by any goroutine.
type Config struct {
	Log      *slog.Logger
	Clock    host.Clock
	Led      func() bool // whether the node hears of a leader
	Retiring func() bool // whether the node is to retire
	Resumes  func() bool // whether the node could resume
}

// Watch is what was noted since the node last heard of a leader. It is safe for concurrent use.
type Watch struct {
	cfg       Config
	behind    atomic.Bool
	asked     atomic.Bool
	unlisted  atomic.Bool
	recovered atomic.Pointer[join.RecoveredError] // nil as long as no node has shown it
	lacked    atomic.Int64                        // Clock.Elapsed when Lacks was last called; 0 for never
}

// New returns a watch that has noted nothing.
func New(cfg Config) *Watch { return &Watch{cfg: cfg} }

// Behind notes that the leader cannot bring the node up to date any more.
func (w *Watch) Behind() { w.behind.Store(true) }

// Needs reports whether Behind was noted and nothing has come of it yet.
func (w *Watch) Needs() bool { return w.behind.Load() }

// Asked notes that a node of this network resumes, and waits for others.
func (w *Watch) Asked() { w.asked.Store(true) }

// Unlisted notes that a node that the service vouches for is not in this node's list.
func (w *Watch) Unlisted() { w.unlisted.Store(true) }

// Recovered notes that members have recovered the network under another service.
func (w *Watch) Recovered(r *join.RecoveredError) { w.recovered.Store(r) }

// Lacks notes that the node asks for the secret of an epoch of a committed entry. It asks again and again until it has it.
func (w *Watch) Lacks() { w.lacked.Store(int64(w.cfg.Clock.Elapsed())) }

// wentOn says what shows that the network has committed something since this node heard of a leader; empty if nothing does.
func (w *Watch) wentOn() string {
	switch at := w.lacked.Load(); {
	case w.unlisted.Load():
		return "nodes of this network come that are not in this node's list"
	case at != 0 && w.cfg.Clock.Elapsed()-time.Duration(at) < time.Second:
		return "no node gives this one the secret of an epoch that the network uses"
	}
	return ""
}

// Run returns an error, which ends the node's life, if the network went on without the node. comeBack asks the network to admit the node's next
// life; it returns nil if the node hears of a leader meanwhile.
//
// If nodes that have stopped wait for the others while there is no leader, the node waits with them: again is the error for that.
//
// A node that has resumed ends once another one shows that members have recovered the network: they did it because they believed that no node was left. One that never stopped
// says so in its log and goes on, as its members see it there.
func (w *Watch) Run(ctx context.Context, comeBack func(ctx context.Context, why string) error, again func(why string) *join.LeftBehindError) error {
	tick := w.cfg.Clock.NewTicker(time.Second)
	defer tick.Stop()
	alone := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		if r := w.recovered.Swap(nil); r != nil {
			w.cfg.Log.Error("members have recovered this network elsewhere", logevent.RecoveredElsewhere.Attr(), "last", r.Last.String(), "ends", r.Gone)
			if r.Gone {
				return r
			}
		}
		if w.behind.Load() {
			if err := comeBack(ctx, "this node needs ledger entries that the leader does not have any more"); err != nil {
				return err
			}
			w.behind.Store(false)
		}
		if w.cfg.Led() {
			alone = 0
			w.unlisted.Store(false)
			w.asked.Store(false)
			continue
		}
		if alone > int(Silence/time.Second) && w.asked.Load() && w.cfg.Resumes() {
			return again("no leader for a while, and nodes of this network that have stopped wait for the others")
		}
		if alone++; alone <= int(Silence/time.Second) || w.cfg.Retiring() {
			continue
		}
		if why := w.wentOn(); why != "" {
			if err := comeBack(ctx, fmt.Sprintf("no leader for %v, and %s", Silence, why)); err != nil {
				return err
			}
			alone = 0
		}
	}
}
