package chain

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
)

// Repaired is a range of entries that Repair took from another ledger.
type Repaired struct {
	ledger.Range
	From   int   // which of the others
	Damage error // what was wrong with the entries that were there; nil if there were none
}

// Repair replaces complete chunks that are damaged, and fills gaps, by what other ledgers of the network have, the newest
// first. It believes no other ledger: what it takes leads to the entries after it. A damaged file is set aside as
// ledger.Log.Quarantine does, once another ledger is known to have its entries. No node may run on the log meanwhile.
//
// It returns what it has replaced, and an error that names every range for which no other ledger has the entries. What is
// wrong with the last chunk it cannot repair, as nothing vouches for another one: go on from another ledger then.
//
// A crash leaves a gap in the place of a damaged chunk; called again, Repair fills it.
func Repair(log *ledger.Log, others []*ledger.Log) (done []Repaired, err error) {
	var errs []error
	chunks := log.Chunks()
	for i := len(chunks) - 1; i >= 0; i-- {
		damaged, err := Examine(log, chunks[i], log.Last(), func(int) error { return nil })
		if err == nil {
			continue
		}
		if !IsDamage(err) {
			if !absent(err) {
				errs = append(errs, err)
			}
			continue
		}
		r, rerr := replace(log, ledger.Range{First: damaged.First, Last: damaged.Last}, err, others)
		if rerr != nil {
			errs = append(errs, rerr)
			continue
		}
		done = append(done, r)
		if damaged.First != chunks[i].First {
			i++ // the one before it was judged by it
		}
	}
	for _, gap := range slices.Backward(log.Missing()) {
		more, err := fill(log, gap, others)
		done = append(done, more...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	return done, errors.Join(errs...)
}

// replace exchanges a damaged chunk.
func replace(log *ledger.Log, r ledger.Range, damage error, others []*ledger.Log) (Repaired, error) {
	after, err := Following(log, r.Last)
	if errors.Is(err, coco.ErrNotFound) {
		err = errors.New("no batch follows them that could vouch for those of another ledger")
	}
	if err == nil {
		for i, other := range others {
			if e := each(other, r.First, r.Last, func(int) error { return nil }, NewCheck(r.First, r.Last, after)); e != nil {
				err = errors.Join(err, fmt.Errorf("ledger %d: %w", i+1, e))
				continue
			}
			if err := log.Quarantine(r.First); err != nil {
				return Repaired{}, err
			}
			return Repaired{r, i, damage}, insert(log, r, other)
		}
	}
	return Repaired{}, fmt.Errorf("%w: entries %d to %d are damaged (%w) and none of %d other ledgers has them: %w",
		coco.ErrCorrupt, r.First, r.Last, damage, len(others), err)
}

// fill fills a gap, from its end, with the chunks of other ledgers, or as much of them as is missing.
func fill(log *ledger.Log, gap ledger.Range, others []*ledger.Log) (done []Repaired, err error) {
	for gap.Last >= gap.First {
		r, from := gap, -1
		var errs []error
		for i, other := range others {
			at := slices.IndexFunc(other.Chunks(), func(c ledger.Chunk) bool { return c.First <= gap.Last && gap.Last <= c.Last })
			if at < 0 {
				continue
			}
			r.First = max(gap.First, other.Chunks()[at].First)
			err := insert(log, r, other)
			if err == nil {
				from = i
				break
			}
			errs = append(errs, fmt.Errorf("ledger %d: %w", i+1, err))
		}
		if from < 0 {
			return done, fmt.Errorf("%w: entries %d to %d are in none of %d other ledgers: %w",
				coco.ErrMissing, gap.First, gap.Last, len(others), errors.Join(errs...))
		}
		done = append(done, Repaired{Range: r, From: from})
		gap.Last = r.First - 1
	}
	return done, nil
}

// insert copies a range that is missing, and checks it.
func insert(log *ledger.Log, r ledger.Range, from *ledger.Log) error {
	after, err := Following(log, r.Last)
	if err != nil {
		return err
	}
	check, next := NewCheck(r.First, r.Last, after), reader(from, r.First, r.Last)
	return log.Insert(r.First, r.Last, func() (batch.Entry, error) {
		e, err := next()
		if err == nil {
			err = check.Next(e)
		}
		return e, err
	})
}
