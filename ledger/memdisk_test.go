package ledger_test

import (
	"errors"
	"slices"
	"sync"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/mem"
)

// memDisk is a disk in memory that counts what changes it, and can stop.
type memDisk struct {
	*mem.Disk

	mu       sync.Mutex
	writes   int   // calls that change anything
	stopAt   int   // if not 0, the calls that change anything fail from this one on
	failSync error // what Sync returns
}

var errStopped = errors.New("the test's machine has stopped")

func newMemDisk() *memDisk { return onDisk(mem.New()) }

func onDisk(d *mem.Disk) *memDisk {
	m := &memDisk{Disk: d}
	d.Before = m.before
	return m
}

func (d *memDisk) before(op, _ string) error {
	if !slices.Contains([]string{"create", "rename", "remove", "write", "truncate", "sync"}, op) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.stopAt > 0 && d.writes >= d.stopAt {
		return errStopped
	}
	if op == "sync" {
		return d.failSync
	}
	return nil
}

// crash returns the disk as it is found after the machine has failed. pick(n) chooses a number up to
// n: how many of the unsynced changes of a file survived, and how much of the last of them.
func (d *memDisk) crash(pick func(n int) int) *memDisk {
	return onDisk(d.Crashed(mem.Loss{
		Name: func(string) bool { return pick(1) == 1 },
		Changes: func(_ string, changes []mem.Change) []mem.Change {
			n := pick(len(changes))
			if n > 0 && changes[n-1].Data != nil {
				changes[n-1].Data = changes[n-1].Data[:pick(len(changes[n-1].Data))]
			}
			return changes[:n]
		},
		Removal: func(string) bool { return pick(1) == 0 },
	}))
}

// clone returns a copy of the disk.
func (d *memDisk) clone() *memDisk { return onDisk(d.Clone()) }

// fill leaves room for so many bytes.
func (d *memDisk) fill(room int64) { d.SetCapacity(d.Used() + room) }

// discard is a disk that takes everything and keeps nothing, to measure what is above it.
type discard struct{ *memDisk }

func (d discard) Create(name string) (host.File, error) {
	f, err := d.memDisk.Create(name)
	return discardFile{f}, err
}

type discardFile struct{ host.File }

func (discardFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (discardFile) Truncate(int64) error                   { return nil }
