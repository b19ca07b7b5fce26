package catchup

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

// link is what the first batch after an entry says of the chain before itself: the entries between, and the digest.
type link struct {
	between []batch.Entry
	chain   coco.Digest
}

// following reads the link after an entry.
func (l *Local) following(last uint64) (link, error) {
	var next link
	for index := last + 1; ; index++ {
		entries, err := l.Ledger.Read(index, index+1, 0)
		if err != nil {
			return next, err
		}
		if entries[0].Kind != batch.KindBatch {
			next.between = append(next.between, entries[0])
			continue
		}
		b, err := batch.Decode(entries[0].Data)
		if err != nil {
			return next, fmt.Errorf("entry %d: %w", index, err)
		}
		next.chain = b.Header.Prev
		return next, nil
	}
}

// chainCheck checks that consecutive entries, from first on, lead to the link after them. Before the first batch among them
// the chain digest is known only at the beginning of the ledger; that batch says what it is.
type chainCheck struct {
	after link
	first uint64
	chain coco.Digest
	known bool
}

// next checks the next entry; with the last one, that all of them lead on.
func (c *chainCheck) next(e batch.Entry, last uint64) error {
	c.known = c.known || e.Index == 1
	if e.Kind == batch.KindBatch {
		b, err := batch.Decode(e.Data)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		if c.known && b.Header.Prev != c.chain {
			return fmt.Errorf("%w: entry %d does not follow the entries before it", coco.ErrVerify, e.Index)
		}
		c.chain, c.known = b.Header.Prev, true
	}
	if c.known {
		c.chain = e.Chain(c.chain)
	}
	if e.Index < last {
		return nil
	}
	chain := c.chain
	for _, between := range c.after.between {
		chain = between.Chain(chain)
	}
	if chain != c.after.chain {
		return fmt.Errorf("%w: entries %d to %d do not lead to the one after them", coco.ErrVerify, c.first, last)
	}
	return nil
}
