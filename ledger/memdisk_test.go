package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"sync"

	"github.com/cocoframework/coco/host"
)

// memDisk is a disk in memory that can crash: it then forgets everything after some point since the
// last Sync of each file, as a real one does.
type memDisk struct {
	mu      sync.Mutex
	files   map[string]*memFile
	removed map[string]*memFile // since removed, perhaps not durably
	full    int64               // bytes that may still be written before the disk is full; -1 for no limit
	writes  int                 // calls that change anything

	failSync error // what Sync returns
	stopAt   int   // if not 0, the calls that change anything fail from this one on
}

var errStopped = errors.New("the test's machine has stopped")

// step counts a call that changes something.
func (d *memDisk) step() error {
	d.writes++
	if d.stopAt > 0 && d.writes >= d.stopAt {
		return errStopped
	}
	return nil
}

// memFile is a file: what is durable, and the changes since.
type memFile struct {
	disk    *memDisk
	data    []byte
	durable []byte
	exists  bool // durably
	changes []change
}

// change is a write, or a truncation where data is nil.
type change struct {
	off  int64
	data []byte
}

func newMemDisk() *memDisk {
	return &memDisk{files: map[string]*memFile{}, removed: map[string]*memFile{}, full: -1}
}

var errDiskFull = errors.New("no space left on the test's disk")

func (d *memDisk) find(name string) (*memFile, error) {
	f, ok := d.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return f, nil
}

func (d *memDisk) Open(name string) (host.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return &memHandle{memFile: f}, nil
}

func (d *memDisk) Create(name string) (host.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	f, ok := d.files[name]
	if !ok {
		f = &memFile{disk: d}
		d.files[name] = f
	}
	f.data = nil
	f.changes = append(f.changes, change{})
	return &memHandle{memFile: f}, nil
}

func (d *memDisk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.files {
		if path.Dir(name) == path.Clean(dir) {
			names = append(names, path.Base(name))
		}
	}
	sort.Strings(names)
	return names, nil
}

func (d *memDisk) Rename(oldName, newName string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	f, err := d.find(oldName)
	if err != nil {
		return err
	}
	delete(d.files, oldName)
	d.files[newName] = f
	f.exists = true
	return nil
}

func (d *memDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	f, err := d.find(name)
	if err != nil {
		return err
	}
	delete(d.files, name)
	d.removed[name] = f
	return nil
}

// crash returns the disk as it is found after the machine has failed. pick(n) chooses a number up to
// n: how many of the unsynced changes of a file survived, and how much of the last of them.
func (d *memDisk) crash(pick func(n int) int) *memDisk {
	after := newMemDisk()
	names := make([]string, 0, len(d.files))
	for name := range d.files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		f := d.files[name]
		if !f.exists && pick(1) == 0 {
			continue
		}
		data := slices.Clone(f.durable)
		n := pick(len(f.changes))
		for i, c := range f.changes[:n] {
			if i == n-1 && c.data != nil {
				c.data = c.data[:pick(len(c.data))]
			}
			data = c.apply(data)
		}
		after.files[name] = &memFile{disk: after, data: data, durable: slices.Clone(data), exists: true}
	}
	gone := make([]string, 0, len(d.removed))
	for name := range d.removed {
		gone = append(gone, name)
	}
	sort.Strings(gone)
	for _, name := range gone {
		if f := d.removed[name]; f.exists && after.files[name] == nil && pick(1) == 1 {
			after.files[name] = &memFile{disk: after, data: slices.Clone(f.durable), durable: slices.Clone(f.durable), exists: true}
		}
	}
	return after
}

// clone returns a copy of the disk.
func (d *memDisk) clone() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newMemDisk()
	for name, f := range d.files {
		c.files[name] = &memFile{disk: c, data: slices.Clone(f.data), durable: slices.Clone(f.data), exists: true}
	}
	return c
}

func (c change) apply(data []byte) []byte {
	if c.data == nil {
		return resize(data, c.off)
	}
	if end := c.off + int64(len(c.data)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[c.off:], c.data)
	return data
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// memHandle is an open file.
type memHandle struct {
	*memFile
	closed bool
}

func (h *memHandle) ReadAt(b []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return 0, fs.ErrClosed
	}
	if off >= int64(len(h.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(b []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return 0, fs.ErrClosed
	}
	err := h.disk.step()
	if err != nil {
		return 0, err
	}
	if grows := off + int64(len(b)) - int64(len(h.data)); h.disk.full >= 0 && grows > h.disk.full {
		b, err = b[:max(0, int64(len(b))-grows+h.disk.full)], errDiskFull
	}
	if len(b) > 0 {
		before := len(h.data)
		c := change{off, bytes.Clone(b)}
		h.data = c.apply(h.data)
		h.changes = append(h.changes, c)
		if h.disk.full >= 0 {
			h.disk.full -= int64(len(h.data) - before)
		}
	}
	return len(b), err
}

func (h *memHandle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	if err := h.disk.step(); err != nil {
		return err
	}
	if h.disk.failSync != nil {
		return h.disk.failSync
	}
	h.durable, h.changes, h.exists = slices.Clone(h.data), nil, true
	return nil
}

func (h *memHandle) Truncate(size int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	if err := h.disk.step(); err != nil {
		return err
	}
	h.data = resize(h.data, size)
	h.changes = append(h.changes, change{off: size})
	return nil
}

func (h *memHandle) Size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return int64(len(h.data)), nil
}

func (h *memHandle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	h.closed = true
	return nil
}

// discard is a disk that takes everything and keeps nothing, to measure what is above it.
type discard struct{ *memDisk }

func (d discard) Create(name string) (host.File, error) {
	f, err := d.memDisk.Create(name)
	return discardFile{f}, err
}

type discardFile struct{ host.File }

func (discardFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (discardFile) Truncate(int64) error                   { return nil }
