package node

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

// leftBehind is for how long a node hears of no leader, while nodes that it does not know reach it with
// the service's endorsement, before it concludes that the network went on without it.
const leftBehind = 5 * time.Second

// watch finds out whether the network went on without this node.
type watch struct {
	clock    host.Clock
	led      func() bool // whether this node hears of a leader
	retiring func() bool // whether this node is to retire
	behind   atomic.Bool // the leader cannot bring this node up to date any more
	asked    atomic.Bool // a node of this network resumes, and waits for others
	resumes  func() bool // whether this node could resume
	unlisted atomic.Bool // a node that the service vouches for is not in this node's list
	// recovered is that members have recovered the network under another service; nil as long as no node has shown it
	recovered atomic.Pointer[join.RecoveredError]
	log       *slog.Logger
	lacked    atomic.Int64 // Clock.Elapsed when this node last asked for the secret of an entry that is committed, which it lacks; 0 for never
}

// lacks notes that this node asks for the secret of an epoch. It asks again and again until it has it.
func (w *watch) lacks() { w.lacked.Store(int64(w.clock.Elapsed())) }

// wentOn says what shows that the network has committed something since this node heard of a leader; empty if nothing does.
func (w *watch) wentOn() string {
	switch at := w.lacked.Load(); {
	case w.unlisted.Load():
		return "nodes of this network come that are not in this node's list"
	case at != 0 && w.clock.Elapsed()-time.Duration(at) < time.Second:
		return "no node gives this one the secret of an epoch that the network uses"
	}
	return ""
}

// run ends this life if the network went on without this node. A missing leader alone does not show that: it may be
// a partition. A node that the service has endorsed and that is not in this node's list does: the network has
// committed at least its admission since. So does a committed entry of an epoch whose secret no node gives: they refuse it to a node that the
// network trusts no more.
//
// If nodes that have stopped wait for the others while there is no leader, this one waits with them.
//
// A node that has resumed ends once another one shows that members have recovered the network: they did it because they believed that no node was left. One that never stopped
// says so in its log and goes on, as its members see it there.
func (w *watch) run(ctx context.Context, comeBack func(ctx context.Context, why string) error, again func(why string) *join.LeftBehindError) error {
	tick := w.clock.NewTicker(time.Second)
	defer tick.Stop()
	alone := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		if r := w.recovered.Swap(nil); r != nil {
			w.log.Error("members have recovered this network elsewhere", logevent.RecoveredElsewhere.Attr(), "last", r.Last.String(), "ends", r.Gone)
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
		if w.led() {
			alone = 0
			w.unlisted.Store(false)
			w.asked.Store(false)
			continue
		}
		if alone > int(leftBehind/time.Second) && w.asked.Load() && w.resumes() {
			return again("no leader for a while, and nodes of this network that have stopped wait for the others")
		}
		if alone++; alone <= int(leftBehind/time.Second) || w.retiring() {
			continue
		}
		if why := w.wentOn(); why != "" {
			if err := comeBack(ctx, fmt.Sprintf("no leader for %v, and %s", leftBehind, why)); err != nil {
				return err
			}
			alone = 0
		}
	}
}

// comeBack asks the network to admit the next life of this node, and ends this one once that is
// committed. Until then this life goes on: the others may need its vote. It returns nil
// if this node hears of a leader meanwhile.
func (n *node) comeBack(ctx context.Context, why string) error {
	behind := n.leftBehind(why)
	n.log.Warn("asking the network to admit this node again", "because", behind)
	cfg := n.cfg
	cfg.again(behind)
	next, err := newAttestor(ctx, cfg)
	if err != nil { // such as a device that does not answer: it is asked again at the next occasion
		n.log.Warn("no evidence of this node to join with, trying again later", "error", err)
		return nil
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	led := make(chan struct{})
	go func() {
		defer close(led)
		for asking.Err() == nil && (n.replica.State().Leader == 0 || n.watch.behind.Load()) {
			changed := n.replica.Changed()
			select {
			case <-asking.Done():
			case <-changed:
			case <-n.cfg.Host.Clock.After(time.Second):
			}
		}
		cancel()
	}()
	behind.Admission, err = newJoiner(cfg, next, n.state.disk).Join(asking)
	cancel()
	<-led
	if err != nil {
		return nil // this node has ended, or hears of a leader
	}
	return n.seeOut(ctx, behind)
}

// seeOut lets this life go on until consensus does without it: if the leader has come back, it may need this node's
// vote to remove this node.
func (n *node) seeOut(ctx context.Context, next *join.LeftBehindError) error {
	if _, err := n.seat().AwaitRemoval(ctx, leftBehind); err != nil {
		return nil // this node has ended
	}
	return next
}
