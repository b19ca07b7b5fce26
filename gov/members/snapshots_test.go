package members_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// snapshotAt is a snapshot at an index; its seqno is the same, as every batch here has one transaction.
func snapshotAt(index uint64) table.SnapshotRecord {
	return table.SnapshotRecord{Index: index, View: 2, Seqno: index, Digest: coco.Digest{byte(index)}, Bytes: 1000 + index}
}

func TestTheNewestSnapshotsAreKeptAndAnAuditAgrees(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	signers := []table.NodeRecord{a}
	if list, requested := n.Snapshots(); len(list) != 0 || requested != 0 {
		t.Fatalf("a new network has snapshots %v and a request at %d", list, requested)
	}
	for i := range uint64(members.KeepSnapshots + 3) {
		if i%4 == 0 {
			if err := n.Transact(members.RequestSnapshot); err != nil {
				t.Fatal(err)
			}
			signers = append(signers, a)
			if _, requested := n.Snapshots(); requested != uint64(len(signers)) {
				t.Fatalf("the request is noted at %d, expected %d", requested, len(signers))
			}
		}
		rec := snapshotAt(uint64(len(signers)))
		if err := n.Snapshot(rec); err != nil {
			t.Fatal(err)
		}
		signers = append(signers, a)
		list, _ := n.Snapshots()
		rec.Since = uint64(len(signers))
		if len(list) != min(int(i)+1, members.KeepSnapshots) || list[len(list)-1] != rec {
			t.Fatalf("after %d snapshots the table has %v, expected %v last", i+1, list, rec)
		}
	}
	auditor := audit.New(audit.Config{})
	if err := govtest.Audit(auditor, n.Batches(signers...), false); err != nil {
		t.Fatal(err)
	}
	list, _ := n.Snapshots()
	if audited, err := table.Snapshots(auditor.Tables()); err != nil || !slices.Equal(audited, list) {
		t.Errorf("the audit ends with %v (%v), the network with %v", audited, err, list)
	}
}

func TestASnapshotThatIsNotNewerIsNotRecorded(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	for range 6 {
		n.Put()
	}
	if err := n.Snapshot(snapshotAt(4)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*table.SnapshotRecord){
		"the same again":    func(r *table.SnapshotRecord) { *r = snapshotAt(4) },
		"an older one":      func(r *table.SnapshotRecord) { *r = snapshotAt(3) },
		"an earlier seqno":  func(r *table.SnapshotRecord) { r.Seqno = 4 },
		"an earlier view":   func(r *table.SnapshotRecord) { r.View = 1 },
		"one of the future": func(r *table.SnapshotRecord) { r.Seqno = 9 },
		"no digest":         func(r *table.SnapshotRecord) { r.Digest = coco.Digest{} },
		"no bytes":          func(r *table.SnapshotRecord) { r.Bytes = 0 },
	} {
		rec := snapshotAt(6)
		change(&rec)
		if err := n.Snapshot(rec); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	if err := n.Snapshot(snapshotAt(6)); err != nil {
		t.Error(err)
	}
}

func TestAnAuditRefusesSnapshotsThatTheNetworkWouldNotRecord(t *testing.T) {
	put := func(rec table.SnapshotRecord) store.Write {
		value, err := canon.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		return store.Write{Table: table.SnapshotsTable, Key: table.SnapshotKey(rec.Index), Value: value}
	}
	since := func(rec table.SnapshotRecord, seqno uint64) table.SnapshotRecord {
		rec.Since = seqno
		return rec
	}
	for _, c := range []struct {
		name, text string
		kept       int // snapshots recorded before
		writes     func(seqno uint64) []store.Write
	}{
		{"an older one", "expected one after", 2, func(s uint64) []store.Write { return []store.Write{put(since(snapshotAt(1), s))} }},
		{"another key", "wrong place", 0, func(s uint64) []store.Write {
			w := put(since(snapshotAt(1), s))
			w.Key = table.SnapshotKey(2)
			return []store.Write{w}
		}},
		{"another seqno", "wrong place", 0, func(s uint64) []store.Write { return []store.Write{put(since(snapshotAt(1), s-1))} }},
		{"of the future", "what is before its record", 0, func(s uint64) []store.Write { return []store.Write{put(since(snapshotAt(s), s))} }},
		{"two at once", "two snapshots", 0, func(s uint64) []store.Write {
			return []store.Write{put(since(snapshotAt(1), s)), put(since(snapshotAt(2), s))}
		}},
		{"one too many kept", "keeps 9", members.KeepSnapshots, func(s uint64) []store.Write { return []store.Write{put(since(snapshotAt(s-1), s))} }},
		{"one forgotten early", "to be kept", members.KeepSnapshots, func(uint64) []store.Write {
			return []store.Write{{Table: table.SnapshotsTable, Key: table.SnapshotKey(2), Delete: true}}
		}},
		{"the wrong one forgotten", "to be kept", members.KeepSnapshots, func(s uint64) []store.Write {
			return []store.Write{put(since(snapshotAt(s-1), s)), {Table: table.SnapshotsTable, Key: table.SnapshotKey(3), Delete: true}}
		}},
		{"the request forgotten", "to be kept", 0, func(uint64) []store.Write {
			return []store.Write{{Table: table.SnapshotsTable, Key: []byte(table.RequestKey), Delete: true}}
		}},
		{"a false request", "wrong place", 0, func(s uint64) []store.Write {
			value, err := canon.Marshal(table.RequestRecord{Since: s + 1})
			if err != nil {
				t.Fatal(err)
			}
			return []store.Write{{Table: table.SnapshotsTable, Key: []byte(table.RequestKey), Value: value}}
		}},
		{"not canonical", "snapshot record", 0, func(s uint64) []store.Write {
			w := put(since(snapshotAt(1), s))
			w.Value = append(w.Value, 0)
			return []store.Write{w}
		}},
		{"anything else", "snapshot record", 0, func(uint64) []store.Write {
			return []store.Write{{Table: table.SnapshotsTable, Key: []byte("x"), Value: []byte("y")}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := govtest.New(t)
			a := n.Genesis()
			n.Put()
			signers := []table.NodeRecord{a, a}
			for range c.kept {
				if err := n.Snapshot(snapshotAt(uint64(len(signers)))); err != nil {
					t.Fatal(err)
				}
				signers = append(signers, a)
			}
			n.Put()
			signers = append(signers, a)
			last := len(signers)
			n.Records[last-1].Public = store.EncodeWrites(c.writes(uint64(last)))
			err := govtest.Audit(audit.New(audit.Config{}), n.Batches(signers...), false)
			if !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, expected coco.ErrVerify about %q", err, c.text)
			}
		})
	}
}

func TestWhenSnapshotsAreWrittenIsReadFromThePage(t *testing.T) {
	n := govtest.New(t)
	page := string(n.C.TOML())
	cut, _, _ := strings.Cut(page, "\n# With how many bytes")
	for _, c := range []struct {
		text string
		want constitution.SnapshotPolicy
	}{
		{"", constitution.SnapshotPolicy{Transactions: 200_000, Bytes: 256 << 20, Seconds: 3600}},
		{"[snapshots]\ntransactions = 0\n", constitution.SnapshotPolicy{Transactions: 0, Bytes: 256 << 20, Seconds: 3600}},
		{"[snapshots]\ntransactions = 5\nbytes = 0\nseconds = 0\n", constitution.SnapshotPolicy{Transactions: 5, Bytes: 0, Seconds: 0}},
		{"[snapshots]\ntransactions = 0\nbytes = 0\nseconds = 0\n", constitution.SnapshotPolicy{Transactions: 0, Bytes: 0, Seconds: 0}},
	} {
		k := govtest.Parse(t, cut+"\n"+c.text)
		if !same(k.Snapshots, c.want) {
			t.Errorf("%q gives %v, expected %v", c.text, k.Snapshots, c.want)
		}
		if err := k.Complete(); err != nil || !same(k.Snapshots, c.want) {
			t.Errorf("%q: completed again it is %v (%v), expected %v", c.text, k.Snapshots, err, c.want)
		}
		again, err := constitution.Decode(k.Canonical())
		if err != nil {
			t.Fatal(err)
		}
		if !same(again.Snapshots, c.want) || !same(govtest.Parse(t, string(k.TOML())).Snapshots, c.want) {
			t.Errorf("%q: another policy came back", c.text)
		}
	}
	for text, path := range map[string]string{
		"[snapshots]\ntransactions = 1\n": "snapshots.transactions", "[snapshots]\nseconds = -1\n": "snapshots.seconds",
		"[ledger]\nchunk_bytes = 0\n": "ledger.chunk_bytes", "[ledger]\nchunk_bytes = 4294967296\n": "ledger.chunk_bytes",
	} {
		if _, err := constitution.Parse([]byte(cut + "\n" + text)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v, expected coco.ErrInvalid about %s", text, err, path)
		}
	}
}

// same compares two policies.
func same(a, b constitution.SnapshotPolicy) bool {
	return a.Transactions == b.Transactions && a.Bytes == b.Bytes && a.Seconds == b.Seconds
}
