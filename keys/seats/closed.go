package seats

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
)

// ClosedError says that no node opens an epoch: the newest archive and the chain of archives behind it do not give its secret. It is of the kind coco.ErrMissing. It stays so
// until another committee is in force whose archive has the secret, which is so if the node that made it held it still.
type ClosedError struct {
	Epoch     uint64
	Committee uint64 // whose archive does not give it
	Err       error  // what is wrong with the rows that have it; nil if the chain of archives ends before them
}

func (e *ClosedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("epoch %d is closed to the nodes of this network, as what the ledger has of it does not open: %v", e.Epoch, e.Err)
	}
	return fmt.Sprintf("epoch %d is closed to the nodes of this network: when a committee was replaced, too few of its seats' nodes were left to open its archive, and this epoch had expired. "+
		"Members open it with their own keys (coco ledger export, coco recovery start)", e.Epoch)
}

// Unwrap returns the kind. What is wrong with rows is told, and is no kind of the answer's.
func (e *ClosedError) Unwrap() error { return coco.ErrMissing }

// WireCode names the row of package wire's table.
func (e *ClosedError) WireCode() string { return "epoch_closed" }

// closed are the epochs that the archive of one committee was found not to give. Nobody is asked for them again as long as that committee is in force.
type closed struct {
	committee uint64
	epochs    map[uint64]*ClosedError
}

// of returns why an epoch is closed; nil if that is not known.
func (c *closed) of(s *State, epoch uint64) *ClosedError {
	if s.Newest == nil || s.Newest.Number != c.committee {
		return nil
	}
	return c.epochs[epoch]
}

// add takes note of epochs that the archive of the committee in force does not give, and tells the operator of each.
func (c *closed) add(s *State, faults map[uint64]error, out *Output) {
	if c.committee != s.Newest.Number {
		*c = closed{committee: s.Newest.Number, epochs: map[uint64]*ClosedError{}}
	}
	for _, epoch := range slices.Sorted(maps.Keys(faults)) {
		if c.epochs[epoch] == nil {
			c.epochs[epoch] = &ClosedError{Epoch: epoch, Committee: c.committee, Err: faults[epoch]}
			out.Closed = append(out.Closed, c.epochs[epoch])
		}
	}
}
