package remains

import (
	"testing"

	"github.com/cocoframework/coco/batch"
)

func TestLedgersDifferWhereTheyHaveOtherEntries(t *testing.T) {
	entry := func(view uint64, data string) batch.Entry {
		return batch.Entry{View: view, Index: 2, Kind: batch.KindBatch, Data: []byte(data)}
	}
	whole := map[uint64]batch.Entry{1: entry(2, "one"), 2: entry(2, "two")}
	for name, c := range map[string]struct {
		other map[uint64]batch.Entry
		at    uint64
	}{
		"the same":        {map[uint64]batch.Entry{1: entry(2, "one"), 2: entry(2, "two")}, 0},
		"one is shorter":  {map[uint64]batch.Entry{2: entry(2, "two")}, 0},
		"one is longer":   {map[uint64]batch.Entry{2: entry(2, "two"), 3: entry(2, "three")}, 0},
		"other data":      {map[uint64]batch.Entry{2: entry(2, "another")}, 2},
		"of another view": {map[uint64]batch.Entry{1: entry(3, "one")}, 1},
	} {
		if at := Differ(whole, c.other); at != c.at {
			t.Errorf("%s: they differ at %d, expected %d", name, at, c.at)
		}
	}
}
