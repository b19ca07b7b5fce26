package beginning

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/resume"
)

// NewJoiner makes what asks for admission.
func NewJoiner(cfg Config, a *join.Attestor, local catchup.Local) *join.Joiner {
	return &join.Joiner{
		Log: local.Log, Net: cfg.Host.Net, Clock: cfg.Host.Clock, Verifiers: cfg.Verifiers, Attestor: a,
		Ask: cfg.Join, Approve: cfg.Approve, Service: cfg.Service, Samples: local.Samples, Refused: cfg.Refused,
	}
}

// join has the network admit the node, and fetches what the node begins with.
func (s *Start) join(ctx context.Context) (err error) {
	a := s.cfg.Admitted
	if a == nil {
		j := NewJoiner(s.cfg, s.Self, s.Local)
		j.Held, j.Samples = s.ledger.Held, func() ([]peer.Sample, error) { return s.ledger.Samples(s.Local) }
		if a, err = s.admitted(ctx, j); err != nil {
			return err
		}
		if a == nil {
			return s.resume()
		}
	}
	if err := s.cfg.Vault.Wipe(); err != nil { // of the key that this one replaces
		return err
	}
	s.Resumed = Resumed{}
	if s.ledger.Damaged != nil {
		if err := s.ledger.Replace(a.Network.Service.Certificate()); err != nil {
			return err
		}
		s.Local.Ledger = s.ledger.Files
	}
	s.Network = a.Network
	s.cfg.Joined(a.Network.Service.Certificate().Raw)
	for epoch, secret := range a.Secrets {
		s.Keys.Add(epoch, secret)
	}
	keys.Wipe(a.Secrets)
	if s.Basis, err = a.Prepare(ctx, s.cfg.Host.Net, s.Local, s.ledger.Folder); err != nil {
		return err
	}
	s.Machine.Voters = []consensus.ID{consensus.IDOf(a.Network.Origin)}
	if s.Basis != nil {
		s.beginAfter(s.Basis)
	}
	s.Machine.Last = s.Local.Ledger.Last()
	return nil
}

// Resumed is what a life that goes on with other nodes has resumed with; package resume has the protocol. Its fields are nil for any other life.
type Resumed struct {
	Node  *resume.Node
	Begun *peer.ResumeAsk
	Shown *x509.Certificate // that this process began with
}

// View is the least view that this life acts in; 0 if it has not resumed.
func (r *Resumed) View() uint64 {
	if r.Begun == nil {
		return 0
	}
	return r.Begun.View
}

// admitted has the network admit this node. If the node has kept what it needs to resume, it looks for the others of the network that have as well, and
// returns nil once it has begun to go on with them. Where its ledger is long, it asks the network first.
func (s *Start) admitted(ctx context.Context, j *join.Joiner) (a *join.Admission, err error) {
	r := &s.Resumed
	if err = s.ledger.Damaged; err == nil {
		if a, err = s.asked(ctx, j); a != nil || err != nil {
			return a, err
		}
		r.Node, err = resume.Machine{
			Log: s.Log, Host: s.cfg.Host, Verifiers: s.cfg.Verifiers, Vault: s.cfg.Vault, Files: s.ledger.Files, Dir: s.ledger.Folder.Dir, Extra: s.ledger.Folder.Extra, Snapshots: s.Local.Snapshots,
			Service: s.cfg.Service, Attestor: s.Self, Waits: s.cfg.Waits,
		}.Open(ctx)
	}
	if err != nil && s.expected(ctx) {
		s.Log.Warn("this node cannot go on by itself with the others of its network: it has to be admitted", logevent.ResumeRefused.Attr(), "error", err)
		if s.cfg.NotKept != nil {
			s.cfg.NotKept(err)
		}
	}
	if r.Node == nil {
		return j.Join(ctx)
	}
	j.AskToo(r.Node.Others()) // a node that recovered its network may know no others yet by its settings
	s.peers.Await(r.Node.Awaiting())
	r.Begun, err = r.Node.Process.Wait(ctx, func(ctx context.Context) (_ bool, err error) {
		a, err = askOnce(ctx, j)
		return a != nil, err
	})
	return a, err
}

// From how many bytes of ledger on a node asks whether the network lives before it audits the ledger, and for how long: an audit of less takes no longer than asking.
const (
	longLedger  = 16 << 20
	askPatience = 5 * time.Second
)

// asked has the network admit a node that has kept what it needs to resume, before it audits a long ledger for that; nil if no network answers. It promises nothing meanwhile.
func (s *Start) asked(ctx context.Context, j *join.Joiner) (*join.Admission, error) {
	if s.ledger.Files.Bytes() < longLedger || !s.cfg.Vault.Holds() {
		return nil, nil
	}
	ctx, end := context.WithTimeout(ctx, askPatience)
	defer end()
	return askOnce(ctx, j)
}

// askOnce has the network admit a node that could resume, while ctx lasts. The error is that members have recovered the network: then the node must not go on with others.
func askOnce(ctx context.Context, j *join.Joiner) (*join.Admission, error) {
	asks := *j
	asks.Ends = true
	a, err := asks.Join(ctx)
	if recovered, ok := errors.AsType[*join.RecoveredError](err); ok {
		recovered.Gone = true
		return nil, recovered
	}
	return a, nil
}

// expected reports whether an operator must hear why this node does not resume. Where its ledger is damaged, it must only if the node has kept a state.
func (s *Start) expected(ctx context.Context) bool {
	kept := func() bool { state, _ := s.cfg.Vault.Load(ctx); return state != nil }
	return s.ledger.Damaged == nil || kept()
}

// resume prepares a life that goes on with others.
func (s *Start) resume() (err error) {
	r := &s.Resumed
	s.Self, s.Log = r.Node.Attestor, s.cfg.Log.With("id", r.Node.Attestor.Identity.ID().Short())
	r.Shown = s.Self.Identity.Certificate().Leaf
	if s.Network, s.Machine, err = r.Node.Begin(r.Begun, s.Keys); err != nil {
		return err
	}
	s.beginAt(r.Node.Basis())
	return s.ledger.Files.SetChunkBytes(s.Network.Constitution.Ledger.ChunkBytes)
}
