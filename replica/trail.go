package replica

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/internal/trail"
	"github.com/cocoframework/coco/wire"
)

// debug reports whether a log shows the way of each write.
func debug(log *slog.Logger) bool { return log.Enabled(context.Background(), slog.LevelDebug) }

// follow shows a step of the calls of a batch. No record has a key, a value or the text of an error, in which there may be one. A call
// that was refused, or that changes nothing, is shown as it is executed, and not with what becomes of the batch.
func (x *executor) follow(step string, b *sealed, args ...any) {
	if !debug(x.log) {
		return
	}
	for _, p := range b.waiting {
		c, result := p.call(), p.result
		made := result.Err == nil && result.TxID.View == b.view && result.TxID.Seqno >= b.first
		if c == nil || !c.Trail.Named() || !made && step != stepExecuted {
			continue
		}
		record := []any{trail.Step, step, trail.Request, c.Trail.String()}
		switch {
		case made:
			record = append(record, "transaction", result.TxID.String())
		case result.Err != nil:
			record = append(record, "refused", wire.ProblemOf(result.Err).Code)
		}
		x.log.Debug(trail.Message, append(record, args...)...)
	}
}

// The steps of a write on the leader.
const (
	stepQueued    = "queued"
	stepExecuted  = "executed"
	stepSealed    = "sealed"
	stepCommitted = "committed"
	stepLost      = "lost" // another leader took over
)

// followQueued shows that calls wait, as far as there is room for them.
func (x *executor) followQueued(it *Item) {
	if len(it.Calls) > 0 && it.Calls[0].Trail.Named() && debug(x.log) {
		x.log.Debug(trail.Message, trail.Step, stepQueued, trail.Request, it.Calls[0].Trail.String(), "calls", len(it.Calls))
	}
}

// followApplied shows on a node that did not execute a batch which transactions it holds.
func (x *executor) followApplied(b Batch) {
	if debug(x.log) {
		x.log.Debug(trail.Message, trail.Step, "applied", "entry", b.Index, "first", coco.TxID{View: b.View, Seqno: b.First}.String(),
			"last", coco.TxID{View: b.View, Seqno: b.Seqno}.String())
	}
}

// held names the nodes that are known to hold an entry, this one among them, by the first four bytes of their ids. It is nil unless this node leads and shows the way of writes.
func (l *loop) held(index uint64) (nodes []string) {
	if l.slots.view == 0 || !debug(l.log) {
		return nil
	}
	l.machine.Progress(func(p consensus.Progress) {
		if p.Match >= index {
			nodes = append(nodes, fmt.Sprintf("%08x", uint64(p.ID)>>32))
		}
	})
	slices.Sort(nodes)
	return nodes
}
