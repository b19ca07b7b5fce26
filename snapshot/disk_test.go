package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"
	"testing"

	"github.com/cocoframework/coco/host"
)

var errBroken = errors.New("the test's disk is broken")

// memDisk is a disk in memory. After fail more calls that change or read something it breaks.
type memDisk struct {
	mu    sync.Mutex
	files map[string]*memFile
	fail  int // 0 for never
	ops   int // done so far
}

type memFile struct {
	disk  *memDisk
	data  []byte
	dirty bool // changed since the last Sync
}

func newDisk() *memDisk { return &memDisk{files: map[string]*memFile{}} }

// op counts an operation. The caller holds the lock.
func (d *memDisk) op() error {
	d.ops++
	if d.fail > 0 && d.ops > d.fail {
		return errBroken
	}
	return nil
}

// set makes a file; get returns its contents.
func (d *memDisk) set(name string, data []byte) {
	d.files[name] = &memFile{disk: d, data: slices.Clone(data)}
}

func (d *memDisk) get(t testing.TB, name string) []byte {
	t.Helper()
	f := d.files[name]
	if f == nil {
		t.Fatalf("no file %s; there are %v", name, d.names())
	}
	return f.data
}

func (d *memDisk) names() (out []string) {
	for name := range d.files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func (d *memDisk) Open(name string) (host.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return f, d.op()
}

func (d *memDisk) Create(name string) (host.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(); err != nil {
		return nil, err
	}
	d.files[name] = &memFile{disk: d}
	return d.files[name], nil
}

func (d *memDisk) List(dir string) (out []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range d.names() {
		if path.Dir(name) == dir {
			out = append(out, path.Base(name))
		}
	}
	return out, nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(); err != nil {
		return err
	}
	if d.files[from].dirty {
		return fmt.Errorf("%s is named %s before it is durable", from, to)
	}
	d.files[to] = d.files[from]
	delete(d.files, from)
	return nil
}

func (d *memDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return nil
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.op(); err != nil {
		return 0, err
	}
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.op(); err != nil {
		return 0, err
	}
	f.dirty = true
	if end := off + int64(len(b)); end > int64(len(f.data)) {
		f.data = append(f.data, make([]byte, end-int64(len(f.data)))...)
	}
	return copy(f.data[off:], b), nil
}

func (f *memFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.dirty = false
	return f.disk.op()
}

func (f *memFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.op(); err != nil {
		return err
	}
	f.data = f.data[:size]
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data)), nil
}

func (*memFile) Close() error { return nil }
