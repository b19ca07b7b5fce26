package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
)

const dir = "node/ledger"

func openLog(t fataler, disk *memDisk, opts ledger.Options) *ledger.Log {
	t.Helper()
	l, err := ledger.Open(disk, dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// entriesOf makes entries of a view with the given data sizes.
func entriesOf(view, first uint64, sizes ...int) []batch.Entry {
	entries := make([]batch.Entry, len(sizes))
	for i, n := range sizes {
		index := first + uint64(i)
		entries[i] = batch.Entry{
			View: view, Index: index, Kind: batch.Kind(1 + index%3),
			Data: bytes.Repeat([]byte{byte(index), byte(view), 0}, n)[:n],
		}
	}
	return entries
}

func equalEntries(a, b []batch.Entry) bool {
	return slices.EqualFunc(a, b, func(x, y batch.Entry) bool {
		return x.View == y.View && x.Index == y.Index && x.Kind == y.Kind && bytes.Equal(x.Data, y.Data)
	})
}

// mustHold checks everything that a log says against the entries that it must hold.
func mustHold(t fataler, l *ledger.Log, want []batch.Entry) {
	t.Helper()
	if l.Last() != uint64(len(want)) || (l.First() == 1) != (len(want) > 0) {
		t.Fatalf("log holds %d to %d, expected 1 to %d", l.First(), l.Last(), len(want))
	}
	for _, e := range want {
		if view, ok := l.ViewOf(e.Index); !ok || view != e.View {
			t.Fatalf("view of %d: got %d %v, want %d", e.Index, view, ok, e.View)
		}
	}
	for _, index := range []uint64{0, l.Last() + 1} {
		if _, ok := l.ViewOf(index); ok {
			t.Fatalf("entry %d has a view, but does not exist", index)
		}
	}
	if len(want) == 0 {
		return
	}
	got, err := l.Read(1, l.Last()+1, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if !equalEntries(got, want) {
		t.Fatalf("read %d entries that are not those written", len(got))
	}
}

func TestLogEqualsSliceThroughCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := ledger.Options{ChunkBytes: int64(rapid.SampledFrom([]int{1, 100, 400, 2000}).Draw(t, "chunk"))}
		disk := newMemDisk()
		l := openLog(t, disk, opts)
		var all []batch.Entry // what the log must hold
		synced := 0           // so many of them survive a crash
		view := uint64(1)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				sizes := rapid.SliceOfN(rapid.IntRange(0, 150), 1, 8).Draw(t, "sizes")
				entries := entriesOf(view, uint64(len(all))+1, sizes...)
				if err := l.Append(entries); err != nil {
					t.Fatal(err)
				}
				all = append(all, entries...)
			},
			"overwrite": func(t *rapid.T) {
				keep := rapid.IntRange(0, len(all)).Draw(t, "keep")
				view++
				entries := entriesOf(view, uint64(keep)+1, rapid.SliceOfN(rapid.IntRange(0, 150), 1, 4).Draw(t, "sizes")...)
				if err := l.Append(entries); err != nil {
					t.Fatal(err)
				}
				all, synced = append(slices.Clone(all[:keep]), entries...), min(synced, keep)
			},
			"truncate": func(t *rapid.T) {
				keep := rapid.IntRange(0, len(all)).Draw(t, "keep")
				if err := l.TruncateAfter(uint64(keep)); err != nil {
					t.Fatal(err)
				}
				all, synced = slices.Clone(all[:keep]), min(synced, keep)
				view++
			},
			"sync": func(t *rapid.T) {
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = len(all)
			},
			"reopen": func(t *rapid.T) {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l = openLog(t, disk, opts)
			},
			"full disk": func(t *rapid.T) {
				disk.fill(int64(rapid.IntRange(0, 300).Draw(t, "room")))
				entries := entriesOf(view, uint64(len(all))+1, rapid.SliceOfN(rapid.IntRange(0, 150), 1, 8).Draw(t, "sizes")...)
				err := l.Append(entries)
				disk.SetCapacity(0)
				if err != nil && !errors.Is(err, syscall.ENOSPC) {
					t.Fatal(err)
				}
				all = append(all, entries[:l.Last()-uint64(len(all))]...)
				if err := l.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = len(all)
			},
			"crash": func(t *rapid.T) {
				disk = disk.crash(func(n int) int { return rapid.IntRange(0, n).Draw(t, "survives") })
				l = openLog(t, disk, opts)
				n := int(l.Last())
				if n < synced || n > len(all) {
					t.Fatalf("after a crash the log holds %d entries, of %d written and %d synced", n, len(all), synced)
				}
				all, synced = all[:n:n], n
			},
			"": func(t *rapid.T) {
				mustHold(t, l, all)
				before := disk.writes
				reader, err := ledger.OpenReadOnly(disk, dir)
				if err != nil {
					t.Fatal(err)
				}
				mustHold(t, reader, all)
				if err := reader.Append(entriesOf(view, 1, 1)); !errors.Is(err, coco.ErrInvalid) {
					t.Fatalf("append to a read-only log: %v", err)
				}
				reader.Close()
				if disk.writes != before {
					t.Fatal("a read-only log wrote")
				}
			},
		})
	})
}

func TestFilesDependOnContentsOnly(t *testing.T) {
	entries := entriesOf(3, 1, 0, 10, 700, 1, 2, 300, 300, 300, 5000, 1, 1, 1, 1, 1, 1, 90)
	opts := ledger.Options{ChunkBytes: 600}
	write := func(group int, detour bool) map[string][]byte {
		disk := newMemDisk()
		l := openLog(t, disk, opts)
		if detour {
			if err := l.Append(entriesOf(1, 1, 50, 800, 20, 30, 999, 4, 5)); err != nil {
				t.Fatal(err)
			}
		}
		for chunk := range slices.Chunk(entries, group) {
			if err := l.Append(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		mustHold(t, l, entries)
		files := map[string][]byte{}
		for _, name := range disk.Names() {
			f := disk.Data(name)
			files[name] = f
		}
		return files
	}
	want := write(1, false)
	if got := slices.Sorted(maps.Keys(want)); !slices.Equal(got, []string{
		dir + "/ledger_1-3", dir + "/ledger_10", dir + "/ledger_4-7", dir + "/ledger_8-9",
	}) {
		t.Errorf("files: %v", got)
	}
	for group := 1; group <= len(entries); group++ {
		for _, detour := range []bool{false, true} {
			if got := write(group, detour); !maps.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("appended %d at a time, overwriting %v: the files differ", group, detour)
			}
		}
	}
}

func TestFrameHasDocumentedBytes(t *testing.T) {
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 1})
	if err := l.Append([]batch.Entry{{View: 2, Index: 1, Kind: batch.KindView, Data: []byte("abc")}}); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%x", disk.Data(dir+"/ledger_1-1"))
	if want := "00000014" + "e77bb4e5" + "02" + "0000000000000002" + "0000000000000001" + "616263"; got != want {
		t.Errorf("chunk: got %s, want %s", got, want)
	}
}

func TestReadHonoursItsLimits(t *testing.T) {
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 500})
	entries := entriesOf(1, 1, slices.Repeat([]int{100}, 20)...)
	if err := l.Append(entries); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, max, want int }{
		{1, 21, 0, 1},
		{1, 21, 99, 1},
		{1, 21, 100, 1},
		{1, 21, 199, 1},
		{1, 21, 200, 2},
		{1, 21, 750, 7},
		{20, 21, 1 << 20, 1},
		{7, 9, 1 << 20, 2},
		{3, 21, 1 << 20, 18},
		{3, 21, 1799, 17},
	} {
		got, err := l.Read(uint64(c.from), uint64(c.to), c.max)
		if err != nil || !equalEntries(got, entries[c.from-1:][:c.want]) {
			t.Errorf("read %d to before %d, %d bytes: got %d entries, %v; want %d", c.from, c.to, c.max, len(got), err, c.want)
		}
	}
	for _, c := range []struct {
		from, to uint64
		kind     error
	}{
		{0, 1, coco.ErrNotFound}, {1, 22, coco.ErrNotFound}, {21, 22, coco.ErrNotFound}, {2, 2, coco.ErrInvalid}, {3, 2, coco.ErrInvalid},
	} {
		if _, err := l.Read(c.from, c.to, 1<<20); !errors.Is(err, c.kind) {
			t.Errorf("read %d to before %d: got %v, want %v", c.from, c.to, err, c.kind)
		}
	}
	got, err := l.Read(1, 3, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	clear(got[0].Data)
	_ = append(got[0].Data, 1, 2, 3)
	mustHold(t, l, entries)
	if !equalEntries(got[1:], entries[1:2]) {
		t.Error("appending to one entry's data changed the next entry")
	}
}

func TestAppendRefusesWhatIsNoContinuation(t *testing.T) {
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 500})
	good := entriesOf(5, 1, 10, 10, 10)
	if err := l.Append(good); err != nil {
		t.Fatal(err)
	}
	bad := func(change func([]batch.Entry)) []batch.Entry {
		entries := entriesOf(5, 4, 10, 10)
		change(entries)
		return entries
	}
	for name, entries := range map[string][]batch.Entry{
		"a gap before":     entriesOf(5, 5, 1),
		"index 0":          entriesOf(5, 0, 1),
		"a gap inside":     bad(func(e []batch.Entry) { e[1].Index++ }),
		"an older view":    entriesOf(4, 4, 1),
		"a falling view":   bad(func(e []batch.Entry) { e[1].View-- }),
		"no kind":          bad(func(e []batch.Entry) { e[1].Kind = 0 }),
		"an unknown kind":  bad(func(e []batch.Entry) { e[1].Kind = 4 }),
		"too large a data": bad(func(e []batch.Entry) { e[1].Data = make([]byte, batch.MaxData+1) }),
	} {
		if err := l.Append(entries); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	mustHold(t, l, good)
	if _, err := ledger.Open(disk, dir, ledger.Options{ChunkBytes: 3 << 30}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("chunks of 3 GiB: got %v", err)
	}
}

func TestOpenAndLoadRefuseDamageWithValidDataBehind(t *testing.T) {
	for name, chunkBytes := range map[string]int64{"one active chunk": 4096, "several chunks": 300} {
		t.Run(name, func(t *testing.T) {
			disk := newMemDisk()
			l := openLog(t, disk, ledger.Options{ChunkBytes: chunkBytes})
			entries := entriesOf(7, 1, 40, 50, 60, 70, 80, 90, 100, 20)
			if err := l.Append(entries); err != nil {
				t.Fatal(err)
			}
			lastFrame := int64(25 + len(entries[7].Data))
			var refused, cut int
			for _, file := range disk.Names() {
				f := disk.Data(file)
				used := int64(len(bytes.TrimRight(f, "\x00")))
				for at := range f {
					broken := disk.clone()
					broken.Data(file)[at] ^= 0x10
					before := bytes.Clone(broken.Data(file))
					l, err := ledger.Open(broken, dir, ledger.Options{ChunkBytes: chunkBytes})
					if err == nil {
						err = l.Load(1)
					}
					if err == nil {
						// Only the active chunk's last frame, or what lies behind it, may be cut.
						if !strings.HasSuffix(file, "ledger_1") && !strings.HasSuffix(file, "ledger_6") && !strings.HasSuffix(file, "ledger_8") {
							t.Fatalf("%s, byte %d: a damaged complete chunk was opened", file, at)
						}
						if int64(at) < used-lastFrame {
							t.Fatalf("%s, byte %d: valid entries were cut", file, at)
						}
						if l.Torn() == 0 {
							t.Fatalf("%s, byte %d: nothing was found", file, at)
						}
						mustHold(t, l, entries[:l.Last()])
						cut++
						continue
					}
					refused++
					if !errors.Is(err, coco.ErrCorrupt) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "offset") || !strings.Contains(err.Error(), "entry") {
						t.Fatalf("%s, byte %d: error does not name the place: %v", file, at, err)
					}
					if !bytes.Equal(before, broken.Data(file)) {
						t.Fatalf("%s, byte %d: a refused file was changed", file, at)
					}
				}
			}
			if refused == 0 || cut == 0 {
				t.Errorf("%d refused, %d cut", refused, cut)
			}
		})
	}
}

func TestOpenAndLoadRefuseForeignAndDamagedChunks(t *testing.T) {
	make3 := func() *memDisk {
		disk := newMemDisk()
		l := openLog(t, disk, ledger.Options{ChunkBytes: 300})
		if err := l.Append(entriesOf(7, 1, slices.Repeat([]int{100}, 10)...)); err != nil {
			t.Fatal(err)
		}
		if got := len(disk.Names()); got != 4 {
			t.Fatalf("%d files, the test expects 4", got)
		}
		return disk
	}
	rename := func(from, to string) func(*memDisk) {
		return func(d *memDisk) {
			if err := d.Rename(dir+"/"+from, dir+"/"+to); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, change := range map[string]func(*memDisk){
		"foreign name":  func(d *memDisk) { d.Create(dir + "/ledger_1-3.bak") },
		"leading zero":  rename("ledger_10", "ledger_010"),
		"later index":   rename("ledger_7-9", "ledger_7-10"),
		"earlier index": rename("ledger_7-9", "ledger_7-8"),
		"reversed":      rename("ledger_4-6", "ledger_4-3"),
		"not complete":  rename("ledger_4-6", "ledger_4"),
		"swapped": func(d *memDisk) {
			rename("ledger_4-6", "x")(d)
			rename("ledger_7-9", "ledger_4-6")(d)
			rename("x", "ledger_7-9")(d)
		},
		"zeros behind":    func(d *memDisk) { f := d.Data(dir + "/ledger_4-6"); d.Put(dir+"/ledger_4-6", append(f, 0)) },
		"shortened":       func(d *memDisk) { f := d.Data(dir + "/ledger_4-6"); d.Put(dir+"/ledger_4-6", f[:len(f)-1]) },
		"emptied":         func(d *memDisk) { d.Put(dir+"/ledger_4-6", nil) },
		"complete, empty": func(d *memDisk) { d.Create(dir + "/ledger_10-10") },
	} {
		t.Run(name, func(t *testing.T) {
			disk := make3()
			change(disk)
			for _, open := range []func() (*ledger.Log, error){
				func() (*ledger.Log, error) { return ledger.Open(disk, dir, ledger.Options{ChunkBytes: 300}) },
				func() (*ledger.Log, error) { return ledger.OpenReadOnly(disk, dir) },
			} {
				l, err := open()
				if err == nil {
					err = l.Load(1)
				}
				if !errors.Is(err, coco.ErrCorrupt) || !strings.Contains(err.Error(), "ledger_") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 4096})
	if err := l.Append(entriesOf(1, 1, 10)); err != nil {
		t.Fatal(err)
	}
	disk.failSync = errors.New("the disk lost the pages")
	if err := l.Sync(); !errors.Is(err, disk.failSync) {
		t.Fatalf("sync: got %v", err)
	}
	want := disk.failSync
	disk.failSync = nil
	for name, err := range map[string]error{
		"sync": l.Sync(), "append": l.Append(entriesOf(1, 2, 10)), "truncate": l.TruncateAfter(0),
	} {
		if !errors.Is(err, want) {
			t.Errorf("%s after a failed sync: got %v", name, err)
		}
	}
}

// The size of chunk files is the network's: a default of this program would make files that other nodes
// do not have.
func TestNothingIsAppendedBeforeTheChunkSizeIsKnown(t *testing.T) {
	disk := newMemDisk()
	l, err := ledger.Open(disk, dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(entriesOf(1, 1, 10)); !errors.Is(err, coco.ErrInvalid) || disk.writes > 0 {
		t.Errorf("appended with %d writes: %v", disk.writes, err)
	}
	if err := l.SetChunkBytes(1000); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(entriesOf(1, 1, 10)); err != nil || l.Last() != 1 {
		t.Errorf("the last entry is %d: %v", l.Last(), err)
	}
}
