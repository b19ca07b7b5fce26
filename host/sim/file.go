package sim

import (
	"io"
	"io/fs"
	"time"
)

// file is an open file.
type file struct {
	disk *disk
	node *inode
	name string // as it was opened

	closed bool // guarded by the disk state's mu
}

func (f *file) check(op string) error {
	if f.closed {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	return f.disk.life.err(op + " " + f.name)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.disk.state.mu.RLock()
	defer f.disk.state.mu.RUnlock()
	if err := f.check("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	if f.disk.state.trouble.strikes(onRead) {
		return 0, ioError("read", f.name)
	}
	if off >= int64(len(f.node.now)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.node.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	state := f.disk.state
	state.mu.Lock()
	defer state.mu.Unlock()
	if err := f.check("write"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrInvalid}
	}
	end := off + int64(len(p))
	if err := state.room(f.node, end); err != nil {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: err}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if state.trouble.strikes(onWrite) {
		n := state.rand.IntN(len(p) + 1)
		f.node.write(p[:n], off)
		return n, ioError("write", f.name)
	}
	f.node.write(p, off)
	return len(p), nil
}

func (n *inode) write(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	n.grow(off) // a hole reads as zeros
	end := off + int64(len(p))
	n.now = extended(n.now, end)
	copy(n.now[off:], p)
	n.writes = append(n.writes, span{off, end})
}

// Sync makes durable what was written before it, and the file's name. It takes the disk's sync
// delay; a crash meanwhile comes first.
func (f *file) Sync() error {
	state := f.disk.state
	state.mu.Lock()
	if err := f.check("sync"); err != nil {
		state.mu.Unlock()
		return err
	}
	delay := state.syncDelay
	count := len(f.node.writes)
	state.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	if err := f.check("sync"); err != nil {
		return err
	}
	count = min(count, len(f.node.writes))
	if state.trouble.strikes(onSync) {
		f.node.writes = append(f.node.writes[:0], f.node.writes[count:]...)
		return ioError("sync", f.name)
	}
	f.node.sync(count)
	for name, node := range state.names {
		if node == f.node {
			state.durable[name] = node
		}
	}
	return nil
}

// sync makes the first writes durable, with the length as it is now.
func (n *inode) sync(count int) {
	size := int64(len(n.now))
	if int64(len(n.synced)) > size {
		n.synced = n.synced[:size]
	}
	for _, w := range n.writes[:count] {
		if w.to = min(w.to, size); w.from < w.to {
			n.synced = extended(n.synced, w.to)
			copy(n.synced[w.from:w.to], n.now[w.from:w.to])
		}
	}
	n.writes = append(n.writes[:0], n.writes[count:]...)
}

func (f *file) Truncate(size int64) error {
	state := f.disk.state
	state.mu.Lock()
	defer state.mu.Unlock()
	if err := f.check("truncate"); err != nil {
		return err
	}
	if size < 0 {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: fs.ErrInvalid}
	}
	if err := state.room(f.node, size); err != nil {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: err}
	}
	f.node.truncate(size)
	return nil
}

func (f *file) Size() (int64, error) {
	f.disk.state.mu.RLock()
	defer f.disk.state.mu.RUnlock()
	if err := f.check("size"); err != nil {
		return 0, err
	}
	return int64(len(f.node.now)), nil
}

func (f *file) Close() error {
	f.disk.state.mu.Lock()
	defer f.disk.state.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}
