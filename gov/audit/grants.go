package audit

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco/gov/granting"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// isGrant says whether a write is of a grant as members vote for it, and not of what its auditor reads with.
func isGrant(w store.Write) bool { return len(w.Key) == len(table.NumberKey(0)) }

// disclose repeats what a transaction put on the ledger for an auditor, from what it was given: a sealing, boxes of epochs, or the part of a seat.
func (a *Auditor) disclose(seqno, now uint64, own []store.Write) error {
	return a.repeated(seqno, now, "the grant of epochs", func(tx *store.Tx) ([]store.Write, error) { return own, a.grantStep(tx, own) })
}

// grantStep executes a transaction for an auditor again. Its first row that is not deleted says which step it is: a sealing is the first of its grant's rows, and only with it rows are deleted.
func (a *Auditor) grantStep(tx *store.Tx, own []store.Write) error {
	boxes := map[uint64][]byte{}
	number := uint64(0)
	for _, w := range own {
		if w.Table != table.GrantsTable || w.Delete {
			continue
		}
		p, err := table.ParseGrantKey(w.Key)
		if err != nil {
			return err
		}
		switch {
		case p.Epoch != 0:
			box, err := table.DecodeGrantBox(w.Value)
			if err != nil {
				return err
			}
			if number != 0 && number != p.Number {
				return fmt.Errorf("it writes boxes of two grants, %d and %d", number, p.Number)
			}
			number, boxes[p.Epoch] = p.Number, bytes.Clone(box.Box)
		case p.Seat != 0:
			part, err := table.DecodeGrantPart(w.Value)
			if err != nil {
				return err
			}
			a.ceremonies.Parts++
			return a.part(tx, p, &part)
		default:
			s, err := table.DecodeGrantSealing(w.Value)
			if err != nil {
				return err
			}
			a.ceremonies.Sealings++
			return granting.SealAs(tx, p.Number, s.Sealing)
		}
	}
	g, err := granting.Load(tx, number)
	if err != nil {
		return err
	}
	if g.Sealing == nil {
		return fmt.Errorf("it writes boxes of epochs for grant %d, whose key is not sealed", number)
	}
	a.ceremonies.Boxes += len(boxes)
	return granting.Add(tx, number, g.Sealing.Committee, boxes)
}

func (a *Auditor) part(tx *store.Tx, p table.GrantPlace, part *table.GrantPart) error {
	g, err := granting.Load(tx, p.Number)
	if err != nil {
		return err
	}
	if g.Sealing == nil {
		return fmt.Errorf("it writes a part of seat %d for grant %d, whose key is not sealed", p.Seat, p.Number)
	}
	raw, err := (&granting.Part{Grant: p.Number, Committee: g.Sealing.Committee, Seat: p.Seat, Box: bytes.Clone(part.Box)}).Marshal()
	if err != nil {
		return err
	}
	return granting.Give(tx, part.Node, raw)
}
