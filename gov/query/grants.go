package query

import (
	"slices"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/granting"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Grants returns what members have granted to auditors, and how far it is, in order. The constitution is the one in force, for names.
func Grants(r store.Reader, c *constitution.Constitution) ([]wire.Grant, error) {
	return grants(r, newNames(r, c), func(*table.GrantRecord) bool { return true })
}

func grants(r store.Reader, known *names, wanted func(*table.GrantRecord) bool) ([]wire.Grant, error) {
	out := []wire.Grant{}
	all, err := table.Grants(r)
	for i := 0; i < len(all) && err == nil; i++ {
		if !wanted(&all[i]) {
			continue
		}
		var g *granting.Grant
		if g, err = granting.Load(r, all[i].Number); err == nil {
			out = append(out, grant(known, g))
		}
	}
	return out, err
}

func grant(known *names, g *granting.Grant) wire.Grant {
	out := wire.Grant{
		Number: g.Number, Name: g.Name, Auditor: g.Auditor, To: g.To, First: g.First, Last: g.Last, Since: g.Since, Time: timeOf(g.Time), Ends: timeOf(g.Ends()),
		Complete: g.Complete(), Gave: []string{}, Waiting: []string{}, Missing: append([]uint64{}, g.Missing...),
	}
	if g.Sealing == nil {
		return out
	}
	out.Committee, out.Threshold = g.Sealing.Committee, len(g.Sealing.Commitment)
	for i, seat := range g.Sealing.Seats {
		if name := known.of(seat.Actor); g.Parts[uint32(i+1)] != nil {
			out.Gave = append(out.Gave, name)
		} else {
			out.Waiting = append(out.Waiting, name)
		}
	}
	slices.Sort(out.Gave)
	slices.Sort(out.Waiting)
	return out
}
