package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
)

var testTables = []Table{{Name: "t.hashed", Private: true}, {Name: "t.ordered", Ordered: true}}

func newStore(t testing.TB) *Store {
	t.Helper()
	s := New()
	if err := s.Create(testTables...); err != nil {
		t.Fatal(err)
	}
	return s
}

// model is a store kept the slow way: a whole copy of the state for every version.
type model map[uint64]map[string]string

func row(table, key string) string { return table + "/" + key }

// TestStoreEqualsAMapPerVersion drives random sets, commits, rollbacks and snapshots against full
// copies of the state.
func TestStoreEqualsAMapPerVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leader, follower := New(), New()
		for _, s := range []*Store{leader, follower} {
			if err := s.Create(testTables...); err != nil {
				t.Fatal(err)
			}
		}
		history := model{0: {}}
		var pending [][]Record
		type pin struct{ leader, follower *Snapshot }
		var pins []pin

		keys := rapid.StringMatching("[a-d]{1,2}")
		check := func(r Reader, want map[string]string) {
			for _, tab := range testTables {
				for _, k := range []string{"a", "b", "ab", "dd"} {
					v, ok := r.Get(tab.Name, []byte(k))
					w, wok := want[row(tab.Name, k)]
					if ok != wok || string(v) != w {
						t.Fatalf("%s[%s] = %q %v, expected %q %v", tab.Name, k, v, ok, w, wok)
					}
				}
			}
			var got, exp []string
			r.Range("t.ordered", []byte("aa"), []byte("d"), func(k, v []byte) bool {
				got = append(got, string(k)+"="+string(v))
				return true
			})
			for k, v := range want {
				if key, ok := bytes.CutPrefix([]byte(k), []byte("t.ordered/")); ok && string(key) >= "aa" && string(key) < "d" {
					exp = append(exp, string(key)+"="+v)
				}
			}
			slices.Sort(exp)
			if !slices.Equal(got, exp) {
				t.Fatalf("range gave %v, expected %v", got, exp)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"execute": func(t *rapid.T) {
				state := maps.Clone(history[leader.Newest()])
				set := leader.Begin(1, 0)
				for range rapid.IntRange(1, 4).Draw(t, "txs") {
					tx, mine := set.Begin(), maps.Clone(state)
					for range rapid.IntRange(0, 20).Draw(t, "writes") {
						tab := rapid.SampledFrom(testTables).Draw(t, "table").Name
						k := keys.Draw(t, "key")
						if rapid.Bool().Draw(t, "delete") {
							tx.Delete(tab, []byte(k))
							delete(mine, row(tab, k))
						} else {
							v := fmt.Sprint(tx.Seqno(), len(mine))
							tx.Put(tab, []byte(k), []byte(v))
							mine[row(tab, k)] = v
						}
					}
					check(tx, mine)
					if rapid.Bool().Draw(t, "commit") {
						tx.Commit()
						state = mine
					} else {
						tx.Abort()
					}
					check(set, state)
				}
				if set.Len() == 0 {
					return
				}
				if err := set.Install(); err != nil {
					t.Fatal(err)
				}
				history[leader.Newest()] = state
				pending = append(pending, set.Records())
			},
			"commit": func(t *rapid.T) {
				if len(pending) == 0 {
					return
				}
				var writes []Write
				var err error
				for _, r := range pending[0] {
					for _, part := range [][]byte{r.Public, r.Private} {
						if writes, err = AppendWrites(writes, part); err != nil {
							t.Fatal(err)
						}
					}
				}
				last := follower.Newest() + uint64(len(pending[0]))
				pending = pending[1:]
				if err := follower.Apply(last, writes); err != nil {
					t.Fatal(err)
				}
				follower.Commit(last)
				leader.Commit(last)
			},
			"rollback": func(t *rapid.T) {
				if err := leader.Rollback(leader.Committed()); err != nil {
					t.Fatal(err)
				}
				pending = nil
			},
			"pin": func(t *rapid.T) { pins = append(pins, pin{leader.Snapshot(), follower.Snapshot()}) },
			"unpin": func(t *rapid.T) {
				if len(pins) > 0 {
					pins[0].leader.Release()
					pins[0].follower.Release()
					pins = pins[1:]
				}
			},
			"": func(t *rapid.T) {
				for _, p := range pins {
					check(p.leader, history[p.leader.Version()])
					check(p.follower, history[p.follower.Version()])
				}
				l, f := leader.Snapshot(), follower.Snapshot()
				defer l.Release()
				defer f.Release()
				if leader.Digest(l) != follower.Digest(f) {
					t.Fatalf("digests differ at seqno %d", l.Version())
				}
			},
		})
	})
}

func TestVersionsBehindTheHorizonArePruned(t *testing.T) {
	s := newStore(t)
	put := func(n uint64, del bool) {
		t.Helper()
		if err := s.Apply(n, []Write{{Table: "t.ordered", Key: []byte("k"), Value: []byte{byte(n)}, Delete: del}}); err != nil {
			t.Fatal(err)
		}
		s.Commit(n)
	}
	put(1, false)
	old := s.Snapshot()
	for n := uint64(2); n <= 2*Retain; n++ {
		put(n, false)
	}
	if v, ok := old.Get("t.ordered", []byte("k")); !ok || v[0] != 1 {
		t.Fatalf("a pinned snapshot lost its value: %v %v", v, ok)
	}
	old.Release()
	put(2*Retain+1, true)
	if _, err := s.SnapshotAt(1); !errors.Is(err, coco.ErrNotFound) {
		t.Fatalf("a pruned version was served: %v", err)
	}
	length := func() (n int) {
		for v := s.tables["t.ordered"].rows["k"]; v != nil; v = v.older {
			n++
		}
		return n
	}
	if n := length(); n > Retain+2 {
		t.Fatalf("%d versions kept, expected about %d", n, Retain)
	}
	for n := uint64(2*Retain + 2); n < 4*Retain; n++ {
		if err := s.Apply(n, []Write{{Table: "t.hashed", Key: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		s.Commit(n)
	}
	if n, m := length(), s.tables["t.ordered"].keys.Len(); n != 0 || m != 0 {
		t.Fatalf("a key deleted behind the horizon keeps %d versions and %d tree entries", n, m)
	}
}

func TestCommittedStateCannotBeRolledBack(t *testing.T) {
	s := newStore(t)
	if err := s.Apply(3, []Write{{Table: "t.hashed", Key: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	s.Commit(3)
	if err := s.Rollback(2); !errors.Is(err, coco.ErrInvalid) {
		t.Fatalf("rollback below the commit gave %v", err)
	}
	if err := s.Apply(3, nil); !errors.Is(err, coco.ErrCorrupt) {
		t.Fatalf("applying a batch twice gave %v", err)
	}
	if err := s.Apply(4, []Write{{Table: "nobody"}}); !errors.Is(err, coco.ErrCorrupt) {
		t.Fatalf("a write to an unknown table gave %v", err)
	}
}

func FuzzWrites(f *testing.F) {
	f.Add([]byte{})
	f.Add(EncodeWrites([]Write{{Table: "a.b", Key: []byte("k"), Value: []byte("v")}, {Table: "c", Key: []byte("d"), Delete: true}}))
	f.Add(EncodeWrites([]Write{{Table: "a", Key: make([]byte, 300), Value: make([]byte, 70000)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := DecodeWrites(b)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("%v is not coco.ErrCorrupt", err)
			}
			return
		}
		if again := EncodeWrites(w); !bytes.Equal(again, b) {
			t.Fatalf("% x decodes and re-encodes to % x", b, again)
		}
	})
}

func BenchmarkTx(b *testing.B) {
	s := newStore(b)
	value := make([]byte, 100)
	var last uint64
	for i := 0; i < b.N; {
		set := s.Begin(1, 0)
		for range 500 {
			tx := set.Begin()
			for j := range 8 {
				key := fmt.Appendf(nil, "key %d", (i*7+j)%100000)
				tx.Get("t.hashed", key)
				tx.Put("t.hashed", key, value)
			}
			tx.Commit()
			i++
		}
		if err := set.Install(); err != nil {
			b.Fatal(err)
		}
		last = s.Newest()
		s.Commit(last)
	}
}

// A batch has megabytes, of which a row may hold a few bytes for ever.
func TestARowDoesNotKeepItsBatchInMemory(t *testing.T) {
	s := newStore(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for n := uint64(1); n <= 200; n++ {
		batch := make([]byte, 1<<20)
		w := Write{Table: "t.hashed", Key: binary.BigEndian.AppendUint64(nil, n), Value: batch[100:108]}
		if err := s.Apply(n, []Write{w}); err != nil {
			t.Fatal(err)
		}
		s.Commit(n)
	}
	if after := heap(); after > before+20<<20 {
		t.Errorf("200 rows of 8 bytes keep %d MiB in memory", (after-before)>>20)
	}
	runtime.KeepAlive(s)
}

func TestRetainedBatchesAreBoundedByTheirBytes(t *testing.T) {
	s := newStore(t)
	s.retain = 1 << 20
	put := func(n uint64) {
		t.Helper()
		w := Write{Table: "t.hashed", Key: []byte("k"), Value: bytes.Repeat([]byte{byte(n)}, 100<<10)}
		if err := s.Apply(n, []Write{w}); err != nil {
			t.Fatal(err)
		}
	}
	for n := uint64(1); n <= 100; n++ {
		put(n)
		s.Commit(n)
		if s.bytes > s.retain {
			t.Fatalf("%d bytes are retained, the bound is %d", s.bytes, s.retain)
		}
	}
	if _, err := s.SnapshotAt(80); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("a version behind the bound: %v", err)
	}
	old, err := s.SnapshotAt(95)
	if err != nil {
		t.Fatalf("a version within the bound: %v", err)
	}
	for n := uint64(101); n <= 120; n++ {
		put(n)
		s.Commit(n)
	}
	if v, ok := old.Get("t.hashed", []byte("k")); !ok || v[0] != 95 {
		t.Error("a pinned version is gone")
	}
	old.Release()
	put(121)
	put(122)
	if err := s.Rollback(121); err != nil {
		t.Fatal(err)
	}
	s.Commit(121)
	sum := 0
	for _, b := range s.batches {
		sum += b.bytes
	}
	if s.bytes != sum || s.bytes > s.retain {
		t.Errorf("%d bytes are counted, the batches have %d", s.bytes, sum)
	}
	// The newest are retained, however large.
	s.retain = 1
	put(123)
	s.Commit(123)
	if len(s.batches) != retainLeast {
		t.Errorf("%d batches are retained, expected %d", len(s.batches), retainLeast)
	}
}
