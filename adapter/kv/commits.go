package kv

import (
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
)

// maxViews bounds how many changes of the view a node remembers.
const maxViews = 1024

// commits remembers what the store does not say: where recent batches end, and which view the
// transactions since this ledger was opened belong to.
type commits struct {
	ends  []uint64    // last seqnos of the newest batches, oldest first
	views []coco.TxID // the first transaction of each view, oldest first
}

func (c *commits) add(b adapter.Commit) {
	if n := len(c.views); n == 0 || c.views[n-1].View != b.View {
		if n == maxViews {
			c.views = slices.Delete(c.views, 0, 1)
		}
		c.views = append(c.views, coco.TxID{View: b.View, Seqno: b.First})
	}
	// The store can go back to the end of the batch before those whose versions it retains.
	if len(c.ends) > store.Retain {
		c.ends = slices.Delete(c.ends, 0, 1)
	}
	c.ends = append(c.ends, b.Last)
}

// end returns where the recent batch that holds a seqno ends.
func (c *commits) end(seqno uint64) (last uint64, ok bool) {
	_, last, _, ok = c.around(seqno)
	return last, ok
}

// id returns the transaction of a seqno, if its view is known.
func (c *commits) id(seqno uint64) (id coco.TxID, ok bool) {
	i, exact := slices.BinarySearchFunc(c.views, seqno, func(first coco.TxID, seqno uint64) int {
		switch {
		case first.Seqno < seqno:
			return -1
		case first.Seqno > seqno:
			return 1
		}
		return 0
	})
	if !exact {
		i--
	}
	if i < 0 {
		return coco.TxID{}, false
	}
	return coco.TxID{View: c.views[i].View, Seqno: seqno}, true
}

// around returns where the recent batch that holds a seqno ends, and where the one before it does, and the oldest seqno of which this
// can be told. before is 0 if end is the seqno itself and nothing earlier is known.
func (c *commits) around(seqno uint64) (before, end, oldest uint64, ok bool) {
	if len(c.ends) > 0 {
		oldest = c.ends[0]
	}
	i, exact := slices.BinarySearch(c.ends, seqno)
	// What is before the first end may belong to an earlier batch.
	if i == len(c.ends) || i == 0 && !exact {
		return 0, 0, oldest, false
	}
	if i > 0 {
		before = c.ends[i-1]
	}
	return before, c.ends[i], oldest, true
}
