package mem_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/hosttest"
	"github.com/cocoframework/coco/host/mem"
)

func TestDiskKeepsTheContract(t *testing.T) {
	hosttest.RunDisk(t, func(t *testing.T, test func(*testing.T, hosttest.Env)) {
		d := mem.New()
		test(t, hosttest.Env{Host: host.Host{Disk: d}, Reopen: func() host.Host {
			d = d.Crashed(mem.Loss{})
			return host.Host{Disk: d}
		}})
	})
}

// create makes a file with a first text, synced, and a second one behind it, not synced.
func create(t *testing.T, d *mem.Disk, name, first, second string) host.File {
	t.Helper()
	f, err := d.Create(name)
	if err == nil {
		_, err = f.WriteAt([]byte(first), 0)
	}
	if err == nil && first != "" {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.WriteAt([]byte(second), int64(len(first)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestACrashLeavesWhatLossSays(t *testing.T) {
	d := mem.New()
	f := create(t, d, "a", "one", "two")
	create(t, d, "new", "", "new")
	create(t, d, "gone", "gone", "")
	if err := errors.Join(f.Truncate(4), d.Remove("gone")); err != nil {
		t.Fatal(err)
	}
	never, always := func(string) bool { return false }, func(string) bool { return true }
	for name, c := range map[string]struct {
		loss  mem.Loss
		files []string
		a     string
	}{
		"nothing": {mem.Loss{}, []string{"a"}, "one"},
		"everything": {mem.Loss{
			Name: always, Removal: always, Changes: func(_ string, c []mem.Change) []mem.Change { return c },
		}, []string{"a", "new"}, "onet"},
		"a part of a write": {mem.Loss{Changes: func(_ string, c []mem.Change) []mem.Change {
			return []mem.Change{{c[0].Off, c[0].Data[:2]}}
		}}, []string{"a"}, "onetw"},
		"a removal": {mem.Loss{Removal: never}, []string{"a", "gone"}, "one"},
	} {
		after := d.Crashed(c.loss)
		if !slices.Equal(after.Names(), c.files) || string(after.Data("a")) != c.a {
			t.Errorf("%s: files %v, %q, expected %v, %q", name, after.Names(), after.Data("a"), c.files, c.a)
		}
	}
}

func TestAFailedSyncLosesWhatItDidNotWrite(t *testing.T) {
	d := mem.New()
	f, err := d.CreateFile("f")
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := f.WriteAt([]byte("ab"), 0)
	err2 := f.LoseFirst(f.Unsynced())
	_, err3 := f.WriteAt([]byte("cd"), 2)
	if err := errors.Join(err1, err2, err3, f.Sync()); err != nil {
		t.Fatal(err)
	}
	if got := string(d.Data("f")); got != "abcd" {
		t.Errorf("reads %q", got)
	}
	if got := string(d.Crashed(mem.Loss{}).Data("f")); got != "\x00\x00cd" {
		t.Errorf("after a crash %q", got)
	}
}

func TestAFullDiskTakesWhatHasRoom(t *testing.T) {
	d := mem.New()
	f := create(t, d, "f", "abc", "")
	d.SetCapacity(5)
	if n, err := f.WriteAt([]byte("defg"), 3); n != 2 || !errors.Is(err, syscall.ENOSPC) || string(d.Data("f")) != "abcde" {
		t.Errorf("wrote %d (%v): %q", n, err, d.Data("f"))
	}
	if n, err := f.WriteAt([]byte("XY"), 0); n != 2 || err != nil {
		t.Errorf("wrote %d over what was there: %v", n, err)
	}
}

func TestBeforeMakesOperationsFail(t *testing.T) {
	d, stop := mem.New(), errors.New("stop")
	f := create(t, d, "f", "abc", "")
	d.Before = func(op, name string) error {
		if op == "sync" && name == "f" {
			return stop
		}
		return nil
	}
	if err := f.Sync(); !errors.Is(err, stop) {
		t.Errorf("sync: %v", err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil || !d.Unsynced("f") {
		t.Errorf("write: %v, unsynced: %t", err, d.Unsynced("f"))
	}
}
