package epochs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/store"
)

// openPatience is for how long nodes that have resumed may be without a leader before they look for each other anew.
const openPatience = 30 * time.Second

// Reopen has this node, whenever it leads, write down who votes and announce the epoch that the network is opened with, until the transaction of that seqno is committed or
// ctx ends. Floor is the last entry from before. It reports false if the nodes have no leader for too long.
func (e *Driver) Reopen(ctx context.Context, seqno, floor uint64, origin consensus.ID) bool {
	tick := e.Clock.NewTicker(rotation.TickMillis * time.Millisecond)
	defer tick.Stop()
	for silent := time.Duration(0); ; silent += rotation.TickMillis * time.Millisecond {
		select {
		case <-ctx.Done():
			return true
		case <-e.Replica.Reached(seqno):
			return true
		case <-tick.C():
		}
		switch s := e.Replica.State(); {
		case s.Leader != 0:
			silent = 0
		case silent > openPatience:
			return false
		}
		if !e.Replica.Leads() || e.Replica.Applied() < floor || e.Replica.Lag() > 0 {
			continue
		}
		e.Replica.Restart(origin)
		if err := e.Open(ctx); err != nil && ctx.Err() == nil {
			e.Log.Info("the network is not open yet", "error", err)
		}
	}
}

// Open has this node, if it leads, announce the epoch that a network is opened with whose nodes go on together after all of them have stopped
// (package resume). Nothing is ever sealed again under an epoch from before, whatever another copy of this ledger was continued with: so a majority
// holds the new secret first, and the announcement is sealed under it. It fails with coco.ErrNotCommitted once this node does not lead.
func (e *Driver) Open(ctx context.Context) error {
	sealed, secret, err := e.proposeOpening()
	if err != nil {
		return err
	}
	public, err := sealed.Marshal()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(public)
	if err := e.keep(rotation.Secret{Sealed: digest, Epoch: sealed.Epoch, Secret: secret}); err != nil {
		return err
	}
	for {
		held, err := e.offer(digest)
		if err != nil {
			return err
		}
		if held {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.Clock.After(rotation.TickMillis * time.Millisecond):
		}
	}
	_, err = e.Replica.Open(ctx, func(tx *store.Tx) ([]byte, error) {
		if err := members.WriteEpoch(tx, sealed); err != nil {
			return nil, err
		}
		e.Keys.Add(sealed.Epoch, secret)
		e.Keys.Use(sealed.Epoch)
		return nil, nil
	})
	return err
}

// keep keeps a secret that the network may come to seal under.
func (e *Driver) keep(s rotation.Secret) error {
	if e.Keep == nil {
		return nil
	}
	return e.Keep(s)
}

// proposeOpening makes the next epoch, for the members of the committed constitution: no other transaction comes before its announcement.
func (e *Driver) proposeOpening() (*keys.SealedEpoch, keys.Secret, error) {
	s := e.Store.Snapshot()
	defer s.Release()
	c, err := table.LoadConstitution(s)
	if err != nil {
		return nil, keys.Secret{}, err
	}
	sealed, err := e.newEpoch(s, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return nil, keys.Secret{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	secret, err := e.Machine.Proposed(sealed)
	return sealed, secret, err
}

// offer hands out the secret of an epoch that is not announced yet, and reports whether a majority holds it.
func (e *Driver) offer(sealed coco.Digest) (held bool, err error) {
	state, err := e.state(rotation.Committed{})
	if err != nil {
		return false, err
	}
	if !state.Leading {
		return false, fmt.Errorf("%w: this node does not lead any more", coco.ErrNotCommitted)
	}
	e.mu.Lock()
	messages, held := e.Machine.Offer(sealed, state)
	e.mu.Unlock()
	for _, m := range messages {
		e.Send(m.To, frameOf(m.Message))
	}
	return held, nil
}

// Opens is replica.Hooks.Opens.
func (e *Driver) Opens(public [][]byte) error {
	for _, record := range public {
		writes, err := store.DecodeWrites(record)
		if err != nil {
			return err
		}
		for _, w := range writes {
			if w.Table != table.EpochsTable {
				continue
			}
			rec, err := table.DecodeEpoch(w.Value)
			if err != nil {
				return err
			}
			e.mu.Lock()
			e.Machine.Opened(rotation.Announced{Epoch: rec.Epoch, Sealed: sha256.Sum256(rec.Sealed)})
			e.mu.Unlock()
		}
	}
	return nil
}
