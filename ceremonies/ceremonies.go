// Package ceremonies has the nodes of a network make committees: it carries the machine of package seats from its inputs, which are ticks, commits and messages,
// to its outputs, and the ledger's rows about ceremonies to the machine.
//
//	ticks, commits, messages ──▶ seats.Machine ──▶ messages, statements of seats, transactions of the leader
//
// A statement goes to the leader as a request of the kind peer.Keys; there, Speak executes it. The leader begins a ceremony that is needed, ends phases
// that nobody can end, and puts the committee in force, together with the first epoch that is sealed to it. All of these
// are transactions of their own, beside others': a ceremony that does not come to an end holds up nothing but the next ceremony.
//
// Trust: enclave
package ceremonies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Config is what a Driver needs of its node. The functions are called by several goroutines at a time.
type Config struct {
	Log     *slog.Logger
	Clock   host.Clock
	Store   *store.Store
	Replica *replica.Replica
	Self    coco.NodeID
	Leader  func() coco.NodeID // zero if none
	Send    func(coco.NodeID, peer.Message) bool
	Ask     func(context.Context, peer.Request) adapter.Result // once
	// Announce announces the first epoch that is sealed to the committee which the transaction has put in force.
	Announce func(*store.Tx) error
	// Secrets returns the secrets of all epochs that this node has. The caller wipes them.
	Secrets func() map[uint64]keys.Secret
	// Held reports whether this node holds the secret of an epoch, and Opened has it hold one that was opened again, whose secret it wipes.
	Held   func(epoch uint64) bool
	Opened func(epoch uint64, secret *keys.Secret)
}

// Driver drives the machine of package seats. Its lock is never held during I/O.
type Driver struct {
	cfg     Config
	wake    chan struct{} // something was committed; of room one
	changed atomic.Bool   // the rows have changed since they were read
	status  atomic.Pointer[wire.Keys]
	counts  counts
	since   uint64        // seqno at which this node became part of the network
	book    ceremony.Book // the executor's

	mu      sync.Mutex
	machine *seats.Machine  // under mu
	ledger  committed       // under mu
	told    map[uint64]bool // epochs of which was said that they do not open; under mu
}

// New returns a driver, of which Run must be called. Since is the seqno at which the node became part of the network.
func New(cfg Config, since uint64) *Driver {
	d := &Driver{cfg: cfg, wake: make(chan struct{}, 1), since: since, machine: seats.New(cfg.Self), ledger: committed{state: cfg.Store.Snapshot}, told: map[uint64]bool{}}
	d.changed.Store(true)
	return d
}

// Kept returns what the node has of the committee in force, to be sealed. Restore gives it back, before Run.
func (d *Driver) Kept() seats.Kept {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.machine.Kept()
}

// Restore gives the driver what Kept has returned in an earlier life of the node, under the same key.
func (d *Driver) Restore(k seats.Kept) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.machine.Restore(k)
}

// Run steps the machine, and carries out what it asks for, until ctx ends.
func (d *Driver) Run(ctx context.Context) error {
	tick := d.cfg.Clock.NewTicker(seats.TickMillis * time.Millisecond)
	defer tick.Stop()
	for {
		var in seats.Input
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
			in = seats.Tick{}
		case <-d.wake:
			in = seats.Committed{}
		}
		out, err := d.step(in)
		if err != nil { // commits go on without committees
			d.cfg.Log.Error("the rows about committees cannot be followed", "error", err)
		}
		for _, st := range out.Statements {
			d.carryOut(ctx, st)
		}
		if in == seats.Input(seats.Tick{}) {
			d.trim(ctx)
		}
	}
}

// Committed says that the network's own tables have changed. The executor calls it.
func (d *Driver) Committed() {
	d.changed.Store(true)
	d.again()
}

// again has Run step the machine.
func (d *Driver) again() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// step steps the machine on the committed state, sends its messages, and tells the operator what happened.
func (d *Driver) step(in seats.Input) (seats.Output, error) {
	d.mu.Lock()
	state, err := d.state()
	if err != nil {
		d.mu.Unlock()
		return seats.Output{}, err
	}
	out, err := d.machine.Step(in, state)
	names := d.ledger.names
	for _, o := range out.Opened {
		delete(d.told, o.Epoch)
	}
	d.mu.Unlock()
	for _, m := range out.Messages {
		d.cfg.Send(m.To, frameOf(m.Message))
	}
	d.tell(out, names)
	return out, err
}

// tell has the operator know what a step found.
func (d *Driver) tell(out seats.Output, names *constitution.Constitution) {
	for _, g := range out.Gave {
		d.counts.given.Add(1)
		if g.Epoch == 0 {
			d.cfg.Log.Info("this node gives its parts in opening an archive of keys to the node that leads, as a new committee replaces its committee", logevent.PartGiven.Attr(), "committee", g.Committee, "node", g.To.Short())
			continue
		}
		d.cfg.Log.Info("this node gives its parts in opening an epoch that has expired to a node that reads it", logevent.PartGiven.Attr(), "committee", g.Committee, "epoch", g.Epoch, "archive", g.Archive, "node", g.To.Short())
	}
	for _, g := range out.Refused {
		d.counts.refused.Add(1)
		d.cfg.Log.Warn("this node gives no part in opening keys", logevent.PartRefused.Attr(), "committee", g.Committee, "epoch", g.Epoch, "archive", g.Archive, "node", g.To.Short(), "reason", g.Reason.String())
	}
	for _, o := range out.Opened {
		d.counts.opened.Add(1)
		d.cfg.Log.Info("an epoch that had expired is open again on this node", logevent.EpochOpened.Attr(), "epoch", o.Epoch, "committee", o.Committee, "archive", o.Archive)
		d.cfg.Opened(o.Epoch, o.Secret)
	}
	for _, c := range out.Closed {
		d.cfg.Log.Error("an epoch that has expired opens to no node any more: members open it with their own keys", logevent.EpochClosed.Attr(), "epoch", c.Epoch, "committee", c.Committee, "error", c)
	}
	for _, fault := range out.Faults {
		attrs := []any{logevent.PartUnusable.Attr(), "error", fault}
		if wrong := (*committee.PartError)(nil); errors.As(fault, &wrong) && names != nil {
			attrs = append(attrs, "member", names.Name(wrong.Actor))
		}
		d.cfg.Log.Warn("a part or a share of a committee's key is of no use", attrs...)
	}
	if out.Unopened {
		d.cfg.Log.Warn("the archive of the committee that is replaced does not open: too few of its nodes answer", logevent.ArchiveUnopened.Attr())
	}
}

// receive steps a message of another node. What it leads to is carried out by Run, which a commit or tick steps.
func (d *Driver) receive(from coco.NodeID, m seats.Message) {
	out, err := d.step(seats.Received{From: from, Message: m})
	if err != nil {
		d.cfg.Log.Warn("a message about committees is not used", "node", from.Short(), "error", err)
	}
	if len(out.Statements) > 0 {
		d.again()
	}
}

// Receive is peer.Config.Part.
func (d *Driver) Receive(from coco.NodeID, m peer.Message) {
	switch m := m.(type) {
	case *peer.PartWanted:
		d.receive(from, seats.Wanted{Lock: seats.Lock{Committee: m.Committee, Epoch: m.Epoch, Archive: m.Archive}})
	case *peer.Parts:
		d.receive(from, seats.Given{Lock: seats.Lock{Committee: m.Committee, Epoch: m.Epoch, Archive: m.Archive}, Parts: m.Parts})
	case *peer.PartRefused:
		d.receive(from, seats.Refused{Lock: seats.Lock{Committee: m.Committee, Epoch: m.Epoch, Archive: m.Archive}, Reason: seats.Reason(m.Reason)})
	}
}

func frameOf(m seats.Message) peer.Message {
	switch m := m.(type) {
	case seats.Wanted:
		return &peer.PartWanted{Committee: m.Committee, Epoch: m.Epoch, Archive: m.Archive}
	case seats.Given:
		return &peer.Parts{Committee: m.Committee, Epoch: m.Epoch, Archive: m.Archive, Parts: m.Parts}
	case seats.Refused:
		return &peer.PartRefused{Committee: m.Committee, Epoch: m.Epoch, Archive: m.Archive, Reason: uint64(m.Reason)}
	}
	panic(fmt.Sprintf("no frame for %T", m))
}

// carryOut has a statement committed. If that fails, the machine asks again.
func (d *Driver) carryOut(ctx context.Context, st seats.Statement) {
	var err error
	what := ""
	switch st := st.(type) {
	case seats.Begin:
		what, err = "begin a ceremony", d.begin(ctx)
	case seats.Speak:
		what, err = "a statement in a ceremony", d.speak(ctx, st)
	case seats.Close:
		what = "end a phase of a ceremony"
		_, err = d.cfg.Replica.Do(ctx, func(tx *store.Tx) ([]byte, error) { return nil, d.book.Close(tx) })
	case seats.Install:
		what, err = "put a committee in force", d.install(ctx, st)
	}
	d.uncommitted(ctx, what, err)
}

// uncommitted logs that something was not committed.
func (d *Driver) uncommitted(ctx context.Context, what string, err error) {
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, coco.ErrInvalid) || errors.Is(err, coco.ErrNotCommitted) || errors.Is(err, coco.ErrUnknown):
		d.cfg.Log.Debug("not committed: "+what, "error", err) // another node leads, or the ledger has it: the next step tells
	default:
		d.cfg.Log.Warn("not committed: "+what, "error", err)
	}
}

func (d *Driver) begin(ctx context.Context) error {
	_, err := d.cfg.Replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		rec, err := d.book.Begin(tx, nil)
		if err == nil {
			d.cfg.Log.Info("a ceremony begins", logevent.CeremonyBegins.Attr(), "ceremony", rec.Number, "cause", string(rec.Cause),
				"key", rec.Session.Version, "seats", len(rec.Session.Receivers), "threshold", rec.Session.Threshold)
		}
		return nil, err
	})
	return err
}

// speak asks the leader for a statement.
func (d *Driver) speak(ctx context.Context, st seats.Speak) error {
	raw, err := dkg.Marshal(st.Session, st.Statement)
	if err != nil {
		return err
	}
	return d.cfg.Ask(ctx, peer.Request{Kind: peer.Keys, Body: raw}).Err
}

// Speak is the transaction of a statement that a node asks for, on the leader.
func (d *Driver) Speak(from coco.NodeID, raw []byte) func(*store.Tx) ([]byte, error) {
	return func(tx *store.Tx) ([]byte, error) { return nil, d.book.Speak(tx, from, raw) }
}

// install puts a committee in force, and begins an epoch that is sealed to it. A crash before the commit leaves the committee before in force, and
// the next leader opens its archive itself.
func (d *Driver) install(ctx context.Context, st seats.Install) error {
	past := archive.Past{Earlier: st.Archive}
	if st.Archive == nil {
		past.Epochs = d.cfg.Secrets() // what the old archive would have opened
		defer func() {
			if ctx.Err() == nil {
				keys.Wipe(past.Epochs)
			}
		}()
	} else {
		defer func() {
			if ctx.Err() == nil { // the executor may seal it still, and a secret that is wiped in its hands would be sealed as zeros
				clear(st.Archive[:])
			}
		}()
	}
	_, err := d.cfg.Replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		secret, err := d.book.Install(tx, past)
		clear(secret[:])
		if err != nil {
			return nil, err
		}
		return nil, d.cfg.Announce(tx)
	})
	return err
}
