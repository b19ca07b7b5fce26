package ceremony

import (
	"fmt"
	"sort"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/store"
)

// maxTrimmed is how many epochs a transaction reduces at most: with fifty seats they are a megabyte to read.
const maxTrimmed = 16

// Trimmable says whether rows of epochs can be reduced: their committee is replaced, and the next archive opens its archive. From then on nobody needs what is sealed to its seats: their packages
// have left the tables and the nodes' memory, nodes and members open the epoch through the newest archive, and a copy of the ledger from before has its rows as they were.
func Trimmable(r store.Reader) (bool, error) {
	first, _, err := whole(r)
	return first != 0, err
}

// Trim reduces the rows of the oldest epochs for which that can be done, some at a time. The error is coco.ErrInvalid if there is none.
func Trim(tx *store.Tx) error {
	first, last, err := whole(tx)
	if err != nil {
		return err
	}
	if first == 0 {
		return fmt.Errorf("%w: no row of an epoch can be reduced", coco.ErrInvalid)
	}
	for epoch := first; epoch <= min(last, first+maxTrimmed-1); epoch++ {
		rec, sealed, err := sealedEpoch(tx, epoch)
		if err != nil {
			return err
		}
		small, err := sealed.Reduce()
		if err != nil {
			return err
		}
		if rec.Sealed, err = small.Marshal(); err != nil {
			return err
		}
		if err := table.Put(tx, table.EpochsTable, table.EpochKey(epoch), rec); err != nil {
			return err
		}
	}
	return nil
}

// whole returns the first and the last of the epochs whose rows can be reduced and are not; zeros if there is none. Those of older committees are reduced first, so
// it looks back as far as there is something left to do, or an archive that no later one opens. What it costs does not grow with what is reduced already.
func whole(r store.Reader) (first, last uint64, err error) {
	newest := table.LastCommittee(r)
	if newest < 2 {
		return 0, 0, nil
	}
	rec, err := table.Committee(r, newest)
	if err != nil {
		return 0, 0, err
	}
	after, err := since(r, rec.Since) // the first epoch of the committee after
	if err != nil {
		return 0, 0, err
	}
	for number := newest - 1; number > 0 && after > 1; number-- {
		if rec, err = table.Committee(r, number); err != nil {
			return 0, 0, err
		}
		if rec.Reduced == 0 {
			break // its own seats alone open its archive
		}
		begins, err := since(r, rec.Since)
		if err != nil {
			return 0, 0, err
		}
		n, err := search(begins, after, func(epoch uint64) (bool, error) {
			_, sealed, err := sealedEpoch(r, epoch)
			return err == nil && !sealed.Reduced(), err
		})
		if err != nil {
			return 0, 0, err
		}
		if n == after {
			break // all of them are reduced, and so are those before
		}
		if first = n; last == 0 {
			last = after - 1
		}
		after = begins
	}
	return first, last, nil
}

// since returns the first epoch that was announced in a transaction or later; one more than the last if there is none.
func since(r store.Reader, seqno uint64) (uint64, error) {
	return search(1, table.LastEpoch(r)+1, func(epoch uint64) (bool, error) {
		rec, err := epochRow(r, epoch)
		return rec.Since >= seqno, err
	})
}

// search returns the first number from low on of which is holds, or high. It holds of all after the first one.
func search(low, high uint64, is func(uint64) (bool, error)) (_ uint64, err error) {
	n := sort.Search(int(high-low), func(i int) bool {
		holds, fault := is(low + uint64(i))
		if fault != nil && err == nil {
			err = fault
		}
		return holds
	})
	return low + uint64(n), err
}

func epochRow(r store.Reader, epoch uint64) (table.EpochRecord, error) {
	value, ok := r.Get(table.EpochsTable, table.EpochKey(epoch))
	if !ok {
		return table.EpochRecord{}, fmt.Errorf("%w: epoch %d is not in the table", coco.ErrCorrupt, epoch)
	}
	return table.DecodeEpoch(value)
}

func sealedEpoch(r store.Reader, epoch uint64) (table.EpochRecord, *archive.Epoch, error) {
	rec, err := epochRow(r, epoch)
	if err != nil {
		return rec, nil, err
	}
	sealed, err := archive.ParseEpoch(rec.Sealed)
	return rec, sealed, err
}
