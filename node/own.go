package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// connect makes the connections between this node and the others, and what works over them.
func (n *node) connect() {
	clock := n.cfg.Host.Clock
	dialer := peer.Dialer{Net: n.cfg.Host.Net, Identity: n.id, Verify: n.verifyPeer}
	n.forwarder = peer.NewForwarder(peer.ForwarderConfig{
		Clock: clock, Self: n.id.ID(), Leadership: n.leadership,
		Send:   func(to coco.NodeID, m peer.Message) bool { return n.peers.Send(to, m) },
		Decode: n.decode, Submit: n.submitHere, Request: n.request, Reached: n.facts.reached, Full: n.refuse,
	})
	n.fetcher = &peer.Fetcher{
		Clock: clock, Dialer: dialer, Leader: n.leader,
		Nodes: func() map[coco.NodeID]string { return n.directory.Load().addresses },
	}
	n.peers = peer.New(peer.Config{
		Log: n.log, Clock: clock, Dialer: dialer, Listed: n.listed,
		Broken: func(id coco.NodeID) { n.loop.inbox.put(event{unreachable: consensus.IDOf(id)}) },
		Consensus: func(from coco.NodeID, data []byte) {
			select {
			case n.loop.recv <- received{consensus.IDOf(from), data}:
			case <-n.ctx.Done():
			}
		},
		Behind: func(from coco.NodeID) {
			if from == n.leader() {
				n.behind.Store(true)
			}
		},
		Secret: n.receiveSecret, SecretHeld: n.noteHolder, SecretWanted: n.giveSecret,
		Forwarder: n.forwarder, Join: n.serveJoin, Fetches: peer.NewFetchServer(clock, n.answerFetch),
	})
}

// leadership is peer.ForwarderConfig.Leadership.
func (n *node) leadership() peer.Leadership {
	change := n.loop.changed.wait() // before looking
	s := n.loop.state.Load()
	return peer.Leadership{
		Leader: n.directory.Load().byConsensus[s.Leader], Self: s.Role == consensus.Leader, Change: change,
	}
}

// leader returns the node that leads, as far as this one knows; the sponsor while this node is joining.
func (n *node) leader() coco.NodeID {
	if n.loop == nil {
		return n.sponsor
	}
	return n.directory.Load().byConsensus[n.loop.state.Load().Leader]
}

// decode is peer.ForwarderConfig.Decode.
func (n *node) decode(ledger string, payload []byte) (any, error) {
	l := n.ledger(ledger)
	if l == nil {
		return nil, fmt.Errorf("%w: no ledger %q here", coco.ErrInvalid, ledger)
	}
	return l.Decode(payload)
}

// submitHere is peer.ForwarderConfig.Submit.
func (n *node) submitHere(ledger string, calls []*adapter.Call, done func([]adapter.Result)) error {
	return n.enqueue(&item{ledger: ledger, calls: calls, done: done})
}

// request is peer.ForwarderConfig.Request.
func (n *node) request(from coco.NodeID, rq peer.Request, done func([]adapter.Result)) error {
	var run func(*store.Tx) ([]byte, error)
	switch rq.Kind {
	case peer.Retire:
		n.retireNode(from, done)
		return nil
	case peer.Snapshot:
		run = requestSnapshot
	case peer.Renew:
		run = n.renewNode(from)
	case peer.Govern:
		run = n.submission(rq.Body)
	default:
		return fmt.Errorf("%w: node %s does not know this request", coco.ErrInvalid, n.id.ID().Short())
	}
	return n.enqueue(&item{run: run, done: done})
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
	if errors.Is(err, errShareFull) || errors.Is(err, peer.ErrShare) {
		n.meter.unfair.Add(1)
	}
}

// own runs a transaction of the node's own. It fails with coco.ErrNotCommitted if this node does not lead.
func (n *node) own(ctx context.Context, run func(tx *store.Tx) ([]byte, error)) (adapter.Result, error) {
	if n.loop.state.Load().Role != consensus.Leader {
		return adapter.Result{}, fmt.Errorf("%w: this node does not lead", coco.ErrNotCommitted)
	}
	done := make(chan adapter.Result, 1)
	if err := n.enqueue(&item{run: run, done: func(r []adapter.Result) { done <- r[0] }}); err != nil {
		return adapter.Result{}, err
	}
	select {
	case r := <-done:
		return r, r.Err
	case <-ctx.Done():
		return adapter.Result{}, fmt.Errorf("%w: not committed in time: %w", coco.ErrUnknown, ctx.Err())
	}
}

// verifyPeer accepts the connection of a trusted node.
func (n *node) verifyPeer(p channel.PeerCert) error {
	if err := p.EndorsedBy(n.serviceCertificate(), n.cfg.Host.Clock.Now()); err != nil {
		return err
	}
	if !n.listed(p.ID) {
		n.unlisted.Store(true)
		return fmt.Errorf("%w: node %s is not in this network's list", coco.ErrDenied, p.ID.Short())
	}
	return nil
}

// listed reports whether a node may send to this one.
func (n *node) listed(id coco.NodeID) bool {
	d := n.directory.Load()
	_, trusted := d.addresses[id]
	_, leaving := d.leaving[id]
	return trusted || leaving
}
