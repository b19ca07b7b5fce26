package ledgercmd

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/audit"
)

// comparison finds out whether the nodes of one network agree: batches that two ledgers hold at
// the same index differ only if at least one of them was never committed.
type comparison struct {
	roots     map[uint64]coco.Digest // by index, of the first ledger
	first     string
	differ    map[string]uint64 // the first index at which another ledger differs
	committed map[string]uint64
}

func (c *comparison) done(node string, committed uint64) {
	if c.committed == nil {
		c.committed = map[string]uint64{}
	}
	c.committed[node] = committed
}

func (c *comparison) check() error {
	for node, index := range c.differ {
		if index <= c.committed[node] && index <= c.committed[c.first] {
			return fmt.Errorf("%w: the ledgers of %s and %s differ at entry %d, which both hold for committed: the network has forked",
				coco.ErrVerify, c.first, node, index)
		}
	}
	return nil
}

// comparing is an auditor that takes part in a comparison.
type comparing struct {
	*audit.Auditor
	all  *comparison
	node string
	at   uint64    // a seqno
	held coco.TxID // the transaction that the ledger has there; zero until it is met
}

// Apply implements ledger.Checker.
func (c *comparing) Apply(b *batch.Batch, public [][]byte) error {
	all, h := c.all, &b.Header
	if h.First <= c.at && c.at <= h.Last() {
		c.held = coco.TxID{View: h.View, Seqno: c.at}
	}
	if all.roots == nil {
		all.roots, all.first, all.differ = map[uint64]coco.Digest{}, c.node, map[string]uint64{}
	}
	if all.first == c.node {
		all.roots[h.Index] = h.Root
	} else if root, ok := all.roots[h.Index]; ok && root != h.Root {
		if at, met := all.differ[c.node]; !met || h.Index < at {
			all.differ[c.node] = h.Index
		}
	}
	return c.Auditor.Apply(b, public)
}
