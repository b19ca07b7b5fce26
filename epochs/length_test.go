package epochs

import (
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// Each epoch leaves a row and a secret for ever, and a joining node can be given 2^20 of them: members who vote for very short
// epochs must not use them up.
func TestEpochsEndByTheirLengthWhileManyAreLeft(t *testing.T) {
	most := constitution.Epochs{Transactions: 100, Bytes: 1 << 20, Seconds: 10}
	for name, long := range map[string]length{
		"transactions": {transactions: 100},
		"bytes":        {transactions: 1, bytes: 1 << 20},
		"seconds":      {transactions: 1, lasted: 10 * time.Second},
		"nodes":        {transactions: 1, nodes: true},
	} {
		for epoch, want := range map[uint64]bool{1: true, maxByLength - 1: true, maxByLength: false, maxByLength + 1: false} {
			long.epoch = epoch
			if got := long.over(most); got != want {
				t.Errorf("%s: epoch %d ends by its length: %t, expected %t", name, epoch, got, want)
			}
		}
	}
}

// A network that comes from rules 1 has an epoch whose time is not known. It is older than the vote for rules 2, so that it ends too.
func TestAnEpochOfRules1LastsFromTheConstitutionInForce(t *testing.T) {
	n := govtest.New(t)
	n.C = n.Constitution()
	n.C.Rules = 1
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	n.Now = n.Now.Add(time.Hour)
	n.Decide(govtest.Act(action.Set, action.Args{Setting: "rules", Value: "2"}))
	voted := n.Now
	n.Read(func(r store.Reader) {
		value, _ := r.Get(table.EpochsTable, table.EpochKey(1))
		rec, err := table.DecodeEpoch(value)
		if err != nil || rec.Time != 0 {
			t.Fatalf("%+v, %v", rec, err)
		}
		if at, err := began(r, rec); err != nil || !at.Equal(voted) {
			t.Errorf("it lasts from %v on, %v, expected %v", at, err, voted)
		}
		rec.Time = 5000
		if at, err := began(r, rec); err != nil || at.UnixMilli() != 5000 {
			t.Errorf("one that has a time lasts from %v on, %v", at, err)
		}
	})
}
