package seats

import (
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/committee"
)

// Granted is a part that a seat gives because members have voted for it: for an auditor, on the ledger (package gov/granting). It is a cause of its own, beside what
// nodes ask each other for: nobody asks, and whoever reads the ledger sees what was given.
//
// The caller MUST have read in committed rows that the vote stands, that the grant's key is sealed to this committee, and that the seat has not given its part. What leaves this package is
// encrypted to the auditor.
type Granted struct {
	Committee uint64 // its number
	Seat      uint32
	// Part makes the seat's part, encrypted to the auditor.
	Part func(*committee.Package) ([]byte, error)
}

// Give makes the part of a seat for an auditor. The error is coco.ErrNotFound if this node has not the seat's package.
func (m *Machine) Give(g Granted) ([]byte, error) {
	if number, seats := m.Holds(); number != g.Committee || !slices.Contains(seats, g.Seat) {
		return nil, fmt.Errorf("%w: this node has not the package of seat %d of committee %d", coco.ErrNotFound, g.Seat, g.Committee)
	}
	return g.Part(m.held.of[g.Seat])
}
