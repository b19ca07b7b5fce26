package ledger_test

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
)

// gapped is a log of ten entries in chunks 1-3, 4-6, 7-9 and 10, and a further folder.
type gapped struct {
	t          testing.TB
	disk, away *memDisk
	all        []batch.Entry
	log        *ledger.Log
}

func newGapped(t testing.TB) *gapped {
	t.Helper()
	g := &gapped{t: t, disk: newMemDisk(), away: newMemDisk(), all: entriesOf(7, 1, slices.Repeat([]int{100}, 10)...)}
	g.open()
	if err := errors.Join(g.log.Append(g.all), g.log.Sync()); err != nil {
		t.Fatal(err)
	}
	if names, _ := g.disk.List(dir); !slices.Equal(names, []string{"ledger_1-3", "ledger_10", "ledger_4-6", "ledger_7-9"}) {
		t.Fatalf("files %v: the tests expect four chunks", names)
	}
	return g
}

func (g *gapped) open() {
	g.t.Helper()
	g.log = openLog(g.t, g.disk, ledger.Options{ChunkBytes: 300, Extra: []host.Disk{g.away}})
}

// moveFile moves a file from one disk to another, durably.
func moveFile(from *memDisk, name string, to *memDisk, as string) {
	data := from.Data(name)
	from.Delete(name)
	to.Put(as, data)
}

func (g *gapped) moveAway(name string) { moveFile(g.disk, dir+"/"+name, g.away, name) }
func (g *gapped) bringBack(name string) {
	moveFile(g.away, name, g.disk, dir+"/"+name)
}

// has checks that a log holds exactly the entries of the chunks.
func (g *gapped) has(chunks ...uint64) {
	g.t.Helper()
	for _, e := range g.all {
		first := (e.Index-1)/3*3 + 1
		got, err := g.log.Read(e.Index, e.Index+1, 0)
		view, ok := g.log.ViewOf(e.Index)
		if slices.Contains(chunks, first) {
			if err != nil || !equalEntries(got, []batch.Entry{e}) || !ok || view != e.View {
				g.t.Fatalf("entry %d: %v, view %d %v", e.Index, err, view, ok)
			}
			continue
		}
		var missing *ledger.MissingError
		if !errors.As(err, &missing) || !errors.Is(err, coco.ErrMissing) || missing.First > e.Index || missing.Last < e.Index {
			g.t.Fatalf("entry %d, which is missing: %v", e.Index, err)
		}
		if want := fmt.Sprintf("ledger_%d-", missing.First); !strings.Contains(err.Error(), want) {
			g.t.Fatalf("error does not name the file %s: %v", want, err)
		}
	}
}

func TestMovedChunksAreReadFromFurtherFoldersAndBack(t *testing.T) {
	g := newGapped(t)
	g.has(1, 4, 7, 10)
	g.moveAway("ledger_1-3")
	g.moveAway("ledger_4-6")
	g.has(1, 4, 7, 10) // noticed while the log is open
	if first := g.log.First(); first != 1 || len(g.log.Missing()) != 0 {
		t.Errorf("first %d, missing %v: nothing is missing", first, g.log.Missing())
	}
	g.open() // and when it is opened
	g.has(1, 4, 7, 10)
	g.bringBack("ledger_4-6")
	g.has(1, 4, 7, 10)
	mustHold(t, g.log, g.all)
	if g.away.writes != 0 {
		t.Error("the further folder was written to")
	}
}

func TestMissingChunksAreNamedAndComeBackWhileTheLogIsOpen(t *testing.T) {
	g := newGapped(t)
	shelf := newMemDisk()
	for _, name := range []string{"ledger_1-3", "ledger_4-6"} {
		moveFile(g.disk, dir+"/"+name, shelf, name)
	}
	for range 2 { // noticed while the log is open, and when it is opened
		g.has(7, 10)
		if first := g.log.First(); first != 7 {
			t.Errorf("first %d, want 7", first)
		}
		if got := g.log.Missing(); !slices.Equal(got, []ledger.Range{{First: 1, Last: 6}}) {
			t.Errorf("missing %v", got)
		}
		g.open()
	}
	// A range that begins before the gap ends before it.
	moveFile(shelf, "ledger_1-3", g.disk, dir+"/ledger_1-3")
	if got, err := g.log.Read(2, 11, 1<<20); err != nil || !equalEntries(got, g.all[1:3]) {
		t.Errorf("read up to the gap: %d entries, %v", len(got), err)
	}
	if first := g.log.First(); first != 7 {
		t.Errorf("first %d with a gap before entry 7", first)
	}
	if got := g.log.Chunks(); len(got) != 3 || got[0].First != 1 || got[0].Last != 3 || got[1].First != 7 || !got[1].Complete || got[2].Complete || got[2].Last != 10 {
		t.Errorf("chunks %+v", got)
	}
	moveFile(shelf, "ledger_4-6", g.away, "ledger_4-6")
	g.has(1, 4, 7, 10)
	mustHold(t, g.log, g.all)
	if err := g.log.Load(1); err != nil {
		t.Error(err)
	}
}

// feed returns entries one by one.
func feed(entries []batch.Entry) func() (batch.Entry, error) {
	return func() (batch.Entry, error) {
		if len(entries) == 0 {
			return batch.Entry{}, errors.New("asked for more entries than the chunk has")
		}
		e := entries[0]
		entries = entries[1:]
		return e, nil
	}
}

func TestInsertRestoresTheVeryFile(t *testing.T) {
	g := newGapped(t)
	want := g.disk.clone()
	g.disk.Delete(dir + "/ledger_4-6")
	g.has(1, 7, 10)
	for name, c := range map[string]struct {
		first, last uint64
		entries     []batch.Entry
	}{
		"a chunk that is there":     {1, 3, g.all[:3]},
		"more than is missing":      {4, 7, g.all[3:7]},
		"the end of the log":        {10, 12, g.all[3:6]},
		"nothing":                   {5, 4, nil},
		"entry 0":                   {0, 3, g.all[:3]},
		"other entries":             {4, 6, g.all[4:7]},
		"too few entries":           {4, 6, g.all[3:5]},
		"a falling view":            {4, 6, append(entriesOf(8, 4, 1), entriesOf(7, 5, 1, 1)...)},
		"an entry of no known kind": {4, 6, []batch.Entry{{View: 7, Index: 4}}},
	} {
		if err := g.log.Insert(c.first, c.last, feed(c.entries)); err == nil {
			t.Errorf("%s was inserted", name)
		}
	}
	g.has(1, 7, 10)
	if names, _ := g.disk.List(dir); len(names) != 3 {
		t.Errorf("what was not inserted left files: %v", names)
	}
	if err := g.log.Insert(4, 6, feed(g.all[3:6])); err != nil {
		t.Fatal(err)
	}
	g.has(1, 4, 7, 10)
	if g.log.First() != 1 {
		t.Errorf("first %d", g.log.First())
	}
	for _, name := range want.Names() {
		f := want.Data(name)
		if got := g.disk.Data(name); got == nil || name != dir+"/ledger_10" && string(got) != string(f) {
			t.Errorf("%s is not what it was", name)
		}
	}
	g.open()
	g.has(1, 4, 7, 10)
}

func TestDamagedChunkIsSetAsideAndInsertedAnew(t *testing.T) {
	g := newGapped(t)
	f := g.disk.Data(dir + "/ledger_4-6")
	damaged := slices.Clone(f)
	damaged[200] ^= 1
	g.disk.Put(dir+"/ledger_4-6", damaged)
	g.open()
	if _, err := g.log.Read(5, 6, 0); !errors.Is(err, coco.ErrCorrupt) || !strings.Contains(err.Error(), "ledger_4-6") {
		t.Fatalf("read from a damaged chunk: %v", err)
	}
	if _, ok := g.log.ViewOf(5); ok {
		t.Error("an entry of a damaged chunk has a view")
	}
	if err := g.log.Load(7); err != nil {
		t.Errorf("load what follows the damage: %v", err)
	}
	if err := g.log.Load(6); !errors.Is(err, coco.ErrCorrupt) || !strings.Contains(err.Error(), "ledger_4-6") {
		t.Errorf("load: %v", err)
	}
	for first, kind := range map[uint64]error{10: coco.ErrInvalid, 5: coco.ErrNotFound, 77: coco.ErrNotFound} {
		if err := g.log.Quarantine(first); !errors.Is(err, kind) {
			t.Errorf("set chunk %d aside: %v", first, err)
		}
	}
	if err := g.log.Quarantine(4); err != nil {
		t.Fatal(err)
	}
	if kept := g.disk.Data(dir + "/ledger_4-6.damaged"); kept == nil || string(kept) != string(damaged) {
		t.Error("the damaged file was not kept")
	}
	g.has(1, 7, 10)
	g.open()
	g.has(1, 7, 10)
	if err := g.log.Insert(4, 6, feed(g.all[3:6])); err != nil {
		t.Fatal(err)
	}
	g.has(1, 4, 7, 10)
	if _, err := ledger.Audit(t.Context(), g.disk, dir, newChecker(), nil); err != nil && strings.Contains(err.Error(), "damaged") {
		t.Errorf("the file that was set aside disturbs an audit: %v", err)
	}
}

func TestDamagedChunkOfAFurtherFolderIsNotTakenAgain(t *testing.T) {
	g := newGapped(t)
	g.moveAway("ledger_4-6")
	g.away.Data("ledger_4-6")[50] ^= 1
	g.open()
	if _, err := g.log.Read(4, 5, 0); !errors.Is(err, coco.ErrCorrupt) || !strings.Contains(err.Error(), "further ledger folder 1/ledger_4-6") {
		t.Fatalf("read: %v", err)
	}
	if err := g.log.Quarantine(4); err != nil {
		t.Fatal(err)
	}
	g.has(1, 7, 10)
	if err := g.log.Insert(4, 6, feed(g.all[3:6])); err != nil {
		t.Fatal(err)
	}
	g.has(1, 4, 7, 10)
	if g.away.writes != 0 || g.away.Data("ledger_4-6") == nil {
		t.Error("the further folder was written to")
	}
}

func TestOwnFolderComesFirstAndStrangeFilesElsewhereAreIgnored(t *testing.T) {
	g := newGapped(t)
	for _, name := range []string{"ledger_1-3", "ledger_1-4", "ledger_9-12", "ledger_11-12", "ledger_7", "ledger_x", "notes.txt"} {
		g.away.Put(name, []byte("nothing of this may be read"))
	}
	g.has(1, 4, 7, 10)
	g.open()
	g.has(1, 4, 7, 10)
	mustHold(t, g.log, g.all[:10])
}

func TestStartAtBeginsARunThatOlderChunksComeBefore(t *testing.T) {
	g := newGapped(t)
	newer := entriesOf(9, 101, 100, 100, 100, 100)
	if err := g.log.StartAt(10); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("start at an entry that the log holds: %v", err)
	}
	if err := g.log.StartAt(11); err != nil || g.log.Last() != 10 || g.log.First() != 1 {
		t.Errorf("start at the next entry: %v, %d to %d", err, g.log.First(), g.log.Last())
	}
	if err := g.log.StartAt(101); err != nil {
		t.Fatal(err)
	}
	if g.log.Last() != 100 || g.log.First() != 101 {
		t.Errorf("%d to %d after StartAt(101)", g.log.First(), g.log.Last())
	}
	if got := g.log.Missing(); !slices.Equal(got, []ledger.Range{{First: 10, Last: 100}}) {
		t.Errorf("missing %v: the incomplete chunk is not removed", got)
	}
	g.has(1, 4, 7)
	for _, first := range []uint64{11, 100, 102} {
		if err := g.log.Append(entriesOf(9, first, 1)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("append entry %d: %v", first, err)
		}
	}
	if err := errors.Join(g.log.Append(newer), g.log.Sync()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := g.log.Read(101, 105, 1<<20); err != nil || !equalEntries(got, newer) || g.log.First() != 101 || g.log.Last() != 104 {
			t.Errorf("%d to %d, %v", g.log.First(), g.log.Last(), err)
		}
		g.has(1, 4, 7)
		g.open()
	}
	// A leader's log may differ from the first entry of the run on, and even before it.
	other := entriesOf(10, 101, 5, 6)
	if err := g.log.Append(other); err != nil || g.log.Last() != 102 {
		t.Fatalf("overwrite the whole run: %v, last %d", err, g.log.Last())
	}
	if err := g.log.TruncateAfter(100); err != nil || g.log.Last() != 100 || g.log.First() != 101 {
		t.Errorf("cut the whole run: %v, %d to %d", err, g.log.First(), g.log.Last())
	}
	if err := g.log.TruncateAfter(50); err != nil || g.log.Last() != 9 || g.log.First() != 1 {
		t.Errorf("cut within the gap: %v, %d to %d", err, g.log.First(), g.log.Last())
	}
	if err := g.log.TruncateAfter(5); err != nil {
		t.Fatal(err)
	}
	mustHold(t, g.log, g.all[:5])
}

func TestStartAtInAnEmptyFolder(t *testing.T) {
	l := openLog(t, newMemDisk(), ledger.Options{ChunkBytes: 300})
	if err := l.StartAt(1); err != nil || l.First() != 0 || l.Last() != 0 {
		t.Errorf("StartAt(1): %v, %d to %d", err, l.First(), l.Last())
	}
	if err := l.StartAt(7); err != nil || l.First() != 7 || l.Last() != 6 {
		t.Errorf("StartAt(7): %v, %d to %d", err, l.First(), l.Last())
	}
	if _, ok := l.ViewOf(6); ok {
		t.Error("a missing entry has a view")
	}
	all := entriesOf(3, 1, slices.Repeat([]int{100}, 9)...)
	if err := l.Append(all[6:]); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Insert(4, 6, feed(all[3:6])), l.Insert(1, 3, feed(all[:3]))); err != nil {
		t.Fatal(err)
	}
	mustHold(t, l, all)
}

func TestCutNeverReachesIntoAFurtherFolder(t *testing.T) {
	g := newGapped(t)
	g.moveAway("ledger_7-9")
	g.has(1, 4, 7, 10)
	if err := g.log.TruncateAfter(8); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "ledger_7-9") {
		t.Errorf("cut: %v", err)
	}
	mustHold(t, g.log, g.all)
	if err := g.log.TruncateAfter(9); err != nil {
		t.Fatal(err)
	}
	mustHold(t, g.log, g.all[:9])
	if err := g.log.Append(g.all[9:]); err != nil {
		t.Fatal(err)
	}
	mustHold(t, g.log, g.all)
}

func TestChunkSizeMayBeSetLater(t *testing.T) {
	want := newGapped(t)
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{})
	if err := errors.Join(l.SetChunkBytes(300), l.Append(want.all)); err != nil {
		t.Fatal(err)
	}
	// A crash before a chunk got its name, and an opening that does not know the size yet.
	if err := disk.Rename(dir+"/ledger_10", "other"); err != nil {
		t.Fatal(err)
	}
	if err := disk.Rename(dir+"/ledger_7-9", dir+"/ledger_7"); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, disk, ledger.Options{})
	mustHold(t, l, want.all[:9])
	if err := errors.Join(l.SetChunkBytes(300), l.Append(want.all[9:])); err != nil {
		t.Fatal(err)
	}
	if names, _ := disk.List(path.Clean(dir)); !slices.Equal(names, []string{"ledger_1-3", "ledger_10", "ledger_4-6", "ledger_7-9"}) {
		t.Errorf("files %v", names)
	}
	mustHold(t, l, want.all)
	for _, n := range []int64{0, -1, 2<<30 + 1} {
		if err := l.SetChunkBytes(n); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("chunks of %d bytes: %v", n, err)
		}
	}
}

func TestAuditNamesWhatToBringBack(t *testing.T) {
	disk, w, _ := writeSample(t)
	for range 20 {
		w.entry(5, batch.KindMembers, make([]byte, 300))
	}
	chunks := w.log.Chunks()
	if len(chunks) < 3 {
		t.Fatalf("chunks %+v", chunks)
	}
	away := newMemDisk()
	for i, c := range chunks[:2] {
		moveFile(disk, fmt.Sprintf("%s/ledger_%d-%d", dir, c.First, c.Last), away, fmt.Sprintf("ledger_%d-%d", c.First, c.Last))
		_, err := audit(disk)
		var f *ledger.Fault
		if !errors.As(err, &f) || f.Index != 1 || !strings.Contains(f.Reason, fmt.Sprintf("entries 1 to %d are missing", c.Last)) || !strings.Contains(f.Reason, "ledger_1-") {
			t.Errorf("after moving %d chunks away: %v", i+1, err)
		}
	}
	report, err := ledger.Audit(t.Context(), disk, dir, newChecker(), nil, away)
	if err != nil || report.Entries != w.log.Last() {
		t.Errorf("with the folder to which they were moved: %d entries, %v", report.Entries, err)
	}
}
