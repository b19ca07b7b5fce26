package query_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// A list of one proposal reads the envelope of that one, however many there are: each may have 256 KiB.
func TestAListReadsTheEnvelopesOfWhatItShows(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	propose := func(i int) {
		var actions []action.Action
		for j := range 100 {
			a := govtest.AddCode(virtual.Measure(fmt.Append(nil, i, j)))
			a.Args.Note = strings.Repeat("n", 1000)
			actions = append(actions, a)
		}
		out := n.Propose(n.Members[0], actions...)
		n.Vote(n.Members[0], out.ID, envelope.Withdraw)
		n.Now = n.Now.Add(time.Second)
	}
	read := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n.Read(func(r store.Reader) {
			if all, err := query.Proposals(r, n.C, wire.ProposalQuery{Limit: 1}); err != nil || len(all) != 1 {
				t.Errorf("%d proposals: %v", len(all), err)
			}
		})
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	propose(0)
	alone := read()
	for i := range 20 {
		propose(1 + i)
	}
	if among := read(); among > 2*alone {
		t.Errorf("the list takes %d bytes while there is one proposal, and %d when there are 21", alone, among)
	}
}
