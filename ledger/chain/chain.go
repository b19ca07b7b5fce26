// Package chain tells whether the entries of a ledger follow one another, without any key, and replaces chunks that do
// not by what others have.
//
//	chunk k           chunk k+1                   chunk being written
//	├─ … e₈ e₉ ─┤     ├─ e₁₀ b₁₁ … ─┤  …  ├─ b₂₀ … ─┤
//	         └── chain digest ──▲ header of b₁₁        what the node has applied
//
// The header of a batch holds the chain digest of all entries before it, so a chunk that leads to the batch after it is, to
// the last byte, what the author of that batch had. From the newest chunk to the oldest, each vouches for the one
// before it. A checksum tells the disk's faults alone; the chain tells a host's changes, too.
//
// Examine checks one chunk, Repair a whole ledger. What follows the last chunk is vouched for by nobody here:
// the node has applied it, or an audit checks its signatures.
//
// Trust: enclave
package chain

import (
	"errors"
	"fmt"
	"math"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
)

// Link is what the first batch after an entry says of the chain before itself. The zero Link says nothing.
type Link struct {
	between []batch.Entry // after the entry, before that batch
	digest  coco.Digest   // of the chain before that batch
	known   bool
}

// To returns the link of which only the digest is known, with no entries between.
func To(digest coco.Digest) Link { return Link{digest: digest, known: true} }

// Following reads the link after an entry.
func Following(log *ledger.Log, last uint64) (Link, error) {
	return following(log, last, math.MaxUint64)
}

// following is Following among the entries up to settled. The error is coco.ErrNotFound if there is no batch among them.
func following(log *ledger.Log, last, settled uint64) (Link, error) {
	var next Link
	for index := last + 1; ; index++ {
		if index > settled {
			return Link{}, fmt.Errorf("%w: no batch among the entries %d to %d", coco.ErrNotFound, last+1, settled)
		}
		entries, err := log.Read(index, index+1, 0)
		if err != nil {
			return Link{}, err
		}
		if entries[0].Kind != batch.KindBatch {
			next.between = append(next.between, entries[0])
			continue
		}
		b, err := batch.Decode(entries[0].Data)
		if err != nil {
			return Link{}, broken(index, err)
		}
		next.digest, next.known = b.Header.Prev, true
		return next, nil
	}
}

// Check checks that consecutive entries follow one another and lead to a link. Before the first batch among them
// the chain digest is known only at the beginning of the ledger; that batch says what it is.
type Check struct {
	after       Link
	first, last uint64
	chain       coco.Digest
	known       bool
}

// NewCheck returns the check of the entries from first to last.
func NewCheck(first, last uint64, after Link) *Check {
	return &Check{after: after, first: first, last: last}
}

// Next checks the next entry; with the last one, that all of them lead on. Its errors are of kind coco.ErrVerify, and
// DamagedEntry tells their entry.
func (c *Check) Next(e batch.Entry) error {
	c.known = c.known || e.Index == 1
	if e.Kind == batch.KindBatch {
		b, err := batch.Decode(e.Data)
		if err != nil {
			return broken(e.Index, err)
		}
		if c.known && b.Header.Prev != c.chain {
			return broken(e.Index, errors.New("it does not follow the entries before it"))
		}
		c.chain, c.known = b.Header.Prev, true
	}
	if c.known {
		c.chain = e.Chain(c.chain)
	}
	if e.Index < c.last || !c.after.known {
		return nil
	}
	chain := c.chain
	for _, between := range c.after.between {
		chain = between.Chain(chain)
	}
	if chain != c.after.digest {
		return &brokenError{c.first, fmt.Errorf("the entries from it to %d do not lead to the batch after them", c.last), true}
	}
	return nil
}

// brokenError says at which entry the chain breaks.
type brokenError struct {
	entry uint64
	why   error
	end   bool // the entries follow one another, and do not lead to the link
}

func broken(entry uint64, why error) error { return &brokenError{entry: entry, why: why} }

func (e *brokenError) Error() string {
	return fmt.Sprintf("%v: entry %d: %v", coco.ErrVerify, e.entry, e.why)
}

// Unwrap makes it an error of kind coco.ErrVerify.
func (e *brokenError) Unwrap() error { return coco.ErrVerify }

// DamagedEntry returns the entry at which the chain breaks, or that a checksum shows to be changed, according to an error of this
// package or of package ledger; 0 if the error does not say.
func DamagedEntry(err error) uint64 {
	if b := (*brokenError)(nil); errors.As(err, &b) {
		return b.entry
	}
	return ledger.DamagedEntry(err)
}

// IsDamage reports whether an error says that entries are not what was written, and not that they cannot be read now.
func IsDamage(err error) bool {
	return errors.Is(err, coco.ErrVerify) || errors.Is(err, coco.ErrCorrupt)
}
