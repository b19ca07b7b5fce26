package epochs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/archive"
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
	d, err := e.draft(ctx)
	if err != nil {
		return err
	}
	if err := e.keep(&d.secret); err != nil {
		return err
	}
	for {
		held, err := e.handOut(d.secret.Sealed)
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
		if at := (coco.TxID{View: tx.View(), Seqno: tx.Seqno()}); at != d.at {
			return nil, fmt.Errorf("%w: epoch %d was made for transaction %s, and this is %s", coco.ErrNotCommitted, d.row.Epoch, d.at, at)
		}
		row := d.row
		if row.Time != 0 {
			row.Time = tx.Time()
		}
		if err := table.Put(tx, table.EpochsTable, table.EpochKey(row.Epoch), row); err != nil {
			return nil, err
		}
		e.Keys.Add(row.Epoch, d.secret.Secret)
		e.Keys.Use(row.Epoch)
		return nil, nil
	})
	return err
}

// draft is an announcement that was made and not committed.
type draft struct {
	at     coco.TxID // the transaction that it was made for
	row    table.EpochRecord
	secret rotation.Secret
}

// errDraft ends the transaction of a draft, which is made to see what it writes.
var errDraft = fmt.Errorf("%w: a draft", coco.ErrNotCommitted)

// draft makes the announcement that would be committed next. No other transaction comes before it, so it can be written down later as it is, but for its time.
func (e *Driver) draft(ctx context.Context) (d draft, err error) {
	_, err = e.Replica.Open(ctx, func(tx *store.Tx) ([]byte, error) {
		if err := e.AnnounceIn(tx); err != nil {
			return nil, err
		}
		rows, err := table.EpochsAfter(tx, table.LastEpoch(tx)-1)
		if err != nil {
			return nil, err
		}
		d.row, d.at = rows[len(rows)-1], coco.TxID{View: tx.View(), Seqno: tx.Seqno()}
		return nil, errDraft
	})
	if !errors.Is(err, errDraft) {
		return d, err
	}
	d.secret = rotation.Secret{Sealed: sha256.Sum256(d.row.Sealed), Epoch: d.row.Epoch}
	e.mu.Lock()
	defer e.mu.Unlock()
	var ok bool
	if d.secret.Secret, ok = e.Machine.Proposed(d.secret.Sealed); !ok {
		return d, fmt.Errorf("%w: the secret of epoch %d, which was just made", coco.ErrNotFound, d.row.Epoch)
	}
	return d, nil
}

// keep keeps a secret that the network may come to seal under.
func (e *Driver) keep(s *rotation.Secret) error {
	if e.Keep == nil {
		return nil
	}
	return e.Keep(s)
}

// handOut hands out the secret of an epoch that is not announced yet, and reports whether a majority holds it.
func (e *Driver) handOut(sealed coco.Digest) (held bool, err error) {
	state, err := e.state(rotation.Committed{})
	if err != nil {
		return false, err
	}
	if !state.Leading {
		return false, fmt.Errorf("%w: this node does not lead any more", coco.ErrNotCommitted)
	}
	e.mu.Lock()
	messages, held := e.Machine.HandOut(sealed, state)
	e.mu.Unlock()
	e.send(messages)
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
			digest, reduced, err := archive.DigestOf(rec.Sealed)
			if err != nil {
				return err
			}
			if reduced {
				continue // it was announced long ago
			}
			e.mu.Lock()
			e.Machine.Opened(rotation.Announced{Epoch: rec.Epoch, Sealed: digest})
			e.mu.Unlock()
		}
	}
	return nil
}
