package retire

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/peer"
)

const (
	// patience bounds the time until the retirement is committed.
	patience = 20 * time.Second
	pause    = 200 * time.Millisecond
)

// Config is what a retirement needs of its node.
type Config struct {
	Seat
	Joined  func() bool                                        // whether the node has applied its own admission
	Ending  func() bool                                        // whether the node is about to end anyway
	Ask     func(context.Context, peer.Request) adapter.Result // the leader, once
	Silence time.Duration                                      // see AwaitRemoval
}

// Retirement retires a node for good. It is safe for concurrent use.
type Retirement struct {
	cfg       Config
	asked     atomic.Bool // by its owner, or by members
	once      sync.Once
	committed chan struct{} // closed when it is committed
	done      chan struct{} // closed when consensus does without this node
}

// New returns the retirement of a node, which has not begun.
func New(cfg Config) *Retirement {
	return &Retirement{cfg: cfg, committed: make(chan struct{}), done: make(chan struct{})}
}

// Asked reports whether this node is to retire.
func (r *Retirement) Asked() bool { return r.asked.Load() }

// Done is closed once the node has retired.
func (r *Retirement) Done() <-chan struct{} { return r.done }

// Removed says that the ledger has this node, or its owner, removed from the network. It reports whether that is news.
func (r *Retirement) Removed() bool {
	if !r.asked.CompareAndSwap(false, true) {
		return false
	}
	r.commit()
	return true
}

func (r *Retirement) commit() { r.once.Do(func() { close(r.committed) }) }

// errRetiring refuses a second request.
var errRetiring = fmt.Errorf("%w: this node is retiring already", coco.ErrBusy)

// Retire takes this node out of the network, for good, and returns the transaction that says so. Run ends once
// consensus does without it. It fails with coco.ErrInvalid if there would be no network left, and with coco.ErrBusy
// if too few of the others are there to go on.
func (r *Retirement) Retire(ctx context.Context) (coco.TxID, error) {
	if !r.cfg.Joined() {
		return coco.TxID{}, fmt.Errorf("%w: this node has not joined yet", coco.ErrBusy)
	}
	if !r.asked.CompareAndSwap(false, true) {
		return coco.TxID{}, errRetiring
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id, err := r.commitAtLeader(ctx)
	if err != nil {
		r.cfg.Replica.SetLeaving(r.cfg.Ending())
		r.asked.Store(false)
		return coco.TxID{}, err
	}
	r.cfg.Log.Info("retirement committed", "transaction", id.String())
	r.cfg.Replica.SetLeaving(true) // should it be elected again
	r.commit()
	return id, nil
}

// commitAtLeader asks the leader, which is another node, until one agrees or says why not. A leader that was
// just elected has heard of no other node yet, so after its refusal it is asked again.
func (r *Retirement) commitAtLeader(ctx context.Context) (coco.TxID, error) {
	for {
		err := r.cfg.Replica.Spared(ctx)
		if err != nil {
			return coco.TxID{}, err
		}
		err = fmt.Errorf("%w: no other node takes over leadership", coco.ErrBusy)
		if r.cfg.HandOver(ctx) {
			answer := r.cfg.Ask(ctx, peer.Request{Kind: peer.Retire})
			err = answer.Err
			if err == nil {
				return answer.TxID, nil
			}
		}
		if !errors.Is(err, coco.ErrBusy) && !errors.Is(err, coco.ErrNotCommitted) && !errors.Is(err, coco.ErrUnknown) {
			return coco.TxID{}, err
		}
		select {
		case <-ctx.Done():
			return coco.TxID{}, err
		case <-r.cfg.Clock.After(pause):
		}
	}
}

// Run waits until this node's retirement is committed and consensus does without it. Then it calls left, and Done is
// closed. It ends before if ctx does.
func (r *Retirement) Run(ctx context.Context, left func()) {
	select {
	case <-ctx.Done():
		return
	case <-r.committed:
	}
	heard, err := r.cfg.AwaitRemoval(ctx, r.cfg.Silence)
	if err != nil {
		return
	}
	how := "the network goes on without it"
	if !heard {
		how = "its retirement is committed and no node speaks to it any more"
	}
	r.cfg.Log.Info("this node has retired: "+how, logevent.NodeRetired.Attr())
	left()
	close(r.done)
}
