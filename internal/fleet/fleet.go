// Package fleet is the nodes of one network as one http.RoundTripper, for tools that run for long beside a user: it verifies nodes, follows the leader,
// goes on at another node when one is lost, and follows the constitution as members change it.
//
//	request ─ RoundTrip ─▶ home: the leader, or else a node that serves
//	              │ lost, or 503                     ▲ every 2 s: status of home; where that fails, of all nodes
//	              └─ another home; again if that is safe (again.go)
//
// All requests go to one node, home, so a program that writes and then reads sees what it wrote. The first answer of another home is asked to hold all that
// was committed before (X-Coco-Consistency), so no answer is older than one that was given before.
//
// What nodes must prove is [Terms]: the part of a constitution that matters here. The first ones are those that a person approved. A node that has proven
// code of the terms in force, and that the known service has endorsed, is believed when it says that members have decided on a later version; [Config.Accept] is asked,
// and all nodes are verified anew by the new terms. So the terms follow a chain of votes, each link of which was told by code that the link before it listed.
//
// Trust: host
package fleet

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
)

// Terms are what a constitution asks of nodes.
type Terms struct {
	Digest  coco.Digest
	Version uint64
	Code    []coco.Measurement
	TEE     map[string]string
	Page    []byte // TOML
}

// Config says which network it is, and who asks.
type Config struct {
	// Nodes are the host:port of nodes to begin with; at least one. The network's other nodes are asked for.
	Nodes []string
	// Client is how each node is reached; its Addr and the Code, TEE and Constitution of its policy are set here.
	Client client.Config
	// Alone: the nodes are not asked for the network's others, and the leader is not looked for, as where something in front of the nodes chooses one.
	Alone bool
	// Terms are those that were approved.
	Terms Terms
	// Read parses the page of a constitution.
	Read func(page []byte) (Terms, error)
	// Accept is asked before the terms change; node is the address of the one that says so. An error ends the fleet: every later request fails with it.
	Accept func(from, to Terms, node string) error
	// Service is asked for the known service certificate when a node shows a service that follows the one known so far. Nil: that never changes.
	Service func() (*x509.Certificate, error)
	// Moved is told, by one goroutine at a time, that requests go to another node from now on. Nil: nobody is told.
	Moved func(Home)
	// Patience bounds how long a request is tried at nodes that do not serve it; 15 s if it is zero.
	Patience time.Duration
	Log      *slog.Logger
}

// Home is the node that answers.
type Home struct {
	Address string
	Node    coco.NodeID
	Leader  bool
}

func (c *Config) validate() error {
	if len(c.Nodes) == 0 || c.Read == nil || c.Accept == nil || len(c.Terms.Code) == 0 {
		return fmt.Errorf("%w: a fleet needs a node, the terms that were approved, and who reads and accepts others", coco.ErrInvalid)
	}
	if c.Patience == 0 {
		c.Patience = 15 * time.Second
	}
	if c.Moved == nil {
		c.Moved = func(Home) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Fleet is an http.RoundTripper over verified connections. It is safe for concurrent use.
type Fleet struct {
	cfg Config

	choosing sync.Mutex // one goroutine at a time looks for a home; it also guards what follows it
	policy   client.Policy
	terms    Terms

	mu      sync.Mutex
	nodes   []*node // those of Config.Nodes first
	home    *node
	stopped error
	// residents are the nodes that have answered for rows which nodes of their audience alone have, by the audience.
	residents map[string]*node
	filters   filters
}

// New returns a fleet that knows its terms. It does not connect yet.
func New(cfg Config) (*Fleet, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	f := &Fleet{cfg: cfg, policy: cfg.Client.Policy, terms: cfg.Terms}
	f.setTerms(cfg.Terms)
	for _, address := range cfg.Nodes {
		if err := f.add(address, coco.NodeID{}); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// setTerms is called under choosing, or before anybody else knows the fleet.
func (f *Fleet) setTerms(t Terms) {
	f.terms = t
	f.policy.Code, f.policy.TEE, f.policy.Constitution = t.Code, t.TEE, coco.Digest{}
}

// add makes a node known, once. A node without an id is one that Config names.
func (f *Fleet) add(address string, id coco.NodeID) error {
	f.mu.Lock()
	known := slices.ContainsFunc(f.nodes, func(n *node) bool { return n.address == address })
	f.mu.Unlock()
	if known {
		return nil
	}
	cfg := f.cfg.Client
	cfg.Addr, cfg.Policy = address, f.policy
	c, err := client.New(cfg)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = append(f.nodes, &node{address: address, named: id == coco.NodeID{}, c: c, id: id})
	return nil
}

// Start finds a home, and says why not if there is none.
func (f *Fleet) Start(ctx context.Context) (Home, error) {
	n, err := f.choose(ctx)
	if err != nil {
		return Home{}, err
	}
	n.current.Store(true) // nothing was answered before
	if f.cfg.Alone {
		return n.said(), nil
	}
	f.choosing.Lock()
	defer f.choosing.Unlock()
	if err := f.list(ctx, n); err != nil { // it is asked again later
		f.cfg.Log.Warn("asking for the network's nodes", "node", n.address, "error", err)
	}
	return n.said(), nil
}

// Run follows the network until ctx is done.
func (f *Fleet) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for round := 1; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := f.follow(ctx, round%listEvery == 0); err != nil && ctx.Err() == nil {
			f.cfg.Log.Debug("following the network", "error", err)
		}
	}
}

// Terms returns those in force.
func (f *Fleet) Terms() Terms {
	f.choosing.Lock()
	defer f.choosing.Unlock()
	return f.terms
}

// Close drops the idle connections.
func (f *Fleet) Close() {
	for _, n := range f.known() {
		n.c.Close()
	}
}

func (f *Fleet) known() []*node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.nodes)
}

// halt ends the fleet: nothing is sent any more.
func (f *Fleet) halt(err error) error {
	f.mu.Lock()
	f.stopped = err
	f.mu.Unlock()
	f.Close()
	return err
}

// RoundTrip implements http.RoundTripper. A request whose body can be had again (GetBody) is sent to another node when one is lost, as long as that is
// safe; see [Again]. The error is coco.ErrUnknown if the request may have taken effect, and coco.ErrUnreachable or coco.ErrVerify if it
// certainly has not.
func (f *Fleet) RoundTrip(req *http.Request) (*http.Response, error) {
	a, err := newAttempt(req)
	if err != nil {
		return nil, err
	}
	a.alone = f.cfg.Alone
	until := time.Now().Add(f.cfg.Patience)
	var failed error
	for tries := 0; ; tries++ {
		ctx, cancel := context.WithDeadline(req.Context(), until)
		n, err := f.nodeFor(ctx, a)
		cancel()
		if err != nil {
			return a.end(errors.Join(err, failed))
		}
		resp, err := n.c.Transport().RoundTrip(a.request(n))
		if err == nil && f.misdirected(a, resp) {
			if len(a.elsewhere) == 0 {
				return a.end(nil)
			}
			continue
		}
		if err == nil && !a.refused(resp) {
			f.answered(n, a, resp)
			return resp, nil
		}
		if err == nil {
			n.rest(retryAfter(resp))
		} else {
			n.rest(time.Second)
			f.cfg.Log.Debug("request failed", "node", n.address, "error", err)
		}
		if failed = err; tries == 0 { // an answer may take as long as it likes
			until = time.Now().Add(f.cfg.Patience)
		}
		if !a.again(err) || req.Context().Err() != nil {
			return a.end(err)
		}
		f.left(n)
	}
}
