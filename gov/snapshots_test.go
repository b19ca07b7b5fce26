package gov

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/store"
)

// snapshotAt is a snapshot at an index; its seqno is the same, as every batch here has one transaction.
func snapshotAt(index uint64) SnapshotRecord {
	return SnapshotRecord{Index: index, View: 2, Seqno: index, Digest: coco.Digest{byte(index)}, Bytes: 1000 + index}
}

func (n *network) snapshot(rec SnapshotRecord) error {
	return n.transact(func(tx *store.Tx) error { return RecordSnapshot(tx, rec) })
}

// read returns what the network's table says.
func (n *network) snapshots() (list []SnapshotRecord, requested uint64) {
	n.t.Helper()
	p := n.store.Snapshot()
	defer p.Release()
	list, err := Snapshots(p)
	if err != nil {
		n.t.Fatal(err)
	}
	if requested, err = SnapshotRequest(p); err != nil {
		n.t.Fatal(err)
	}
	newest, ok, err := NewestSnapshot(p)
	if err != nil || ok != (len(list) > 0) || ok && newest != list[len(list)-1] {
		n.t.Fatalf("the newest is %v %v %v, expected the last of %v", newest, ok, err, list)
	}
	return list, requested
}

func TestTheNewestSnapshotsAreKeptAndAnAuditAgrees(t *testing.T) {
	n := newNetwork(t)
	a := n.genesis()
	signers := []NodeRecord{a}
	if list, requested := n.snapshots(); len(list) != 0 || requested != 0 {
		t.Fatalf("a new network has snapshots %v and a request at %d", list, requested)
	}
	for i := range uint64(KeepSnapshots + 3) {
		if i%4 == 0 {
			if err := n.transact(RequestSnapshot); err != nil {
				t.Fatal(err)
			}
			signers = append(signers, a)
			if _, requested := n.snapshots(); requested != uint64(len(signers)) {
				t.Fatalf("the request is noted at %d, expected %d", requested, len(signers))
			}
		}
		rec := snapshotAt(uint64(len(signers)))
		if err := n.snapshot(rec); err != nil {
			t.Fatal(err)
		}
		signers = append(signers, a)
		list, _ := n.snapshots()
		rec.Since = uint64(len(signers))
		if len(list) != min(int(i)+1, KeepSnapshots) || list[len(list)-1] != rec {
			t.Fatalf("after %d snapshots the table has %v, expected %v last", i+1, list, rec)
		}
	}
	auditor := NewAuditor(AuditorConfig{})
	if err := audit(auditor, n.batches(signers...), false); err != nil {
		t.Fatal(err)
	}
	list, _ := n.snapshots()
	if audited, err := Snapshots(auditor.Tables()); err != nil || !slices.Equal(audited, list) {
		t.Errorf("the audit ends with %v (%v), the network with %v", audited, err, list)
	}
}

func TestASnapshotThatIsNotNewerIsNotRecorded(t *testing.T) {
	n := newNetwork(t)
	n.genesis()
	for range 6 {
		n.put()
	}
	if err := n.snapshot(snapshotAt(4)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*SnapshotRecord){
		"the same again":    func(r *SnapshotRecord) { *r = snapshotAt(4) },
		"an older one":      func(r *SnapshotRecord) { *r = snapshotAt(3) },
		"an earlier seqno":  func(r *SnapshotRecord) { r.Seqno = 4 },
		"an earlier view":   func(r *SnapshotRecord) { r.View = 1 },
		"one of the future": func(r *SnapshotRecord) { r.Seqno = 9 },
		"no digest":         func(r *SnapshotRecord) { r.Digest = coco.Digest{} },
		"no bytes":          func(r *SnapshotRecord) { r.Bytes = 0 },
	} {
		rec := snapshotAt(6)
		change(&rec)
		if err := n.snapshot(rec); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	if err := n.snapshot(snapshotAt(6)); err != nil {
		t.Error(err)
	}
}

func TestAnAuditRefusesSnapshotsThatTheNetworkWouldNotRecord(t *testing.T) {
	put := func(rec SnapshotRecord) store.Write {
		value, err := canon.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		return store.Write{Table: SnapshotsTable, Key: snapshotKey(rec.Index), Value: value}
	}
	since := func(rec SnapshotRecord, seqno uint64) SnapshotRecord {
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
			w.Key = snapshotKey(2)
			return []store.Write{w}
		}},
		{"another seqno", "wrong place", 0, func(s uint64) []store.Write { return []store.Write{put(since(snapshotAt(1), s-1))} }},
		{"of the future", "what is before its record", 0, func(s uint64) []store.Write { return []store.Write{put(since(snapshotAt(s), s))} }},
		{"two at once", "two snapshots", 0, func(s uint64) []store.Write {
			return []store.Write{put(since(snapshotAt(1), s)), put(since(snapshotAt(2), s))}
		}},
		{"one too many kept", "keeps 9", KeepSnapshots, func(s uint64) []store.Write { return []store.Write{put(since(snapshotAt(s-1), s))} }},
		{"one forgotten early", "to be kept", KeepSnapshots, func(uint64) []store.Write {
			return []store.Write{{Table: SnapshotsTable, Key: snapshotKey(2), Delete: true}}
		}},
		{"the wrong one forgotten", "to be kept", KeepSnapshots, func(s uint64) []store.Write {
			return []store.Write{put(since(snapshotAt(s-1), s)), {Table: SnapshotsTable, Key: snapshotKey(3), Delete: true}}
		}},
		{"the request forgotten", "to be kept", 0, func(uint64) []store.Write {
			return []store.Write{{Table: SnapshotsTable, Key: []byte(requestKey), Delete: true}}
		}},
		{"a false request", "wrong place", 0, func(s uint64) []store.Write {
			value, err := canon.Marshal(snapshotRequest{s + 1})
			if err != nil {
				t.Fatal(err)
			}
			return []store.Write{{Table: SnapshotsTable, Key: []byte(requestKey), Value: value}}
		}},
		{"not canonical", "snapshot record", 0, func(s uint64) []store.Write {
			w := put(since(snapshotAt(1), s))
			w.Value = append(w.Value, 0)
			return []store.Write{w}
		}},
		{"anything else", "snapshot record", 0, func(uint64) []store.Write {
			return []store.Write{{Table: SnapshotsTable, Key: []byte("x"), Value: []byte("y")}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t)
			a := n.genesis()
			n.put()
			signers := []NodeRecord{a, a}
			for range c.kept {
				if err := n.snapshot(snapshotAt(uint64(len(signers)))); err != nil {
					t.Fatal(err)
				}
				signers = append(signers, a)
			}
			n.put()
			signers = append(signers, a)
			last := len(signers)
			n.records[last-1].Public = store.EncodeWrites(c.writes(uint64(last)))
			err := audit(NewAuditor(AuditorConfig{}), n.batches(signers...), false)
			if !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, expected coco.ErrVerify about %q", err, c.text)
			}
		})
	}
}

func TestWhenSnapshotsAreWrittenIsReadFromThePage(t *testing.T) {
	n := newNetwork(t)
	page := string(n.c.TOML())
	cut, _, _ := strings.Cut(page, "\n# With how many bytes")
	for _, c := range []struct {
		text string
		want SnapshotPolicy
	}{
		{"", SnapshotPolicy{200_000, 256 << 20, 3600, true}},
		{"[snapshots]\ntransactions = 0\n", SnapshotPolicy{0, 256 << 20, 3600, true}},
		{"[snapshots]\ntransactions = 5\nbytes = 0\nseconds = 0\n", SnapshotPolicy{5, 0, 0, true}},
		{"[snapshots]\ntransactions = 0\nbytes = 0\nseconds = 0\n", SnapshotPolicy{0, 0, 0, true}},
	} {
		k := parse(t, cut+"\n"+c.text)
		if k.Snapshots != c.want {
			t.Errorf("%q gives %v, expected %v", c.text, k.Snapshots, c.want)
		}
		if err := k.Complete(); err != nil || k.Snapshots != c.want {
			t.Errorf("%q: completed again it is %v (%v), expected %v", c.text, k.Snapshots, err, c.want)
		}
		again, err := DecodeConstitution(k.Canonical())
		if err != nil {
			t.Fatal(err)
		}
		if again.Snapshots != c.want || parse(t, string(k.TOML())).Snapshots != c.want {
			t.Errorf("%q: another policy came back", c.text)
		}
	}
	for text, path := range map[string]string{
		"[snapshots]\ntransactions = 1\n": "snapshots.transactions", "[snapshots]\nseconds = -1\n": "snapshots.seconds",
		"[ledger]\nchunk_bytes = 0\n": "ledger.chunk_bytes", "[ledger]\nchunk_bytes = 4294967296\n": "ledger.chunk_bytes",
	} {
		if _, err := ParseConstitution([]byte(cut + "\n" + text)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v, expected coco.ErrInvalid about %s", text, err, path)
		}
	}
}
