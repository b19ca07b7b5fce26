package sim

import (
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"
)

// DiskErrors is how likely each operation on a disk's files fails as on a medium that goes bad (EIO).
// What it leaves is the worst that real disks leave: a write may have been done in part, and what a sync did not
// make durable no later sync will, though it reads well until the machine crashes.
type DiskErrors struct {
	Read, Write, Sync float64
	// Most is how many operations fail before the disk is well again; 0 is no bound.
	Most int
}

// trouble draws which operations fail. It has a lock of its own, as readers share the disk's.
type trouble struct {
	mu   sync.Mutex
	rand *rand.Rand
	is   DiskErrors
}

// strikes draws whether an operation fails.
func (t *trouble) strikes(op func(DiskErrors) float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	likely := op(t.is)
	if likely == 0 || t.rand.Float64() >= likely {
		return false
	}
	if t.is.Most == 1 {
		t.is = DiskErrors{}
	} else if t.is.Most > 1 {
		t.is.Most--
	}
	return true
}

func onRead(e DiskErrors) float64  { return e.Read }
func onWrite(e DiskErrors) float64 { return e.Write }
func onSync(e DiskErrors) float64  { return e.Sync }

func ioError(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: syscall.EIO}
}

// SetDiskErrors makes a host's disk fail now and then; the zero DiskErrors makes it well.
func (w *World) SetDiskErrors(name string, e DiskErrors) {
	t := &w.diskOf(name).trouble
	t.mu.Lock()
	defer t.mu.Unlock()
	t.is = e
}
