package catchup

import (
	"context"
	"testing"
	"time"

	"github.com/cocoframework/coco/batch"
)

// While leaders change, what follows the committed entries is replaced, and may be read in the middle of it: half of one leader's, half
// of the other's. It says nothing of the chunks before it.
func TestEntriesThatAreNotCommittedCondemnNoChunk(t *testing.T) {
	all, other := entries(t, 60), entries(t, 60)
	withNodes(t, [][]batch.Entry{all}, func(t *testing.T, nodes []*node) {
		n := nodes[0]
		c := n.Ledger.Chunks()[1]
		if !c.Complete || len(n.Ledger.Chunks()) < 4 {
			t.Fatalf("chunks %v: the test shows nothing", n.Ledger.Chunks())
		}
		if err := n.Ledger.TruncateAfter(c.Last); err != nil {
			t.Fatal(err)
		}
		if err := n.Ledger.Append(other[c.Last:]); err != nil {
			t.Fatal(err)
		}
		scrub := func(committed uint64) uint64 {
			s := &Scrubber{Local: &n.Local, Committed: func() uint64 { return committed }}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.Run(ctx); err != nil {
				t.Fatal(err)
			}
			return s.Damaged()
		}
		if found := scrub(c.Last); found != 0 || len(n.Ledger.Missing()) != 0 {
			t.Errorf("%d damaged chunks, entries %v are missing", found, n.Ledger.Missing())
		}
		// Committed, the same entries would be proof that the disk has changed some.
		if found := scrub(n.Ledger.Last()); found != 1 || len(n.Ledger.Missing()) != 1 {
			t.Errorf("%d damaged chunks, entries %v are missing", found, n.Ledger.Missing())
		}
	})
}
