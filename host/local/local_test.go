package local_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/hosttest"
	"github.com/cocoframework/coco/host/local"
)

func open(t *testing.T, dir string) *local.Disk {
	t.Helper()
	d, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestHostKeepsTheContract(t *testing.T) {
	hosttest.Run(t, func(t *testing.T, test func(*testing.T, hosttest.Env)) {
		dir := filepath.Join(t.TempDir(), "new", "folder")
		disk := open(t, dir)
		h := local.Host(disk, nil)
		test(t, hosttest.Env{Host: h, Peer: h, Listen: "127.0.0.1:0", Reopen: func() host.Host {
			if err := disk.Close(); err != nil {
				t.Fatal(err)
			}
			disk = open(t, dir)
			return local.Host(disk, nil)
		}})
	})
}

func TestFolderBelongsToOneProcess(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	_, err := local.Open(dir)
	if !errors.Is(err, local.ErrLocked) || !errors.Is(err, coco.ErrBusy) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second open: expected ErrLocked naming the folder, found %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestLockFileIsNoFileOfTheDisk(t *testing.T) {
	d := open(t, t.TempDir())
	if names, err := d.List(""); err != nil || len(names) != 0 {
		t.Errorf("an empty disk lists %q, %v", names, err)
	}
	if _, err := d.Create(".coco.lock"); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("creating the lock file: expected ErrInvalid, found %v", err)
	}
}

func TestReadOnlyWritesNothing(t *testing.T) {
	dir := t.TempDir()
	writer := open(t, dir) // an audit may look at the folder of a running node
	f, err := writer.Create("ledger/chunk")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("data"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := local.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = d.Open("ledger/chunk"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "data" {
		t.Errorf("read %q, %v", b, err)
	}
	_, errWrite := f.WriteAt([]byte("x"), 0)
	_, errCreate := d.Create("new")
	for what, err := range map[string]error{
		"write": errWrite, "create": errCreate, "sync": f.Sync(), "truncate": f.Truncate(0),
		"rename": d.Rename("ledger/chunk", "x"), "remove": d.Remove("ledger/chunk"),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: expected fs.ErrPermission, found %v", what, err)
		}
	}
	if err := errors.Join(f.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	if _, err := local.OpenReadOnly(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent folder: expected fs.ErrNotExist, found %v", err)
	}
	if _, err := local.OpenReadOnly(filepath.Join(dir, "ledger", "chunk")); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a file for a folder: expected ErrInvalid, found %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("found %v, %v: expected the lock and the ledger only", entries, err)
	}
}

func TestFolderIsNoFile(t *testing.T) {
	d := open(t, t.TempDir())
	f, err := d.Create("dir/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := d.Open("dir"); err == nil {
		t.Error("a folder opened as a file")
	}
}
