// Package basis audits a ledger without any key, from a snapshot beside it on where the ledger proves that snapshot.
//
//	snapshots, the newest first ──▶ audit: as one piece up to the snapshot, entry by entry behind it ──▶ is it what the ledger records?
//	                                      └── no: the next older one; in the end none, and the audit begins with the first entry
//
// A snapshot is believed if the ledger records its digest in a batch behind it, and the chain digest of all entries up to it is the one in its header. What is proven then, and what is
// given up compared with an audit of every entry, is written in package ledger/check. The snapshot's rows are encrypted, so governance is followed through the
// ledger's public records from the first entry on in either case: which constitution is in force, who is trusted, and each decision by the statements of members.
//
// A snapshot that is damaged, of another network, or newer than the ledger's end is named and left out. An audit that fails behind a snapshot is
// done again without it, so that a fault of the ledger is never taken for one of the snapshot.
//
// Trust: enclave
package basis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/ledger/check"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Ledger is what is audited.
type Ledger struct {
	Log       *slog.Logger
	Disk      host.Disk
	Dir       string      // of the ledger
	Extra     []host.Disk // folders of chunks that were moved away
	Snapshots string      // folder of snapshots; empty for an audit that begins with the first entry
	// Progress is told how many bytes of how many of the ledger are verified. May be nil.
	Progress func(done, total int64)
	// Refused is told why a snapshot, by the name of its file, is left out. May be nil.
	Refused func(name string, why error)
}

// Snapshot is a snapshot that the ledger proves. What is in its rows is not read: whoever loads it MUST compare the file's digest with the record.
type Snapshot struct {
	Record table.SnapshotRecord
	Header snapshot.Header
	Tree   merkle.Frontier
	Path   string // of the file
}

// toldEvery is how often a log says how far long work is.
const toldEvery = 10 * time.Second

// Told returns what says in a log every ten seconds how far work is, and how long it takes still.
func Told(log *slog.Logger, clock host.Clock, what string) func(done, total int64) {
	began := clock.Elapsed()
	last := began
	return func(done, total int64) {
		now := clock.Elapsed()
		if now-last < toldEvery || done == 0 {
			return
		}
		last = now
		left := time.Duration(float64(now-began) * float64(total-done) / float64(done)).Round(time.Second)
		log.Info(what, "done", done, "of", total, "left", left)
	}
}

// TxID is the last transaction that the snapshot covers; zero for none.
func (s *Snapshot) TxID() coco.TxID {
	if s == nil {
		return coco.TxID{}
	}
	return coco.TxID{View: s.Record.View, Seqno: s.Record.Seqno}
}

// Checker follows governance beside an audit.
type Checker interface {
	ledger.Checker
	Tables() store.Reader
	ServiceCertificate() []byte // DER
}

// Audit audits a ledger, and returns what has followed it, and the snapshot that the audit began at; nil if it began with the first entry. fresh makes a checker for each attempt. The error is that of
// ledger.Audit.
func Audit[C Checker](ctx context.Context, l Ledger, fresh func() C) (c C, report ledger.Report, from *Snapshot, err error) {
	for _, name := range l.names() {
		s, digest, size, err := l.read(ctx, name)
		if err == nil {
			c = fresh()
			order := check.NewSequenceAfter(c, check.Basis{Index: s.Header.Index, View: s.Header.View, Seqno: s.Header.Seqno, Chain: s.Header.Chain, Tree: s.Tree})
			report, err = ledger.AuditAs(ctx, l.Disk, l.Dir, order, l.Progress, l.Extra...)
			err = errors.Join(order.Reached(), err)
			if err == nil {
				err = s.prove(c, digest, size)
			}
		}
		if ctx.Err() != nil {
			return c, report, nil, ctx.Err()
		}
		if err == nil {
			return c, report, s, nil
		}
		l.Log.Warn("a snapshot is left out: it is damaged, or not one of this ledger", logevent.SnapshotRefused.Attr(), "file", path.Join(l.Snapshots, name), "error", err)
		if l.Refused != nil {
			l.Refused(name, err)
		}
	}
	c = fresh()
	report, err = ledger.Audit(ctx, l.Disk, l.Dir, c, l.Progress, l.Extra...)
	return c, report, nil, err
}

// names returns the files of snapshots, the newest first. A folder that cannot be read is one without snapshots.
func (l *Ledger) names() (out []string) {
	if l.Snapshots == "" {
		return nil
	}
	all, err := snapshot.List(l.Disk, l.Snapshots)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.Log.Warn("the folder of snapshots cannot be read: the audit begins with the first entry", "folder", l.Snapshots, "error", err)
		}
		return nil
	}
	for _, i := range slices.Backward(all) {
		out = append(out, i.Name())
	}
	return out
}

// read reads a snapshot's file, which says of itself what it is. What it carries to prove itself with must be about it.
func (l *Ledger) read(ctx context.Context, name string) (s *Snapshot, digest coco.Digest, size uint64, err error) {
	s = &Snapshot{Path: path.Join(l.Snapshots, name)}
	f, err := snapshot.Open(l.Disk, s.Path)
	if err != nil {
		return nil, digest, 0, err
	}
	defer f.Close()
	s.Header, size = f.Header(), f.Bytes()
	if s.Tree, err = s.Header.Frontier(); err != nil {
		return nil, digest, 0, err
	}
	if digest, err = f.Digest(ctx); err != nil || f.Receipt() == nil {
		return s, digest, size, err
	}
	r, err := receipt.Parse(wire.MediaJSON, f.Receipt())
	if err != nil {
		return nil, digest, 0, fmt.Errorf("%w: its receipt: %w", coco.ErrCorrupt, err)
	}
	if !bytes.Equal(r.Claims, snapshot.Claims(s.Header, digest, size)) {
		return nil, digest, 0, fmt.Errorf("%w: its receipt is about another file: it was damaged or altered", coco.ErrCorrupt)
	}
	return s, digest, size, nil
}

// prove compares the snapshot with what the ledger records.
func (s *Snapshot) prove(c Checker, digest coco.Digest, size uint64) error {
	network, err := table.NetworkID(c.ServiceCertificate())
	if err != nil {
		return err
	}
	if s.Header.Network != network {
		return fmt.Errorf("%w: it is of the network %s, and the ledger of %s", coco.ErrVerify, s.Header.Network.Short(), network.Short())
	}
	records, err := table.Snapshots(c.Tables())
	if err != nil {
		return err
	}
	for _, rec := range records {
		if rec.Index != s.Header.Index {
			continue
		}
		if rec.Digest != digest || rec.Bytes != size || rec.View != s.Header.View || rec.Seqno != s.Header.Seqno {
			return fmt.Errorf("%w: it has %d bytes with digest %s, and the ledger records %d with %s: it was damaged or altered", coco.ErrVerify, size, digest.Short(), rec.Bytes, rec.Digest.Short())
		}
		s.Record = rec
		return nil
	}
	return fmt.Errorf("%w: the ledger does not record it: it is newer than the ledger's end, or too old", coco.ErrVerify)
}
