// Package rehearsal reads copies of ledgers as a recovery does, and rehearses one on them, without a node and without touching a network.
//
//	Verify ──▶ Copy: where it ends, what locks it, whether a member's key opens its part
//	Run    ──▶ Report: what a recovery from these copies and keys would come to, and what would fail in earnest
//
// A rehearsal with the keys of a threshold of members opens the ledger in this process. Where members do not want that, each rehearses with its own key alone.
//
// Trust: host
package rehearsal

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/locks"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/ledger"
)

// Copy is a copy of a ledger that was verified without any key.
type Copy struct {
	Path    string // folder of its files
	Auditor *audit.Auditor
	Report  ledger.Report

	views map[uint64]uint64        // of the transactions that were asked for, by seqno
	show  func(*batch.Batch) error // is shown each batch, unless nil
}

// Source says how copies are verified.
type Source struct {
	Verifiers attest.Verifiers
	Service   []byte // the certificate of the service that the network must have, DER; nil if it is not known
	// Progress returns what is told how far a copy is verified; may be nil.
	Progress func(what string) func(done, total int64)
}

// Verify verifies the ledger in a folder, and notes in which view the transactions of some seqnos are. The error is a *ledger.Fault where the ledger is not
// whole; the copy then says what precedes it.
func (s *Source) Verify(ctx context.Context, path string, seqnos ...uint64) (*Copy, error) {
	c := &Copy{Path: path, views: map[uint64]uint64{}}
	for _, seqno := range seqnos {
		c.views[seqno] = 0
	}
	return c, s.audit(ctx, c, "verifying "+path)
}

// audit reads a copy from its first entry on.
func (s *Source) audit(ctx context.Context, c *Copy, what string) error {
	c.Auditor = audit.New(audit.Config{Verifiers: s.Verifiers, Service: s.Service, Now: time.Now()})
	disk, err := local.OpenReadOnly(filepath.Dir(c.Path))
	if err != nil {
		return err
	}
	defer disk.Close()
	var progress func(done, total int64)
	if s.Progress != nil {
		progress = s.Progress(what)
	}
	c.Report, err = ledger.Audit(ctx, disk, filepath.Base(c.Path), c, progress)
	return err
}

// Apply implements ledger.Checker.
func (c *Copy) Apply(b *batch.Batch, public [][]byte) error {
	for seqno := range c.views {
		if seqno >= b.Header.First && seqno <= b.Header.Last() {
			c.views[seqno] = b.Header.View
		}
	}
	if c.show != nil {
		if err := c.show(b); err != nil {
			return err
		}
	}
	return c.Auditor.Apply(b, public)
}

// Signer implements ledger.Checker.
func (c *Copy) Signer(h batch.Header) (*ecdsa.PublicKey, error) { return c.Auditor.Signer(h) }

// Point is where the copy ends.
func (c *Copy) Point() (recovery.Point, error) {
	network, err := table.NetworkID(c.Auditor.ServiceCertificate())
	last := c.Auditor.Last()
	return recovery.Point{
		Network: network, View: c.Report.Last.View, Seqno: c.Report.Last.Seqno, Index: last.Index, Time: last.Time, Root: c.Report.Root,
	}, err
}

// ViewOf returns in which view the transaction of a seqno is that Verify was asked for; zero if the copy lacks it.
func (c *Copy) ViewOf(seqno uint64) uint64 { return c.views[seqno] }

// Constitution is the one in force at the copy's end.
func (c *Copy) Constitution() *constitution.Constitution { return c.Auditor.Constitution() }

// opening is what opens the copy.
func (c *Copy) opening() (*recovery.Opening, error) {
	return locks.Opening(c.Auditor.Tables(), c.Auditor.Used)
}

// Lock is what must be opened first.
func (c *Copy) Lock() (*recovery.Lock, error) {
	opening, err := c.opening()
	if err != nil {
		return nil, err
	}
	lock := opening.Next()
	if lock == nil {
		return nil, fmt.Errorf("%w: the ledger in %s has nothing to open", coco.ErrNotFound, c.Path)
	}
	return lock, nil
}

// CheckKey opens the part that a member's key has of the first lock, and says whose it is. The part stays in this process. The error is coco.ErrVerify if the key
// has none, or it does not open.
func (c *Copy) CheckKey(key *keys.MemberKey) (actor coco.ActorID, lock *recovery.Lock, err error) {
	if lock, err = c.Lock(); err != nil {
		return actor, lock, err
	}
	actor, ok := lock.ActorOf(key.Public())
	if !ok {
		return actor, lock, fmt.Errorf("%w: %s has no part for this key: it is not the encryption key that the constitution lists for any member", coco.ErrVerify, lock)
	}
	if err := lock.Check(actor, key); err != nil {
		return actor, lock, fmt.Errorf("%w: the part of %q does not open: %w", coco.ErrVerify, c.Constitution().Name(actor), err)
	}
	return actor, lock, nil
}
