package replica

import (
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/merkle"
)

// Position is where a prefix of the ledger ends.
type Position struct {
	Index uint64      // of the last entry
	Chain coco.Digest // over all entries up to it
	Tree  merkle.Frontier
	Seqno uint64 // of the last transaction
	Time  uint64 // of the last batch, in milliseconds since 1970
}

// after returns the position behind one more entry. Tree, Seqno and Time are those of p: only a batch changes them.
func (p Position) after(e consensus.Entry) Position {
	p.Index, p.Chain = e.Index, ledgerEntry(e).Chain(p.Chain)
	return p
}

func ledgerEntry(e consensus.Entry) batch.Entry {
	return batch.Entry{View: e.View, Index: e.Index, Kind: batch.Kind(e.Kind), Data: e.Data}
}

// sealed is a batch that is executed but not committed.
type sealed struct {
	end     Position
	view    uint64
	first   uint64
	epoch   uint64
	size    int           // of the batch, in bytes
	at      time.Duration // when, by Clock.Elapsed
	own     bool          // it holds a transaction of the node's own
	waiting []*pending    // complete once it is committed
}

// chain is the ledger as the executor knows it: what is applied, and the batches that are sealed on top of it. The first
// two invariants of the package comment are about it. It decides and keeps positions; the store and the ledgers are moved
// by the executor.
type chain struct {
	applied Position
	batch   uint64    // index of the last applied batch, 0 if there is none
	sealed  []*sealed // in order; their indexes and seqnos increase
}

// begin makes a batch the last one that is applied.
func (c *chain) begin(end Position) { c.applied, c.batch = end, end.Index }

// head returns the end of the last sealed batch, or of what is applied if no batch is sealed.
func (c *chain) head() Position {
	if last := c.last(); last != nil {
		return last.end
	}
	return c.applied
}

// last returns the last sealed batch, nil if there is none.
func (c *chain) last() *sealed {
	if len(c.sealed) == 0 {
		return nil
	}
	return c.sealed[len(c.sealed)-1]
}

// seal adds a batch that was sealed on top of the head.
func (c *chain) seal(b *sealed) { c.sealed = append(c.sealed, b) }

// confirm compares a committed entry with the first sealed batch. If the entry is that batch, confirm moves the batch to what
// is applied and returns it. If the entry proves that no sealed batch will be committed, lost is true and nothing has changed:
// drop follows. Otherwise the entry comes before the sealed batches, or none is sealed.
func (c *chain) confirm(e consensus.Entry) (b *sealed, lost bool, err error) {
	if e.Index != c.applied.Index+1 {
		return nil, false, fmt.Errorf("%w: entry %d committed after %d", coco.ErrCorrupt, e.Index, c.applied.Index)
	}
	if len(c.sealed) == 0 || c.sealed[0].end.Index > e.Index {
		return nil, false, nil
	}
	b = c.sealed[0]
	if b.end.Index != e.Index || b.view != e.View {
		return nil, true, nil
	}
	c.sealed = slices.Delete(c.sealed, 0, 1)
	c.begin(b.end)
	return b, false, nil
}

// drop removes the sealed batches and returns them. The head is what is applied then.
func (c *chain) drop() []*sealed {
	lost := c.sealed
	c.sealed = nil
	return lost
}

// pass applies a committed entry that carries no transactions.
func (c *chain) pass(e consensus.Entry) { c.applied = c.applied.after(e) }

// verify checks that a committed batch follows what is applied: its place, its chain digest and its Merkle root. It returns
// the batch and where the ledger ends with it. Nothing changes until begin. It fails with a DamagedError.
func (c *chain) verify(e consensus.Entry) (*batch.Batch, Position, error) {
	b, err := batch.Decode(e.Data)
	if err != nil {
		return nil, Position{}, damaged(e.Index, err)
	}
	h := b.Header
	if h.Prev != c.applied.Chain { // the last batch has confirmed everything before itself
		return nil, Position{}, damaged(max(c.batch, 1), fmt.Errorf("%w: batch %d does not follow what is before it", coco.ErrVerify, e.Index))
	}
	if h.View != e.View || h.Index != e.Index || h.First != c.applied.Seqno+1 {
		return nil, Position{}, damaged(e.Index, fmt.Errorf("%w: batch of view %d, index %d, first seqno %d does not follow entry %d and seqno %d",
			coco.ErrVerify, h.View, h.Index, h.First, c.applied.Index, c.applied.Seqno))
	}
	if h.Time < c.applied.Time {
		return nil, Position{}, damaged(e.Index, fmt.Errorf("%w: batch %d is of %d ms since 1970, and the one before it of %d: a ledger's time never goes back",
			coco.ErrVerify, e.Index, h.Time, c.applied.Time))
	}
	end := c.applied.after(e)
	end.Tree = c.applied.Tree.Clone()
	if err := b.VerifyRoot(&end.Tree); err != nil {
		return nil, Position{}, damaged(e.Index, err)
	}
	end.Seqno, end.Time = h.Last(), h.Time
	return b, end, nil
}

// damaged says that an entry of this node's ledger is not what the network committed.
func damaged(index uint64, err error) error { return &DamagedError{Index: index, Err: err} }

// DamagedError asks for the ledger to be cut before an entry and fetched again.
type DamagedError struct {
	Index uint64
	Err   error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("ledger entry %d is not what the network committed: %v", e.Index, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }
