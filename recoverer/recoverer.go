// Package recoverer is the state of a node that recovers its network: it collects what members release, until the ledger opens.
//
//	verifying ──▶ collecting ──▶ opening ──▶ (a node, package node)
//	 the ledger,     members        replays the
//	 without keys    release        ledger
//
// It answers over TLS that ends inside the enclave, to anybody:
//
//	GET  /node/evidence        that the connection ends in attested code
//	GET  /recovery             the state: where the ledger ends, who has released, how many remain
//	GET  /recovery/request     what a member needs for its release, with evidence that the key to release to is this enclave's
//	POST /recovery/releases    a release; one that is wrong is named, and changes nothing
//
// No caller is identified: a release proves itself, and is of use to this enclave alone. What else is told is public, as the ledger is. Strangers share what there is:
// connections, quotes and checks of releases at a time are bounded, and whoever has most connections loses one.
//
// Trust: enclave
package recoverer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/crowd"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/wire"
)

// Config is what a recoverer needs.
type Config struct {
	Quoter host.Quoter
	Log    *slog.Logger
	Keep   *Keep // nil: a node that is started again asks members again
	// Collected, if set, is told each time that a member has released its part. It MUST NOT wait.
	Collected func(wire.Recovery)
}

// Recoverer is the state of one recovery. It is safe for concurrent use.
type Recoverer struct {
	cfg      Config
	identity *channel.Identity
	posts    chan struct{} // a token for each release that is being checked
	quotes   chan struct{} // a token for each quote that is being made for a stranger

	mu          sync.Mutex
	state       wire.Recovery              // under mu; what does not follow from round
	constituted *constitution.Constitution // under mu
	round       *recovery.Round            // under mu; nil unless releases are being collected
	evidence    attest.Evidence            // under mu; of round's request
}

// maxPosts is how many releases are checked at a time, and maxQuotes how many quotes are made for those who ask for evidence: a TEE's device makes few in a second.
const (
	maxPosts  = 4
	maxQuotes = 4
)

// New returns a recoverer, in the state verifying.
func New(cfg Config) (*Recoverer, error) {
	id, err := channel.NewIdentity(false) // its certificate says nothing; evidence does
	if err != nil {
		return nil, err
	}
	r := &Recoverer{cfg: cfg, identity: id, posts: make(chan struct{}, maxPosts), quotes: make(chan struct{}, maxQuotes)}
	r.state = wire.Recovery{State: wire.RecoveryVerifying, Members: []wire.RecoveryMember{}}
	return r, nil
}

// Verified tells how many bytes of how many of the ledger are verified.
func (r *Recoverer) Verified(done, total int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Verified, r.state.Bytes = done, total
}

// Ends tells where the ledger ends, under which constitution, and up to which transaction a snapshot stood for the audit of each entry; zero for none.
func (r *Recoverer) Ends(p recovery.Point, c *constitution.Constitution, snapshot coco.TxID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.state
	s.Last, s.Snapshot, s.Time, s.Root, s.Point, s.Network = p.Last(), snapshot, p.Time, p.Root, p.Digest(), c.Network.Name
	s.Constitution, s.Rules, s.Insecure, s.Verified = c.Digest(), c.Rules, c.Network.Insecure, s.Bytes
	r.constituted = c
}

// Collect collects releases of a round's lock until there are enough, or ctx ends. It calls begun once it does, and enough when there are.
func (r *Recoverer) Collect(ctx context.Context, round *recovery.Round, begun, enough func()) error {
	rq := round.Request()
	digest := rq.Digest()
	r.again(round)
	ev, err := attest.Quote(ctx, r.cfg.Quoter, recovery.Purpose, rq.Key, digest[:])
	if err != nil {
		return fmt.Errorf("evidence for those who release: %w", err)
	}
	r.mu.Lock()
	r.round, r.evidence, r.state.State = round, ev, wire.RecoveryCollecting
	r.mu.Unlock()
	begun()
	select {
	case <-round.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	r.state = r.current()
	r.round, r.state.State = nil, wire.RecoveryOpening
	r.mu.Unlock()
	enough()
	return nil
}

// State returns the state of the recovery.
func (r *Recoverer) State() wire.Recovery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current()
}

// current needs mu.
func (r *Recoverer) current() wire.Recovery {
	s := r.state
	if r.round == nil {
		return s
	}
	s.Lock, s.Threshold, s.Remaining, s.Resume = r.round.Lock().String(), r.round.Lock().Threshold(), r.round.Missing(), r.round.Request().Resume
	if s.Remaining == 0 {
		s.State = wire.RecoveryOpening
	}
	s.Members = []wire.RecoveryMember{}
	for _, h := range r.round.Holders() {
		m := wire.RecoveryMember{ID: h.Actor, Name: r.constituted.Name(h.Actor), Released: h.Released}
		if h.Fault != nil {
			m.Fault = named(h.Fault, r.constituted).Error()
		}
		s.Members = append(s.Members, m)
	}
	slices.SortFunc(s.Members, func(a, b wire.RecoveryMember) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// request returns what a member needs for its release. The error is coco.ErrBusy if nothing is being collected.
func (r *Recoverer) request() (out wire.RecoveryRequest, err error) {
	r.mu.Lock()
	round, ev := r.round, r.evidence
	r.mu.Unlock()
	if round == nil {
		return out, r.notCollecting()
	}
	out = wire.RecoveryRequest{Platform: ev.Platform, Quote: ev.Quote}
	if out.Request, err = round.Request().Marshal(); err == nil {
		out.Lock, err = round.Lock().Marshal()
	}
	return out, err
}

func (r *Recoverer) notCollecting() error {
	if r.State().State == wire.RecoveryVerifying {
		return fmt.Errorf("%w: the ledger is being verified: ask again", coco.ErrBusy)
	}
	return fmt.Errorf("%w: a threshold of members has released: nothing more is needed", coco.ErrInvalid)
}

// submit takes one release.
func (r *Recoverer) submit(ctx context.Context, body wire.RecoveryRelease) (wire.Recovery, error) {
	select {
	case r.posts <- struct{}{}:
		defer func() { <-r.posts }()
	case <-ctx.Done():
		return wire.Recovery{}, ctx.Err()
	}
	in, err := recovery.ParseRelease(body.Release)
	if err != nil {
		return wire.Recovery{}, err
	}
	r.mu.Lock()
	round, c := r.round, r.constituted
	r.mu.Unlock()
	if round == nil {
		return wire.Recovery{}, r.notCollecting()
	}
	if err := round.Submit(in); err != nil {
		r.cfg.Log.Warn("what somebody brought in a member's name is no release of it", "actor", in.Actor.Short(), "lock", round.Lock().String(), "error", err)
		return wire.Recovery{}, named(err, c)
	}
	r.keep(in)
	s := r.State()
	r.cfg.Log.Info("a member has released its part", "actor", in.Actor.Short(), "lock", round.Lock().String(), "remaining", s.Remaining)
	if r.cfg.Collected != nil {
		r.cfg.Collected(s)
	}
	return s, nil
}

// named gives a fault the name that its member has in the constitution.
func named(err error, c *constitution.Constitution) error {
	if fault, ok := errors.AsType[*recovery.Fault](err); ok {
		return &recovery.Fault{Actor: fault.Actor, Name: c.Name(fault.Actor), Lock: fault.Lock, Reason: fault.Reason}
	}
	return err
}

// prove returns evidence that connections end in this enclave. The error is coco.ErrBusy if too many ask for it.
func (r *Recoverer) prove(ctx context.Context, nonce []byte) (attest.Evidence, error) {
	select {
	case r.quotes <- struct{}{}:
		defer func() { <-r.quotes }()
	default:
		return attest.Evidence{}, fmt.Errorf("%w: too many clients ask for evidence at a time", coco.ErrBusy)
	}
	return attest.Quote(ctx, r.cfg.Quoter, contextClient, r.identity.PublicKey(), nonce)
}

// Bounds of strangers. There is one request at a time on a connection.
const (
	maxConns  = 256
	maxBody   = 64 << 10
	patience  = 30 * time.Second
	maxHeader = 16 << 10
)

// Serve answers at a listener until ctx ends.
func (r *Recoverer) Serve(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler: r.routes(), ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	config := channel.ClientServerConfig(r.identity, nil)
	config.NextProtos = []string{"http/1.1"} // by HTTP/2 a connection has hundreds of requests at a time
	err := server.Serve(tls.NewListener(&bounded{ln, crowd.New(maxConns)}, config))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
