package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cocoframework/coco/host/mem"
)

var errBroken = errors.New("the test's disk is broken")

// memDisk is a disk in memory. After fail more calls that change or read something it breaks. It refuses
// to name a file that is not durable.
type memDisk struct {
	*mem.Disk
	fail int64 // 0 for never
	ops  atomic.Int64
}

func newDisk() *memDisk {
	d := &memDisk{Disk: mem.New()}
	d.Before = d.before
	return d
}

func (d *memDisk) before(op, name string) error {
	if slices.Contains([]string{"list", "remove", "size"}, op) {
		return nil
	}
	if n := d.ops.Add(1); d.fail > 0 && n > d.fail {
		return errBroken
	}
	if op == "rename" && d.Unsynced(name) {
		return fmt.Errorf("%s is renamed before it is durable", name)
	}
	return nil
}

func (d *memDisk) get(t testing.TB, name string) []byte {
	t.Helper()
	b := d.Data(name)
	if b == nil {
		t.Fatalf("no file %s; there are %v", name, d.Names())
	}
	return b
}
