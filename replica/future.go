package replica

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/pulse"
)

// ignoreTicks is for how long a leader is not heard that has sent a batch from the future, unless a later one was followed before: long enough
// for another one to be elected, though votes are split once or twice.
const ignoreTicks = 5 * electionTicks

// errFuture refuses a batch from the future.
var errFuture = fmt.Errorf("%w: a batch from the future", coco.ErrVerify)

// future keeps batches from the future out of the log, on a follower that votes: it does not acknowledge them, so they are not committed without a
// majority of nodes that believe them.
type future struct {
	pulse.Future
	from  consensus.ID // is not heard
	until int          // loop.ticks, from when on it is heard again
	told  uint64       // the view of which the operator was told that its leader is believed
}

// accept is raft.Config.Accept. A learner does not judge: its acknowledgement does not count, and it catches up with a past that it
// cannot know. What it has taken is in its log when it becomes a voter.
func (l *loop) accept(view uint64, e consensus.Entry) error {
	at, m := timeOf(e), l.machine.Membership()
	if at == 0 || !slices.Contains(m.Voters, l.members.Self) && !slices.Contains(m.Outgoing, l.members.Self) {
		return nil
	}
	f, day := &l.pulse.future, uint64(max(0, l.clock.Now().UnixMilli()))
	taken, believed := f.Take(view, at, day, l.progress.clocks.Load())
	if !taken {
		return fmt.Errorf("%w: entry %d is of %s", errFuture, e.Index, dateOf(at))
	}
	if believed && f.told != view {
		f.told = view
		l.log.Error("a batch whose time no majority's clocks have reached, as far as this node has heard, is taken: the leader was elected again or goes on without this node",
			logevent.BatchFromFuture.Attr(), "view", view, "entry", e.Index, "time", dateOf(at))
	}
	return nil
}

// timeOf returns the time of a batch, in milliseconds since 1970; 0 if an entry is none, or not sound, which is found out when it is applied.
func timeOf(e consensus.Entry) uint64 {
	if e.Kind != consensus.Batch {
		return 0
	}
	h, err := batch.DecodeHeader(e.Data)
	if err != nil {
		return 0
	}
	return h.Time
}

func dateOf(at uint64) string {
	return time.UnixMilli(int64(min(at, 1<<52))).UTC().Format(time.RFC3339)
}

// ignores reports whether a node's messages are dropped: it has led, and sent a batch from the future.
func (l *loop) ignores(from consensus.ID) bool {
	f := &l.pulse.future
	return from == f.from && l.ticks < f.until && f.Refuses()
}

// refused drops what a leader says from now on for a while, if it has sent a batch from the future.
func (l *loop) refused(from consensus.ID, err error) {
	if !errors.Is(err, errFuture) {
		l.log.Warn("message from a peer refused", "error", err)
		return
	}
	f := &l.pulse.future
	f.from, f.until = from, l.ticks+ignoreTicks
	l.log.Error("the leader sends a batch whose time no majority's clocks have reached: it is not heard for a while, so that another one leads", logevent.BatchFromFuture.Attr(), "error", err)
}
