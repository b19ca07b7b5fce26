package chain

import (
	"errors"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
)

// piece is how much is read at a time, in bytes.
const piece = 1 << 20

// Examine reads the entries of a chunk, or of its beginning, and checks their frames, that they follow one another, and that
// they lead to what comes after them, as far as that is there. pause is called after each piece with its size in bytes; its
// error ends the examination. Where the error is damage (IsDamage), damaged tells the chunk: this one, or the one after it, which
// does not hold itself what it held when it said what comes before it.
//
// Settled is the last entry that nobody replaces; the chunk MUST end before or with it. Those after it may be another leader's the next moment, in
// the middle of being read, so nothing is judged by them.
func Examine(log *ledger.Log, c ledger.Chunk, settled uint64, pause func(bytes int) error) (damaged ledger.Chunk, err error) {
	after, err := following(log, c.Last, settled)
	if err != nil && !IsDamage(err) && !absent(err) {
		return c, err
	}
	err = each(log, c.First, c.Last, pause, NewCheck(c.First, c.Last, after))
	if b := (*brokenError)(nil); !errors.As(err, &b) || !b.end {
		return c, err
	}
	for _, next := range log.Chunks() {
		if next.First == c.Last+1 && next.Complete && next.Last <= settled {
			if e := each(log, next.First, next.Last, pause, NewCheck(next.First, next.Last, Link{})); IsDamage(e) {
				return next, e
			}
		}
	}
	return c, err
}

// absent reports whether an error says that entries are not in the ledger.
func absent(err error) bool {
	return errors.Is(err, coco.ErrMissing) || errors.Is(err, coco.ErrNotFound)
}

// each reads entries piece by piece and checks them.
func each(log *ledger.Log, first, last uint64, pause func(bytes int) error, check *Check) error {
	for next := first; next <= last; {
		entries, err := log.Read(next, last+1, piece)
		if err != nil {
			return err
		}
		bytes := 0
		for _, e := range entries {
			if err := check.Next(e); err != nil {
				return err
			}
			bytes += len(e.Data)
		}
		next += uint64(len(entries))
		if err := pause(bytes); err != nil {
			return err
		}
	}
	return nil
}

// reader returns the entries of a range one by one.
func reader(log *ledger.Log, first, last uint64) func() (batch.Entry, error) {
	var waiting []batch.Entry
	next := first
	return func() (batch.Entry, error) {
		if len(waiting) == 0 {
			var err error
			if waiting, err = log.Read(next, last+1, piece); err != nil {
				return batch.Entry{}, err
			}
			next += uint64(len(waiting))
		}
		e := waiting[0]
		waiting = waiting[1:]
		return e, nil
	}
}
