package sim

import (
	"time"

	"github.com/cocoframework/coco/host/mem"
)

// file is an open file.
type file struct {
	*mem.File
	disk *disk
	name string // as it was opened
}

func (f *file) check(op string) error { return f.disk.life.err(op + " " + f.name) }

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.check("read"); err != nil {
		return 0, err
	}
	if off >= 0 && f.disk.state.trouble.strikes(onRead) {
		return 0, ioError("read", f.name)
	}
	return f.File.ReadAt(p, off)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.check("write"); err != nil {
		return 0, err
	}
	if off >= 0 && len(p) > 0 && f.disk.state.trouble.strikes(onWrite) {
		f.disk.state.mu.Lock()
		n := f.disk.state.rand.IntN(len(p) + 1)
		f.disk.state.mu.Unlock()
		if n, err := f.File.WriteAt(p[:n], off); err != nil {
			return n, err
		}
		return n, ioError("write", f.name)
	}
	return f.File.WriteAt(p, off)
}

// Sync makes durable what was written before it, and the file's name. It takes the disk's sync
// delay; a crash meanwhile comes first.
func (f *file) Sync() error {
	if err := f.check("sync"); err != nil {
		return err
	}
	state := f.disk.state
	state.mu.Lock()
	delay := state.syncDelay
	state.mu.Unlock()
	count := f.Unsynced()
	if delay > 0 {
		time.Sleep(delay)
	}
	if err := f.check("sync"); err != nil {
		return err
	}
	if !state.trouble.strikes(onSync) {
		return f.SyncFirst(count)
	}
	if err := f.LoseFirst(count); err != nil {
		return err
	}
	return ioError("sync", f.name)
}

func (f *file) Truncate(size int64) error {
	if err := f.check("truncate"); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *file) Size() (int64, error) {
	if err := f.check("size"); err != nil {
		return 0, err
	}
	return f.File.Size()
}
