package query

import (
	"cmp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// names tells the names of organisations, also of those that were removed: theirs stand in earlier versions of the constitution.
type names struct {
	r   store.Reader
	now *constitution.Constitution

	removed map[coco.ActorID]string // found so far
	version uint64                  // versions before this one have not been searched
	left    int                     // versions that may be searched
}

// maxSearched bounds how many versions one query searches.
const maxSearched = 10_000

func newNames(r store.Reader, now *constitution.Constitution) *names {
	return &names{r: r, now: now, removed: map[coco.ActorID]string{}, version: table.LastVersion(r), left: maxSearched}
}

// of returns an organisation's present or last name, or the beginning of its id if no version has it.
func (n *names) of(id coco.ActorID) string {
	name := cmp.Or(n.now.Name(id), n.removed[id])
	for name == "" && n.version > 1 && n.left > 0 {
		n.version--
		n.left--
		rec, err := table.Version(n.r, n.version)
		if err != nil {
			break
		}
		found, err := constitution.Names(rec.Core)
		if err != nil {
			break
		}
		for actor, text := range found {
			if _, newer := n.removed[actor]; !newer {
				n.removed[actor] = text
			}
		}
		name = n.removed[id]
	}
	return cmp.Or(name, id.Short())
}
