package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/internal/intake"
	"github.com/cocoframework/coco/internal/slots"
	"github.com/cocoframework/coco/internal/trail"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/pulse"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/upgrade"
)

// links are the connections to other nodes, and what is counted of them.
type links struct {
	ctx        context.Context // of this life
	peers      *peer.Transport
	forwarder  *peer.Forwarder
	statements *intake.Intake // of members, on their way to the leader
	trail      *trail.Source  // of names of requests and writes, for the log
	past       *slots.Slots   // reads of the past, by organisation
	programs   *upgrade.Programs
	refused    atomic.Uint64 // lists of calls that found no room among those on their way to the leader
	unfair     atomic.Uint64 // those of them whose caller had its share already
}

// refuse counts calls that found no room on their way to the leader.
func (l *links) refuse(err error) {
	l.refused.Add(1)
	if errors.Is(err, peer.ErrShare) {
		l.unfair.Add(1)
	}
}

// dialer connects to nodes of this network.
func (n *node) dialer() peer.Dialer {
	return peer.Dialer{Net: n.cfg.Host.Net, Identity: n.self.Identity, Verify: n.verifyPeer}
}

// newForwarder makes what sends calls and requests to the leader.
func (n *node) newForwarder(l constitution.Limits) *peer.Forwarder {
	f := peer.NewForwarder(peer.ForwarderConfig{
		Clock: n.cfg.Host.Clock, Self: n.self.Identity.ID(), Leadership: n.leadership, Send: n.links.peers.Send,
		Decode: n.decode, Submit: n.submitHere, Request: n.request, Owner: func(id coco.NodeID) coco.ActorID { return n.decided.directory.Load().owner(id) }, Reached: func(seqno uint64) <-chan struct{} { return n.replica.Reached(seqno) }, Full: n.links.refuse, Log: n.log, Trail: n.links.trail,
	})
	f.Bound(l.Queue, queueBytes(l))
	return f
}

// connections is what the connections to other nodes are opened with.
func (n *node) connections() peer.Config {
	return peer.Config{
		Dialer: n.dialer(), Standing: func(id coco.NodeID) peer.Standing { return n.decided.directory.Load().standing(id) },
		Broken: func(id coco.NodeID) { n.replica.Unreachable(consensus.IDOf(id)) },
		Consensus: func(from coco.NodeID, data []byte) {
			n.replica.Step(n.links.ctx, consensus.IDOf(from), data)
		},
		Behind: func(from coco.NodeID) {
			if from == n.leader() {
				n.watch.Behind()
			}
		},
		Secret: n.epochs.ReceiveSecret, SecretHeld: n.epochs.ReceiveSecretHeld, SecretWanted: n.epochs.ReceiveSecretWanted, Part: n.ceremonies.Receive, Resident: n.state.residents.Receive,
		Beat: func(from coco.NodeID, b pulse.Beat) { n.replica.Hear(consensus.IDOf(from), b) }, Reached: func(to coco.NodeID) { n.replica.Reach(consensus.IDOf(to)) },
		Rules: constitution.CurrentRules, Program: func(from coco.NodeID, p *peer.Program) { n.links.programs.Hear(from, p.Rules) },
		Forwarder: n.links.forwarder, Join: n.sponsor().Serve, Resume: n.resumption(), Foreign: n.foreign,
		Fetches: peer.NewFetchServer(n.cfg.Host.Clock, func(rq peer.FetchRequest) (peer.FetchAnswer, peer.Pieces, error) {
			return n.state.disk.Answer(n.replica.Applied(), rq)
		}),
	}
}

// leadership is peer.ForwarderConfig.Leadership.
func (n *node) leadership() peer.Leadership {
	change := n.replica.Changed() // before looking
	s := n.replica.State()
	return peer.Leadership{
		Leader: n.decided.directory.Load().leader(s.Leader), Self: s.Role == consensus.Leader, Change: change,
	}
}

// leader returns the node that leads, as far as this one knows; zero if none does that the network trusts. One that members have removed
// seals nothing any more, and is told nothing.
func (n *node) leader() coco.NodeID {
	return n.decided.directory.Load().leader(n.replica.State().Leader)
}

// decode is peer.ForwarderConfig.Decode.
func (n *node) decode(ledger string, payload []byte) (any, error) {
	l := n.state.ledger(ledger)
	if l == nil {
		return nil, fmt.Errorf("%w: no ledger %q here", coco.ErrInvalid, ledger)
	}
	return l.Decode(payload)
}

// submitHere is peer.ForwarderConfig.Submit.
func (n *node) submitHere(from coco.NodeID, ledger string, calls []*adapter.Call, done func([]adapter.Result)) error {
	return n.replica.Enqueue(&replica.Item{Node: from, Ledger: ledger, Calls: calls, Done: done})
}

// request is peer.ForwarderConfig.Request.
func (n *node) request(from coco.NodeID, rq peer.Request, done func([]adapter.Result)) error {
	var run func(*store.Tx) ([]byte, error)
	switch rq.Kind {
	case peer.Retire:
		n.replica.Remove(consensus.IDOf(from), func(tx *store.Tx) ([]byte, error) { return nil, members.LeaveNode(tx, from) }, done) // if the network can spare it
		return nil
	case peer.Snapshot:
		run = requestSnapshot
	case peer.Renew:
		run = n.certificates.RenewNode(from)
	case peer.Govern:
		run = n.submission(rq.Body)
	case peer.Keys:
		run = n.ceremonies.Speak(from, rq.Body)
	case peer.Grants:
		run = n.grants.Give(from, rq.Body)
	default:
		return fmt.Errorf("%w: node %s does not know this request", coco.ErrInvalid, n.self.Identity.ID().Short())
	}
	return n.replica.Enqueue(&replica.Item{Node: from, Run: run, By: rq.By.Actor, Until: rq.Until, Done: done})
}

// verifyPeer accepts the connection of a node that has a standing. Each frame on it is judged by the standing at that time.
func (n *node) verifyPeer(p channel.PeerCert) error {
	service, now := n.certificates.OfService(), n.cfg.Host.Clock.Now()
	if err := p.EndorsedBy(service, now); err != nil {
		if last, ok := p.Succeeds(service, now); ok {
			n.watch.Recovered(&join.RecoveredError{Last: last, Gone: n.resumed.Begun != nil})
		}
		return err
	}
	if n.foreign(p) {
		return fmt.Errorf("%w: it is not the process of node %s that goes on with this one", coco.ErrDenied, p.ID.Short())
	}
	if n.decided.directory.Load().standing(p.ID) == peer.Stranger {
		n.watch.Unlisted()
		return fmt.Errorf("%w: node %s is not in this network's list", coco.ErrDenied, p.ID.Short())
	}
	return nil
}
