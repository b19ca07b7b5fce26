// Package remains reads what the nodes of a simulated network leave on their disks.
//
// Trust: host
package remains

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/snapshot"
)

// Entries returns the entries of the ledger in a folder, by their indexes, up to one.
func Entries(disk host.Disk, dir string, to uint64) (map[uint64]batch.Entry, error) {
	log, err := ledger.OpenReadOnly(disk, dir)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	out := map[uint64]batch.Entry{}
	for index := max(1, log.First()); index <= to; index++ {
		entries, err := log.Read(index, index+1, 0)
		if err != nil {
			return nil, err
		}
		out[index] = entries[0]
	}
	return out, nil
}

// Differ returns an index at which two ledgers have different entries; 0 if there is none.
func Differ(a, b map[uint64]batch.Entry) uint64 {
	for index, e := range a {
		if other, ok := b[index]; ok && (other.View != e.View || other.Kind != e.Kind || !bytes.Equal(other.Data, e.Data)) {
			return index
		}
	}
	return 0
}

// Snapshots compares the snapshots in a folder that are said to be recorded with the ledger: each is of the state that its entry leaves.
func Snapshots(disk host.Disk, dir string, entries map[uint64]batch.Entry) error {
	files, err := snapshot.List(disk, dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		e, ok := entries[f.Index]
		if f.Pending || !ok {
			continue
		}
		b, err := batch.Decode(e.Data)
		if err != nil {
			return fmt.Errorf("snapshot %s is of entry %d: %w", f.Name(), f.Index, err)
		}
		if last := b.Header.Last(); last != f.Seqno {
			return fmt.Errorf("snapshot %s is of seqno %d, its entry %d ends with %d", f.Name(), f.Seqno, f.Index, last)
		}
	}
	return nil
}
