package filter

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
)

// setClock is a clock that stands still.
type setClock struct {
	local.Clock
	now time.Time
}

var _ host.Clock = (*setClock)(nil)

func (c *setClock) Elapsed() time.Duration { return 0 }
func (c *setClock) Now() time.Time         { return c.now }

func TestFiltersAreBoundedAndForgotten(t *testing.T) {
	clock := &setClock{now: time.Unix(1000, 0)}
	table := NewTable(clock, func() int { return 2 }, NewRoom(MaxRoom))
	a, b := Owner{Actor: coco.ActorID{1}}, Owner{Actor: coco.ActorID{2}}
	first, err := table.Add(&Polled{Owner: a})
	if err != nil {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(3 * time.Minute)
	second, err := table.Add(&Polled{Owner: a})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Add(&Polled{Owner: Owner{a.Actor, "kim"}}); err == nil {
		t.Fatal("a third filter of the organisation, by a user, is accepted, the limit is 2")
	}
	if _, err := table.Add(&Polled{Owner: b}); err != nil {
		t.Fatalf("another caller is refused: %v", err)
	}
	clock.now = clock.now.Add(3 * time.Minute) // the first has not been polled for six
	if _, err := table.Add(&Polled{Owner: a}); err != nil {
		t.Fatalf("an idle filter was not forgotten: %v", err)
	}
	if _, err := table.Get(a, first); err == nil {
		t.Error("the idle filter is still there")
	}
	if _, err := table.Get(a, second); err != nil {
		t.Errorf("the other filter is gone: %v", err)
	}
	clock.now = clock.now.Add(6 * time.Minute)
	if _, err := table.Get(a, second); err == nil {
		t.Error("a filter is there after six idle minutes")
	}
	if n := table.counts[a.Actor]; n != 1 {
		t.Errorf("the caller has %d filters, expected 1", n)
	}
}

func FuzzLogQuery(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"address":"0x0000000000000000000000000000000000000001","topics":[null,["0x0000000000000000000000000000000000000000000000000000000000000001",null]]}`,
		`{"address":[],"fromBlock":"0x1","toBlock":"latest"}`, `{"blockHash":"0x0000000000000000000000000000000000000000000000000000000000000001","fromBlock":"0x1"}`, `{"topics":[[1]]}`, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var q Query
		if err := json.Unmarshal(data, &q); err != nil {
			return
		}
		if len(q.Topics) > maxTopics || len(q.Addresses) > maxAddresses || (q.BlockHash != nil && q.From != nil) {
			t.Fatalf("accepted %s as %+v", data, q)
		}
		q.Match(&types.Log{Topics: []common.Hash{{1}}})
	})
}
