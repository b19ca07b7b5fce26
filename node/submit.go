package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// submitPatience bounds a submission whose context has no deadline of its own.
const submitPatience = 30 * time.Second

// retryPause is how long a submission waits for another leader to show before it looks again.
const retryPause = 50 * time.Millisecond

// deposedPatience is how long an answer may come from a node that leads no more: what it sealed may
// be committed by its successor.
const deposedPatience = 2 * time.Second

// forwarded is the body of frameForward.
type forwarded struct {
	_      struct{} `cbor:",toarray"`
	ID     uint64
	Ledger string
	Calls  []forwardedCall
}

type forwardedCall struct {
	_       struct{} `cbor:",toarray"`
	Caller  coco.Caller
	Payload []byte
}

// replied is the body of frameReply: the results of a forwarded list of calls.
type replied struct {
	_       struct{} `cbor:",toarray"`
	ID      uint64
	Results []repliedResult
}

type repliedResult struct {
	_      struct{} `cbor:",toarray"`
	View   uint64
	Seqno  uint64
	Reply  []byte
	Kind   uint8 // of the error (wire.Number), 0 if none
	Reason string
}

// submit sends calls of one ledger through consensus and returns once each is refused, or is
// committed and applied here. It finds the leader, and sends again what certainly was not executed, or
// may be executed twice without harm, until ctx ends.
func (n *node) submit(ctx context.Context, ledger string, calls []*adapter.Call) []adapter.Result {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, submitPatience)
		defer cancel()
	}
	for _, c := range calls {
		if c.Done == nil {
			c.Done = ctx.Done()
		}
	}
	results := make([]adapter.Result, len(calls))
	open := make([]int, len(calls)) // positions that have no final result
	for i := range calls {
		open[i] = i
	}
	for {
		changed := n.loop.changed.wait()
		send := make([]*adapter.Call, len(open))
		for i, at := range open {
			send[i] = calls[at]
		}
		got := n.submitOnce(ctx, ledger, send)
		var again []int
		for i, at := range open {
			results[at] = got[i]
			err := got[i].Err
			if errors.Is(err, coco.ErrNotCommitted) || calls[at].Repeatable && errors.Is(err, coco.ErrUnknown) {
				again = append(again, at)
			}
		}
		if open = again; len(open) == 0 || ctx.Err() != nil {
			return results
		}
		select {
		case <-ctx.Done():
			return results
		case <-changed:
		case <-n.cfg.Host.Clock.After(retryPause):
		}
	}
}

// submitOnce sends calls to whoever leads now.
func (n *node) submitOnce(ctx context.Context, ledger string, calls []*adapter.Call) []adapter.Result {
	state := n.loop.state.Load()
	leader := n.directory.Load().byConsensus[state.Leader]
	switch {
	case state.Leader == 0 || leader == (coco.NodeID{}):
		return fail(calls, fmt.Errorf("%w: the network has no leader at the moment", coco.ErrNotCommitted))
	case state.Role == consensus.Leader:
		return n.submitHere(ctx, &item{ledger: ledger, calls: calls})
	}
	id, fw, err := n.forwards.add(leader, &item{calls: calls})
	if err != nil {
		n.refuse(err)
		return fail(calls, err)
	}
	msg := forwarded{ID: id, Ledger: ledger, Calls: make([]forwardedCall, len(calls))}
	for i, c := range calls {
		msg.Calls[i] = forwardedCall{Caller: c.Caller, Payload: c.Payload}
	}
	body, err := cbor.Marshal(msg)
	if err != nil {
		return fail(calls, fmt.Errorf("encode calls for the leader: %w", err))
	}
	if !n.peers.queue(state.Leader, frameForward, body) {
		n.forwards.take(id, leader)
		return fail(calls, fmt.Errorf("%w: no connection to the leader, or no room on it", coco.ErrNotCommitted))
	}
	var late <-chan time.Time // once another node leads
	for {
		changed := n.loop.changed.wait()
		if late == nil && n.loop.state.Load().Leader != state.Leader {
			late = n.cfg.Host.Clock.After(deposedPatience)
		}
		select {
		case results := <-fw.done:
			if len(results) != len(calls) {
				return fail(calls, results[0].Err)
			}
			return n.caughtUp(ctx, results)
		case <-changed:
		case <-late:
			n.forwards.take(id, leader)
			return fail(calls, fmt.Errorf("%w: node %s led when it got the call, and does not answer", coco.ErrUnknown, leader.Short()))
		case <-ctx.Done():
			n.forwards.take(id, leader)
			return fail(calls, fmt.Errorf("%w: the leader did not answer in time: %w", coco.ErrUnknown, ctx.Err()))
		}
	}
}

// caughtUp waits until this node has applied what the leader answered, so that a client reads
// its own writes here.
func (n *node) caughtUp(ctx context.Context, results []adapter.Result) []adapter.Result {
	var last uint64
	for _, r := range results {
		if r.Err == nil {
			last = max(last, r.TxID.Seqno)
		}
	}
	select {
	case <-n.facts.reached(last):
		return results
	case <-ctx.Done():
		for i, r := range results {
			if r.Err == nil && r.TxID.Seqno > n.store.Committed() {
				results[i] = adapter.Result{Err: fmt.Errorf("%w: committed as %s, but this node has not applied it in time", coco.ErrUnknown, r.TxID)}
			}
		}
		return results
	}
}

func fail(calls []*adapter.Call, err error) []adapter.Result {
	out := make([]adapter.Result, len(calls))
	for i := range out {
		out[i].Err = err
	}
	return out
}

// submitHere queues an item on this node, which leads, and waits for it.
func (n *node) submitHere(ctx context.Context, it *item) []adapter.Result {
	done := make(chan []adapter.Result, 1)
	it.done = func(r []adapter.Result) { done <- r }
	if err := n.enqueue(it); err != nil {
		return fail(make([]*adapter.Call, it.size()), err)
	}
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
		return fail(make([]*adapter.Call, it.size()), fmt.Errorf("%w: not committed in time: %w", coco.ErrUnknown, ctx.Err()))
	}
}

// enqueue hands an item to the executor. If leadership was lost meanwhile, the executor may have
// emptied the queue before the item came: then it is told to do so again.
func (n *node) enqueue(it *item) error {
	if err := n.exec.queue.put(it); err != nil {
		n.refuse(err)
		return err
	}
	if n.loop.state.Load().Role != consensus.Leader {
		n.exec.tasks.put(task{flush: true})
	}
	return nil
}

// refuse counts what found no room.
func (n *node) refuse(err error) {
	n.meter.refused.Add(1)
	if errors.Is(err, errShareFull) || errors.Is(err, errForwardsShare) {
		n.meter.unfair.Add(1)
	}
}

// own runs a transaction of the node's own on the leader, which this node must be.
func (n *node) own(ctx context.Context, run func(tx *store.Tx) ([]byte, error)) (adapter.Result, error) {
	if n.loop.state.Load().Role != consensus.Leader {
		return adapter.Result{}, fmt.Errorf("%w: this node does not lead", coco.ErrNotCommitted)
	}
	r := n.submitHere(ctx, &item{run: run})[0]
	return r, r.Err
}

// takeForwarded serves another node's calls. Whoever is not the leader any more sends them back.
func (n *node) takeForwarded(from coco.NodeID, body []byte) {
	var msg forwarded
	if err := frameDecoding.Unmarshal(body, &msg); err != nil || len(msg.Calls) == 0 {
		n.log.Warn("calls from a node do not decode", "node", from.Short(), "error", err)
		return
	}
	if msg.Ledger == ownLedger {
		n.takeOwn(from, &msg)
		return
	}
	answer := func(results []adapter.Result) { n.reply(from, msg.ID, results) }
	it := &item{ledger: msg.Ledger, calls: make([]*adapter.Call, len(msg.Calls)), done: answer}
	l := n.ledger(msg.Ledger)
	if l == nil {
		answer(fail(it.calls, fmt.Errorf("%w: no ledger %q here", coco.ErrInvalid, msg.Ledger)))
		return
	}
	for i, c := range msg.Calls {
		decoded, err := l.Decode(c.Payload)
		if err != nil {
			answer(fail(it.calls, err))
			return
		}
		it.calls[i] = &adapter.Call{Caller: c.Caller, Payload: c.Payload, Decoded: decoded}
	}
	if n.loop.state.Load().Role != consensus.Leader {
		answer(fail(it.calls, fmt.Errorf("%w: node %s does not lead any more", coco.ErrNotCommitted, n.id.ID().Short())))
		return
	}
	if err := n.enqueue(it); err != nil {
		answer(fail(it.calls, err))
	}
}

func (n *node) reply(to coco.NodeID, id uint64, results []adapter.Result) {
	msg := replied{ID: id, Results: make([]repliedResult, len(results))}
	for i, r := range results {
		out := repliedResult{View: r.TxID.View, Seqno: r.TxID.Seqno, Reply: r.Reply}
		if r.Err != nil {
			out.Kind, out.Reason = wire.Number(r.Err), r.Err.Error()
		}
		msg.Results[i] = out
	}
	body, err := cbor.Marshal(msg)
	if err != nil {
		n.log.Error("encode results", "error", err)
		return
	}
	n.peers.queue(consensus.IDOf(to), frameReply, body) // if it gets lost, the asker's patience ends
}

func (n *node) takeReply(from coco.NodeID, body []byte) {
	var msg replied
	if err := frameDecoding.Unmarshal(body, &msg); err != nil || len(msg.Results) == 0 {
		n.log.Warn("results from a node do not decode", "node", from.Short(), "error", err)
		return
	}
	fw := n.forwards.take(msg.ID, from)
	if fw == nil {
		return
	}
	results := make([]adapter.Result, len(msg.Results))
	for i, r := range msg.Results {
		results[i] = adapter.Result{
			TxID: coco.TxID{View: r.View, Seqno: r.Seqno}, Reply: r.Reply, Err: wire.FromNumber(r.Kind, r.Reason),
		}
	}
	fw.done <- results
}

// frameDecoding bounds what a peer can make this node allocate; frames themselves are bounded by the channel.
var frameDecoding = func() cbor.DecMode {
	mode, err := cbor.DecOptions{MaxArrayElements: 1 << 17, MaxNestedLevels: 8, MaxMapPairs: 1 << 10}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()
