package custody

import (
	"errors"
	"fmt"

	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
)

// Refusal is that a node gave no answer because no node opens an epoch.
type Refusal struct {
	Node, What  string
	First, Last uint64 // seqnos: it needed no other transaction for its answer
	Committee   uint64 // that was in force
}

// Closed looks whether nodes could not but refuse: for each refusal, a transaction in its range is of an epoch that the archive of the committee which was in force does not give.
func (f *Follower) Closed(refusals []Refusal, members []Holder) error {
	given := map[uint64]map[uint64]bool{}
	for _, r := range refusals {
		if r.Committee < 1 || r.Committee > uint64(len(f.committees)) {
			return fmt.Errorf("%s refuses %s while committee %d is in force, of %d", r.Node, r.What, r.Committee, len(f.committees))
		}
		if given[r.Committee] == nil {
			var err error
			if given[r.Committee], err = f.gives(r.Committee, members); err != nil {
				return fmt.Errorf("the archive of committee %d: %w", r.Committee, err)
			}
		}
		closed := false
		for _, b := range f.batches {
			if h := &b.Header; h.First <= r.Last && r.First <= h.Last() && !given[r.Committee][h.Epoch] {
				closed = true
			}
		}
		if !closed {
			return fmt.Errorf("%s says that no node opens an epoch in which %s may be, transactions %d to %d: the archive of committee %d gives all of them", r.Node, r.What, r.First, r.Last, r.Committee)
		}
	}
	return nil
}

// gives returns the epochs whose secrets the archive of a committee gives, and the chain of archives behind it.
func (f *Follower) gives(number uint64, members []Holder) (map[uint64]bool, error) {
	network, err := table.Audience(f.Tables())
	if err != nil {
		return nil, err
	}
	rows, err := table.Epochs(f.Tables())
	if err != nil {
		return nil, err
	}
	rec := &f.committees[number-1]
	held, err := packages(rec, network, members)
	if err != nil {
		return nil, err
	}
	c, err := rec.Committee()
	if err != nil {
		return nil, err
	}
	a, of, err := rec.ParseArchive(network)
	if err != nil {
		return nil, err
	}
	var parts []committee.Part
	for _, p := range held {
		part, err := a.Part(c, of, p)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	secret, faults, err := a.Combine(c, of, parts)
	if err = errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	given := map[uint64]bool{}
	for more := true; more; number-- {
		if a, of, err = f.committees[number-1].ParseArchive(network); err != nil {
			return nil, err
		}
		private, err := a.Unlock(secret, of)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			e, err := archive.EpochOf(row.Sealed)
			if err != nil {
				return nil, err
			}
			if e != nil && e.Committee == number {
				given[row.Epoch] = true
			}
		}
		carried, err := private.Carried()
		if err != nil {
			return nil, err
		}
		for epoch := range carried {
			given[epoch] = true
		}
		if secret, more, err = private.Earlier(); err != nil {
			return nil, err
		}
	}
	return given, nil
}
