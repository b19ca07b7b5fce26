package decide

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// Known refuses a statement that Submit refuses in every later state, too: one that does not open, a proposal or ballot
// that is recorded, and a ballot about a proposal that is decided. Any committed state will do, so a node asks it before it
// asks the leader. Nil says nothing about what Submit will say. The errors are Submit's.
func Known(r store.Reader, raw []byte) error {
	s, err := envelope.Open(raw)
	if err != nil {
		return err
	}
	if s.Proposal != nil {
		if _, err := table.Proposal(r, s.ID); err == nil {
			return fmt.Errorf("%w: proposal %s is known already", coco.ErrInvalid, s.ID.Short())
		}
		return nil
	}
	rec, err := table.Proposal(r, s.Ballot.Proposal)
	if err != nil {
		return nil // it may be on its way
	}
	if rec.State != table.Open {
		return fmt.Errorf("%w: proposal %s is %s already", coco.ErrInvalid, rec.ID.Short(), rec.State)
	}
	ballots, err := table.Ballots(r, rec.ID)
	if err != nil {
		return err
	}
	for _, b := range ballots {
		if bytes.Equal(b.Raw, raw) {
			return fmt.Errorf("%w: this ballot is known already", coco.ErrInvalid)
		}
	}
	return nil
}
