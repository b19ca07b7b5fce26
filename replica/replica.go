// Package replica turns the replicated log into state, and on the leader calls into the log. It knows neither what
// members govern nor how clients and nodes are reached.
//
// # Goroutines
//
// Three goroutines do the work, each the owner of its state, and hand it on by mailboxes:
//
//	calls ──▶ executor ──▶ loop ──▶ writer        executor: the store (execute, seal, apply)
//	             ▲         │  ▲        │          loop:     consensus
//	             └─────────┘  └────────┘          writer:   the ledger's files
//	                          ▲  │
//	                     peers │  ▼ peers
//
// The loop gives the executor a permit for one slot of the log. The executor fills the slot with a sealed batch. The loop
// proposes the batch, and the writer makes it durable while the peers receive it. Once a majority has it, the executor
// applies it as committed and answers the calls that wait for it.
//
// # Invariants
//
//   - The head of the executor's state is what is applied plus its sealed batches, in order. A batch is sealed on top of the
//     head, so its previous-entry digest, its Merkle root and its seqnos follow from what comes before.
//   - A committed entry either is the first sealed batch (same view, same index), or proves that
//     no sealed batch will ever be committed. In the latter case the store is rolled back to what is applied.
//   - A slot is given out once in a view. A slot whose permit comes back unused may be given again.
//   - An entry is acknowledged to the leader only after it is on this node's disk (Config.Durable).
//
// # What a crash leaves
//
// The ledger's files, up to the last sync or beyond. The network decides how much of it was committed. A restarted node
// replays it, or begins with a snapshot, and every batch is checked as it is applied.
//
// Trust: enclave
package replica

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/consensus/reconfig"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/pulse"
	"github.com/cocoframework/coco/store"
)

// Config is what a replica is made of.
type Config struct {
	Log     *slog.Logger
	Clock   host.Clock
	Self    coco.NodeID
	Signer  crypto.Signer // signs what this node seals
	Keys    Keys
	Store   *store.Store // with the tables of all ledgers, as of Start
	Ledgers []Ledger     // in the order of the binary's list
	History *history.Index
	Disk    *ledger.Log
	Durable bool // acknowledge only what is on the disk
	// Machine is how consensus begins. The replica sets Self, Log and the ticks.
	Machine raft.Config
	Rules   Rules // until the network's own tables are written
	// MaxBatch is how many bytes a sealed batch can have: it travels in one frame, with what consensus adds.
	MaxBatch int
	// QueueCalls and QueueBytes bound what waits for execution.
	QueueCalls, QueueBytes int
	Network                Network
	Hooks                  Hooks
	// Start is the batch whose state Store holds; the zero one for an empty store.
	Start Batch
	// Time is the time of day, in milliseconds since 1970, that the members say in a recovery; 0 if they say none.
	Time uint64
	// Opening is the least view in which the nodes of a network act that go on together after all of them have stopped; 0 in any other life. Until a batch
	// of such a view is committed, nothing is sealed but the transaction that Open is given.
	Opening uint64
}

// Keys are the epochs' keys that this node holds.
type Keys interface {
	// Current returns the epoch that new batches are sealed under, and its keys.
	Current() (uint64, *batch.Keys)
	// Of fails with coco.ErrNotFound if this node does not hold the epoch's secret.
	Of(epoch uint64) (*batch.Keys, error)
	// Use seals new batches under an epoch from now on, unless a later one is in use.
	Use(epoch uint64) bool
}

// Network carries messages to the other nodes. Its methods MUST NOT wait.
type Network interface {
	SendConsensus(consensus.Message)
	Connected(consensus.ID) bool
	// SendBehind tells a node to join again: this leader's ledger begins after the entries that the node needs next.
	SendBehind(consensus.ID)
	SendBeat(consensus.ID, pulse.Beat)
}

// Hooks are what a replica asks of the node. The executor calls them on its goroutine; they MUST NOT wait for the replica.
type Hooks struct {
	// Rules reads the rules from the newest state. It is given those of the last time, to compare their version.
	Rules func(newest store.Reader, last Rules) (Rules, error)
	// Committed is told of each batch, in order, after the ledgers and before the callers that wait for its transactions.
	Committed func(Batch) error
	// MembersChanged is told, an election timeout after a change, that other nodes take part in consensus. Applied is the last seqno.
	MembersChanged func(applied uint64)
	// LackSecret asks other nodes for an epoch's secret, and reports whether that is in vain. It is called every
	// rotation.LackMillis until the secret has come.
	LackSecret func(epoch uint64) (lost bool)
	// Opens is told of the public records of a batch that may announce the epoch that it is sealed under, before that epoch's keys are asked for; see Config.Opening.
	Opens func(public [][]byte) error
	// LeftBehind returns the error that ends this replica, because it cannot apply what the network committed.
	LeftBehind func(why string) error
}

// Batch is a committed batch.
type Batch struct {
	Position           // where it ends
	View, First, Epoch uint64
	Size               int  // in bytes
	Network            bool // it writes the network's own tables
}

// Replica is one node's part in the replicated log.
type Replica struct {
	cfg      Config
	exec     *executor
	loop     *loop
	writer   *writer
	progress *progress
	meter    *meter
}

// New makes a replica. The ledgers are told of Config.Start here.
func New(cfg Config) (*Replica, error) {
	m := cfg.Machine
	m.Self, m.Log, m.ElectionTicks, m.HeartbeatTicks = consensus.IDOf(cfg.Self), logReader{cfg.Disk}, electionTicks, heartbeatTicks
	var r *Replica
	m.Accept = func(view uint64, e consensus.Entry) error { return r.loop.accept(view, e) }
	machine, err := raft.New(m)
	if err != nil {
		return nil, err
	}
	r = &Replica{cfg: cfg, progress: newProgress(), meter: newMeter()}
	inbox := newMailbox[event]()
	r.exec = &executor{
		log: cfg.Log, clock: cfg.Clock, store: cfg.Store, history: cfg.History, hooks: cfg.Hooks, progress: r.progress, meter: r.meter,
		tasks: newMailbox[task](), queue: newQueue(cfg.QueueCalls, cfg.QueueBytes), lease: lease{loop: inbox, opening: opening{view: cfg.Opening}},
		codec:   codec{self: cfg.Self, signer: cfg.Signer, keys: cfg.Keys, maxBatch: cfg.MaxBatch},
		ledgers: newLedgers(cfg.Ledgers), rules: cfg.Rules,
	}
	r.writer = &writer{clock: cfg.Clock, log: cfg.Disk, meter: r.meter, durable: cfg.Durable, tasks: newMailbox[*raft.Append](), loop: inbox}
	r.loop = &loop{
		log: cfg.Log, clock: cfg.Clock, machine: machine, inbox: inbox, recv: make(chan received, 1024),
		exec: r.exec.tasks, disk: r.writer.tasks, network: cfg.Network, progress: r.progress, status: newStatus(),
		members: reconfig.New(m.Self, electionTicks), pulse: newHeart(m.Self),
	}
	r.exec.time.Give(cfg.Time, cfg.Clock.Elapsed())
	if cfg.Start.Index > 0 {
		r.begin(cfg.Start)
	}
	return r, nil
}

// begin goes on after a batch whose state the store holds.
func (r *Replica) begin(b Batch) {
	x := r.exec
	x.chain.begin(b.Position)
	x.time.Set(b.Time, r.cfg.Clock.Elapsed())
	x.codec.keys.Use(b.Epoch)
	r.progress.applied.Store(b.Index)
	r.loop.slots.applied = b.Index
	r.loop.pulse.future.Applied(b.Index, b.Time)
	x.ledgers.committed(b)
	r.progress.committed(coco.TxID{View: b.View, Seqno: b.Seqno})
}

// Run works until ctx ends or something is broken beyond repair.
func (r *Replica) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.exec.run(ctx) })
	g.Go(func() error { return r.loop.run(ctx) })
	g.Go(func() error { return r.writer.run(ctx) })
	return g.Wait()
}

// State returns view, leader and role, as far as this node knows.
func (r *Replica) State() consensus.State { return *r.loop.status.state.Load() }

// Leads reports whether this node leads.
func (r *Replica) Leads() bool { return r.State().Role == consensus.Leader }

// Changed returns a channel that closes at the next change of State. Call it before State.
func (r *Replica) Changed() <-chan struct{} { return r.loop.status.changed.Wait() }

// Members returns the members of consensus, as of the last applied change. It is immutable.
func (r *Replica) Members() consensus.Membership { return *r.loop.status.members.Load() }

// Last returns the last transaction that is committed and applied here.
func (r *Replica) Last() coco.TxID { return *r.progress.last.Load() }

// Reached returns a channel that closes once a seqno is committed and applied here.
func (r *Replica) Reached(seqno uint64) <-chan struct{} { return r.progress.reached(seqno) }

// Applied returns the index of the last entry that is committed and applied here.
func (r *Replica) Applied() uint64 { return r.progress.applied.Load() }

// Lag returns how many entries are known to be committed and not applied here yet.
func (r *Replica) Lag() uint64 {
	applied := r.progress.applied.Load() // first: it never passes what is known
	if known := r.progress.known.Load(); known > applied {
		return known - applied
	}
	return 0
}

// Load returns what waits for execution.
func (r *Replica) Load() Load { return r.exec.queue.load() }

// Step hands a message of an authenticated node to consensus.
func (r *Replica) Step(ctx context.Context, from consensus.ID, data []byte) {
	select {
	case r.loop.recv <- received{from, data}:
	case <-ctx.Done():
	}
}

// Unreachable tells consensus that the connection to a node ended.
func (r *Replica) Unreachable(id consensus.ID) { r.loop.inbox.put(event{unreachable: id}) }

// LedgerGrew tells consensus that the disk now holds entries from an earlier one on.
func (r *Replica) LedgerGrew(first uint64) {
	r.loop.inbox.put(event{do: func(l *loop) { l.machine.Holds(first) }})
}

// Between runs a function on the executor's goroutine, between two batches.
func (r *Replica) Between(f func()) { r.exec.tasks.put(task{do: func(*executor) { f() }}) }

// Lead waits until this node, the only voter, leads.
func (r *Replica) Lead(ctx context.Context) error {
	failed := make(chan error, 1)
	for {
		changed := r.Changed()
		if r.Leads() {
			return nil
		}
		r.loop.inbox.put(event{do: func(l *loop) { failed <- l.machine.Campaign() }})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			if err != nil {
				return fmt.Errorf("stand for election: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-r.cfg.Clock.After(Tick):
		}
	}
}

// Enqueue hands an item to the executor. It fails with coco.ErrBusy if there is no room.
func (r *Replica) Enqueue(it *Item) error {
	r.exec.followQueued(it)
	if err := r.exec.queue.put(it); err != nil {
		r.meter.refused.Add(1)
		if errors.Is(err, errShareFull) {
			r.meter.unfair.Add(1)
		}
		return err
	}
	if !r.Leads() { // the executor may have emptied the queue before the item came
		r.exec.tasks.put(task{flush: true})
	}
	return nil
}

// Wake has the executor ask the ledgers again whether they are ready.
func (r *Replica) Wake() { r.exec.queue.wake() }

// Do commits a transaction of the node's own. It fails with coco.ErrNotCommitted if this node does not lead.
func (r *Replica) Do(ctx context.Context, run func(tx *store.Tx) ([]byte, error)) (adapter.Result, error) {
	return r.DoFor(ctx, coco.ActorID{}, run)
}

// DoFor is Do on behalf of an organisation, with which the transaction waits for its turn.
func (r *Replica) DoFor(ctx context.Context, by coco.ActorID, run func(tx *store.Tx) ([]byte, error)) (adapter.Result, error) {
	if !r.Leads() {
		return adapter.Result{}, fmt.Errorf("%w: this node does not lead", coco.ErrNotCommitted)
	}
	done := make(chan adapter.Result, 1)
	if err := r.Enqueue(&Item{Run: run, By: by, Until: ctx.Done(), Done: func(results []adapter.Result) { done <- results[0] }}); err != nil {
		return adapter.Result{}, err
	}
	select {
	case result := <-done:
		return result, result.Err
	case <-ctx.Done():
		return adapter.Result{}, fmt.Errorf("%w: not committed in time: %w", coco.ErrUnknown, ctx.Err())
	}
}
