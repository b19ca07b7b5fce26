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

// ignoreTicks is for how long a leader is not heard that has sent a batch from the future: long enough for another one to be elected.
const ignoreTicks = 3 * electionTicks

// errFuture refuses a batch from the future.
var errFuture = fmt.Errorf("%w: a batch from the future", coco.ErrVerify)

// future keeps batches from the future out of the log, on a follower that votes: it does not acknowledge them, so they are not committed without a
// majority of nodes that believe them.
type future struct {
	pulse.Future
	from  consensus.ID // is not heard
	until int          // loop.ticks, from when on it is heard again
}

// accept is raft.Config.Accept. A node that has not held the newest state yet catches up with a past that it cannot judge, and a learner's
// acknowledgement does not count.
func (l *loop) accept(e consensus.Entry) error {
	if e.Kind != consensus.Batch {
		return nil
	}
	h, err := batch.DecodeHeader(e.Data)
	if err != nil {
		return nil // what it is, is found out when it is applied
	}
	if l.progress.fresh.Load() == 0 || !slices.Contains(l.machine.Membership().Voters, l.members.Self) {
		l.pulse.future.Took(h.Time)
		return nil
	}
	if day := uint64(max(0, l.clock.Now().UnixMilli())); !l.pulse.future.Take(h.Time, day, l.progress.clocks.Load()) {
		return fmt.Errorf("%w: entry %d is of %s", errFuture, e.Index, time.UnixMilli(int64(min(h.Time, 1<<52))).UTC().Format(time.RFC3339))
	}
	return nil
}

// ignores reports whether a node's messages are dropped: it has led, and sent a batch from the future.
func (l *loop) ignores(from consensus.ID) bool {
	return from == l.pulse.future.from && l.ticks < l.pulse.future.until
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
