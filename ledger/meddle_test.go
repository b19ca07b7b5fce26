package ledger_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
)

func TestMemoryDoesNotGrowWithTheLedger(t *testing.T) {
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 300})
	l.KeepOffsets(10)
	all := entriesOf(2, 1, slices.Repeat([]int{100}, 90)...)
	if err := l.Append(all); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for range 2 {
			mustHold(t, l, all)
			if n := l.KeptOffsets(); n > 10 {
				t.Errorf("%d offsets are kept, of 90 entries", n)
			}
		}
		l = openLog(t, disk, ledger.Options{ChunkBytes: 300})
		l.KeepOffsets(10)
		if n := l.KeptOffsets(); n != 0 {
			t.Errorf("opening read %d offsets", n)
		}
	}
}

func TestLastChunkStaysKnownWhenItsFileGoes(t *testing.T) {
	g := newGapped(t)
	if err := g.log.TruncateAfter(9); err != nil {
		t.Fatal(err)
	}
	g.open()
	shelf := newMemDisk()
	moveFile(g.disk, dir+"/ledger_7-9", shelf, "ledger_7-9")
	for range 2 {
		var missing *ledger.MissingError
		if _, err := g.log.Read(8, 9, 0); !errors.As(err, &missing) || missing.First != 7 || missing.Last != 9 {
			t.Errorf("read from a file that has gone: %v", err)
		}
		if g.log.Last() != 9 {
			t.Errorf("the log ends with entry %d", g.log.Last())
		}
	}
	moveFile(shelf, "ledger_7-9", g.away, "ledger_7-9")
	mustHold(t, g.log, g.all[:9])
	if err := g.log.Append(g.all[9:]); err != nil {
		t.Fatal(err)
	}
	mustHold(t, g.log, g.all)
}

// meddling calls a function once, after a file was read.
type meddling struct {
	*memDisk
	name string
	do   func()
}

func (d *meddling) Open(name string) (host.File, error) {
	f, err := d.memDisk.Open(name)
	return meddled{f, d, name}, err
}

type meddled struct {
	host.File
	disk *meddling
	name string
}

func (f meddled) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	if do := f.disk.do; do != nil && f.name == f.disk.name {
		f.disk.do = nil
		do()
	}
	return n, err
}

func TestReadNeverMixesEntriesFromBeforeAndAfterACut(t *testing.T) {
	g := newGapped(t)
	newer := entriesOf(9, 6, 90, 110, 80, 70, 100)
	for _, name := range []string{"ledger_7-9", "ledger_10"} {
		disk := &meddling{memDisk: g.disk.clone(), name: dir + "/" + name}
		l, err := ledger.Open(disk, dir, ledger.Options{ChunkBytes: 300})
		if err == nil {
			_, err = l.Read(1, 11, 1<<20)
		}
		if err != nil {
			t.Fatal(err)
		}
		disk.do = func() {
			if err := l.Append(newer); err != nil {
				t.Error(err)
			}
		}
		got, err := l.Read(6, 11, 1<<20)
		if err != nil || disk.do != nil || !equalEntries(got, newer) {
			t.Errorf("cut while %s is read: %d entries, %v", name, len(got), err)
		}
	}
}

func TestBackupListsAgainWhatWasRenamed(t *testing.T) {
	g := newGapped(t)
	newer := entriesOf(9, 9, 100, 10)
	disk := &meddling{memDisk: g.disk, name: dir + "/ledger_1-3"}
	backup := newMemDisk()
	disk.do = func() {
		if err := errors.Join(g.log.TruncateAfter(8), g.log.Append(newer[:1])); err != nil {
			t.Error(err)
		}
	}
	got, err := ledger.Backup(t.Context(), ledger.Place{Disk: disk, Dir: dir}, placeOf(backup), nil)
	if err != nil || got.Last != 9 {
		t.Fatalf("%+v, %v", got, err)
	}
	mustCopy(t, backup, append(slices.Clone(g.all[:8]), newer[0]))

	if err := g.log.TruncateAfter(8); err != nil {
		t.Fatal(err)
	}
	disk = &meddling{memDisk: g.disk, name: dir + "/ledger_1-3"}
	backup = newMemDisk()
	if err := g.log.Append(g.all[8:9]); err != nil {
		t.Fatal(err)
	}
	disk.do = func() { // what is listed as complete is cut
		if err := g.log.TruncateAfter(7); err != nil {
			t.Error(err)
		}
	}
	if got, err := ledger.Backup(t.Context(), ledger.Place{Disk: disk, Dir: dir}, placeOf(backup), nil); err != nil || got.Last != 7 {
		t.Fatalf("%+v, %v", got, err)
	}
	mustCopy(t, backup, g.all[:7])
}
