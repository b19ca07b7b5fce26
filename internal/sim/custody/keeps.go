package custody

import (
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/resume"
)

// Kept is what a node of a member keeps, as its enclave would open it.
type Kept struct {
	Owner coco.ActorID
	State *resume.State
}

// Keeps looks at what nodes keep: the secrets of epochs are those that members open, packages are of seats of their owners, and those of enough
// nodes open the archive of the committee in force. It returns how many packages of that committee there are.
func (f *Follower) Keeps(nodes []Kept, secrets map[uint64]keys.Secret) (held int, err error) {
	rec := f.newest()
	if rec == nil {
		return 0, errors.New("there is no committee")
	}
	network, err := table.Audience(f.Tables())
	if err != nil {
		return 0, err
	}
	c, err := rec.Committee()
	if err != nil {
		return 0, err
	}
	a, of, err := rec.ParseArchive(network)
	if err != nil {
		return 0, err
	}
	var parts []committee.Part
	for _, n := range nodes {
		for epoch, s := range n.State.Secrets {
			if want, ok := secrets[epoch]; !ok || !s.Equal(want) {
				return 0, fmt.Errorf("a node of %s keeps a secret of epoch %d that is not the one that members open", n.Owner.Short(), epoch)
			}
		}
		if n.State.Seats.Committee > rec.Number {
			return 0, fmt.Errorf("a node of %s keeps packages of committee %d, which is not in the ledger", n.Owner.Short(), n.State.Seats.Committee)
		}
		if n.State.Seats.Committee < rec.Number {
			continue
		}
		for seat, p := range n.State.Seats.Packages {
			if seat < 1 || int(seat) > len(rec.Seats) || rec.Seats[seat-1].Actor != n.Owner {
				return 0, fmt.Errorf("a node of %s keeps the package of seat %d of committee %d, which is not its owner's", n.Owner.Short(), seat, rec.Number)
			}
			part, err := a.Part(c, of, &p)
			if err != nil {
				return 0, fmt.Errorf("the package of seat %d that a node keeps: %w", seat, err)
			}
			parts = append(parts, part)
		}
	}
	held = len(parts)
	if held < c.Threshold() {
		return held, nil
	}
	secret, faults, err := a.Combine(c, of, parts)
	if err = errors.Join(append(faults, err)...); err != nil {
		return held, fmt.Errorf("packages that %d nodes keep do not open the archive of committee %d: %w", held, rec.Number, err)
	}
	_, err = a.Unlock(secret, of)
	return held, err
}
