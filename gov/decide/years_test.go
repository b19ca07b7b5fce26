package decide_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/store"
)

// allocated returns how many objects a function allocates: what it does, without the machine's speed.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// A network of many years decides, changes its keys, has its nodes restart and shows its constitution as a young one does.
func TestWhatGovernanceDoesCostsNoMoreWithTheYears(t *testing.T) {
	years := 400
	if testing.Short() {
		years = 100
	}
	n := govtest.New(t)
	n.Genesis()
	changes, rejoins := 0, 0
	do := map[string]func(){
		"a vote": func() {
			changes++
			n.Decide(govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: fmt.Sprint(4096 + changes%2)}))
			n.Now = n.Now.Add(time.Hour)
		},
		"a change of keys": func() {
			if err := n.Transact(func(tx *store.Tx) error { return n.Rotate(tx, n.Load()) }); err != nil {
				t.Fatal(err)
			}
		},
		"a restart": func() {
			rejoins++
			n.Admit(n.Node(n.Members[1], "beta:7000"))
		},
		"the constitution in force": func() {
			n.Read(func(r store.Reader) {
				if _, about, err := query.ConstitutionAt(r, 0); err != nil || about.Version != uint64(changes)+1 {
					t.Errorf("after %d changes the version is %d: %v", changes, about.Version, err)
				}
			})
		},
	}
	for range 30 {
		for _, f := range do {
			f()
		}
	}
	young := map[string]uint64{}
	for what, f := range do {
		young[what] = allocated(f)
	}
	for range years {
		n.Records, n.Times = nil, nil
		for what, f := range do {
			if what != "the constitution in force" {
				f()
			}
		}
	}
	perNode := uint64(4 * rejoins) // rows of nodes that are gone are passed over, twice at most
	for what, f := range do {
		if old := allocated(f); old > 2*young[what]+perNode {
			t.Errorf("%s allocates %d objects after %d of each, and %d after 30", what, old, years, young[what])
		}
	}
}
