package filter

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

// large returns the largest query that is accepted.
func large(t *testing.T) *Query {
	t.Helper()
	list := func(n, bytes int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`"0x`+strings.Repeat("ab", bytes)+`",`, n), ",") + "]"
	}
	var q Query
	topics := list(maxSubTopics, 32)
	if err := json.Unmarshal([]byte(`{"address":`+list(maxAddresses, 20)+`,"topics":[`+topics+","+topics+","+topics+","+topics+`]}`), &q); err != nil {
		t.Fatal(err)
	}
	return &q
}

// A filter of a thousand addresses and four thousand topics takes 148 KiB; 256 of them may be of each organisation.
func TestFiltersOfAllOrganisationsTakeNoMoreThanTheirMemory(t *testing.T) {
	clock := &setClock{now: time.Unix(1000, 0)}
	room := NewRoom(8 << 20)
	table, q := NewTable(clock, func() int { return 256 }, room), large(t)
	if size := q.Size(); size < 148_000 || size > 300_000 {
		t.Errorf("the largest query is taken for %d bytes", size)
	}
	per := map[byte]int{}
	for org := range byte(20) {
		for range 256 {
			_, err := table.Add(&Polled{Owner: Owner{Actor: coco.ActorID{org}}, Query: q})
			if errors.Is(err, ErrFull) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			per[org]++
		}
	}
	if room.Used() > 8<<20 {
		t.Errorf("%d bytes are taken", room.Used())
	}
	if first := per[0] * q.Size(); first > 5<<20 || per[1] == 0 || per[2] == 0 {
		t.Errorf("filters by organisation: %v", per)
	}
	// Those of clients that have gone make room for others'.
	clock.now = clock.now.Add(2 * filterLife)
	if _, err := table.Add(&Polled{Owner: Owner{Actor: coco.ActorID{100}}, Query: q}); err != nil {
		t.Error(err)
	}
	if room.Used() > 1<<20 || len(table.byID) != 1 || len(table.counts) != 1 {
		t.Errorf("%d bytes are taken by %d filters", room.Used(), len(table.byID))
	}
}
