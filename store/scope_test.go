package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
)

// scoped returns a store with a foreign table, and the scope of an owner.
func scoped(t *testing.T) (*Store, *Scope) {
	t.Helper()
	s := New()
	if err := s.Create(Table{Name: "coco.secret", Private: true, Ordered: true}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Scope("kv", Table{Name: "kv.data", Ordered: true})
	if err != nil {
		t.Fatal(err)
	}
	set := s.Begin(1, 0)
	tx := set.Begin()
	tx.Put("coco.secret", []byte("k"), []byte("the service's key"))
	err = tx.In(c, func(tx *Tx) error {
		tx.Put("kv.data", []byte("k"), []byte("v"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tx.Commit()
	if err := set.Install(); err != nil {
		t.Fatal(err)
	}
	s.Commit(1)
	return s, c
}

func mustPanic(t *testing.T, what string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	fn()
}

func refusesForeign(t *testing.T, what string, r Reader) {
	t.Helper()
	if v, ok := r.Get("kv.data", []byte("k")); !ok || string(v) != "v" {
		t.Errorf("%s: the scope's own row is %q, %v", what, v, ok)
	}
	mustPanic(t, what+": Get", func() { r.Get("coco.secret", []byte("k")) })
	mustPanic(t, what+": Range", func() { r.Range("coco.secret", nil, nil, func(_, _ []byte) bool { return true }) })
}

func TestAScopeReadsAndWritesItsOwnTablesOnly(t *testing.T) {
	s, c := scoped(t)
	snap := c.Snapshot()
	defer snap.Release()
	refusesForeign(t, "snapshot", snap)
	mustPanic(t, "snapshot: Each", func() { _ = snap.Each("coco.secret", func(string, []byte) error { return nil }) })
	old, err := c.SnapshotAt(1)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Release()
	refusesForeign(t, "snapshot of the past", old)

	set := s.Begin(1, 0)
	p := set.Part(c)
	refusesForeign(t, "part", p)
	tx := p.Begin()
	refusesForeign(t, "transaction", tx)
	mustPanic(t, "Put", func() { tx.Put("coco.secret", []byte("k"), nil) })
	mustPanic(t, "Delete", func() { tx.Delete("coco.secret", []byte("k")) })
	tx.Put("kv.data", []byte("l"), []byte("w"))
	tx.Commit()
	if n := len(set.order); n != 1 || set.order[0].table.Name != "kv.data" {
		t.Errorf("%d writes", n)
	}

	whole := set.Begin()
	err = whole.In(c, func(tx *Tx) error {
		refusesForeign(t, "part of a transaction", tx)
		mustPanic(t, "Put of a part", func() { tx.Put("coco.secret", []byte("k"), nil) })
		mustPanic(t, "Claim of a part", func() { tx.Claim(nil) })
		mustPanic(t, "Commit of a part", tx.Commit)
		mustPanic(t, "Abort of a part", tx.Abort)
		return coco.ErrBusy
	})
	if !errors.Is(err, coco.ErrBusy) {
		t.Errorf("the error is %v", err)
	}
	whole.Abort()
}

func TestAScopeIsReadOnlyOnceItsPartHasEnded(t *testing.T) {
	s, c := scoped(t)
	set := s.Begin(1, 0)
	p := set.Part(c)
	tx := p.Begin()
	tx.Put("kv.data", []byte("k"), []byte("w"))
	tx.Commit()
	p.End()
	mustPanic(t, "Begin", func() { p.Begin() })
	mustPanic(t, "Get", func() { p.Get("kv.data", []byte("k")) })
	mustPanic(t, "Put of a committed transaction", func() { tx.Put("kv.data", []byte("k"), nil) })
	if p.Next() != 3 || tx.Seqno() != 2 {
		t.Errorf("next %d, seqno %d", p.Next(), tx.Seqno())
	}

	var kept *Tx
	whole := set.Begin()
	_ = whole.In(c, func(tx *Tx) error { kept = tx; return nil })
	mustPanic(t, "Put of a part that was taken back", func() { kept.Put("kv.data", []byte("k"), nil) })
	whole.Abort()
}

func TestTablesBearTheNameOfTheirOwner(t *testing.T) {
	for _, c := range []struct{ owner, table string }{
		{"kv", "coco.nodes"}, {"kv", "data"}, {"kv", "kvdata"}, {"kv", "kv."}, {"kv", ""}, {"", ".data"}, {"kv.data", "kv.data.x"}, {"coco", "coco.x"}, {"kv", "coco.y"},
	} {
		t.Run(fmt.Sprintf("%s owns %s", c.owner, c.table), func(t *testing.T) {
			s := New()
			if _, err := s.Scope("coco", Table{Name: "coco.y"}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Scope(c.owner, Table{Name: c.table}); !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("the error is %v, expected coco.ErrInvalid", err)
			}
			if len(s.Tables()) != 1 {
				t.Errorf("tables %v", s.Tables())
			}
		})
	}
}
