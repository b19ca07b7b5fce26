package history

import (
	"slices"
	"sort"

	"github.com/cocoframework/coco/merkle"
)

// recent is what the executor announced: every batch since the start, until files cover it. It costs
// 40 bytes a batch, and a frontier every slotEvery-th.
type recent struct {
	items []recentBatch
	// slots[i] is the frontier before items[i*slotEvery].
	slots []*merkle.Frontier
}

type recentBatch struct {
	first, index, view uint64
	root               [digestSize]byte // the beginning of the Merkle root after it
}

func shortRoot(f *merkle.Frontier) (d [digestSize]byte) {
	root := f.Root()
	return [digestSize]byte(root[:])
}

func (r *recent) add(b recentBatch, before *merkle.Frontier) {
	if len(r.items)%slotEvery == 0 {
		f := before.Clone()
		r.slots = append(r.slots, &f)
	}
	r.items = append(r.items, b)
}

// find returns the number of the batch that holds a seqno, which is not above the last one announced.
func (r *recent) find(seqno uint64) (int, bool) {
	i := sort.Search(len(r.items), func(i int) bool { return r.items[i].first > seqno }) - 1
	return i, i >= 0
}

// at returns the batch at an entry.
func (r *recent) at(index uint64) (recentBatch, bool) {
	i := sort.Search(len(r.items), func(i int) bool { return r.items[i].index >= index })
	if i == len(r.items) || r.items[i].index != index {
		return recentBatch{}, false
	}
	return r.items[i], true
}

// slotFrom returns the first kept frontier before a batch at or after an entry, and the batch.
func (r *recent) slotFrom(index uint64) (merkle.Frontier, recentBatch, bool) {
	i := sort.Search(len(r.slots), func(i int) bool { return r.items[i*slotEvery].index >= index })
	if i == len(r.slots) {
		return merkle.Frontier{}, recentBatch{}, false
	}
	return *r.slots[i], r.items[i*slotEvery], true
}

// trim forgets batches that end at or before a seqno, except for the newest ones.
func (r *recent) trim(seqno uint64, keep int) {
	n := min(sort.Search(len(r.items), func(i int) bool { return r.items[i].first > seqno+1 })-1, len(r.items)-keep)
	n = n / slotEvery * slotEvery
	if n <= 0 {
		return
	}
	r.items = slices.Clone(r.items[n:])
	r.slots = slices.Clone(r.slots[n/slotEvery:])
}
