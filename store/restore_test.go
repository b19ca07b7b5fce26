package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
)

// TestEachGivesEveryRowInOrder compares Each with reading row by row, and a restored copy with
// the original, while the writer goes on.
func TestEachGivesEveryRowInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New()
		if err := s.Create(testTables...); err != nil {
			t.Fatal(err)
		}
		var seqno uint64
		change := func(label string) {
			var writes []Write
			for range rapid.IntRange(0, 40).Draw(t, label) {
				table := rapid.SampledFrom(testTables).Draw(t, "table").Name
				key := rapid.StringMatching("[a-c]{0,3}").Draw(t, "key")
				seqno++
				writes = append(writes, Write{Table: table, Key: []byte(key), Value: fmt.Append(nil, seqno), Delete: rapid.IntRange(0, 3).Draw(t, "delete") == 0})
			}
			seqno++
			slices.SortStableFunc(writes, func(a, b Write) int { return strings.Compare(a.Table, b.Table) })
			if err := s.Apply(seqno, writes); err != nil {
				t.Fatal(err)
			}
			s.Commit(seqno)
		}
		change("before")
		change("before")
		p := s.Snapshot()
		defer p.Release()
		want := s.Digest(p)
		copied := New()
		if err := copied.Create(testTables...); err != nil {
			t.Fatal(err)
		}
		r := copied.Restore(p.Version())
		for _, tab := range testTables {
			last, first := "", true
			err := p.Each(tab.Name, func(key string, value []byte) error {
				if !first && key <= last {
					t.Fatalf("%s: %q after %q", tab.Name, key, last)
				}
				last, first = key, false
				change("meanwhile")
				return r.Put(tab.Name, key, value)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
		q, err := copied.SnapshotAt(p.Version())
		if err != nil {
			t.Fatal(err)
		}
		if copied.Digest(q) != want || s.Digest(p) != want {
			t.Fatal("the copy's digest differs")
		}
		if _, err := copied.SnapshotAt(p.Version() - 1); !errors.Is(err, coco.ErrNotFound) {
			t.Fatalf("a version from before the copy: error %v, expected coco.ErrNotFound", err)
		}
		if err := copied.Apply(p.Version(), nil); !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("a batch that the copy has: error %v, expected coco.ErrCorrupt", err)
		}
	})
}

func TestEachLetsTheWriterInBetween(t *testing.T) {
	s := newStore(t)
	var writes []Write
	for _, tab := range testTables {
		for i := range 3 * eachStep {
			writes = append(writes, Write{Table: tab.Name, Key: fmt.Appendf(nil, "%08d", i), Value: []byte{1}})
		}
	}
	if err := s.Apply(1, writes); err != nil {
		t.Fatal(err)
	}
	s.Commit(1)
	p := s.Snapshot()
	defer p.Release()
	before := s.Digest(p)
	stop := make(chan struct{})
	done := make(chan error)
	go func() { // the writer: it deletes, changes and adds rows, and prunes
		for n := uint64(2); ; n++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			var writes []Write
			for _, tab := range testTables {
				for i := range 20 {
					k := (int(n)*20 + i) % (6 * eachStep)
					writes = append(writes, Write{Table: tab.Name, Key: fmt.Appendf(nil, "%08d", k), Value: []byte{2}, Delete: i%2 == 0})
				}
			}
			if err := s.Apply(n, writes); err != nil {
				done <- err
				return
			}
			s.Commit(n)
		}
	}()
	for range 20 {
		if s.Digest(p) != before {
			t.Error("a pinned state changed")
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestEachEndsWithAnError(t *testing.T) {
	s := newStore(t)
	for _, tab := range testTables {
		if err := s.Apply(s.Newest()+1, []Write{{Table: tab.Name, Key: []byte("a")}, {Table: tab.Name, Key: []byte("b")}}); err != nil {
			t.Fatal(err)
		}
		s.Commit(s.Newest())
		stop, calls := errors.New("stop"), 0
		p := s.Snapshot()
		if err := p.Each(tab.Name, func(string, []byte) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
			t.Errorf("%s: error %v after %d calls, expected one call", tab.Name, err, calls)
		}
		p.Release()
	}
}

func TestARestorationOfWhatCannotBeIsRefused(t *testing.T) {
	fresh := func() *Store {
		s := New()
		if err := s.Create(append(testTables, Table{Name: "t.archive", Archive: true})...); err != nil {
			t.Fatal(err)
		}
		return s
	}
	for what, put := range map[string]func(*Restoration) error{
		"a row twice":      func(r *Restoration) error { return r.Put("t.ordered", "k", nil) },
		"no such table":    func(r *Restoration) error { return r.Put("t.other", "k", nil) },
		"an archive's row": func(r *Restoration) error { return r.Put("t.archive", "k", nil) },
	} {
		s := fresh()
		r := s.Restore(5)
		if err := r.Put("t.ordered", "k", []byte("v")); err != nil {
			t.Fatal(err)
		}
		if err := put(r); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: error %v, expected coco.ErrCorrupt", what, err)
		}
		if err := r.Done(); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: it ends with %v, expected coco.ErrCorrupt", what, err)
		}
		p := s.Snapshot()
		if s.Committed() != 0 || s.Newest() != 0 || s.Digest(p) != fresh().Digest(p) {
			t.Errorf("%s: something is left in the store", what)
		}
		p.Release()
		if err := s.Restore(5).Done(); err != nil { // it can be tried again
			t.Errorf("%s: %v", what, err)
		}
	}
	s := fresh()
	if err := s.Apply(3, []Write{{Table: "t.ordered", Key: []byte("k")}}); err != nil {
		t.Fatal(err)
	}
	s.Commit(3)
	if err := s.Restore(5).Done(); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("on top of a state: error %v, expected coco.ErrInvalid", err)
	}
	if p := s.Snapshot(); p.Version() != 3 {
		t.Error("a refused restoration has changed the state")
	} else if _, ok := p.Get("t.ordered", []byte("k")); !ok {
		t.Error("a refused restoration has emptied the store")
	}
}

// archive is a store with an archive.
func archive(t *testing.T) *Store {
	t.Helper()
	s := newStore(t)
	if err := s.Create(Table{Name: "t.archive", Archive: true}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnArchivesRowsLeaveMemoryBehindTheHorizon(t *testing.T) {
	s, without := archive(t), archive(t)
	var old *Snapshot
	for n := uint64(1); n <= 3*Retain; n++ {
		kept := []Write{{Table: "t.hashed", Key: []byte("k"), Value: fmt.Append(nil, n)}}
		if err := without.Apply(n, kept); err != nil {
			t.Fatal(err)
		}
		without.Commit(n)
		if err := s.Apply(n, append(kept, Write{Table: "t.archive", Key: fmt.Append(nil, n), Value: []byte("v")})); err != nil {
			t.Fatal(err)
		}
		s.Commit(n)
		if n == 2*Retain {
			old = s.Snapshot()
		}
	}
	rows := func() int { return len(s.tables["t.archive"].rows) }
	if n := rows(); n < Retain || n > 2*Retain {
		t.Errorf("%d rows in memory, expected about %d", n, Retain)
	}
	p, q := s.Snapshot(), without.Snapshot()
	if s.Digest(p) != without.Digest(q) {
		t.Error("an archive's rows are part of the digest")
	}
	for n, want := range map[uint64]bool{1: false, 2*Retain + 1: true, 3 * Retain: true} {
		if _, ok := p.Get("t.archive", fmt.Append(nil, n)); ok != want {
			t.Errorf("row %d is there: %v, expected %v", n, ok, want)
		}
	}
	p.Release()
	old.Release()
	for n := uint64(3*Retain + 1); n <= 5*Retain; n++ {
		if err := s.Apply(n, nil); err != nil {
			t.Fatal(err)
		}
		s.Commit(n)
	}
	if n := rows(); n != 0 {
		t.Errorf("%d rows are left, expected none", n)
	}
}

func TestAnArchivesRowIsWrittenOnce(t *testing.T) {
	s := archive(t)
	row := func(key string) Write { return Write{Table: "t.archive", Key: []byte(key), Value: []byte("v")} }
	if err := s.Apply(1, []Write{row("a")}); err != nil {
		t.Fatal(err)
	}
	s.Commit(1)
	p := s.Snapshot()
	want := s.Digest(p)
	p.Release()
	other := Write{Table: "t.ordered", Key: []byte("k"), Value: []byte("v")}
	for what, writes := range map[string][]Write{
		"changed":         {other, row("a")},
		"changed at once": {other, row("b"), row("b")},
		"deleted":         {other, {Table: "t.archive", Key: []byte("a"), Delete: true}},
	} {
		if err := s.Apply(2, writes); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: error %v, expected coco.ErrCorrupt", what, err)
		}
		if s.Newest() != 1 {
			t.Fatalf("%s: the refused batch is installed", what)
		}
	}
	set := s.Begin(1, 0)
	for range 2 {
		tx := set.Begin()
		tx.Put("t.archive", []byte("c"), []byte("v"))
		tx.Commit()
	}
	if err := set.Install(); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("written by two transactions of a set: error %v, expected coco.ErrCorrupt", err)
	}
	// Nothing of all that is left, and a row that was rolled back may be written again.
	for range 2 {
		if err := s.Apply(2, []Write{row("b"), row("c")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Rollback(1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Apply(2, nil); err != nil {
		t.Fatal(err)
	}
	s.Commit(2)
	p = s.Snapshot()
	defer p.Release()
	if s.Digest(p) != want {
		t.Error("a refused batch has left something behind")
	}
	if err := s.Create(Table{Name: "t.both", Archive: true, Ordered: true}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("an ordered archive: error %v, expected coco.ErrInvalid", err)
	}
}
