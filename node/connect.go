package node

import (
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
)

// dialer connects to nodes of this network.
func (n *node) dialer() peer.Dialer {
	return peer.Dialer{Net: n.cfg.Host.Net, Identity: n.id, Verify: n.verifyPeer}
}

// newForwarder makes what sends calls and requests to the leader.
func (n *node) newForwarder(l constitution.Limits) *peer.Forwarder {
	f := peer.NewForwarder(peer.ForwarderConfig{
		Clock: n.cfg.Host.Clock, Self: n.id.ID(), Leadership: n.leadership, Send: n.peers.Send,
		Decode: n.decode, Submit: n.submitHere, Request: n.request, Reached: func(seqno uint64) <-chan struct{} { return n.replica.Reached(seqno) }, Full: n.refuse,
	})
	f.Bound(l.Queue, queueBytes(l))
	return f
}

// connections is what the connections to other nodes are opened with.
func (n *node) connections() peer.Config {
	return peer.Config{
		Dialer: n.dialer(), Listed: n.listed,
		Broken: func(id coco.NodeID) { n.replica.Unreachable(consensus.IDOf(id)) },
		Consensus: func(from coco.NodeID, data []byte) {
			n.replica.Step(n.ctx, consensus.IDOf(from), data)
		},
		Behind: func(from coco.NodeID) {
			if from == n.leader() {
				n.behind.Store(true)
			}
		},
		Secret: n.receiveSecret, SecretHeld: n.receiveSecretHeld, SecretWanted: n.receiveSecretWanted,
		Forwarder: n.forwarder, Join: n.sponsor().Serve,
		Fetches: peer.NewFetchServer(n.cfg.Host.Clock, func(rq peer.FetchRequest) (peer.FetchAnswer, peer.Pieces, error) {
			return n.local.Answer(n.replica.Applied(), rq)
		}),
	}
}

// leadership is peer.ForwarderConfig.Leadership.
func (n *node) leadership() peer.Leadership {
	change := n.replica.Changed() // before looking
	s := n.replica.State()
	return peer.Leadership{
		Leader: n.directory.Load().byConsensus[s.Leader], Self: s.Role == consensus.Leader, Change: change,
	}
}

// leader returns the node that leads, as far as this one knows; zero if none does.
func (n *node) leader() coco.NodeID {
	return n.directory.Load().byConsensus[n.replica.State().Leader]
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
	return n.replica.Enqueue(&replica.Item{Ledger: ledger, Calls: calls, Done: done})
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
	return n.replica.Enqueue(&replica.Item{Run: run, Done: done})
}

// refuse counts calls that found no room on their way to the leader.
func (n *node) refuse(err error) {
	n.meter.refused.Add(1)
	if errors.Is(err, peer.ErrShare) {
		n.meter.unfair.Add(1)
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
