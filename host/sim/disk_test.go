package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/sim"
	"pgregory.net/rapid"
)

func create(t *testing.T, d host.Disk, name string) host.File {
	t.Helper()
	f, err := d.Create(name)
	ok(t, err)
	return f
}

func write(t *testing.T, f host.File, off int64, text string) {
	t.Helper()
	_, err := f.WriteAt([]byte(text), off)
	ok(t, err)
}

func TestCrashForgetsWhatWasNotSynced(t *testing.T) {
	w := sim.New(1)
	d := w.Host("a").Disk
	synced := create(t, d, "dir/synced")
	write(t, synced, 0, "kept")
	ok(t, synced.Sync())
	write(t, synced, 0, "lost and longer")
	ok(t, synced.Truncate(100))
	unsynced := create(t, d, "dir/unsynced")
	write(t, unsynced, 0, "lost")
	w.Crash("a")
	for what, err := range map[string]error{
		"sync": synced.Sync(), "truncate": synced.Truncate(0), "remove": d.Remove("dir/synced"), "rename": d.Rename("dir/synced", "x"),
		"write": second(synced.WriteAt([]byte("x"), 0)), "read": second(synced.ReadAt(make([]byte, 1), 0)), "size": second(synced.Size()),
		"open": second(d.Open("dir/synced")), "create": second(d.Create("x")), "list": second(d.List("dir")),
	} {
		if !errors.Is(err, sim.ErrCrashed) {
			t.Errorf("%s on a host that crashed: %v", what, err)
		}
	}
	w.Restart("a")
	if got := show(w.Files("a", "")); got != `dir/synced="kept"` {
		t.Errorf("after the crash: %s", got)
	}
	if _, err := w.Host("a").Disk.Open("dir/unsynced"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the unsynced file: %v", err)
	}
	if err := synced.Sync(); !errors.Is(err, sim.ErrCrashed) {
		t.Errorf("a handle of the old incarnation: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func show(files map[string][]byte) string {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "%s=%q", name, files[name])
	}
	return b.String()
}

func TestSyncTakesItsTimeAndACrashComesFirst(t *testing.T) {
	world(t, 1, func(t *testing.T, w *sim.World) {
		f := create(t, w.Host("a").Disk, "f")
		w.SetSyncDelay("a", 10*time.Millisecond)
		write(t, f, 0, "one")
		start := time.Now()
		ok(t, f.Sync())
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("sync took %v", took)
		}
		write(t, f, 3, "two")
		time.AfterFunc(5*time.Millisecond, func() { w.Crash("a") })
		if err := f.Sync(); !errors.Is(err, sim.ErrCrashed) {
			t.Errorf("sync across a crash: %v", err)
		}
		w.Restart("a")
		if got := show(w.Files("a", "")); got != `f="one"` {
			t.Errorf("after the crash: %s", got)
		}
	})
}

func TestFullDiskLosesNothing(t *testing.T) {
	w := sim.New(1)
	d := w.Host("a").Disk
	f := create(t, d, "f")
	write(t, f, 0, "12345678")
	w.SetDiskCapacity("a", 10)
	if _, err := f.WriteAt([]byte("abc"), 8); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing: %v", err)
	}
	if err := f.Truncate(11); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("extending: %v", err)
	}
	write(t, f, 0, "overwrite!")
	if _, err := create(t, d, "g").WriteAt([]byte("x"), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("another file: %v", err)
	}
	w.SetDiskCapacity("a", 0)
	write(t, f, 10, "more")
	if got := show(w.Files("a", "")); got != `f="overwrite!more"g=""` {
		t.Errorf("found %s", got)
	}
}

func TestRollBackTheDisk(t *testing.T) {
	w := sim.New(1)
	f := create(t, w.Host("a").Disk, "dir/f")
	write(t, f, 0, "old")
	before := w.Files("a", "dir")
	write(t, f, 0, "new")
	w.Crash("a")
	w.SetFiles("a", before)
	w.Restart("a")
	w.Restart("a")
	if got := show(w.Files("a", "")); got != `dir/f="old"` {
		t.Errorf("found %s", got)
	}
	if before["dir/f"][0] = 'X'; show(w.Files("a", "dir")) != `dir/f="old"` {
		t.Error("the disk shares memory with the test")
	}
}

func TestTornWritesMixOldAndNew(t *testing.T) {
	const size = 4096
	outcomes := make(map[string]int)
	for seed := range uint64(200) {
		w := sim.New(seed)
		d := w.Host("a").Disk
		f := create(t, d, "f")
		old := bytes.Repeat([]byte("o"), size)
		write(t, f, 0, string(old))
		ok(t, f.Sync())
		write(t, f, 100, string(bytes.Repeat([]byte("n"), size-100)))
		write(t, create(t, d, "g"), 0, "unsynced file")
		w.CrashTorn("a")
		files := w.Files("a", "")
		got := files["f"]
		n := bytes.Count(got, []byte("n"))
		if len(got) != size || !bytes.Equal(got[:100], old[:100]) || (n > 0 && !bytes.Equal(got[100:100+n], bytes.Repeat([]byte("n"), n))) {
			t.Fatalf("seed %d: a write tore other than at its end", seed)
		}
		switch n {
		case 0:
			outcomes["lost"]++
		case size - 100:
			outcomes["whole"]++
		default:
			outcomes["torn"]++
			if (100+n)%512 != 0 {
				t.Fatalf("seed %d: torn after %d bytes, within a sector", seed, n)
			}
		}
		if _, ok := files["g"]; ok {
			outcomes["file kept"]++
		} else {
			outcomes["file lost"]++
		}
	}
	for _, o := range []string{"lost", "whole", "torn", "file kept", "file lost"} {
		if outcomes[o] < 20 {
			t.Errorf("%q happened %d times in 200", o, outcomes[o])
		}
	}
}

// TestDiskAgainstOracle runs random operations beside an oracle that copies whole files.
func TestDiskAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := sim.New(1)
		now, durable := map[string]*[]byte{}, map[string][]byte{}
		name := rapid.SampledFrom([]string{"a", "b", "d/a"})
		offset, length := rapid.Int64Range(0, 40), rapid.IntRange(0, 20)
		handle := func(t *rapid.T, n string) host.File {
			f, err := w.Host("h").Disk.Open(n)
			if (err == nil) != (now[n] != nil) || (err != nil && !errors.Is(err, fs.ErrNotExist)) {
				t.Fatalf("open %s: %v", n, err)
			}
			return f
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				n := name.Draw(t, "name")
				if _, err := w.Host("h").Disk.Create(n); err != nil {
					t.Fatal(err)
				}
				now[n] = new([]byte)
			},
			"write": func(t *rapid.T) {
				n, off, data := name.Draw(t, "name"), offset.Draw(t, "offset"), bytes.Repeat([]byte{byte(rapid.IntRange('a', 'z').Draw(t, "byte"))}, length.Draw(t, "length"))
				f := handle(t, n)
				if f == nil {
					return
				}
				if _, err := f.WriteAt(data, off); err != nil {
					t.Fatal(err)
				}
				if len(data) > 0 {
					*now[n] = resize(*now[n], max(len(*now[n]), int(off)+len(data)))
					copy((*now[n])[off:], data)
				}
			},
			"truncate": func(t *rapid.T) {
				n, size := name.Draw(t, "name"), offset.Draw(t, "size")
				if f := handle(t, n); f != nil {
					if err := f.Truncate(size); err != nil {
						t.Fatal(err)
					}
					*now[n] = resize(*now[n], int(size))
				}
			},
			"sync": func(t *rapid.T) {
				n := name.Draw(t, "name")
				if f := handle(t, n); f != nil {
					if err := f.Sync(); err != nil {
						t.Fatal(err)
					}
					durable[n] = bytes.Clone(*now[n])
				}
			},
			"remove": func(t *rapid.T) {
				n := name.Draw(t, "name")
				if err := w.Host("h").Disk.Remove(n); (err == nil) != (now[n] != nil) {
					t.Fatal(err)
				}
				delete(now, n)
				delete(durable, n)
			},
			"crash": func(t *rapid.T) {
				w.Restart("h")
				clear(now)
				for n, data := range durable {
					c := bytes.Clone(data)
					now[n] = &c
				}
			},
			"": func(t *rapid.T) {
				files := w.Files("h", "")
				if len(files) != len(now) {
					t.Fatalf("%d files, expected %d", len(files), len(now))
				}
				for n, want := range now {
					f := handle(t, n)
					got := make([]byte, 100)
					k, err := f.ReadAt(got, 0)
					if err != io.EOF || !bytes.Equal(got[:k], *want) || !bytes.Equal(files[n], *want) {
						t.Fatalf("%s: found %q and %q, %v, expected %q", n, got[:k], files[n], err, *want)
					}
				}
			},
		})
	})
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return bytes.Clone(b[:size])
	}
	return append(bytes.Clone(b), make([]byte, size-len(b))...)
}
