// Package epochs has the nodes of a network change the keys that batches are sealed with: it carries the machine of
// package rotation from its inputs, which are ticks, commits and messages, to its outputs.
//
//	ticks, commits, messages ──▶ rotation.Machine ──▶ messages, an epoch that begins, transactions to commit
//
// Trust: enclave
package epochs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/erase"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
)

// Driver drives the machine of package rotation, for the goroutines that step it. The lock is never held during I/O.
//
// Fields: eleven are what the node gives it, functions of one use each; the others are what it has seen of the ledger, and of other nodes.
type Driver struct {
	Log     *slog.Logger
	Clock   host.Clock
	Store   *store.Store
	Keys    *keys.Ring
	Replica *replica.Replica
	Leader  func() coco.NodeID
	Nodes   func() map[coco.NodeID]string // that the network trusts
	Send    func(coco.NodeID, peer.Message) bool
	Machine *rotation.Machine          // the driver's from then on, under mu
	Length  func() constitution.Epochs // how long an epoch may be
	// Keep keeps a copy of a secret that another node hands out, before this one says that it holds it; nil to keep it in memory only.
	Keep func(*rotation.Secret) error
	// OpenAgain has an epoch opened again that has expired here, and that another node lacks.
	OpenAgain func(epoch uint64)

	handed handed // secrets of other nodes, until they are kept

	mu     sync.Mutex
	seen   seen     // under mu
	sealed struct { // the batches of the newest epoch that this node has seen committed, under mu
		epoch uint64
		bytes int64
	}
}

func (e *Driver) locked(in rotation.Input, s rotation.State) (out rotation.Output, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	erase.Do(func() { out, err = e.Machine.Step(in, s) })
	return out, err
}

func (e *Driver) newest() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.Machine.Newest()
}

func (e *Driver) propose(newest uint64, recipients []keys.Recipient, threshold int) (*keys.SealedEpoch, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.Machine.Propose(newest, recipients, threshold)
}

// state returns the state that an input is stepped on.
func (e *Driver) state(in rotation.Input) (rotation.State, error) {
	s := rotation.State{Leading: e.Replica.Leads(), Leader: e.Leader()}
	s.Nodes = slices.SortedFunc(maps.Keys(e.Nodes()), func(a, b coco.NodeID) int { return bytes.Compare(a[:], b[:]) })
	_, tick := in.(rotation.Tick)
	if tick && !s.Leading {
		return s, nil // no decision depends on the epochs
	}
	snapshot := e.Store.Snapshot()
	defer snapshot.Release()
	announced, err := table.EpochsAfter(snapshot, e.newest())
	if err != nil {
		return s, fmt.Errorf("the list of epochs: %w", err)
	}
	for _, a := range announced {
		digest, _, err := archive.DigestOf(a.Sealed)
		if err != nil {
			return s, fmt.Errorf("epoch %d: %w", a.Epoch, err)
		}
		s.Epochs = append(s.Epochs, rotation.Announced{Epoch: a.Epoch, Sealed: digest})
	}
	if tick {
		if s.Over, err = e.over(snapshot); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Step steps the machine on the committed state, sends its messages, and has the replica use an
// epoch that begins. Statements are left to the caller.
func (e *Driver) Step(in rotation.Input) (rotation.Output, error) {
	state, err := e.state(in)
	if err != nil {
		return rotation.Output{}, err
	}
	out, err := e.locked(in, state)
	if err != nil {
		return out, err
	}
	e.send(out.Messages)
	if out.Open != 0 {
		e.OpenAgain(out.Open)
	}
	if out.Begin != 0 {
		e.Replica.Between(func() {
			if e.Keys.Use(out.Begin) {
				e.Log.Info("a new epoch begins", "epoch", out.Begin)
			}
		})
	}
	return out, nil
}

// send sends messages, and erases the secrets in them.
func (e *Driver) send(messages []rotation.Envelope) {
	for _, m := range messages {
		e.Send(m.To, frameOf(m.Message))
	}
	for _, m := range messages {
		if s, ok := m.Message.(*rotation.Secret); ok {
			s.Erase()
		}
	}
}

func frameOf(m rotation.Message) peer.Message {
	switch m := m.(type) {
	case *rotation.Secret:
		return (*peer.Secret)(m)
	case rotation.Held:
		return (*peer.SecretHeld)(&m)
	case rotation.Wanted:
		return (*peer.SecretWanted)(&m)
	}
	panic(fmt.Sprintf("no frame for %T", m))
}

// ReceiveSecretHeld receives a message about a node that holds a secret.
func (e *Driver) ReceiveSecretHeld(from coco.NodeID, m *peer.SecretHeld) {
	e.receive(from, rotation.Held(*m))
}

// ReceiveSecretWanted receives a message about a node that wants a secret.
func (e *Driver) ReceiveSecretWanted(from coco.NodeID, m *peer.SecretWanted) {
	e.receive(from, rotation.Wanted(*m))
}

func (e *Driver) receive(from coco.NodeID, m rotation.Message) {
	if _, err := e.Step(rotation.Received{From: from, Message: m}); err != nil {
		e.Log.Warn("a message about epochs is not used", "node", from.Short(), "error", err)
	}
}

// newEpoch makes the next epoch for a transaction of this leader's.
func (e *Driver) newEpoch(r store.Reader, recipients []keys.Recipient, threshold int) (*keys.SealedEpoch, error) {
	last := table.LastEpoch(r)
	if last == 0 {
		return nil, fmt.Errorf("%w: this network has no epoch yet", coco.ErrNotFound)
	}
	return e.propose(last, recipients, threshold)
}

// announce has this leader announce an epoch whose secret it holds.
func (e *Driver) announce(ctx context.Context) error {
	_, err := e.Replica.Do(ctx, func(tx *store.Tx) ([]byte, error) { return nil, e.AnnounceIn(tx) })
	return err
}

// AnnounceIn announces the next epoch: to the committee in force, or, if the network has none yet, to the members of the transaction's constitution.
func (e *Driver) AnnounceIn(tx *store.Tx) error {
	if table.LastCommittee(tx) > 0 {
		return e.announceTo(tx)
	}
	c, err := table.LoadConstitution(tx)
	if err != nil {
		return err
	}
	sealed, err := e.newEpoch(tx, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return err
	}
	return members.WriteEpoch(tx, sealed)
}

// announceTo announces an epoch to the committee in force.
func (e *Driver) announceTo(tx *store.Tx) error {
	secret, sealed, err := ceremony.Announce(tx)
	if err != nil {
		return err
	}
	public, err := sealed.Marshal()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	erase.Do(func() {
		e.Machine.Offer(rotation.Secret{Sealed: sha256.Sum256(public), Epoch: sealed.Epoch, Secret: secret})
		clear(secret[:])
	})
	return nil
}

// Run lets announced epochs begin while this node leads, and calls judge and expire as often, until ctx ends.
func (e *Driver) Run(ctx context.Context, judge, expire func(context.Context) error) error {
	tick := e.Clock.NewTicker(rotation.TickMillis * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		if err := judge(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, coco.ErrNotCommitted) {
			e.Log.Warn("proposals whose time is over are not judged yet", "error", err)
		}
		if err := expire(ctx); err != nil {
			return err
		}
		out, err := e.Step(rotation.Tick{})
		if err != nil {
			return err
		}
		for _, statement := range out.Statements {
			e.carryOut(ctx, statement)
		}
	}
}

// carryOut has a statement committed. If that fails, the machine asks again.
func (e *Driver) carryOut(ctx context.Context, statement rotation.Statement) {
	switch s := statement.(type) {
	case rotation.Announce:
		if s.Lost != 0 {
			e.Log.Warn("no node that can be reached has the secret of the announced epoch: announcing another one", "epoch", s.Lost)
		} else {
			e.Log.Info("the epoch is as long as the constitution lets it be, or nodes have come or gone: announcing the next one", "epoch", e.newest())
		}
		if err := e.announce(ctx); err != nil && ctx.Err() == nil {
			e.Log.Warn("no new epoch yet", "error", err)
		}
	}
}

// LackSecret is replica.Hooks.LackSecret.
func (e *Driver) LackSecret(epoch uint64) (lost bool) {
	out, err := e.Step(rotation.Lack{Epoch: epoch})
	if err != nil {
		e.Log.Error("ask for the secret of an epoch", "epoch", epoch, "error", err)
	}
	return out.Lost
}
