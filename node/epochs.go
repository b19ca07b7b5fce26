package node

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
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
)

// epochs drives the machine of package rotation, for the goroutines that step it. The lock is never held during I/O.
type epochs struct {
	log     *slog.Logger
	clock   host.Clock
	store   *store.Store
	keys    *keys.Ring
	replica *replica.Replica
	leader  func() coco.NodeID
	nodes   func() map[coco.NodeID]string // that the network trusts
	send    func(coco.NodeID, peer.Message) bool

	mu      sync.Mutex
	machine *rotation.Machine // under mu
}

func (e *epochs) locked(in rotation.Input, s rotation.State) (rotation.Output, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.machine.Step(in, s)
}

func (e *epochs) propose(newest uint64, recipients []keys.Recipient, threshold int) (*keys.SealedEpoch, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.machine.Propose(newest, recipients, threshold)
}

// state returns the state that an input is stepped on.
func (e *epochs) state(in rotation.Input) (rotation.State, error) {
	s := rotation.State{Leading: e.replica.Leads(), Leader: e.leader()}
	s.Nodes = slices.SortedFunc(maps.Keys(e.nodes()), func(a, b coco.NodeID) int { return bytes.Compare(a[:], b[:]) })
	if _, tick := in.(rotation.Tick); tick && !s.Leading {
		return s, nil // no decision depends on the epochs
	}
	snapshot := e.store.Snapshot()
	defer snapshot.Release()
	announced, err := table.Epochs(snapshot)
	if err != nil {
		return s, fmt.Errorf("the list of epochs: %w", err)
	}
	for _, a := range announced {
		s.Epochs = append(s.Epochs, rotation.Announced{Epoch: a.Epoch, Sealed: sha256.Sum256(a.Sealed)})
	}
	return s, nil
}

// step steps the machine on the committed state, sends its messages, and has the replica use an
// epoch that begins. Statements are left to the caller.
func (e *epochs) step(in rotation.Input) (rotation.Output, error) {
	state, err := e.state(in)
	if err != nil {
		return rotation.Output{}, err
	}
	out, err := e.locked(in, state)
	if err != nil {
		return out, err
	}
	for _, m := range out.Messages {
		e.send(m.To, frameOf(m.Message))
	}
	if out.Begin != 0 {
		e.replica.Between(func() {
			if e.keys.Use(out.Begin) {
				e.log.Info("a new epoch begins", "epoch", out.Begin)
			}
		})
	}
	return out, nil
}

func frameOf(m rotation.Message) peer.Message {
	switch m := m.(type) {
	case rotation.Secret:
		return (*peer.Secret)(&m)
	case rotation.Held:
		return (*peer.SecretHeld)(&m)
	case rotation.Wanted:
		return (*peer.SecretWanted)(&m)
	}
	panic(fmt.Sprintf("no frame for %T", m))
}

func (e *epochs) receiveSecret(from coco.NodeID, m *peer.Secret) {
	e.receive(from, rotation.Secret(*m))
}

func (e *epochs) receiveSecretHeld(from coco.NodeID, m *peer.SecretHeld) {
	e.receive(from, rotation.Held(*m))
}

func (e *epochs) receiveSecretWanted(from coco.NodeID, m *peer.SecretWanted) {
	e.receive(from, rotation.Wanted(*m))
}

func (e *epochs) receive(from coco.NodeID, m rotation.Message) {
	if _, err := e.step(rotation.Received{From: from, Message: m}); err != nil {
		e.log.Warn("a message about epochs is not used", "node", from.Short(), "error", err)
	}
}

// newEpoch makes the next epoch for a transaction of this leader's.
func (e *epochs) newEpoch(r store.Reader, recipients []keys.Recipient, threshold int) (*keys.SealedEpoch, error) {
	announced, err := table.Epochs(r)
	if err != nil {
		return nil, err
	}
	if len(announced) == 0 {
		return nil, fmt.Errorf("%w: this network has no epoch yet", coco.ErrNotFound)
	}
	return e.propose(announced[len(announced)-1].Epoch, recipients, threshold)
}

// announce has this leader announce an epoch whose secret it holds.
func (e *epochs) announce(ctx context.Context) error {
	_, err := e.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) { return nil, e.announceIn(tx) })
	return err
}

// announceIn announces the next epoch, for the members of the transaction's constitution.
func (e *epochs) announceIn(tx *store.Tx) error {
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

// run lets announced epochs begin while this node leads, and calls expire as often, until ctx ends.
func (e *epochs) run(ctx context.Context, expire func(context.Context) error) error {
	tick := e.clock.NewTicker(rotation.TickMillis * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		if err := expire(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, coco.ErrNotCommitted) {
			e.log.Warn("proposals whose time is over are not judged yet", "error", err)
		}
		out, err := e.step(rotation.Tick{})
		if err != nil {
			return err
		}
		for _, statement := range out.Statements {
			e.carryOut(ctx, statement)
		}
	}
}

// carryOut has a statement committed. If that fails, the machine asks again.
func (e *epochs) carryOut(ctx context.Context, statement rotation.Statement) {
	switch s := statement.(type) {
	case rotation.Announce:
		e.log.Warn("no node that can be reached has the secret of the announced epoch: announcing another one", "epoch", s.Lost)
		if err := e.announce(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("no new epoch yet", "error", err)
		}
	}
}

// lackSecret is replica.Hooks.LackSecret.
func (e *epochs) lackSecret(epoch uint64) (lost bool) {
	out, err := e.step(rotation.Lack{Epoch: epoch})
	if err != nil {
		e.log.Error("ask for the secret of an epoch", "epoch", epoch, "error", err)
	}
	return out.Lost
}
