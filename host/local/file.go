package local

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/cocoframework/coco/host"
)

// file is an open file of a Disk.
type file struct {
	*os.File
	raw      syscall.RawConn
	readOnly bool

	mu      sync.Mutex // held by Sync, guards the fields below
	folders []string   // to be synced once, so that the file's name is durable
	failed  error      // the first Sync that failed
}

func newFile(f *os.File, readOnly bool, folders []string) (host.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Name(), err)
	}
	return &file{File: f, raw: raw, readOnly: readOnly, folders: folders}, nil
}

// Sync implements host.File. After a failure the operating system may have dropped the pages
// that it could not write and report success the next time, so a failure is final: every later
// Sync of this handle fails too.
func (f *file) Sync() error {
	if f.readOnly {
		return errReadOnly
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return f.failed
	}
	if err := f.syncData(); err != nil {
		f.failed = fmt.Errorf("sync %s: %w", f.Name(), err)
		return f.failed
	}
	// The name comes last: a crash between the two leaves no file, or one with its contents.
	if f.folders != nil {
		if err := syncFolders(f.folders); err != nil {
			f.failed = err
			return err
		}
		f.folders = nil
	}
	return nil
}

// Truncate implements host.File.
func (f *file) Truncate(size int64) error {
	if f.readOnly {
		return errReadOnly
	}
	return f.File.Truncate(size)
}

// WriteAt implements host.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if f.readOnly {
		return 0, errReadOnly
	}
	return f.File.WriteAt(p, off)
}

// Size implements host.File.
func (f *file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
