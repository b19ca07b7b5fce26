package rehearsal

import (
	"context"
	"fmt"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
)

// Secrets opens the copy with members' keys, in this process, and returns the secrets of its epochs. faults are of what does not open and is not needed. The error is
// coco.ErrInvalid if the keys are of fewer members than are needed; then faults name the keys that are no member's, too.
func (c *Copy) Secrets(members []*keys.MemberKey) (secrets map[uint64]keys.Secret, faults []error, err error) {
	point, err := c.Point()
	if err != nil {
		return nil, nil, err
	}
	receiver, err := recovery.NewReceiver(point, true)
	if err != nil {
		return nil, nil, err
	}
	opening, err := c.opening()
	if err != nil {
		return nil, nil, err
	}
	for lock := opening.Next(); lock != nil; lock = opening.Next() {
		round := receiver.Round(lock)
		for _, k := range members {
			if actor, ok := lock.ActorOf(k.Public()); ok {
				if in, err := recovery.New(receiver.Request(), lock, actor, k); err == nil {
					_ = round.Submit(in) // the round names it
				}
			}
		}
		secret, _, err := round.Secret()
		if err == nil {
			faults = append(faults, opening.Open(lock, secret)...)
		} else if !opening.GiveUp(lock) {
			for _, k := range members {
				if _, ok := lock.ActorOf(k.Public()); !ok {
					faults = append(faults, fmt.Errorf("%s has no part for the key with the fingerprint %s: it is not the encryption key that the constitution lists for any member", lock, keys.Fingerprint(k.Public())))
				}
			}
			return nil, faults, fmt.Errorf("the ledger does not open: %w", err)
		}
	}
	return opening.Secrets(), faults, nil
}

// Read reads a copy that was verified once more, and shows each batch. An error of show is a *ledger.Fault of the batch.
func (s *Source) Read(ctx context.Context, c *Copy, show func(b *batch.Batch) error) error {
	c.show = show
	return s.audit(ctx, c, "opening "+c.Path)
}
