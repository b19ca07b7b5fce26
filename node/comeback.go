package node

import (
	"context"
	"time"

	"github.com/cocoframework/coco/beginning"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/leftbehind"
)

// comeBack asks the network to admit the next life of this node, and ends this one once that is
// committed. Until then this life goes on: the others may need its vote. It returns nil
// if this node hears of a leader meanwhile.
func (n *node) comeBack(ctx context.Context, why string) error {
	behind := n.leftBehind(why)
	n.log.Warn("asking the network to admit this node again", "because", behind)
	cfg := n.cfg
	cfg.again(behind)
	next, err := beginning.NewAttestor(ctx, cfg.beginning())
	if err != nil { // such as a device that does not answer: it is asked again at the next occasion
		n.log.Warn("no evidence of this node to join with, trying again later", "error", err)
		return nil
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	led := make(chan struct{})
	go func() {
		defer close(led)
		for asking.Err() == nil && (n.replica.State().Leader == 0 || n.watch.Needs()) {
			changed := n.replica.Changed()
			select {
			case <-asking.Done():
			case <-changed:
			case <-n.cfg.Host.Clock.After(time.Second):
			}
		}
		cancel()
	}()
	behind.Admission, err = beginning.NewJoiner(cfg.beginning(), next, n.state.disk).Join(asking)
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
	if _, err := n.seat().AwaitRemoval(ctx, leftbehind.Silence); err != nil {
		return nil // this node has ended
	}
	return next
}
