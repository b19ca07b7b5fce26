package node

import (
	"fmt"
	"slices"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
)

// checkpointEvery is how many batches lie between two kept Merkle frontiers: a receipt reads at
// most that many batches from the ledger.
const checkpointEvery = 64

// history finds the committed batch of a transaction. It costs 24 bytes a batch.
type history struct {
	log *ledger.Log

	mu          sync.RWMutex
	batches     []batchAt         // by first seqno
	checkpoints []merkle.Frontier // before batch i*checkpointEvery
	tree        merkle.Frontier   // after the last batch
}

type batchAt struct{ first, index, view uint64 }

// add notes a committed batch that ends at a position.
func (h *history) add(end position, view, first uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.batches)%checkpointEvery == 0 {
		h.checkpoints = append(h.checkpoints, h.tree.Clone())
	}
	h.batches = append(h.batches, batchAt{first: first, index: end.index, view: view})
	h.tree = end.tree.Clone()
}

// find returns the batch that holds a committed seqno, and its number.
func (h *history) find(seqno uint64) (batchAt, int, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	i, exact := slices.BinarySearchFunc(h.batches, seqno, func(b batchAt, n uint64) int {
		switch {
		case b.first < n:
			return -1
		case b.first > n:
			return 1
		}
		return 0
	})
	if !exact {
		i--
	}
	if i < 0 || seqno > h.tree.Size() {
		return batchAt{}, 0, false
	}
	return h.batches[i], i, true
}

// read returns the batch of a committed transaction from the ledger, and the tree before it.
func (h *history) read(id coco.TxID) (*ledger.Batch, merkle.Frontier, error) {
	none := merkle.Frontier{}
	at, i, ok := h.find(id.Seqno)
	if !ok || at.view != id.View {
		return nil, none, fmt.Errorf("%w: transaction %s is not committed on this node", coco.ErrNotFound, id)
	}
	h.mu.RLock()
	start := i / checkpointEvery * checkpointEvery
	tree := h.checkpoints[i/checkpointEvery].Clone()
	before := slices.Clone(h.batches[start:i])
	h.mu.RUnlock()
	for _, b := range before {
		batch, err := h.batch(b.index)
		if err != nil {
			return nil, none, err
		}
		if err := batch.VerifyRoot(&tree); err != nil {
			return nil, none, fmt.Errorf("ledger entry %d: %w", b.index, err)
		}
	}
	batch, err := h.batch(at.index)
	return batch, tree, err
}

func (h *history) batch(index uint64) (*ledger.Batch, error) {
	entries, err := h.log.Read(index, index+1, 0)
	if err != nil {
		return nil, fmt.Errorf("read ledger entry %d: %w", index, err)
	}
	return ledger.Decode(entries[0].Data)
}
