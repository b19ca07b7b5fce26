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
	"github.com/cocoframework/coco/wire"
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
		"what has just happened": func() {
			n.Read(func(r store.Reader) {
				last := n.Store.Committed()
				if _, until, err := query.Events(r, n.C, last-1, last); err != nil || until != last {
					t.Errorf("told up to %d of %d: %v", until, last, err)
				}
			})
		},
		"what happened first": func() {
			n.Read(func(r store.Reader) {
				if events, _, err := query.Events(r, n.C, 0, 100); err != nil || len(events) == 0 {
					t.Errorf("%d events: %v", len(events), err)
				}
			})
		},
		"the newest proposal": func() {
			n.Read(func(r store.Reader) {
				if all, err := query.Proposals(r, n.C, wire.ProposalQuery{Number: max(1, uint64(changes))}); err != nil || len(all) != min(1, changes) {
					t.Errorf("%d proposals: %v", len(all), err)
				}
			})
		},
		"the nodes that wait": func() {
			n.Read(func(r store.Reader) {
				if all, err := query.PendingNodes(r, n.C); err != nil || len(all) != 0 {
					t.Errorf("%d nodes: %v", len(all), err)
				}
			})
		},
		"the first constitution": func() {
			n.Read(func(r store.Reader) {
				if _, _, err := query.ConstitutionAt(r, 1); err != nil {
					t.Error(err)
				}
			})
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
		for _, what := range []string{"a vote", "a change of keys", "a restart"} {
			do[what]()
		}
	}
	passed := uint64(6 * rejoins) // rows of nodes that are gone, of versions and of past proposals are passed over, some times at most
	for what, f := range do {
		if old := allocated(f); old > 2*young[what]+passed {
			t.Errorf("%s allocates %d objects after %d of each, and %d after 30", what, old, years, young[what])
		}
	}
}
