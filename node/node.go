// Package node composes a validating node out of store, ledger, consensus, constitution, adapters
// and gateway, and runs its life: start a network, join one, or recover one from its ledger.
//
// # A life
//
//	starting ──▶ joining ──▶ serving ──▶ retired    consensus does without it, for good
//	 found        │           │             ▲
//	 join         └───────────┴──▶ leaving ─┘       told to end: hands over leadership, finishes what is under way
//	 recover
//
//	joining: takes part in consensus, applies what is committed until it is trusted
//	serving: clients, certificates, epochs, snapshots, the past
//
// The stages are a type (stage.go). While a life starts there is no node: what it finds out, in one of three ways
// (package beginning), is what a whole node is made of (node.go). One that leaves or is retired ends (leave.go, retire.go), and so does
// one on which the network went on (package leftbehind, comeback.go). Run (run.go) goes through lives, each under a key of its own: a life that
// ends because its ledger is damaged, or because it was left behind, is followed by another one.
//
// The work is done by packages that know no node: beginning, replica (from log to state), peer, join, catchup, history, snapshotter,
// renew, epochs, ceremonies and gateway. This one gives them each other as functions, and looks after what is the node's own:
//
//	connect.go   what nodes ask of the leader
//	decided.go   what members decided takes effect
//	facts.go     what clients are told
//	govern.go    what members are told and send
//
// # What a crash leaves
//
// A node's key, and with it its vote, lives as long as its process. A restarted node joins as a
// new one, in its predecessor's place, with the ledger that it finds on its disk; what the network
// did not commit of it is overwritten, and every batch is checked as it is applied. So a host that
// shows an old or altered disk can delay a node but cannot make it forget a promise.
//
// Trust: enclave
package node

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/beginning"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/ceremonies"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/epochs"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/grants"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/internal/intake"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/signal"
	"github.com/cocoframework/coco/internal/slots"
	"github.com/cocoframework/coco/internal/trail"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/leftbehind"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/renew"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/resume"
	"github.com/cocoframework/coco/retention"
	"github.com/cocoframework/coco/retire"
	"github.com/cocoframework/coco/snapshotter"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/upgrade"
)

// Dir, HistoryDir and SnapshotDir are the folders of the ledger, of the index of its past, and of snapshots, on a node's disk.
const (
	Dir         = "ledger"
	HistoryDir  = "history"
	SnapshotDir = "snapshots"
)

// node is one life of a validating node, under one key, from when it joins.
type node struct {
	cfg      Config
	log      *slog.Logger
	self     *join.Attestor // the identity, and what proves it
	network  join.Network   // when this node became part of it; see current
	progress *progress

	state        state
	decided      decided
	certificates *renew.Certificates
	replica      *replica.Replica
	snapshots    snapshots
	drivers
	links      links
	gateways   gateways
	watch      *leftbehind.Watch
	retirement *retire.Retirement
}

// drivers are what makes keys with the other nodes, and keeps them.
type drivers struct {
	epochs     *epochs.Driver
	ceremonies *ceremonies.Driver
	grants     *grants.Driver
	retention  *retention.Keys
	resumed    beginning.Resumed
	keeper     *resume.Keeper
}

// runOnce runs one life. Other nodes that connect are hung up on while it starts.
func runOnce(told context.Context, cfg Config, at listeners, ready func(Info)) error {
	own := cfg.ownLedger()
	if err := own.Open(); err != nil {
		return err
	}
	defer own.Close()
	self, err := beginning.NewAttestor(told, cfg.beginning())
	if err != nil {
		return err
	}
	log := cfg.Log.With("id", self.Identity.ID().Short())
	peers := peer.New(log, cfg.Host.Clock)
	life, end := context.WithCancel(context.WithoutCancel(told)) // outlives told by what it takes to leave
	defer end()
	g, ctx := errgroup.WithContext(life)
	g.Go(func() error { return peers.Serve(ctx, at.peer) })
	var n *node
	g.Go(func() error {
		s, err := prepareUntil(told, ctx, cfg, self, &own, newLocal(cfg, log, own.Files), peers)
		if err != nil {
			return err
		}
		if n, err = newNode(ctx, cfg, s, peers); err != nil {
			return err
		}
		n.open(ctx)
		g.Go(func() error {
			defer end()
			select {
			case <-told.Done():
			case <-n.retirement.Done():
			case <-ctx.Done():
				return nil
			}
			n.leave(ctx)
			return nil
		})
		return n.live(ctx, g, s, at, ready)
	})
	err = g.Wait()
	peers.Wait()
	if n != nil {
		n.state.close(log)
	}
	return err
}

// prepareUntil is beginning.Prepare until either context ends.
func prepareUntil(told, ctx context.Context, cfg Config, self *join.Attestor, own *join.OwnLedger, local catchup.Local, peers *peer.Transport) (*beginning.Start, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(told, cancel)()
	return beginning.Prepare(ctx, cfg.beginning(), self, own, local, peers)
}

// open lets this node and the others connect.
func (n *node) open(ctx context.Context) {
	n.progress.enter(joining)
	voters := []balance.Seat{} // whose they are, the committed tables will say
	for id := range n.network.Nodes {
		voters = append(voters, balance.Seat{Node: id, Free: true})
	}
	n.replica.Trust(voters)
	n.links.peers.Open(ctx, n.connections(), n.network.Nodes)
}

// live starts the goroutines of the node's work as it goes from stage to stage.
func (n *node) live(ctx context.Context, g *errgroup.Group, s *beginning.Start, at listeners, ready func(Info)) error {
	g.Go(func() error { return n.replica.Run(ctx) })
	g.Go(func() error { return n.epochs.RunReceived(ctx) })
	g.Go(func() error { return n.state.history.Run(ctx) })
	g.Go(func() error { return n.snapshots.writer.Run(ctx) })
	n.gateways.serve(ctx, g, at)
	if err := s.Begin(ctx, beginning.Running{Replica: n.replica, Ledgers: n.state.ledgers, Network: n.current}); err != nil {
		return err
	}
	g.Go(func() error { return n.watch.Run(ctx, n.comeBack, n.leftBehind) })
	if n.resumed.Begun != nil {
		g.Go(func() error { return n.reopen(ctx) })
	}
	select {
	case <-ctx.Done():
		return nil
	case <-n.replica.Reached(n.network.Seqno):
	}
	closed := n.closed()
	if !closed {
		if err := n.serve(); err != nil {
			return err
		}
	}
	if !n.progress.enter(serving) {
		return nil // it was told to end meanwhile
	}
	g.Go(func() error {
		return n.state.disk.Backfill(ctx, func() { n.replica.LedgerGrew(n.state.disk.Ledger.First()) })
	})
	g.Go(func() error { return n.state.scrub.Run(ctx) })
	g.Go(func() error { return n.state.residents.Run(ctx) })
	r := renew.Renewal{
		Certificates: n.certificates, Log: n.log, Clock: n.cfg.Host.Clock, Store: n.state.store, Replica: n.replica, Ask: n.links.forwarder.AskOnce,
	}
	g.Go(func() error { return r.Run(ctx) })
	g.Go(func() error { return n.epochs.Run(ctx, n.expire, n.retention.Expire) })
	g.Go(func() error { return n.ceremonies.Run(ctx) })
	g.Go(func() error { return n.grants.Run(ctx) })
	g.Go(func() error { return n.keep(ctx) })
	g.Go(func() error {
		n.retirement.Run(ctx, func() { n.progress.enter(retired) })
		return nil
	})
	info := Info{
		ID: n.self.Identity.ID(), PeerAddress: n.self.PeerAddress, ClientAddress: n.self.ClientAddress, AdminAddress: n.cfg.AdminListen,
		Service: n.certificates.OfService().Raw, Constitution: n.decided.constitution.Load().Digest(),
	}
	if n.cfg.Recover != nil {
		info.Lacking = n.state.residents.Lacks()
	}
	if !closed {
		ready(info)
		return nil
	}
	if r := n.cfg.Recover; r != nil && r.Closed != nil {
		r.Closed()
	}
	n.log.Warn("the network is closed: members vote to open it", logevent.NetworkClosed.Attr())
	g.Go(func() error {
		if !n.awaitOpen(ctx) {
			return nil
		}
		if err := n.serve(); err != nil {
			return err
		}
		n.log.Info("members have opened the network")
		ready(info)
		return nil
	})
	return nil
}

// newNode makes a node that is whole, though nothing of it runs yet.
func newNode(ctx context.Context, cfg Config, s *beginning.Start, peers *peer.Transport) (_ *node, err error) {
	id, c, clock := s.Self.Identity, s.Network.Constitution, cfg.Host.Clock
	n := &node{
		cfg: cfg, log: s.Log, self: s.Self, network: s.Network, progress: &progress{log: s.Log},
		state: state{
			store: store.New(), disk: s.Local, keys: s.Keys, inForce: maps.Clone(c.AdapterDigests()),
		},
		decided:      decided{changed: signal.New()},
		drivers:      drivers{resumed: s.Resumed},
		certificates: renew.New(id, s.Network.Service),
		snapshots:    snapshots{pace: snapshotter.NewPace(c, s.Network.Seqno)},
		links:        links{ctx: ctx, peers: peers, trail: trail.NewSource(s.Self.Identity.ID()), statements: intake.New(peer.SubmitPatience, clock.Elapsed), past: slots.New(history.Readers(), 8192, clock.Elapsed), programs: upgrade.New(id.ID())},
	}
	n.decided.constitution.Store(c)
	n.retention = n.retained()
	n.state.history = history.New(history.Config{
		Disk: n.cfg.Host.Disk, Dir: HistoryDir, Ledger: n.state.disk.Ledger, Keys: n.retention.Of, Ahead: n.retention.Ahead, Current: n.state.keys.Current, Terms: adapter.TermsOf(n.cfg.Adapters), Clock: clock, Log: n.log,
	})
	n.decided.directory.Store(newDirectory(s.Network.Nodes, nil))
	nodes := func() map[coco.NodeID]string { return n.decided.directory.Load().addresses }
	n.state.disk.Fetcher = &peer.Fetcher{Clock: clock, Dialer: n.dialer(), Leader: n.leader, Nodes: nodes}
	n.state.scrub = &catchup.Scrubber{Local: &n.state.disk, Committed: func() uint64 { return n.replica.Applied() }}
	n.links.forwarder = n.newForwarder(c.Limits)
	defer func() {
		if err != nil {
			n.state.close(s.Log)
		}
	}()
	if n.state.residents, err = n.newExchange(); err != nil {
		return nil, err
	}
	if err := n.openLedgers(ctx, s.Basis); err != nil {
		return nil, err
	}
	if n.replica, err = n.newReplica(s); err != nil {
		return nil, err
	}
	n.epochs = &epochs.Driver{
		Log: n.log, Clock: clock, Store: n.state.store, Keys: n.state.keys, Replica: n.replica,
		Leader: n.leader, Nodes: nodes, Send: peers.Send, Machine: rotation.New(id.ID(), s.Keys),
		Length:    func() constitution.Epochs { return n.decided.constitution.Load().Epochs },
		Keep:      func(s *rotation.Secret) error { return n.keeper.Offer(ctx, s) },
		OpenAgain: n.retention.Again,
	}
	n.ceremonies = ceremonies.New(ceremonies.Config{
		Log: n.log, Clock: clock, Store: n.state.store, Replica: n.replica, Self: id.ID(), Leader: n.leader, Send: peers.Send,
		Ask: n.links.forwarder.AskOnce, Announce: n.epochs.AnnounceIn, Secrets: n.state.keys.All,
		Held: n.state.keys.Holds, Opened: n.retention.Opened,
	}, s.Network.Seqno)
	n.grants = grants.New(grants.Config{
		Log: n.log, Clock: clock, Store: n.state.store, Self: id.ID(), Since: s.Network.Seqno, Now: n.replica.Now, Leads: n.replica.Leads,
		Do: n.replica.Do, Ask: n.links.forwarder.AskOnce, Give: n.ceremonies.Give,
		Open: n.retention.SecretAhead,
	})
	n.keepResumed()
	g := &n.decided.growth
	g.Log, g.Clock, g.State, g.View = n.log, clock, n.state.store.Snapshot, func() uint64 { return n.replica.State().View }
	n.retirement = retire.New(retire.Config{
		Seat: n.seat(), Joined: n.progress.joined, Ending: func() bool { return n.progress.stage().ending() },
		Ask: n.links.forwarder.AskOnce, Silence: leftbehind.Silence,
	})
	n.watch = leftbehind.New(leftbehind.Config{
		Log: n.log, Clock: clock, Led: func() bool { return n.replica.State().Leader != 0 }, Retiring: n.retirement.Asked, Resumes: n.keeper.Kept,
	})
	n.snapshots.writer = snapshotter.NewWriter(snapshotter.Config{
		Log: n.log, Clock: clock, Disk: n.cfg.Host.Disk, Dir: SnapshotDir, Store: n.state.store, Pace: n.snapshots.pace,
		NetworkID: n.networkID(), Origin: n.network.Origin, Secret: n.state.keys.Secret,
		Members: n.replica.MembersAt, Leads: n.replica.Leads, Ready: n.progress.joined,
		Commit: n.replica.Do, Receipt: n.receiptOf,
	})
	if n.gateways, err = n.newGateways(); err != nil {
		return nil, err
	}
	return n, nil
}

// newReplica makes what turns the log into state, on the ledgers that are open.
func (n *node) newReplica(s *beginning.Start) (*replica.Replica, error) {
	id, c := s.Self.Identity, s.Network.Constitution
	return replica.New(replica.Config{
		Log: n.log, Clock: n.cfg.Host.Clock, Self: id.ID(), Signer: id.Signer(), Keys: n.state.keys, Store: n.state.store,
		Ledgers: n.state.ledgers, History: n.state.history, Disk: n.state.disk.Ledger, Durable: c.Consensus.Durability != constitution.DurableMemory, Machine: s.Machine,
		Rules: replica.Rules{Limits: limitsOf(c), Trusted: true, Alone: n.cfg.Genesis != nil}, Time: s.Time(), Opening: s.Resumed.View(), MaxBatch: maxBatch,
		QueueCalls: c.Limits.Queue, QueueBytes: queueBytes(c.Limits), Network: n.links.peers, Start: batchOf(s.Basis),
		Hooks: replica.Hooks{
			Opens: func(public [][]byte) error { return n.epochs.Opens(public) },
			Rules: n.rules, Committed: n.committed, MembersChanged: n.followDecisions, LackSecret: func(epoch uint64) bool {
				n.watch.Lacks()
				return n.epochs.LackSecret(epoch)
			},
			LeftBehind: func(why string) error { return n.leftBehind(why) },
		},
	})
}

// maxBatch is how many bytes a sealed batch can have: it travels in one frame, with what consensus adds.
const maxBatch = channel.DefaultMaxFrame - 1<<20

// queueBytes is how many bytes of payloads may wait on a node: sixteen batches of the largest size, and at
// least four of the largest requests.
func queueBytes(l constitution.Limits) int { return max(16*l.BatchBytes, 4*l.BodyBytes) }

// serve opens the adapters' endpoints, once their state is there.
func (n *node) serve() error {
	var endpoints []adapter.Endpoint
	for _, l := range n.state.ledgers {
		endpoints = append(endpoints, l.Ledger.Endpoints()...)
	}
	err := n.gateways.client.Mount(int64(n.decided.constitution.Load().Limits.BodyBytes), endpoints...)
	n.gateways.client.SetMaxBody(int64(n.decided.constitution.Load().Limits.BodyBytes)) // it may have changed meanwhile
	return err
}

// openLedgers makes the tables, fills them from a snapshot if there is one, and opens the adapters on them.
func (n *node) openLedgers(ctx context.Context, b *catchup.Basis) error {
	c := n.decided.constitution.Load()
	if _, err := n.state.store.Scope("coco", table.All()...); err != nil {
		return err
	}
	scopes := map[string]*store.Scope{}
	for _, a := range n.cfg.Adapters {
		if m := a.Manifest(); c.Settings(m.Name) != nil {
			scope, err := n.state.store.Scope(m.Name, m.Tables...)
			if err != nil {
				return err
			}
			scopes[m.Name] = scope
		}
	}
	if b == nil {
		n.state.history.Start(history.Position{})
	} else if err := n.restore(ctx, b); err != nil {
		return err
	}
	for _, a := range n.cfg.Adapters {
		m := a.Manifest()
		settings := c.Settings(m.Name)
		if settings == nil {
			continue // the constitution does not ask for it
		}
		scope := scopes[m.Name]
		l, err := a.Open(adapter.Env{
			Search: adapter.OwnSearch(a, scope, n.search), Panics: n.links.peers.Panics,
			Settings: settings, Insecure: c.Network.Insecure, Notices: networkNotices(c), State: scope, Past: adapter.OwnPast(scope, n.past), PastFor: adapter.OwnPastFor(scope, n.past), Receipt: n.Receipt, Fresh: n.fresh, Lost: n.lost, Status: n.status, Clock: ledgerClock{n.cfg.Host.Clock, n}, Log: n.log.With("ledger", m.Name),
			Wake: func() { n.replica.Wake() }, Actor: func(name string) (coco.ActorID, bool) { return n.decided.constitution.Load().Actor(name) },
			PastTurn: func(ctx context.Context, by coco.Caller) (func(), error) { return n.links.past.Enter(ctx, by.Actor) },
			Network:  n.networkID(), Origin: func(o string) (uint64, bool) { return n.decided.constitution.Load().Access.Since(o) }, Submit: func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
				return n.links.forwarder.Submit(ctx, m.Name, calls)
			},
		})
		if err != nil {
			return fmt.Errorf("open ledger %q: %w", m.Name, err)
		}
		n.reside(l)
		n.state.ledgers = append(n.state.ledgers, replica.Ledger{Name: m.Name, Scope: scope, Ledger: l})
	}
	for name := range c.Adapters {
		if n.state.ledger(name) == nil {
			return fmt.Errorf("%w: the constitution asks for ledger %q, which this binary does not have", coco.ErrInvalid, name)
		}
	}
	return nil
}

// setNodes makes directory, connections and consensus follow the list of trusted nodes.
func (n *node) setNodes(addresses, leaving map[coco.NodeID]string, voters []balance.Seat) {
	d := newDirectory(addresses, leaving)
	d.voters = voters
	n.decided.directory.Store(d)
	all := maps.Clone(addresses)
	maps.Copy(all, leaving)
	n.links.peers.Follow(n.links.ctx, all)
	n.links.programs.Follow(addresses)
	n.replica.Trust(voters)
}

// retained makes the epochs' keys that this node has, or can have again. The replica and the ceremonies are made after it.
func (n *node) retained() *retention.Keys {
	return retention.New(retention.Config{
		Log: n.log, Clock: n.cfg.Host.Clock, Disk: n.cfg.Host.Disk, Snapshots: SnapshotDir, Ring: n.state.keys, Store: n.state.store, Most: seats.MaxAhead,
		Keep: func() time.Duration { return n.decided.constitution.Load().Keys.Retention() }, Now: func() time.Time { return n.replica.Now() }, Leads: func() bool { return n.replica.Leads() },
		Open:    func(epoch uint64, ahead ...uint64) error { return n.ceremonies.Open(epoch, ahead...) },
		Ended:   func(r store.Reader) func(uint64) (time.Time, bool) { return n.ceremonies.Ended(r) },
		Expired: func(epochs []uint64) { n.state.history.Expired(epochs); n.resumed.Node.Expired(epochs) }, Woken: func() { n.state.history.Wake() },
		Snapshot: func(ctx context.Context) error { _, err := n.replica.Do(ctx, requestSnapshot); return err },
	})
}
