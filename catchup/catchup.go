// Package catchup brings what a node has on its disk up to what the network has: a snapshot to begin
// with, the entries of the ledger up to it, and, while the node works already, the chunks of the past.
//
//	ledger of the network   ├──chunk──┼──chunk──┼──chunk──┼──chunk──┤▒▒▒▒▒▒▒ …
//	                                                 ▲ snapshot
//	of a new node, first                        ├────┤▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒ …     Begin, then consensus
//	and later               ├─ ◀ ─────── ◀ ─────┤                                Backfill, the newest first
//
// A node that comes back has a part of the ledger already. Samples name some of its entries; the
// leader that admits it answers which of them is the newest that the network has, too (Shared). What
// is behind that is fetched again.
//
// Nothing that another node sends is believed. A snapshot has the digest that the ledger records; the
// entries before it lead to the chain digest in its header; a chunk leads to the chunk after it; and
// whatever consensus sends is checked when it is applied. A disk that turns out to hold something else
// ends with an UnusableError: the ledger is set aside, and all of it fetched.
//
// A crash leaves a snapshot, or a part of one, and a ledger that ends earlier or has a gap: the next
// start of the node goes on from there.
//
// Trust: enclave
package catchup

import (
	"context"
	"log/slog"
	"time"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/snapshot"
)

// Local is what a node has on its disk, and the way to what it lacks.
type Local struct {
	Log       *slog.Logger
	Clock     host.Clock
	Disk      host.Disk
	Snapshots string // the folder of the snapshots on Disk
	Ledger    *ledger.Log
	Fetcher   *peer.Fetcher
}

func (l *Local) path(i snapshot.Info) string { return l.Snapshots + "/" + i.Name() }

// File is where a recorded snapshot's file is on this node's disk, if it has it.
func (l *Local) File(rec Record) string {
	return l.path(snapshot.Info{Index: rec.Index, Seqno: rec.Seqno})
}

// pause waits, and reports ctx's error if that ends first.
func (l *Local) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.Clock.After(d):
		return nil
	}
}

// UnusableError asks for the ledger to be set aside and fetched again: it is damaged, or not the network's.
type UnusableError struct{ Err error }

func (e *UnusableError) Error() string { return "this node's ledger is damaged: " + e.Err.Error() }
func (e *UnusableError) Unwrap() error { return e.Err }

// StaleError says that no node has what this one needs to begin. Its admission has become old: it has to join again.
type StaleError struct{ reason string }

func (e *StaleError) Error() string { return e.reason }
