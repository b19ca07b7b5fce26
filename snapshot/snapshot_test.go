package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/store"
)

const dir = "snapshots"

var (
	secret = [32]byte{1, 2, 3}
	tables = []store.Table{
		{Name: "t.ordered", Ordered: true},
		{Name: "t.private", Private: true},
		{Name: "t.archive", Archive: true},
		{Name: "t.empty"},
	}
)

func newStore(t testing.TB, list ...store.Table) *store.Store {
	t.Helper()
	s := store.New()
	if err := s.Create(list...); err != nil {
		t.Fatal(err)
	}
	return s
}

// state makes a store of some rows in a few batches, with a change after the one that is
// pinned. Which order tables and rows come in depends on the seed; the state does not.
func state(t testing.TB, rows, size int, seed uint64) (*store.Store, *store.Snapshot) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	list := slices.Clone(tables)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	s := newStore(t, list...)
	var writes []store.Write
	for i := range rows {
		table := tables[i%2].Name
		value := bytes.Repeat([]byte{byte(i)}, size)
		writes = append(writes, store.Write{Table: table, Key: fmt.Appendf(nil, "row %d", i), Value: value})
	}
	writes = append(writes, store.Write{Table: "t.private", Value: []byte{}}) // both empty
	r.Shuffle(len(writes), func(i, j int) { writes[i], writes[j] = writes[j], writes[i] })
	writes = append(writes, store.Write{Table: "t.archive", Key: []byte("old"), Value: []byte("block")})
	apply(t, s, 5, append(writes, store.Write{Table: "t.private", Key: []byte("gone"), Value: []byte("x")}))
	apply(t, s, 9, []store.Write{{Table: "t.private", Key: []byte("gone"), Delete: true}})
	pinned := s.Snapshot()
	apply(t, s, 10, []store.Write{{Table: "t.private", Key: []byte("later")}, {Table: "t.ordered", Key: []byte("row 0"), Delete: true}})
	return s, pinned
}

func apply(t testing.TB, s *store.Store, last uint64, writes []store.Write) {
	t.Helper()
	slices.SortStableFunc(writes, func(a, b store.Write) int { return strings.Compare(a.Table, b.Table) })
	if err := s.Apply(last, writes); err != nil {
		t.Fatal(err)
	}
	s.Commit(last)
}

// header is that of a state at seqno 9.
func header() Header {
	var tree merkle.Frontier
	for i := range byte(9) {
		tree.Append(merkle.LeafHash([]byte{i}))
	}
	b, _ := tree.MarshalBinary()
	return Header{
		Network: coco.Digest{1}, Epoch: 2, Index: 7, View: 3, First: 6, Seqno: 9, Time: 1700000000000, Chain: coco.Digest{2},
		Tree: b, Voters: []uint64{30, 10, 20}, Learners: []uint64{40}, Origin: coco.NodeID{3},
	}
}

func write(t testing.TB, d *memDisk, src *store.Snapshot) Info {
	t.Helper()
	i, err := Write(t.Context(), d, dir, header(), secret, src, tables)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func name(i Info) string { return join(dir, i.Name()) }

func TestALoadedStateEqualsTheOneThatWasWritten(t *testing.T) {
	for _, c := range []struct{ rows, size int }{{0, 0}, {2, 1}, {1000, 100}, {3, blockSize}, {20_000, 200}, {2, 5 * blockSize / 2}} {
		s, pinned := state(t, c.rows, c.size, 1)
		d := newDisk()
		i := write(t, d, pinned)
		into := newStore(t, append(tables, store.Table{Name: "t.new"})...)
		h, err := Load(t.Context(), d, name(i), i.Digest, secret, into)
		if err != nil {
			t.Fatal(err)
		}
		// The digest names every table: the copy needs one that has no table more.
		same := newStore(t, tables...)
		if _, err := Load(t.Context(), d, name(i), i.Digest, secret, same); err != nil {
			t.Fatal(err)
		}
		copied := same.Snapshot()
		if want := s.Digest(pinned); same.Digest(copied) != want {
			t.Errorf("%d rows of %d bytes: another state came back", c.rows, c.size)
		}
		want := header().complete(tables)
		if a, b := fmt.Sprint(h), fmt.Sprint(want); a != b || into.Committed() != 9 {
			t.Errorf("the header came back as\n%s\nexpected\n%s", a, b)
		}
		if _, ok := copied.Get("t.archive", []byte("old")); ok {
			t.Error("an archive's row is in the snapshot")
		}
		apply(t, same, 10, []store.Write{{Table: "t.ordered", Key: []byte("row 0"), Delete: true}}) // it goes on
	}
}

func TestTheSameStateGivesTheSameBytes(t *testing.T) {
	var files [][]byte
	for seed := range uint64(3) {
		_, pinned := state(t, 5000, 300, seed)
		d := newDisk()
		i := write(t, d, pinned)
		b := d.get(t, name(i))
		if found := coco.Digest(sha256.Sum256(b)); found != i.Digest || uint64(len(b)) != i.Bytes {
			t.Fatalf("digest %s and %d bytes, the file has %s and %d", i.Digest, i.Bytes, found, len(b))
		}
		files = append(files, b)
	}
	if !bytes.Equal(files[0], files[1]) || !bytes.Equal(files[0], files[2]) {
		t.Error("the bytes depend on the order of writes or tables")
	}
}

func TestAnotherHeaderHasAnotherKey(t *testing.T) {
	_, pinned := state(t, 10, 10, 1)
	h := header()
	later, archived := h, slices.Clone(tables)
	later.Time++
	archived[3].Archive = true
	blocks := map[string]bool{}
	for _, c := range []struct {
		h      Header
		tables []store.Table
	}{{h, tables}, {later, tables}, {h, archived}} {
		d := newDisk()
		i, err := Write(t.Context(), d, dir, c.h, secret, pinned, c.tables)
		if err != nil {
			t.Fatal(err)
		}
		b := d.get(t, name(i))
		b = b[len(magic)+4+int(binary.BigEndian.Uint32(b[len(magic):])):]
		blocks[string(b[frameHead:frameHead+16])] = true
	}
	if len(blocks) != 3 {
		t.Error("two different snapshots are encrypted with one key stream")
	}
}

func TestNothingPrivateIsInTheFile(t *testing.T) {
	s := newStore(t, tables...)
	canary := []byte("a secret that nobody may see")
	apply(t, s, 9, []store.Write{{Table: "t.private", Key: canary, Value: canary}})
	d := newDisk()
	if b := d.get(t, name(write(t, d, s.Snapshot()))); bytes.Contains(b, canary) {
		t.Error("the file contains a private row")
	}
}

// TestADamagedFileIsRefused changes every part of a file. Nothing of it may be left in the store.
func TestADamagedFileIsRefused(t *testing.T) {
	_, pinned := state(t, 3, blockSize, 1)
	d := newDisk()
	i := write(t, d, pinned)
	good := d.get(t, name(i))
	refuse := func(what string, b []byte, digest coco.Digest, secret [32]byte) {
		t.Helper()
		d.Put("x", b)
		into := newStore(t, tables...)
		if _, err := Load(t.Context(), d, "x", digest, secret, into); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: error %v, expected coco.ErrCorrupt", what, err)
		}
		p := into.Snapshot()
		defer p.Release()
		if into.Committed() != 0 || into.Digest(p) != newStore(t, tables...).Digest(p) {
			t.Errorf("%s: something was loaded", what)
		}
	}
	for at := 0; at < len(good); at += 1 + at/9 {
		b := slices.Clone(good)
		b[at] ^= 1
		refuse(fmt.Sprintf("byte %d changed", at), b, i.Digest, secret)
		// Whoever records digests cannot make it pass either: blocks are bound to key and place.
		refuse(fmt.Sprintf("byte %d changed, digest too", at), b, sha256.Sum256(b), secret)
		refuse(fmt.Sprintf("cut at %d", at), good[:at], sha256.Sum256(good[:at]), secret)
	}
	refuse("another digest", good, coco.Digest{1}, secret)
	refuse("another secret", good, i.Digest, [32]byte{9})
	block := frameHead + blockSize + tagSize
	first := len(magic) + 4 + int(binary.BigEndian.Uint32(good[len(magic):]))
	swapped := slices.Clone(good)
	copy(swapped[first:], good[first+block:first+2*block])
	copy(swapped[first+block:], good[first:first+block])
	refuse("two blocks swapped", swapped, sha256.Sum256(swapped), secret)
	missing := slices.Delete(slices.Clone(good), first, first+block)
	refuse("a block missing", missing, sha256.Sum256(missing), secret)
}

func TestASnapshotOfTablesThatThisNetworkLacksIsRefused(t *testing.T) {
	_, pinned := state(t, 3, 1, 1)
	d := newDisk()
	i := write(t, d, pinned)
	into := newStore(t, tables[0])
	if _, err := Load(t.Context(), d, name(i), i.Digest, secret, into); !errors.Is(err, coco.ErrCorrupt) || !strings.Contains(err.Error(), "t.private") {
		t.Errorf("error %v, expected coco.ErrCorrupt about t.private", err)
	}
}

func TestWritingAndLoadingEndWithTheContext(t *testing.T) {
	_, pinned := state(t, 10, 10, 1)
	d := newDisk()
	i := write(t, d, pinned)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, d, name(i), i.Digest, secret, newStore(t, tables...)); !errors.Is(err, context.Canceled) || errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("load: error %v, expected context.Canceled", err)
	}
	d = newDisk()
	if _, err := Write(ctx, d, dir, header(), secret, pinned, tables); !errors.Is(err, context.Canceled) {
		t.Errorf("write: error %v, expected context.Canceled", err)
	}
	if len(d.Names()) > 0 {
		t.Errorf("files %v are left", d.Names())
	}
}

func TestAWrongHeaderIsNotWritten(t *testing.T) {
	_, pinned := state(t, 1, 1, 1)
	for what, change := range map[string]func(*Header){
		"another seqno": func(h *Header) { h.Seqno = 8 },
		"another tree":  func(h *Header) { h.Tree = make([]byte, 8) },
		"no tree":       func(h *Header) { h.Tree = nil },
		"no view":       func(h *Header) { h.View = 0 },
		"no voters":     func(h *Header) { h.Voters = nil },
		"a voter twice": func(h *Header) { h.Voters = []uint64{1, 1} },
		"first":         func(h *Header) { h.First = 10 },
	} {
		h := header()
		change(&h)
		if _, err := Write(t.Context(), newDisk(), dir, h, secret, pinned, tables); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", what, err)
		}
	}
}

// TestADiskThatFailsIsNotCalledDamage breaks the disk at every operation in turn.
func TestADiskThatFailsIsNotCalledDamage(t *testing.T) {
	_, pinned := state(t, 2, blockSize, 1)
	all := func(d *memDisk) error {
		i, err := Write(t.Context(), d, dir, header(), secret, pinned, tables)
		if err != nil {
			return err
		}
		if err = Confirm(d, dir, i, []byte("receipt")); err != nil {
			return err
		}
		i.Pending = false
		if _, _, _, err = Verify(d, name(i)); err != nil {
			return err
		}
		_, err = Load(t.Context(), d, name(i), i.Digest, secret, newStore(t, tables...))
		return err
	}
	d := newDisk()
	if err := all(d); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < int(d.ops.Load()); n++ {
		b := newDisk()
		b.fail = int64(n)
		if err := all(b); !errors.Is(err, errBroken) || errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("operation %d fails: error %v, expected the disk's", n+1, err)
		}
	}
}
