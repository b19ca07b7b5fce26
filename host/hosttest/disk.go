package hosttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"github.com/cocoframework/coco/host"
)

var diskTests = []contract{
	{"an absent file is not found", absentFile},
	{"what is written is read", writeRead},
	{"a write beyond the end leaves zeros between", hole},
	{"truncating cuts, and extends with zeros", truncate},
	{"creating empties a file that exists", createEmpties},
	{"a folder lists its own files, sorted", list},
	{"a rename replaces the target", rename},
	{"a removed file is gone", remove},
	{"names that lead out of the folder are refused", badNames},
	{"a closed file fails", closedFile},
	{"disjoint ranges are written at once", disjoint},
	{"what is synced survives the process", durable},
	{"what is renamed or removed stays so", durableNames},
}

func create(t *testing.T, d host.Disk, name, text string) host.File {
	t.Helper()
	f := got(d.Create(name))(t)
	if n := got(f.WriteAt([]byte(text), 0))(t); n != len(text) {
		t.Fatalf("wrote %d of %d bytes", n, len(text))
	}
	return f
}

func save(t *testing.T, d host.Disk, name, text string) {
	t.Helper()
	f := create(t, d, name, text)
	ok(t, f.Sync())
	ok(t, f.Close())
}

func contents(t *testing.T, f host.File) string {
	t.Helper()
	b := make([]byte, got(f.Size())(t))
	if n, err := f.ReadAt(b, 0); n != len(b) || (err != nil && err != io.EOF) {
		t.Fatalf("read %d of %d bytes: %v", n, len(b), err)
	}
	return string(b)
}

func expect(t *testing.T, d host.Disk, name, want string) {
	t.Helper()
	f := got(d.Open(name))(t)
	if have := contents(t, f); have != want {
		t.Errorf("%s: found %q, expected %q", name, have, want)
	}
	ok(t, f.Close())
}

func expectAbsent(t *testing.T, d host.Disk, name string) {
	t.Helper()
	if _, err := d.Open(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open %s: expected fs.ErrNotExist, found %v", name, err)
	}
}

func absentFile(t *testing.T, e Env) {
	d := e.Host.Disk
	expectAbsent(t, d, "a/b")
	if err := d.Remove("a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove: expected fs.ErrNotExist, found %v", err)
	}
	if err := d.Rename("a/b", "c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rename: expected fs.ErrNotExist, found %v", err)
	}
}

func writeRead(t *testing.T, e Env) {
	f := create(t, e.Host.Disk, "a/b/c", "hello, world")
	got(f.WriteAt([]byte("J"), 0))(t)
	b := make([]byte, 5)
	got(f.ReadAt(b, 6))(t)
	if string(b) != " worl" {
		t.Errorf("found %q", b)
	}
	if n, err := f.ReadAt(b, 10); n != 2 || err != io.EOF {
		t.Errorf("read across the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(b, 100); n != 0 || err != io.EOF {
		t.Errorf("read after the end: %d, %v", n, err)
	}
	if _, err := f.ReadAt(b, -1); err == nil || err == io.EOF {
		t.Errorf("read before the start: %v", err)
	}
	ok(t, f.Sync())
	ok(t, f.Sync())
	ok(t, f.Close())
	expect(t, e.Host.Disk, "a/b/c", "Jello, world")
}

func hole(t *testing.T, e Env) {
	f := create(t, e.Host.Disk, "f", "ab")
	got(f.WriteAt([]byte("z"), 5))(t)
	ok(t, f.Close())
	expect(t, e.Host.Disk, "f", "ab\x00\x00\x00z")
}

func truncate(t *testing.T, e Env) {
	f := create(t, e.Host.Disk, "f", "abcdef")
	ok(t, f.Truncate(3))
	if n := got(f.Size())(t); n != 3 {
		t.Errorf("size %d after truncating to 3", n)
	}
	ok(t, f.Truncate(5))
	ok(t, f.Sync())
	ok(t, f.Close())
	expect(t, e.Host.Disk, "f", "abc\x00\x00")
}

func createEmpties(t *testing.T, e Env) {
	save(t, e.Host.Disk, "f", "long contents")
	ok(t, create(t, e.Host.Disk, "f", "new").Close())
	expect(t, e.Host.Disk, "f", "new")
}

func list(t *testing.T, e Env) {
	d := e.Host.Disk
	for _, name := range []string{"dir/b", "dir/a", "dir/sub/c", "dirt", "dir/Z"} {
		save(t, d, name, "x")
	}
	for dir, want := range map[string][]string{
		"dir": {"Z", "a", "b"}, "dir/sub": {"c"}, "absent": nil, "": {"dirt"}, ".": {"dirt"},
	} {
		if names := got(d.List(dir))(t); !slices.Equal(names, want) {
			t.Errorf("list %q: found %q, expected %q", dir, names, want)
		}
	}
}

func rename(t *testing.T, e Env) {
	d := e.Host.Disk
	save(t, d, "old", "new contents")
	save(t, d, "target", "old contents")
	ok(t, d.Rename("old", "target"))
	expectAbsent(t, d, "old")
	expect(t, d, "target", "new contents")
	ok(t, d.Rename("target", "elsewhere/target"))
	expectAbsent(t, d, "target")
	expect(t, d, "elsewhere/target", "new contents")
}

func remove(t *testing.T, e Env) {
	d := e.Host.Disk
	save(t, d, "f", "x")
	ok(t, d.Remove("f"))
	expectAbsent(t, d, "f")
}

func badNames(t *testing.T, e Env) {
	d := e.Host.Disk
	save(t, d, "f", "x")
	for _, name := range []string{"", ".", "..", "../f", "a/../f", "/f", "a//f", "a/", "./f"} {
		if f, err := d.Create(name); err == nil {
			t.Errorf("create %q succeeded", name)
			ok(t, f.Close())
		}
		if f, err := d.Open(name); err == nil {
			t.Errorf("open %q succeeded", name)
			ok(t, f.Close())
		}
		if err := d.Remove(name); err == nil {
			t.Errorf("remove %q succeeded", name)
		}
		if err := d.Rename("f", name); err == nil {
			t.Errorf("rename to %q succeeded", name)
		}
	}
	expect(t, d, "f", "x")
}

func closedFile(t *testing.T, e Env) {
	f := create(t, e.Host.Disk, "f", "x")
	ok(t, f.Close())
	if _, err := f.WriteAt([]byte("y"), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write: expected fs.ErrClosed, found %v", err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read: expected fs.ErrClosed, found %v", err)
	}
	if err := f.Sync(); err == nil {
		t.Error("sync succeeded")
	}
	if err := f.Truncate(0); err == nil {
		t.Error("truncate succeeded")
	}
}

func disjoint(t *testing.T, e Env) {
	f := got(e.Host.Disk.Create("f"))(t)
	const writers, part = 4, 1000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range part {
				if _, err := f.WriteAt([]byte{byte('a' + w)}, int64(w*part+i)); err != nil {
					t.Error(err)
					return
				}
				if _, err := f.ReadAt(make([]byte, 1), int64(w*part+i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b := []byte(contents(t, f))
	for w := range writers {
		if p := b[w*part : (w+1)*part]; !bytes.Equal(p, bytes.Repeat([]byte{byte('a' + w)}, part)) {
			t.Errorf("the part of writer %d is damaged", w)
		}
	}
	ok(t, f.Close())
}

func durable(t *testing.T, e Env) {
	f := create(t, e.Host.Disk, "dir/f", "first")
	defer f.Close()
	ok(t, f.Sync())
	got(f.WriteAt([]byte(" second"), 5))(t)
	ok(t, f.Sync())
	save(t, e.Host.Disk, "dir/other", "x")
	h := e.Reopen()
	expect(t, h.Disk, "dir/f", "first second")
	if names := got(h.Disk.List("dir"))(t); fmt.Sprint(names) != "[f other]" {
		t.Errorf("found files %q", names)
	}
	// An existing file goes on where it was.
	f = got(h.Disk.Open("dir/f"))(t)
	defer f.Close()
	got(f.WriteAt([]byte("F"), 0))(t)
	ok(t, f.Sync())
	h = e.Reopen()
	expect(t, h.Disk, "dir/f", "First second")
}

func durableNames(t *testing.T, e Env) {
	d := e.Host.Disk
	save(t, d, "a", "moved")
	save(t, d, "b", "replaced")
	save(t, d, "c", "removed")
	ok(t, d.Rename("a", "b"))
	ok(t, d.Remove("c"))
	h := e.Reopen()
	expectAbsent(t, h.Disk, "a")
	expect(t, h.Disk, "b", "moved")
	expectAbsent(t, h.Disk, "c")
}
