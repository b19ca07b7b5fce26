package recovery

import (
	"maps"
	"slices"

	"github.com/cocoframework/coco/keys"
)

// Opening is how far a ledger is open: which secrets of its epochs are there, and which lock must be opened next. It belongs to one goroutine, and
// never prints its secrets.
//
// The newest lock is the first. What it locks opens those before it: so it is the members of now whose parts count.
type Opening struct {
	epochs  []*keys.SealedEpoch // in order
	used    func(epoch uint64) bool
	secrets map[uint64]keys.Secret
	given   map[uint64]bool // up on
}

// NewOpening begins with nothing open. epochs are those that the ledger announces, in order; used says whether a batch is sealed in one.
func NewOpening(epochs []*keys.SealedEpoch, used func(epoch uint64) bool) *Opening {
	return &Opening{epochs: epochs, used: used, secrets: map[uint64]keys.Secret{}, given: map[uint64]bool{}}
}

// Next returns the lock to open next; nil if nothing is left that is needed.
func (o *Opening) Next() *Lock {
	for _, e := range slices.Backward(o.epochs) {
		if _, open := o.secrets[e.Epoch]; open || o.given[e.Epoch] || len(o.secrets) > 0 && !o.used(e.Epoch) {
			continue
		}
		return &Lock{Epoch: e}
	}
	return nil
}

// Open adds what was locked, and opens what it carries. An error says that an epoch does not open those before it; members' parts may
// open them still.
func (o *Opening) Open(l *Lock, secret keys.Secret) (faults []error) {
	o.secrets[l.Epoch.Epoch] = secret
	for _, e := range slices.Backward(o.epochs) {
		secret, open := o.secrets[e.Epoch]
		if !open || e.Epoch > l.Epoch.Epoch {
			continue
		}
		previous, err := e.OpenPrevious(secret)
		if err != nil {
			faults = append(faults, err)
		}
		maps.Copy(o.secrets, previous)
	}
	return faults
}

// GiveUp goes on without a lock. It reports whether that is possible: nothing is sealed in an epoch that was announced and never used.
func (o *Opening) GiveUp(l *Lock) bool {
	o.given[l.Epoch.Epoch] = true
	return !o.used(l.Epoch.Epoch)
}

// Secrets returns the epochs' secrets that are open. The caller must not change them.
func (o *Opening) Secrets() map[uint64]keys.Secret { return o.secrets }
