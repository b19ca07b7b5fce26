package replica

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco/consensus"
)

// permit allows the executor to seal one batch for one slot of the log. The loop asks for it back when this
// node does not lead any more, or when an Execute runs too long.
type permit struct {
	view, index uint64
	between     []consensus.Entry // entries since the last batch that carry no transactions
	ctx         context.Context   // ends when the permit is asked back; Execute's
	end         context.CancelFunc
	since       atomic.Int64 // of the Execute under way, by Clock.Elapsed; 0 if there is none
}

func newPermit(ctx context.Context, view, index uint64, between []consensus.Entry) *permit {
	p := &permit{view: view, index: index, between: slices.Clone(between)}
	p.ctx, p.end = context.WithCancel(ctx)
	return p
}

// start returns the position of the permit's slot: head, and the entries between it and the slot.
func (p *permit) start(head Position) Position {
	for _, e := range p.between {
		if e.Index > head.Index {
			head = head.after(e)
		}
	}
	return head
}

// slow reports whether an Execute has run for longer than executePatience, and the permit was not asked back yet.
func (p *permit) slow(elapsed time.Duration) bool {
	since := p.since.Load()
	return since != 0 && p.ctx.Err() == nil && elapsed-time.Duration(since) > executePatience
}

// executePatience is how long an Execute may wait for a process of its adapter's. While it waits, this
// node applies nothing, and the clients of earlier batches get no replies.
const executePatience = 2 * time.Second

// lease is the executor's side of a permit: the one that it holds, and the loop to give it back to.
type lease struct {
	permit *permit // nil if none is held
	own    bool    // the last batch was one of own work
	loop   *mailbox[event]

	opening opening
}

// end gives the permit back, with the entry that was sealed under it, or nil. Without a permit nothing happens.
func (l *lease) end(entry *consensus.Entry) {
	if l.permit != nil {
		l.permit = nil
		l.loop.put(event{sealed: &sealedEvent{entry}})
	}
}
