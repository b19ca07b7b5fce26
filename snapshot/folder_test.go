package snapshot

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

func TestAConfirmedSnapshotProvesItself(t *testing.T) {
	_, pinned := state(t, 100, 100, 1)
	d := newDisk()
	i := write(t, d, pinned)
	if h, digest, receipt, err := Verify(d, name(i)); err != nil || digest != i.Digest || receipt != nil || h.Index != 7 {
		t.Fatalf("pending: %v %s %q %v", h, digest, receipt, err)
	}
	body := slices.Clone(d.get(t, name(i)))
	// A Confirm that a crash ended leaves something behind the body.
	d.Put(name(i), append(slices.Clone(body), "half a receipt that is longer than the one that comes"...))
	if _, digest, receipt, err := Verify(d, name(i)); err != nil || digest != i.Digest || receipt != nil {
		t.Fatalf("after a crash: %s %q %v", digest, receipt, err)
	}
	if err := Confirm(d, dir, i, []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	if names := d.Names(); !slices.Equal(names, []string{"snapshots/snapshot_7_9"}) {
		t.Fatalf("files %v", names)
	}
	i.Pending = false
	_, digest, receipt, err := Verify(d, name(i))
	if err != nil || digest != i.Digest || string(receipt) != "receipt" {
		t.Fatalf("%s %q %v", digest, receipt, err)
	}
	if _, err := Load(t.Context(), d, name(i), i.Digest, secret, newStore(t, tables...)); err != nil {
		t.Fatal(err)
	}
	good := slices.Clone(d.get(t, name(i)))
	for at := len(body); at <= len(good); at++ {
		b := append(slices.Clone(good[:at]), 0)
		d.Put("x", b)
		if _, _, _, err := Verify(d, "x"); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("a trailer of %d bytes and a zero: error %v, expected coco.ErrCorrupt", at-len(body), err)
		}
	}
}

func TestListShowsWholeFilesInOrder(t *testing.T) {
	_, pinned := state(t, 1, 1, 1)
	d := newDisk()
	i := write(t, d, pinned)
	if err := Confirm(d, dir, i, []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	d.Put("snapshots/snapshot_10_12.pending", make([]byte, 77))
	d.Put("snapshots/snapshot_9_12", []byte{1})
	for _, other := range []string{"snapshot_11_12.part", "snapshot_011_12", "snapshot_11", "other", "snapshot_11_12.pending.part"} {
		d.Put("snapshots/"+other, nil)
	}
	got, err := List(d, dir)
	want := []Info{
		{Index: 7, Seqno: 9, Bytes: i.Bytes}, {Index: 9, Seqno: 12, Bytes: 1}, {Index: 10, Seqno: 12, Bytes: 77, Pending: true},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("listed %v %v, expected %v", got, err, want)
	}
	if err := Sweep(d, dir); err != nil {
		t.Fatal(err)
	}
	if err := Remove(d, dir, got[2]); err != nil {
		t.Fatal(err)
	}
	if err := Remove(d, dir, got[2]); err != nil {
		t.Errorf("removing it again: %v", err)
	}
	if names := d.Names(); !slices.Equal(names, []string{"snapshots/other", "snapshots/snapshot_011_12", "snapshots/snapshot_11", "snapshots/snapshot_7_9", "snapshots/snapshot_9_12"}) {
		t.Errorf("files %v are left", names)
	}
}

func TestASnapshotTravelsInPieces(t *testing.T) {
	_, pinned := state(t, 5000, 100, 1)
	d := newDisk()
	i := write(t, d, pinned)
	if err := Confirm(d, dir, i, []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	from, err := Open(d, "snapshots/snapshot_7_9")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	want := Info{Index: from.Header().Index, Seqno: from.Header().Seqno, Digest: i.Digest, Bytes: from.Bytes()}
	to := newDisk()
	r, err := Receive(to, dir, want)
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 10_000)
	for r.Offset() < from.Bytes() {
		n, err := from.ReadAt(piece, int64(r.Offset()))
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if _, err := r.Write(piece[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Write([]byte{0}); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("one byte too many: error %v, expected coco.ErrCorrupt", err)
	}
	if _, err := r.Done(from.Receipt()); err != nil {
		t.Fatal(err)
	}
	if a, b := to.get(t, "snapshots/snapshot_7_9"), d.get(t, "snapshots/snapshot_7_9"); !bytes.Equal(a, b) || len(to.Names()) != 1 {
		t.Errorf("another file came: %v", to.Names())
	}
}

func TestWhatIsNotTheRecordedSnapshotIsNotKept(t *testing.T) {
	d := newDisk()
	for what, sent := range map[string]string{"too short": "abc", "other bytes": "abcx"} {
		r, err := Receive(d, dir, Info{Index: 1, Seqno: 1, Bytes: 4, Digest: coco.Digest{1}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Write([]byte(sent)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Done(nil); !errors.Is(err, coco.ErrCorrupt) || len(d.Names()) > 0 {
			t.Errorf("%s: error %v, expected coco.ErrCorrupt; files %v", what, err, d.Names())
		}
	}
	if _, err := Receive(d, dir, Info{Index: 1, Seqno: 1, Bytes: 4}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a digest that is not known: error %v, expected coco.ErrInvalid", err)
	}
}

func TestClaimsTellSnapshotsApart(t *testing.T) {
	h, seen := header(), map[string]bool{}
	seen[string(Claims(h, coco.Digest{1}, 5))] = true
	seen[string(Claims(h, coco.Digest{2}, 5))] = true
	seen[string(Claims(h, coco.Digest{1}, 6))] = true
	for _, n := range []*uint64{&h.Index, &h.View, &h.Seqno} {
		*n += 100
		seen[string(Claims(h, coco.Digest{1}, 5))] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d different claims, expected 6", len(seen))
	}
}

// step is one batch in a test of the pacer.
type step struct {
	txs, ms uint64
	bytes   int
	last    uint64
	due     bool
}

func TestASnapshotIsDueByCountSizeOrTime(t *testing.T) {
	for what, c := range map[string]struct {
		policy Policy
		steps  []step
	}{
		"never":   {Policy{}, []step{{1e6, 1e9, 1 << 30, 0, false}, {1e6, 1e9, 1 << 30, 0, false}}},
		"count":   {Policy{Transactions: 10}, []step{{9, 0, 1, 0, false}, {1, 0, 1, 0, true}, {9, 0, 1, 0, false}, {5, 0, 1, 0, true}}},
		"size":    {Policy{Bytes: 100}, []step{{1, 0, 99, 0, false}, {1, 0, 1, 0, true}, {1, 0, 99, 0, false}, {1, 0, 9, 0, true}}},
		"damped":  {Policy{Transactions: 2}, []step{{2, 0, 50, 100, false}, {2, 0, 49, 100, false}, {2, 0, 1, 100, true}, {2, 0, 99, 100, false}}},
		"time":    {Policy{Every: time.Second}, []step{{1, 999, 1, 1 << 40, false}, {1, 1, 1, 0, false}, {1, 999, 1, 1 << 40, true}, {1, 999, 1, 0, false}, {1, 1, 1, 0, true}}},
		"several": {Policy{Transactions: 10, Bytes: 100, Every: time.Second}, []step{{10, 0, 1, 0, true}, {1, 0, 100, 0, true}, {1, 1000, 1, 0, true}, {1, 0, 1, 0, false}}},
	} {
		whole := NewPacer(c.policy)
		var seqno, now uint64 = 0, 1_700_000_000_000
		for i, s := range c.steps {
			seqno, now = seqno+s.txs, now+s.ms
			if due := whole.Committed(uint64(i+1), seqno, now, s.bytes, s.last); due != s.due {
				t.Errorf("%s, batch %d: due %v, expected %v", what, i+1, due, s.due)
			}
		}
	}
}

func TestAPacerThatBeginsWithASnapshotAgreesWithTheOthers(t *testing.T) {
	policy := Policy{Transactions: 7, Bytes: 900, Every: 5 * time.Second}
	old := NewPacer(policy)
	var joined []*Pacer
	var seqno, now uint64 = 0, 1000
	for i := range uint64(300) {
		seqno, now = seqno+1+i%3, now+(i*i)%1700
		size, last := int(100+i%7*50), i%5*200
		due := old.Committed(i, seqno, now, size, last)
		for _, p := range joined {
			if p.Committed(i, seqno, now, size, last) != due {
				t.Fatalf("batch %d: a node that joined says otherwise than %v", i, due)
			}
		}
		if due {
			p := NewPacer(policy)
			p.Reset(seqno, now)
			joined = append(joined, p)
		}
	}
	if len(joined) < 10 {
		t.Errorf("only %d snapshots were due", len(joined))
	}
}
