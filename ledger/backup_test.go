package ledger_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
)

func (g *gapped) place() ledger.Place {
	return ledger.Place{Disk: g.disk, Dir: dir, Beside: []string{"node/snapshots"}, Extra: []host.Disk{g.away}}
}

func placeOf(disk *memDisk) ledger.Place { return ledger.Place{Disk: disk, Dir: dir} }

// mustCopy checks that a disk holds a ledger of the entries, and only the files of one.
func mustCopy(t testing.TB, disk *memDisk, want []batch.Entry) {
	t.Helper()
	l := openLog(t, disk.clone(), ledger.Options{ChunkBytes: 300})
	if err := l.Load(1); err != nil {
		t.Fatal(err)
	}
	mustHold(t, l, want)
	for _, name := range disk.Names() {
		if strings.HasSuffix(name, ".part") {
			t.Errorf("%s was left behind", name)
		}
	}
}

func put(disk *memDisk, name, data string) {
	disk.Put(name, []byte(data))
}

func TestBackupCopiesWhatIsNewAndRestoreGivesItBack(t *testing.T) {
	g := newGapped(t)
	put(g.disk, "node/snapshots/snapshot_7_9", "the state")
	put(g.disk, "node/snapshots/snapshot_9_12.pending", "not yet")
	put(g.disk, "node/snapshots/snapshot_9_13.part", "not at all")
	g.moveAway("ledger_1-3")
	backup := newMemDisk()
	var shown []int64
	got, err := ledger.Backup(t.Context(), g.place(), placeOf(backup), func(done, total int64) {
		if shown = append(shown, done); done > total {
			t.Errorf("%d of %d bytes", done, total)
		}
	})
	if err != nil || got.Files != 5 || got.Kept != 0 || got.Last != 10 {
		t.Fatalf("first backup: %+v, %v", got, err)
	}
	if !slices.IsSorted(shown) || len(shown) < 4 {
		t.Errorf("progress %v", shown)
	}
	mustCopy(t, backup, g.all)
	if s := backup.Data("node/snapshots/snapshot_7_9"); s == nil || string(s) != "the state" || len(backup.Names()) != 5 {
		t.Errorf("files of the backup: %d", len(backup.Names()))
	}
	for _, name := range backup.Names() {
		if strings.Contains(name, "-") && backup.Unsynced(name) {
			t.Errorf("%s is not durable", name)
		}
	}
	more := entriesOf(8, 11, 100, 100, 100, 100, 100)
	if err := g.log.Append(more); err != nil {
		t.Fatal(err)
	}
	all := append(slices.Clone(g.all), more...)
	got, err = ledger.Backup(t.Context(), g.place(), placeOf(backup), nil)
	if err != nil || got.Files != 2 || got.Kept != 4 || got.Last != 15 {
		t.Fatalf("second backup: %+v, %v", got, err)
	}
	mustCopy(t, backup, all)
	if backup.Data(dir+"/ledger_10") != nil {
		t.Error("the incomplete chunk stays beside the complete one")
	}
	restored := newMemDisk()
	src := ledger.Place{Disk: backup, Dir: dir, Beside: []string{"node/snapshots"}}
	if got, err := ledger.Restore(t.Context(), src, placeOf(restored), nil); err != nil || got.Files != 6 || got.Last != 15 {
		t.Fatalf("restore: %+v, %v", got, err)
	}
	mustCopy(t, restored, all)
	for _, name := range backup.Names() {
		f := backup.Data(name)
		if r := restored.Data(name); r == nil || !bytes.Equal(r, f) {
			t.Errorf("%s is not what was backed up", name)
		}
	}
	if _, err := ledger.Restore(t.Context(), src, placeOf(restored), nil); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("restore over a ledger: %v", err)
	}
}

func TestBackupStoppedAtAnyCallIsGoneOnWith(t *testing.T) {
	for call, done := 1, false; !done; call++ {
		for survives := range 3 {
			g := newGapped(t)
			backup := newMemDisk()
			if err := g.log.TruncateAfter(8); err != nil {
				t.Fatal(err)
			}
			if _, err := ledger.Backup(t.Context(), g.place(), placeOf(backup), nil); err != nil {
				t.Fatal(err)
			}
			if err := g.log.Append(g.all[8:]); err != nil {
				t.Fatal(err)
			}
			backup.stopAt = backup.writes + call
			_, err := ledger.Backup(t.Context(), g.place(), placeOf(backup), nil)
			if err != nil && !errors.Is(err, errStopped) {
				t.Fatal(err)
			}
			done = err == nil
			backup = backup.crash(func(n int) int { return n * survives / 2 })
			// What is there is a ledger at any time, with what the first backup had at least.
			restored := newMemDisk()
			got, err := ledger.Restore(t.Context(), placeOf(backup), placeOf(restored), nil)
			if err != nil || got.Last < 8 {
				t.Fatalf("stopped at call %d, restored: %+v, %v", call, got, err)
			}
			mustCopy(t, restored, g.all[:got.Last])
			if _, err := ledger.Backup(t.Context(), g.place(), placeOf(backup), nil); err != nil {
				t.Fatalf("stopped at call %d, gone on: %v", call, err)
			}
			mustCopy(t, backup, g.all)
		}
	}
}

func TestInterruptedRestoreIsNotTakenForALedger(t *testing.T) {
	for call, done := 1, false; !done; call++ {
		g := newGapped(t)
		restored := newMemDisk()
		restored.stopAt = call
		_, err := ledger.Restore(t.Context(), g.place(), placeOf(restored), nil)
		done = err == nil
		restored = restored.crash(func(n int) int { return n })
		if done {
			mustCopy(t, restored, g.all)
		} else if _, err := audit(restored); err == nil {
			t.Fatalf("stopped at call %d: what is there passes an audit", call)
		} else if l := openLog(t, restored, ledger.Options{}); l.First() == 1 && l.Last() != 10 {
			t.Fatalf("stopped at call %d: what is there looks whole up to %d", call, l.Last())
		}
	}
}

func TestBackupRunsBesideAWriter(t *testing.T) {
	disk, backup := newMemDisk(), newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 1000})
	all := entriesOf(1, 1, slices.Repeat([]int{60}, 600)...)
	if err := l.Append(all[:1]); err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() {
		var err error
		for i := 1; i < len(all) && err == nil; i++ {
			err = l.Append(all[i : i+1])
		}
		written <- err
	}()
	for running, last := true, uint64(1); running; {
		select {
		case err := <-written:
			if running = false; err != nil {
				t.Fatal(err)
			}
		default:
		}
		got, err := ledger.Backup(t.Context(), placeOf(disk), placeOf(backup), nil)
		if err != nil || got.Last < last || !running && got.Last != uint64(len(all)) {
			t.Fatalf("%+v after %d: %v", got, last, err)
		}
		last = got.Last
	}
	mustCopy(t, backup, all)
}

func TestBackupRefusesWhatItMustNotMix(t *testing.T) {
	other := newMemDisk()
	l := openLog(t, other, ledger.Options{ChunkBytes: 300})
	if err := l.Append(entriesOf(8, 1, slices.Repeat([]int{100}, 8)...)); err != nil {
		t.Fatal(err)
	}
	live, short := newMemDisk(), newMemDisk()
	if err := openLog(t, live, ledger.Options{ChunkBytes: 1 << 20}).Append(entriesOf(8, 1, 10, 11)); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Backup(t.Context(), placeOf(live), placeOf(short), nil); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(g *gapped, backup *memDisk)
		kind   error
		says   string
	}{
		"another network's copy":                          {func(g *gapped, b *memDisk) { b.SetFiles(other.Files("")) }, coco.ErrInvalid, "of another network"},
		"another network's copy that is not a chunk long": {func(g *gapped, b *memDisk) { b.SetFiles(short.Files("")) }, coco.ErrInvalid, "of another network"},
		"an entry that the ledger has not": {func(g *gapped, b *memDisk) {
			if _, err := ledger.Backup(t.Context(), g.place(), placeOf(b), nil); err != nil {
				t.Fatal(err)
			}
			b.Data(dir + "/ledger_10")[60] ^= 1
			if err := g.log.Append(entriesOf(8, 11, 30)); err != nil {
				t.Fatal(err)
			}
		}, coco.ErrInvalid, "other entries in node/ledger/ledger_10"},
		"another snapshot of the same name": {func(g *gapped, b *memDisk) {
			put(g.disk, "node/snapshots/snapshot_7_9", "the state")
			put(b, "node/snapshots/snapshot_7_9", "the other")
		}, coco.ErrInvalid, "node/snapshots/snapshot_7_9"},
		"a file that is no chunk": {func(g *gapped, b *memDisk) { put(b, dir+"/ledger_old", "x") }, coco.ErrCorrupt, "no chunk of a ledger has this name"},
		"other chunks":            {func(g *gapped, b *memDisk) { put(b, dir+"/ledger_2-4", "x") }, coco.ErrInvalid, "ledger_2-4"},
		"a longer copy":           {func(g *gapped, b *memDisk) { put(b, dir+"/ledger_10", strings.Repeat("x", 500)) }, coco.ErrInvalid, "ledger_10"},
		"a copy that went on":     {func(g *gapped, b *memDisk) { put(b, dir+"/ledger_11-12", "x") }, coco.ErrInvalid, "ledger_11-12"},
		"damage":                  {func(g *gapped, b *memDisk) { g.disk.Data(dir + "/ledger_4-6")[60] ^= 1 }, coco.ErrCorrupt, "ledger_4-6"},
		"damage in the last one": {func(g *gapped, b *memDisk) {
			if err := g.log.Append(entriesOf(7, 11, 30)); err != nil {
				t.Fatal(err)
			}
			g.disk.Data(dir + "/ledger_10")[60] ^= 1
		}, coco.ErrCorrupt, "ledger_10"},
		"a missing chunk": {func(g *gapped, b *memDisk) { g.disk.Delete(dir + "/ledger_4-6") }, coco.ErrMissing, "entries 4 to 6"},
		"nothing":         {func(g *gapped, b *memDisk) { g.disk.SetFiles(nil) }, coco.ErrNotFound, dir},
	} {
		t.Run(name, func(t *testing.T) {
			g, backup := newGapped(t), newMemDisk()
			c.change(g, backup)
			before := backup.clone()
			_, err := ledger.Backup(t.Context(), g.place(), placeOf(backup), nil)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			for _, name := range before.Names() {
				f := before.Data(name)
				if got := backup.Data(name); got == nil || !bytes.Equal(got, f) {
					t.Errorf("%s of the copy was changed", name)
				}
			}
			if now := backup.Names(); strings.Contains(c.says, "another network") && len(now) != len(before.Names()) {
				t.Errorf("beside another network's copy: %v", now)
			}
		})
	}
	// What the ledger misses, the copy may have from before.
	g, backup := newGapped(t), newMemDisk()
	if _, err := ledger.Backup(t.Context(), g.place(), placeOf(backup), nil); err != nil {
		t.Fatal(err)
	}
	g.disk.Delete(dir + "/ledger_4-6")
	if got, err := ledger.Backup(t.Context(), g.place(), placeOf(backup), nil); err != nil || got.Kept != 2 {
		t.Errorf("with the missing chunk in the copy: %+v, %v", got, err)
	}
	mustCopy(t, backup, g.all)
}

func TestBackupStopsWhenAsked(t *testing.T) {
	g, backup := newGapped(t), newMemDisk()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ledger.Backup(ctx, g.place(), placeOf(backup), nil); !errors.Is(err, context.Canceled) || len(backup.Names()) != 0 {
		t.Errorf("got %v, %d files", err, len(backup.Names()))
	}
}

func TestSubKeysAreApart(t *testing.T) {
	a, b := batch.NewKeys(1, [32]byte{1}), batch.NewKeys(2, [32]byte{1})
	sub := func(k *batch.Keys, purpose string, salt ...byte) [32]byte {
		key, err := k.Sub(purpose, salt)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	seen := map[[32]byte]bool{}
	for _, k := range [][32]byte{
		sub(a, "x"), sub(a, "y"), sub(a, "x", 1), sub(b, "x"), sub(batch.NewKeys(1, [32]byte{2}), "x"),
	} {
		if seen[k] || k == [32]byte{} {
			t.Errorf("key %x is not a new one", k)
		}
		seen[k] = true
	}
	expand := func(secret, salt []byte, purpose string) []byte {
		info := append([]byte(purpose), 0, 0, 0, 0, 0, 0, 0, 0, 1)
		key, err := hkdf.Key(sha256.New, secret, salt, string(info), 32)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	secret := [32]byte{1}
	if got, want := sub(a, "x", 1), expand(expand(secret[:], nil, "coco ledger sub"), []byte{1}, "x"); !bytes.Equal(got[:], want) {
		t.Errorf("key %x is not the documented one, %x", got, want)
	}
	if sub(a, "x", 1) != sub(batch.NewKeys(1, [32]byte{1}), "x", 1) {
		t.Error("the same purpose, salt and epoch give different keys")
	}
}
