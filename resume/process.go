package resume

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
)

// Config is what a process resumes with.
type Config struct {
	Log       *slog.Logger
	Net       host.Net
	Clock     host.Clock
	Verifiers attest.Verifiers
	Vault     Vault
	State     *State // that it has kept; the process's from then on
	Ledger    *Ledger
	// Constitution says which code may take part.
	Constitution *constitution.Constitution
	// Identity is the node's, with a certificate that this process alone shows.
	Identity *channel.Identity
	// Evidence proves this process's code, for a connection.
	Evidence func(ctx context.Context, binding []byte) (attest.Evidence, error)
	// Fetch gets what the node lacks to begin from others; nil if it lacks nothing.
	Fetch func(ctx context.Context, nodes map[coco.NodeID]string) error
	// Waits, if set, is told again and again that too few nodes wait, for as long as that is so. It MUST NOT wait.
	Waits func(Waiting)
}

// Process is a node's part in resuming, from when it waits until it ends. It is safe for concurrent use.
type Process struct {
	cfg    Config
	member peer.ResumeMember
	begins chan *peer.ResumeAsk // what it begins with, once

	mu       host.Lock       // held while a promise goes to the disk
	accepted *peer.ResumeAsk // the generation that it has promised to last; under mu
	by       coco.NodeID     // which node gathers it; under mu
	begun    *peer.ResumeAsk // under mu
	at       time.Duration   // of the last promise, by Clock.Elapsed; under mu
	running  Running         // once it has begun; under mu
	// recovered is that members have recovered the network; nil as long as no node has shown it; under mu
	recovered *join.RecoveredError
	away      bool // it asks to be admitted to a network, and promises nothing; under mu
	lacking   bool // it lacks a snapshot to begin with, and does not wait yet; under mu
	fetching  fetching
}

// Running is what a process knows once it takes part in consensus.
type Running struct {
	Led   func() bool // whether the network has a leader
	Asked func()      // told that another node waits while there is no leader
}

// New returns a process that waits.
func New(cfg Config) *Process {
	return &Process{cfg: cfg, member: MemberOf(cfg.Identity), begins: make(chan *peer.ResumeAsk, 1), mu: host.NewLock(), lacking: cfg.Fetch != nil}
}

// MemberOf names the process that shows an identity's certificate.
func MemberOf(id *channel.Identity) peer.ResumeMember {
	return peer.ResumeMember{Node: id.ID(), Certificate: sha256.Sum256(id.Certificate().Leaf.Raw)}
}

// Verify accepts connections of nodes that the service vouches for. One of a service that follows it shows that members have recovered the network: then this process promises
// nothing any more.
func (p *Process) Verify(c channel.PeerCert) error {
	service, err := x509.ParseCertificate(p.cfg.Ledger.Service)
	if err != nil {
		return fmt.Errorf("%w: the service's certificate: %w", coco.ErrCorrupt, err)
	}
	now := p.cfg.Clock.Now()
	if err = c.EndorsedBy(service, now); err == nil {
		return nil
	}
	if last, ok := c.Succeeds(service, now); ok {
		p.mu.Lock()
		p.recovered = &join.RecoveredError{Last: last, Gone: true}
		p.mu.Unlock()
	}
	return err
}

// gone returns that members have recovered the network, once a node has shown it; nil before.
func (p *Process) gone() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recovered == nil {
		return nil
	}
	return p.recovered
}

// Run has the process answer from when it has begun. Asked is told nothing while the network has a leader.
func (p *Process) Run(r Running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = r
}

// Answer is peer.Resumption.
func (p *Process) Answer(ctx context.Context, conn *channel.Conn, ask *peer.ResumeAsk) peer.ResumeTold {
	from := MemberAt(conn.Peer())
	told, err := p.answer(from, ask, func() error { return p.check(ask.Evidence, conn) })
	if err == nil {
		told.Evidence, err = p.cfg.Evidence(ctx, conn.Binding())
	}
	if err != nil {
		p.cfg.Log.Debug("a node that resumes is refused", "node", from.Node.Short(), "error", err)
		told = peer.ResumeTold{Refused: err.Error()}
	}
	return told
}

// check checks that the far end of a connection runs code that the newest constitution lists.
func (p *Process) check(e attest.Evidence, conn *channel.Conn) error {
	claims, err := p.cfg.Verifiers.Verify(e, p.cfg.Clock.Now())
	if err != nil {
		return err
	}
	return p.cfg.Constitution.CheckEvidence(claims, conn.Peer().Key, conn.Binding())
}

func (p *Process) answer(from peer.ResumeMember, ask *peer.ResumeAsk, check func() error) (peer.ResumeTold, error) {
	if err := check(); err != nil {
		return peer.ResumeTold{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.tell()
	switch ask.Stage {
	case peer.ResumeMeet:
		if b := p.begun; b != nil && slices.Contains(b.Members, from) {
			told.Begun = own(b)
		} else if b != nil && !told.Leads && p.running.Asked != nil {
			p.running.Asked()
		}
	case peer.ResumePromise:
		if !slices.Contains(ask.Members, from) {
			return told, fmt.Errorf("%w: node %s gathers a generation that it is not of", coco.ErrInvalid, from.Node.Short())
		}
		if err := p.promise(from.Node, ask); err != nil {
			return told, err
		}
		told.View, told.Secrets, told.Offers = p.cfg.State.View, maps.Clone(p.cfg.State.Secrets), slices.Clone(p.cfg.State.Offers)
	case peer.ResumeBegin:
		if p.accepted == nil || p.accepted.ID != ask.ID || p.by != from.Node {
			return told, fmt.Errorf("%w: this node has promised to another generation since", coco.ErrBusy)
		}
		p.begin(ask)
	default:
		return told, fmt.Errorf("%w: stage %d of a resumption", coco.ErrInvalid, ask.Stage)
	}
	return told, nil
}

// own returns a generation whose secrets are the receiver's own: it is sent while the process that it came from runs on.
func own(g *peer.ResumeAsk) *peer.ResumeAsk {
	mine := *g
	mine.Secrets = maps.Clone(g.Secrets)
	return &mine
}

// tell is what every answer says. p.mu is held.
func (p *Process) tell() peer.ResumeTold {
	l := p.cfg.Ledger
	return peer.ResumeTold{
		Waits: p.begun == nil && !p.away && !p.lacking, Leads: p.begun != nil && p.running.Led != nil && p.running.Led(),
		View: p.cfg.State.View, End: l.End, Nodes: l.Nodes, All: l.All,
	}
}

// promise promises to act in a generation, and in none before it. The promise is on the disk before it is told. p.mu is held.
func (p *Process) promise(by coco.NodeID, g *peer.ResumeAsk) error {
	switch {
	case p.recovered != nil:
		return p.recovered
	case p.begun != nil || p.away || p.lacking:
		return fmt.Errorf("%w: this node has begun, asks to be admitted, or fetches a snapshot", coco.ErrBusy)
	case !slices.Contains(g.Members, p.member):
		return fmt.Errorf("%w: a generation without this process", coco.ErrInvalid)
	case g.View <= max(p.cfg.State.View, p.cfg.Ledger.End.View):
		return fmt.Errorf("%w: view %d is not after view %d, which this node has promised or seen", coco.ErrBusy, g.View, max(p.cfg.State.View, p.cfg.Ledger.End.View))
	}
	p.cfg.State.View = g.View
	if err := p.cfg.Vault.Save(context.Background(), p.cfg.State); err != nil {
		return err
	}
	p.accepted, p.by, p.at = g, by, p.cfg.Clock.Elapsed()
	return nil
}

// begin begins with what was promised. p.mu is held.
func (p *Process) begin(g *peer.ResumeAsk) {
	if p.begun != nil {
		return
	}
	g.Members, g.View = p.accepted.Members, p.accepted.View
	p.begun = g
	p.begins <- g
}

// leave has the process promise nothing from now on, unless it has promised to a generation that may still begin. It reports whether it does.
func (p *Process) leave() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = p.begun == nil && (p.accepted == nil || p.cfg.Clock.Elapsed()-p.at > 2*turn)
	return p.away
}

// back has the process promise again.
func (p *Process) back() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.accepted = false, nil
}

// Ordinary answers nodes that resume, for a node that takes part in a network and has not resumed. It tells them whether there is a leader, and is told
// if they wait while there is none.
func Ordinary(r Running, evidence func(ctx context.Context, binding []byte) (attest.Evidence, error)) peer.Resumption {
	return func(ctx context.Context, conn *channel.Conn, _ *peer.ResumeAsk) (told peer.ResumeTold) {
		var err error
		if told.Evidence, err = evidence(ctx, conn.Binding()); err != nil {
			return peer.ResumeTold{Refused: err.Error()}
		}
		if told.Leads = r.Led(); !told.Leads {
			r.Asked()
		}
		return told
	}
}

// own returns the secrets that this process brings.
func (p *Process) own() peer.ResumeTold {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := p.tell()
	told.Secrets, told.Offers = maps.Clone(p.cfg.State.Secrets), slices.Clone(p.cfg.State.Offers)
	return told
}

// Expired erases the secrets of epochs whose time is over, which a node of this process's generation that begins late would have been told.
func (p *Process) Expired(epochs []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, epoch := range epochs {
		for _, secrets := range []map[uint64]keys.Secret{p.cfg.State.Secrets, p.secrets()} {
			if _, ok := secrets[epoch]; ok {
				secrets[epoch] = keys.Secret{}
				delete(secrets, epoch)
			}
		}
	}
}

// secrets are those that this process has begun with. p.mu is held.
func (p *Process) secrets() map[uint64]keys.Secret {
	if p.begun == nil {
		return nil
	}
	return p.begun.Secrets
}

// Expired is Process.Expired, for a node that has resumed; it does nothing for nil.
func (n *Node) Expired(epochs []uint64) {
	if n != nil {
		n.Process.Expired(epochs)
	}
}
