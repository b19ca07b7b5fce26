package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// rotator shares the machine of package rotation between the goroutines that step it. The lock is never
// held during I/O.
type rotator struct {
	mu      sync.Mutex
	machine *rotation.Machine
}

func (r *rotator) step(in rotation.Input, s rotation.State) (rotation.Output, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine.Step(in, s)
}

func (r *rotator) propose(newest uint64, recipients []keys.Recipient, threshold int) (*keys.SealedEpoch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine.Propose(newest, recipients, threshold)
}

// rotationState returns the state that an input is stepped on.
func (n *node) rotationState(in rotation.Input) (rotation.State, error) {
	s := rotation.State{Leading: n.replica.Leads(), Leader: n.leader()}
	s.Nodes = slices.SortedFunc(maps.Keys(n.directory.Load().addresses), func(a, b coco.NodeID) int { return bytes.Compare(a[:], b[:]) })
	if _, tick := in.(rotation.Tick); tick && !s.Leading {
		return s, nil // no decision depends on the epochs
	}
	snapshot := n.store.Snapshot()
	defer snapshot.Release()
	epochs, err := table.Epochs(snapshot)
	if err != nil {
		return s, fmt.Errorf("the list of epochs: %w", err)
	}
	for _, e := range epochs {
		s.Epochs = append(s.Epochs, rotation.Announced{Epoch: e.Epoch, Sealed: sha256.Sum256(e.Sealed)})
	}
	return s, nil
}

// stepRotation steps the machine on the committed state, sends its messages, and has the replica use an
// epoch that begins. Statements are left to the caller.
func (n *node) stepRotation(in rotation.Input) (rotation.Output, error) {
	state, err := n.rotationState(in)
	if err != nil {
		return rotation.Output{}, err
	}
	out, err := n.rotation.step(in, state)
	if err != nil {
		return out, err
	}
	for _, e := range out.Messages {
		n.peers.Send(e.To, frameOf(e.Message))
	}
	if out.Begin != 0 {
		n.replica.Between(func() {
			if n.keys.Use(out.Begin) {
				n.log.Info("a new epoch begins", "epoch", out.Begin)
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

func (n *node) receiveSecret(from coco.NodeID, m *peer.Secret) {
	n.receiveRotation(from, rotation.Secret(*m))
}

func (n *node) receiveSecretHeld(from coco.NodeID, m *peer.SecretHeld) {
	n.receiveRotation(from, rotation.Held(*m))
}

func (n *node) receiveSecretWanted(from coco.NodeID, m *peer.SecretWanted) {
	n.receiveRotation(from, rotation.Wanted(*m))
}

func (n *node) receiveRotation(from coco.NodeID, m rotation.Message) {
	if _, err := n.stepRotation(rotation.Received{From: from, Message: m}); err != nil {
		n.log.Warn("a message about epochs is not used", "node", from.Short(), "error", err)
	}
}

// newEpoch makes the next epoch for a transaction of this leader's.
func (n *node) newEpoch(r store.Reader, recipients []keys.Recipient, threshold int) (*keys.SealedEpoch, error) {
	epochs, err := table.Epochs(r)
	if err != nil {
		return nil, err
	}
	if len(epochs) == 0 {
		return nil, fmt.Errorf("%w: this network has no epoch yet", coco.ErrNotFound)
	}
	return n.rotation.propose(epochs[len(epochs)-1].Epoch, recipients, threshold)
}

// announceEpoch has this leader announce an epoch whose secret it holds.
func (n *node) announceEpoch(ctx context.Context) error {
	_, err := n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) { return nil, n.announceIn(tx) })
	return err
}

// announceIn announces the next epoch, for the members of the transaction's constitution.
func (n *node) announceIn(tx *store.Tx) error {
	c, err := table.LoadConstitution(tx)
	if err != nil {
		return err
	}
	sealed, err := n.newEpoch(tx, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return err
	}
	return members.WriteEpoch(tx, sealed)
}

// rotate lets announced epochs begin, and proposals end whose time is over, while this node leads.
func (n *node) rotate(ctx context.Context) error {
	tick := n.cfg.Host.Clock.NewTicker(rotation.TickMillis * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		if err := n.expire(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, coco.ErrNotCommitted) {
			n.log.Warn("proposals whose time is over are not judged yet", "error", err)
		}
		out, err := n.stepRotation(rotation.Tick{})
		if err != nil {
			return err
		}
		for _, statement := range out.Statements {
			n.state(ctx, statement)
		}
	}
}

// state has a statement committed. If that fails, the machine asks again.
func (n *node) state(ctx context.Context, statement rotation.Statement) {
	switch s := statement.(type) {
	case rotation.Announce:
		n.log.Warn("no node that can be reached has the secret of the announced epoch: announcing another one", "epoch", s.Lost)
		if err := n.announceEpoch(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("no new epoch yet", "error", err)
		}
	}
}

// lackSecret is replica.Hooks.LackSecret.
func (n *node) lackSecret(epoch uint64) (lost bool) {
	out, err := n.stepRotation(rotation.Lack{Epoch: epoch})
	if err != nil {
		n.log.Error("ask for the secret of an epoch", "epoch", epoch, "error", err)
	}
	return out.Lost
}
