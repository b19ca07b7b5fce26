package check

import (
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

func TestAuditForgetsOnlyWhatMakesItSayLess(t *testing.T) {
	a := NewSequence(nil)
	const batches = 5 * maxPending
	for i := uint64(1); i <= batches; i++ {
		a.count(&batch.Header{View: 1, Index: i, First: 2*i - 1, Count: 2})
		if len(a.pending) > maxPending {
			t.Fatalf("%d batches are kept", len(a.pending))
		}
	}
	if a.counts.Committed != (coco.TxID{}) || a.counts.CommittedIndex != 0 {
		t.Fatalf("%s is said to be committed", a.counts.Committed)
	}
	const known = batches / 2
	a.count(&batch.Header{View: 1, Index: batches + 1, First: 2*batches + 1, Count: 1, Committed: known})
	if n := a.counts.Committed.Seqno; n > 2*known || n < 2*known-2048 || a.counts.CommittedIndex != known {
		t.Errorf("committed up to %s, index %d; entries up to %d are", a.counts.Committed, a.counts.CommittedIndex, known)
	}
	a.count(&batch.Header{View: 1, Index: batches + 2, First: 2*batches + 2, Count: 1, Committed: batches + 1})
	if want := (coco.TxID{View: 1, Seqno: 2*batches + 1}); a.counts.Committed != want || len(a.pending) != 1 {
		t.Errorf("committed up to %s, want %s; %d kept", a.counts.Committed, want, len(a.pending))
	}
}
