package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
)

// A node retires for good in four steps: it hands over leadership; the leader commits its retirement,
// if the network can spare it; consensus removes it in one joint change, for which it goes on voting;
// it ends. A crash before the second step changes nothing. A crash after it leaves a voter that does not
// answer, which consensus removes all the same.

const (
	// retirePatience bounds the time until the retirement is committed.
	retirePatience = 20 * time.Second
	retirePause    = 200 * time.Millisecond
)

// retirement retires this node for good.
type retirement struct {
	log      *slog.Logger
	clock    host.Clock
	self     consensus.ID
	progress *progress
	replica  *replica.Replica
	handover handover
	ask      func(context.Context, peer.Request) adapter.Result // the leader, once

	asked     atomic.Bool // by its owner, or by members
	once      sync.Once
	committed chan struct{} // closed when it is committed
	done      chan struct{} // closed when consensus does without this node
}

// commit begins to end this node; see awaitRemoval.
func (r *retirement) commit() { r.once.Do(func() { close(r.committed) }) }

// errRetiring refuses a second request.
var errRetiring = fmt.Errorf("%w: this node is retiring already", coco.ErrBusy)

// Retire takes this node out of the network, for good, and returns the transaction that says so. The node
// ends by itself once consensus does without it. It fails with coco.ErrInvalid if there would be no
// network left, and with coco.ErrBusy if too few of the others are there to go on.
func (r *retirement) Retire(ctx context.Context) (coco.TxID, error) {
	if !r.progress.joined() {
		return coco.TxID{}, fmt.Errorf("%w: this node has not joined yet", coco.ErrBusy)
	}
	if !r.asked.CompareAndSwap(false, true) {
		return coco.TxID{}, errRetiring
	}
	ctx, cancel := context.WithTimeout(ctx, retirePatience)
	defer cancel()
	id, err := r.commitAtLeader(ctx)
	if err != nil {
		r.replica.SetLeaving(r.progress.stage().ending())
		r.asked.Store(false)
		return coco.TxID{}, err
	}
	r.log.Info("retirement committed", "transaction", id.String())
	r.replica.SetLeaving(true) // should it be elected again
	r.commit()
	return id, nil
}

// commitAtLeader asks the leader, which is another node, until one agrees or says why not. A leader that was
// just elected has heard of no other node yet, so after its refusal it is asked again.
func (r *retirement) commitAtLeader(ctx context.Context) (coco.TxID, error) {
	for {
		err := r.replica.Spared(ctx)
		if err != nil {
			return coco.TxID{}, err
		}
		err = fmt.Errorf("%w: no other node takes over leadership", coco.ErrBusy)
		if r.handover.run(ctx) {
			answer := r.ask(ctx, peer.Request{Kind: peer.Retire})
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
		case <-r.clock.After(retirePause):
		}
	}
}

// retireNode commits the retirement of a node that asks for it, if the network can spare it.
func (n *node) retireNode(from coco.NodeID, done func([]adapter.Result)) {
	n.replica.Remove(consensus.IDOf(from), func(tx *store.Tx) ([]byte, error) { return nil, members.LeaveNode(tx, from) }, done)
}

// awaitRemoval waits until this node's retirement is committed and consensus does without it, and
// then ends this node.
func (r *retirement) awaitRemoval(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.committed:
	}
	tick := r.clock.NewTicker(replica.Tick)
	defer tick.Stop()
	alone := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		m := r.replica.Members()
		if !slices.Contains(slices.Concat(m.Voters, m.Learners, m.Outgoing), r.self) {
			r.log.Info("this node has retired: the network goes on without it", logevent.NodeRetired.Attr())
			break
		}
		if alone++; r.replica.State().Leader != 0 {
			alone = 0
		}
		if alone > int(leftBehind/replica.Tick) {
			// A removed node may not hear of it: the others send it nothing any more.
			r.log.Info("this node has retired: its retirement is committed and no node speaks to it any more", logevent.NodeRetired.Attr())
			break
		}
	}
	r.progress.enter(retired)
	close(r.done)
	return nil
}
