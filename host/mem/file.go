package mem

import (
	"bytes"
	"io"
	"io/fs"

	"github.com/cocoframework/coco/host"
)

// File is an open file of a Disk.
type File struct {
	disk  *Disk
	inode *inode
	name  string // as it was opened

	closed bool // guarded by the disk's mu
}

var _ host.File = (*File)(nil)

// check needs the disk's mu.
func (f *File) check(op string, off int64) error {
	switch {
	case f.closed:
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	case off < 0:
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrInvalid}
	}
	return nil
}

// ReadAt implements host.File.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.disk.before("read", f.name); err != nil {
		return 0, err
	}
	f.disk.mu.RLock()
	defer f.disk.mu.RUnlock()
	if err := f.check("read", off); err != nil {
		return 0, err
	}
	if off >= int64(len(f.inode.now)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.inode.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements host.File. A hole before the bytes reads as zeros.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := f.disk.before("write", f.name); err != nil {
		return 0, err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check("write", off); err != nil {
		return 0, err
	}
	end, full := f.disk.room(f.inode, off+int64(len(p)))
	p = p[:max(0, end-off)]
	if len(p) > 0 {
		f.inode.change(Change{off, bytes.Clone(p)})
	}
	if full != nil {
		return len(p), &fs.PathError{Op: "write", Path: f.name, Err: full}
	}
	return len(p), nil
}

// Truncate implements host.File.
func (f *File) Truncate(size int64) error {
	if err := f.disk.before("truncate", f.name); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check("truncate", size); err != nil {
		return err
	}
	if _, err := f.disk.room(f.inode, size); err != nil {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: err}
	}
	f.inode.change(Change{Off: size})
	return nil
}

// Size implements host.File.
func (f *File) Size() (int64, error) {
	if err := f.disk.before("size", f.name); err != nil {
		return 0, err
	}
	f.disk.mu.RLock()
	defer f.disk.mu.RUnlock()
	if err := f.check("size", 0); err != nil {
		return 0, err
	}
	return int64(len(f.inode.now)), nil
}

// Close implements host.File.
func (f *File) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check("close", 0); err != nil {
		return err
	}
	f.closed = true
	return nil
}

// Sync implements host.File: what was written is durable, and the file's name.
func (f *File) Sync() error {
	if err := f.disk.before("sync", f.name); err != nil {
		return err
	}
	return f.sync(-1, true)
}

// Unsynced returns the number of changes that Sync would make durable.
func (f *File) Unsynced() int {
	f.disk.mu.RLock()
	defer f.disk.mu.RUnlock()
	return len(f.inode.changes)
}

// SyncFirst is the Sync of a disk that takes its time: it makes durable the first changes, those that
// there were when it began. It does not call Disk.Before.
func (f *File) SyncFirst(changes int) error { return f.sync(changes, true) }

// LoseFirst is a Sync that fails: no later one makes the first changes durable, though they read well
// until the machine crashes. A new length is kept.
func (f *File) LoseFirst(changes int) error { return f.sync(changes, false) }

func (f *File) sync(count int, well bool) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.check("sync", 0); err != nil {
		return err
	}
	n := f.inode
	if count < 0 || count > len(n.changes) {
		count = len(n.changes)
	}
	var kept []Change
	for _, c := range n.changes[:count] {
		switch {
		case well:
			n.synced = c.apply(n.synced)
		case c.Data == nil:
			kept = append(kept, c)
		}
	}
	n.changes = append(kept, n.changes[count:]...)
	if !well {
		return nil
	}
	for name, other := range f.disk.names {
		if other == n {
			f.disk.durable[name] = n
			delete(f.disk.removed, name)
		}
	}
	return nil
}
