// Package recent keeps where the batches stand that the executor has announced, until files of the index cover them: 40 bytes a batch, and the Merkle frontier before every SlotEvery-th.
//
// Trust: enclave
package recent

import (
	"slices"
	"sort"

	"github.com/cocoframework/coco/merkle"
)

const (
	// DigestSize is how many bytes of a digest are kept.
	DigestSize = 16
	// SlotEvery is how many batches stand between two frontiers.
	SlotEvery = 64
)

// Batches are every batch since some point, in order. The zero value has none. It is not safe for concurrent use.
type Batches struct {
	items []Batch
	// slots[i] is the frontier before items[i*SlotEvery].
	slots []*merkle.Frontier
}

// Batch is where one stands: its first seqno, its entry, and the view of its leader.
type Batch struct {
	First, Index, View uint64
	Root               [DigestSize]byte // the beginning of the Merkle root after it
}

// Root returns the beginning of a tree's root.
func Root(f *merkle.Frontier) (d [DigestSize]byte) {
	root := f.Root()
	return [DigestSize]byte(root[:])
}

// Add adds the next batch, and the tree before it.
func (r *Batches) Add(b Batch, before *merkle.Frontier) {
	if len(r.items)%SlotEvery == 0 {
		f := before.Clone()
		r.slots = append(r.slots, &f)
	}
	r.items = append(r.items, b)
}

// Len returns how many there are.
func (r *Batches) Len() int { return len(r.items) }

// Since returns the first seqno; ok is false if there is no batch.
func (r *Batches) Since() (seqno uint64, ok bool) {
	if len(r.items) == 0 {
		return 0, false
	}
	return r.items[0].First, true
}

// Found is a batch, and what it is read from.
type Found struct {
	Batch
	Next uint64          // the first seqno of the batch after it; 0 if it is the last one
	Slot merkle.Frontier // before an earlier batch, or before this one; not to be changed
	From uint64          // the entry of that batch
}

// Find returns the batch that holds a seqno, which is not above the last one announced.
func (r *Batches) Find(seqno uint64) (f Found, ok bool) {
	i := sort.Search(len(r.items), func(i int) bool { return r.items[i].First > seqno }) - 1
	if i < 0 {
		return f, false
	}
	f = Found{Batch: r.items[i], Slot: *r.slots[i/SlotEvery], From: r.items[i/SlotEvery*SlotEvery].Index}
	if i+1 < len(r.items) {
		f.Next = r.items[i+1].First
	}
	return f, true
}

// At returns the batch at an entry.
func (r *Batches) At(index uint64) (Batch, bool) {
	i := sort.Search(len(r.items), func(i int) bool { return r.items[i].Index >= index })
	if i == len(r.items) || r.items[i].Index != index {
		return Batch{}, false
	}
	return r.items[i], true
}

// SlotFrom returns the first kept frontier before a batch at or after an entry, and the batch.
func (r *Batches) SlotFrom(index uint64) (merkle.Frontier, Batch, bool) {
	i := sort.Search(len(r.slots), func(i int) bool { return r.items[i*SlotEvery].Index >= index })
	if i == len(r.slots) {
		return merkle.Frontier{}, Batch{}, false
	}
	return *r.slots[i], r.items[i*SlotEvery], true
}

// Trim forgets batches that end at or before a seqno, except for the newest ones.
func (r *Batches) Trim(seqno uint64, keep int) {
	n := min(sort.Search(len(r.items), func(i int) bool { return r.items[i].First > seqno+1 })-1, len(r.items)-keep)
	n = n / SlotEvery * SlotEvery
	if n <= 0 {
		return
	}
	r.items = slices.Clone(r.items[n:])
	r.slots = slices.Clone(r.slots[n/SlotEvery:])
}
