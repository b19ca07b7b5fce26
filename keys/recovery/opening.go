package recovery

import (
	"maps"
	"slices"

	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
)

// Epoch is an epoch that a ledger announces. One of its formats is set.
type Epoch struct {
	Number uint64
	Shared *keys.SealedEpoch // format 1
	Sealed *archive.Epoch    // format 2
}

// Opening is how far a ledger is open: which secrets of its epochs are there, and which lock must be opened next. It belongs to one goroutine, and
// never prints its secrets.
//
// The newest lock is the first. What it locks opens those before it: so it is the members of now whose parts count. Epochs that are sealed to a committee open
// by its archive, which opens those of committees before, and the epochs of format 1 that were there when the first one came. A committee that was reduced is no lock, and opens by a later one only.
type Opening struct {
	epochs     []Epoch      // in order
	committees []*Committee // in order
	used       func(epoch uint64) bool
	secrets    map[uint64]keys.Secret
	given      map[string]bool // names of locks, up on
}

// NewOpening begins with nothing open. epochs and committees are those of the ledger, in order; used says whether a batch is sealed in an epoch.
func NewOpening(epochs []Epoch, committees []*Committee, used func(epoch uint64) bool) *Opening {
	return &Opening{epochs: epochs, committees: committees, used: used, secrets: map[uint64]keys.Secret{}, given: map[string]bool{}}
}

// Next returns the lock to open next; nil if nothing is left that is needed.
func (o *Opening) Next() *Lock {
	for _, e := range slices.Backward(o.epochs) {
		if _, open := o.secrets[e.Number]; open || len(o.secrets) > 0 && !o.used(e.Number) {
			continue
		}
		if lock := o.lockOf(e); lock != nil && !o.given[lock.String()] {
			return lock
		}
	}
	return nil
}

// lockOf returns the lock by which an epoch opens: for format 1 itself; for format 2 the archive of its committee or, as long as nothing is open, of the newest one.
func (o *Opening) lockOf(e Epoch) *Lock {
	if e.Sealed == nil {
		if n := len(o.committees); n > 0 && len(o.secrets) == 0 { // the first archive carries it
			if newest := (&Lock{Committee: o.committees[n-1]}); !o.given[newest.String()] {
				return newest
			}
		}
		return &Lock{Epoch: e.Shared}
	}
	for _, c := range slices.Backward(o.committees) {
		if lock := (&Lock{Committee: c}); len(c.Seats) > 0 && c.Number >= e.Sealed.Committee && !o.given[lock.String()] {
			return lock
		}
	}
	return nil
}

// Open adds what was locked, and opens what it carries. Each fault says what does not open, though it should; members' parts may
// open it still.
func (o *Opening) Open(l *Lock, secret keys.Secret) (faults []error) {
	if l.Committee == nil {
		o.secrets[l.Epoch.Epoch] = secret
		return o.previous(l.Epoch.Epoch)
	}
	o.given[l.String()] = true // it gives nothing more
	newest := uint64(0)
	for at := l.Committee; at != nil; {
		private, err := at.Archive.Unlock(secret, at.of())
		if err != nil {
			return append(faults, err)
		}
		for _, e := range o.epochs {
			if e.Sealed == nil || e.Sealed.Committee != at.Number {
				continue
			}
			s, err := private.Epoch(e.Sealed)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			o.secrets[e.Number] = s
		}
		carried, err := private.Carried()
		if err != nil {
			faults = append(faults, err)
		}
		for number, s := range carried {
			o.secrets[number], newest = s, max(newest, number)
		}
		earlier, ok, err := private.Earlier()
		if err != nil {
			faults = append(faults, err)
		}
		if at = o.before(at.Number); !ok || err != nil {
			at = nil
		}
		secret = earlier
	}
	return append(faults, o.previous(newest)...)
}

// before returns the committee before one; nil if there is none.
func (o *Opening) before(number uint64) *Committee {
	for _, c := range o.committees {
		if c.Number == number-1 {
			return c
		}
	}
	return nil
}

// previous opens what epochs of format 1, up to one, carry of those before them.
func (o *Opening) previous(newest uint64) (faults []error) {
	for _, e := range slices.Backward(o.epochs) {
		secret, open := o.secrets[e.Number]
		if !open || e.Shared == nil || e.Number > newest {
			continue
		}
		previous, err := e.Shared.OpenPrevious(secret)
		if err != nil {
			faults = append(faults, err)
		}
		maps.Copy(o.secrets, previous)
	}
	return faults
}

// GiveUp goes on without a lock. It reports whether that is possible: another lock opens what it would have, or nothing is sealed in it.
func (o *Opening) GiveUp(l *Lock) bool {
	o.given[l.String()] = true
	for _, e := range o.epochs {
		_, open := o.secrets[e.Number]
		if !open && o.used(e.Number) && (o.lockOf(e) == nil || o.given[o.lockOf(e).String()]) {
			return false
		}
	}
	return true
}

// Secrets returns the epochs' secrets that are open. The caller must not change them.
func (o *Opening) Secrets() map[uint64]keys.Secret { return o.secrets }
