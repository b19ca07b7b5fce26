// Package locks says what must be opened of a ledger, by its public tables: the epochs that it announces, and the committees whose archives have their
// secrets.
//
// Trust: either
package locks

import (
	"fmt"

	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/store"
)

// Opening returns what opens a ledger whose tables are given; used says whether a batch is sealed in an epoch. The error is coco.ErrCorrupt.
func Opening(r store.Reader, used func(epoch uint64) bool) (*recovery.Opening, error) {
	rows, err := table.Epochs(r)
	if err != nil {
		return nil, err
	}
	var epochs []recovery.Epoch
	for _, row := range rows {
		e, err := epochOf(row)
		if err != nil {
			return nil, fmt.Errorf("epoch %d: %w", row.Epoch, err)
		}
		epochs = append(epochs, e)
	}
	network, err := table.Audience(r)
	if err != nil {
		return nil, err
	}
	var committees []*recovery.Committee
	for n := range table.LastCommittee(r) {
		row, err := table.Committee(r, n+1)
		if err != nil {
			return nil, err
		}
		a, of, err := row.ParseArchive(network)
		if err != nil {
			return nil, err
		}
		c := &recovery.Committee{Network: of.Network, Number: of.Committee, Key: of.Key, Commitment: row.Commitment, Archive: a}
		for i, s := range row.Seats { // of a reduced row there are none
			c.Ceremony = row.Place(network, uint32(i+1)).Of
			c.Seats = append(c.Seats, recovery.Seat{Actor: s.Actor, Encryption: s.Encryption, To: s.To, Package: s.Package})
		}
		committees = append(committees, c)
	}
	return recovery.NewOpening(epochs, committees, used), nil
}

func epochOf(row table.EpochRecord) (e recovery.Epoch, err error) {
	e.Number = row.Epoch
	if e.Sealed, err = archive.EpochOf(row.Sealed); err == nil && e.Sealed == nil {
		e.Shared, err = keys.ParseSealedEpoch(row.Sealed)
	}
	return e, err
}
