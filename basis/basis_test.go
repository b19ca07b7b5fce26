package basis_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/basis"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/snapshot"
)

const (
	dir       = "ledger"
	snapshots = "snapshots"
)

// past is the ledger of a network that ended, and the snapshots beside it.
type past struct {
	t    *testing.T
	n    *govtest.Network
	disk *mem.Disk
	rec  table.NodeRecord
	log  *ledger.Log
	tree merkle.Frontier
	prev coco.Digest
	done int                                    // how many transactions are in the ledger
	bend func(index uint64, data []byte) []byte // alters a batch on its way into the ledger; nil for none
	head func(h batch.Header) batch.Header      // alters a header before it is sealed
}

func newPast(t *testing.T) *past {
	t.Helper()
	p := &past{t: t, n: govtest.New(t), disk: mem.New()}
	p.rec = p.n.Genesis()
	var err error
	if p.log, err = ledger.Open(p.disk, dir, ledger.Options{ChunkBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.log.Close() })
	return p
}

// write writes the network's newest transactions into the ledger, each a batch.
func (p *past) write() {
	p.t.Helper()
	for ; p.done < len(p.n.Records); p.done++ {
		index, r := uint64(p.done+1), p.n.Records[p.done]
		h := batch.Header{View: 2, Index: index, First: index, Node: p.rec.ID, Time: p.n.Times[p.done], Epoch: 1, Prev: p.prev, Committed: index - 1}
		if p.head != nil {
			h = p.head(h)
		}
		data, err := batch.Seal(h, []batch.Record{{Public: r.Public, Private: r.Private, Claims: r.Claims}}, &p.tree, batch.NewKeys(1, p.n.Secrets[1]), p.n.Signer(p.rec.ID))
		if err != nil {
			p.t.Fatal(err)
		}
		if p.bend != nil {
			data = p.bend(index, data)
		}
		e := batch.Entry{View: 2, Index: index, Kind: batch.KindBatch, Data: data}
		if err := p.log.Append([]batch.Entry{e}); err != nil {
			p.t.Fatal(err)
		}
		p.prev = e.Chain(p.prev)
	}
	if err := p.log.Sync(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) puts(n int) {
	for range n {
		p.n.Put()
	}
	p.write()
}

// snap writes a snapshot of the state that the ledger ends with.
func (p *past) snap(change func(*snapshot.Header)) (table.SnapshotRecord, string) {
	p.t.Helper()
	network, err := table.NetworkID(p.n.Service.Certificate().Raw)
	if err != nil {
		p.t.Fatal(err)
	}
	tree, err := p.tree.MarshalBinary()
	if err != nil {
		p.t.Fatal(err)
	}
	at := uint64(p.done)
	h := snapshot.Header{
		Network: network, Epoch: 1, Index: at, View: 2, First: at, Seqno: at, Time: p.n.Times[at-1], Chain: p.prev, Tree: tree, Voters: []uint64{7}, Origin: p.rec.ID,
	}
	if change != nil {
		change(&h)
	}
	s := p.n.Store.Snapshot()
	defer s.Release()
	i, err := snapshot.Write(context.Background(), p.disk, snapshots, h, p.n.Secrets[1], s, p.n.Store.Tables())
	if err != nil {
		p.t.Fatal(err)
	}
	return table.SnapshotRecord{Index: at, View: 2, Seqno: at, Digest: i.Digest, Bytes: i.Bytes}, i.Name()
}

// record has the ledger record a snapshot.
func (p *past) record(rec table.SnapshotRecord) {
	p.t.Helper()
	if err := p.n.Snapshot(rec); err != nil {
		p.t.Fatal(err)
	}
	p.write()
}

// audit audits the ledger, and returns where from, and the snapshots that were refused, with the reasons.
func (p *past) audit() (report ledger.Report, from *basis.Snapshot, refused []string, why string, err error) {
	l := basis.Ledger{Log: slog.New(slog.DiscardHandler), Disk: p.disk, Dir: dir, Snapshots: snapshots, Refused: func(name string, because error) {
		refused, why = append(refused, name), why+because.Error()+"\n"
	}}
	c, report, from, err := basis.Audit(p.t.Context(), l, func() *audit.Auditor {
		return audit.New(audit.Config{Service: p.n.Service.Certificate().Raw, Verifiers: govtest.Verifiers})
	})
	if err == nil && len(c.Nodes()) != 1 {
		p.t.Errorf("the auditor followed %d nodes", len(c.Nodes()))
	}
	return report, from, refused, why, err
}

// change changes a file.
func (p *past) change(name string, do func([]byte) []byte) {
	p.t.Helper()
	p.disk.Put(name, do(bytes.Clone(p.disk.Data(name))))
}

func TestAnAuditBeginsAtTheNewestSnapshotThatTheLedgerRecords(t *testing.T) {
	p := newPast(t)
	p.puts(5)
	first, _ := p.snap(nil)
	p.record(first)
	p.puts(3)
	second, name := p.snap(nil)
	p.record(second)
	p.puts(2)
	report, from, refused, why, err := p.audit()
	if err != nil || len(refused) > 0 {
		t.Fatalf("%v; refused: %s", err, why)
	}
	if from == nil || from.Record.Index != second.Index || from.Path != path.Join(snapshots, name) || from.TxID() != (coco.TxID{View: 2, Seqno: second.Seqno}) {
		t.Errorf("the audit began at %+v, expected %s", from, name)
	}
	if whole := uint64(len(p.n.Records)); report.Entries != whole || report.Transactions != whole || report.Last.Seqno != whole || report.Root != p.tree.Root() {
		t.Errorf("report %+v, expected %d entries and root %s", report, whole, p.tree.Root())
	}
}

func TestASnapshotThatTheLedgerDoesNotProveIsNamedAndLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		snap   func(*snapshot.Header)
		before bool // the ledger ends before it records the snapshot
		file   func([]byte) []byte
		alter  func(*table.SnapshotRecord)
		why    string
	}{
		"damaged":                  {file: func(b []byte) []byte { b[len(b)-30] ^= 1; return b }, why: "damaged or altered"},
		"cut short":                {file: func(b []byte) []byte { return b[:len(b)/2] }, why: "ends early"},
		"empty":                    {file: func([]byte) []byte { return nil }, why: "ends early"},
		"no snapshot at all":       {file: func([]byte) []byte { return []byte("something else that is long enough") }, why: "expected"},
		"of another network":       {snap: func(h *snapshot.Header) { h.Network[0] ^= 1 }, why: "it is of the network"},
		"of another history":       {snap: func(h *snapshot.Header) { h.Chain[0] ^= 1 }, why: "another history"},
		"of another view":          {snap: func(h *snapshot.Header) { h.View++ }, alter: func(r *table.SnapshotRecord) { r.View++ }, why: "another history"},
		"with another Merkle tree": {snap: func(h *snapshot.Header) { h.Tree[len(h.Tree)-1] ^= 1 }, why: "Merkle root"},
		"newer than the ledger":    {before: true, why: "the ledger ends with entry 6"},
		"another than is recorded": {alter: func(r *table.SnapshotRecord) { r.Digest[0] ^= 1 }, why: "damaged or altered"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPast(t)
			p.puts(5)
			rec, file := p.snap(c.snap)
			if c.alter != nil {
				c.alter(&rec)
			}
			if !c.before {
				if err := p.n.Snapshot(rec); err == nil {
					p.write()
				} else if c.why != "another history" { // no node would record it
					t.Fatal(err)
				}
				p.puts(2)
			}
			if c.file != nil {
				p.change(path.Join(snapshots, file), c.file)
			}
			report, from, refused, why, err := p.audit()
			if err != nil || from != nil || report.Root != p.tree.Root() {
				t.Fatalf("the audit: %v, from %v", err, from)
			}
			if !slices.Equal(refused, []string{file}) || !strings.Contains(why, c.why) {
				t.Errorf("refused: %v, because %s, expected %q", refused, why, c.why)
			}
		})
	}
}

func TestAnOlderSnapshotStandsInForANewerOneThatIsDamaged(t *testing.T) {
	p := newPast(t)
	p.puts(5)
	first, _ := p.snap(nil)
	p.record(first)
	p.puts(3)
	second, newest := p.snap(nil)
	p.record(second)
	p.change(path.Join(snapshots, newest), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	_, from, refused, _, err := p.audit()
	if err != nil || from == nil || from.Record.Index != first.Index || !slices.Equal(refused, []string{newest}) {
		t.Errorf("%v; from %+v, refused %v", err, from, refused)
	}
}

// Nothing before the snapshot can differ from what the network wrote, and nothing behind it is verified less.
func TestAFaultOfTheLedgerIsFoundBeforeAndBehindASnapshot(t *testing.T) {
	for name, fault := range map[string]struct {
		index uint64
		bend  func([]byte) []byte
		kept  bool // an audit from the snapshot on accepts it: a signature before it, which the chain holds
	}{
		"a signature behind it":   {index: 9, bend: func(b []byte) []byte { b[len(b)-5] ^= 1; return b }},
		"a signature before it":   {index: 3, bend: func(b []byte) []byte { b[len(b)-5] ^= 1; return b }, kept: true},
		"a sealed part before it": {index: 3, bend: func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
		"a sealed part behind it": {index: 9, bend: func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPast(t)
			p.bend = func(index uint64, data []byte) []byte {
				if index != fault.index {
					return data
				}
				return fault.bend(bytes.Clone(data))
			}
			p.puts(5)
			rec, _ := p.snap(nil)
			p.record(rec)
			p.puts(4)
			_, from, _, _, err := p.audit()
			if fault.kept {
				if err != nil || from == nil {
					t.Errorf("%v, from %v", err, from)
				}
				return
			}
			bad := (*ledger.Fault)(nil)
			if !errors.As(err, &bad) || bad.Index != fault.index {
				t.Errorf("%v, expected a fault of entry %d", err, fault.index)
			}
		})
	}

	t.Run("another past under the same snapshot", func(t *testing.T) {
		p := newPast(t)
		p.puts(5)
		rec, file := p.snap(nil)
		p.record(rec)
		p.puts(2)
		other := newPast(t) // of which the same members' node could have written it
		other.n, other.rec = p.n, p.rec
		other.head = func(h batch.Header) batch.Header {
			h.Committed = 0
			return h
		}
		other.write()
		other.disk.Put(path.Join(snapshots, file), p.disk.Data(path.Join(snapshots, file)))
		_, from, refused, why, err := other.audit()
		if err != nil || from != nil || !slices.Equal(refused, []string{file}) || !strings.Contains(why, "another history") {
			t.Errorf("%v, from %v, refused %v: %s", err, from, refused, why)
		}
	})
}
