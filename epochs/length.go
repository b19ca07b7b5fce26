package epochs

import (
	"errors"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
)

// maxByLength is up to which number epochs end by their length: half of those that a network can have (growth.MaxEpochs). The others
// are left for changes of members, however short members make their epochs.
const maxByLength = 1 << 19

// length is how long an epoch has become.
type length struct {
	epoch        uint64
	transactions uint64 // since it was announced
	bytes        int64  // of batches sealed under it that this node has seen committed
	lasted       time.Duration
	nodes        bool // were admitted or removed since it was announced
}

// over says whether an epoch is as long as it may be, or the network's nodes have changed. One that holds no transaction is not: an idle network's ledger does not grow.
func (l length) over(most constitution.Epochs) bool {
	switch {
	case l.transactions == 0, l.epoch >= maxByLength:
		return false
	case l.nodes:
		return true
	case most.Transactions > 0 && l.transactions >= uint64(most.Transactions):
		return true
	case most.Bytes > 0 && l.bytes >= most.Bytes:
		return true
	}
	return most.Seconds > 0 && l.lasted >= time.Duration(most.Seconds)*time.Second
}

// Committed counts a batch that was committed. The executor calls it.
func (e *Driver) Committed(b replica.Batch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if b.Epoch != e.sealed.epoch {
		e.sealed.epoch, e.sealed.bytes = b.Epoch, 0
	}
	e.sealed.bytes += int64(b.Size)
}

// over says whether the newest epoch is as long as the constitution lets it be, by the ledger's time.
func (e *Driver) over(r store.Reader) (bool, error) {
	rec, err := table.Epoch(r, e.newest())
	if errors.Is(err, coco.ErrNotFound) {
		return false, nil // the machine is told of an epoch in the step before
	}
	if err != nil {
		return false, err
	}
	l := length{epoch: rec.Epoch, transactions: e.Store.Committed() - rec.Since}
	if l.nodes, err = e.changed(r, rec); err != nil {
		return false, err
	}
	most := e.Length()
	if most.Seconds > 0 {
		since, err := began(r, rec)
		if err != nil {
			return false, err
		}
		l.lasted = e.Replica.Now().Sub(since)
	}
	e.mu.Lock()
	if e.sealed.epoch == rec.Epoch {
		l.bytes = e.sealed.bytes
	}
	e.mu.Unlock()
	return l.over(most), nil
}

// began returns from when on an epoch lasts, by the ledger's time. One that was announced by rules 1 has no time: where rules 2 are in force,
// it is older than the constitution.
func began(r store.Reader, rec table.EpochRecord) (time.Time, error) {
	at := rec.Time
	if at == 0 {
		version, err := table.Version(r, table.LastVersion(r))
		if err != nil {
			return time.Time{}, err
		}
		at = version.Time
	}
	return time.UnixMilli(int64(at)), nil
}
