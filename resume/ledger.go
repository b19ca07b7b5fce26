package resume

import (
	"context"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/basis"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// Ledger is what the ledger on a node's disk proves.
type Ledger struct {
	Constitution *constitution.Constitution
	Decided      uint64         // the constitution's version
	Service      []byte         // the service's certificate, DER
	End          peer.ResumeEnd // of its last batch; what follows holds no transactions and is not signed
	Nodes        map[coco.NodeID]string
	All          bool            // not every node votes
	Basis        *basis.Snapshot // a snapshot to begin with, of a batch that the ledger proves to be committed; nil for none
	// Recorded are the snapshots of committed batches that the ledger records, the newest first, those after Basis alone.
	Recorded []table.SnapshotRecord
}

// Read audits a ledger, from a snapshot on where it proves one, and returns what it proves. The error is coco.ErrVerify if it is not the ledger of the service, and coco.ErrDenied if its
// constitution does not allow that nodes go on by themselves.
func Read(ctx context.Context, from basis.Ledger, service []byte, verifiers attest.Verifiers) (*Ledger, error) {
	auditor, report, snapshot, err := basis.Audit(ctx, from, func() *audit.Auditor {
		return audit.New(audit.Config{Service: service, Verifiers: verifiers})
	})
	if err != nil {
		return nil, fmt.Errorf("audit before this node resumes: %w", err)
	}
	c := auditor.Constitution()
	if c.Recovery.Unattended != constitution.Yes {
		return nil, fmt.Errorf("%w: recovery.unattended is %q in constitution %s", coco.ErrDenied, c.Recovery.Unattended, c.Digest().Short())
	}
	last := auditor.Last()
	l := &Ledger{
		Constitution: c, Decided: table.LastVersion(auditor.Tables()), Service: auditor.ServiceCertificate(), Nodes: map[coco.NodeID]string{},
		End: peer.ResumeEnd{View: last.View, Index: last.Index, Seqno: last.Last()},
	}
	if snapshot != nil && snapshot.Header.Index <= report.CommittedIndex {
		l.Basis = snapshot
	}
	if l.Recorded, err = recorded(auditor.Tables(), report.CommittedIndex, l.Basis); err != nil {
		return nil, err
	}
	var trusted []table.NodeRecord
	for _, rec := range auditor.Nodes() {
		if rec.State == table.Trusted {
			trusted = append(trusted, rec)
			l.Nodes[rec.ID] = rec.Address
		}
	}
	seats, err := decide.Voters(auditor.Tables(), c, trusted)
	if err != nil {
		return nil, err
	}
	l.All = len(balance.Admissible(nil, seats)) < len(seats)
	return l, nil
}

// recorded returns the records of snapshots of batches up to a committed one, and after a snapshot that there is, the newest first.
func recorded(r store.Reader, committed uint64, after *basis.Snapshot) (out []table.SnapshotRecord, err error) {
	records, err := table.Snapshots(r)
	if err != nil {
		return nil, err
	}
	for _, rec := range slices.Backward(records) {
		if rec.Index <= committed && (after == nil || rec.Index > after.Record.Index) {
			out = append(out, rec)
		}
	}
	return out, nil
}
