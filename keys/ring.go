package keys

import (
	"fmt"
	"maps"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

// Ring holds the epochs' secrets that a node knows, in the enclave's memory, and says under which
// epoch new batches are sealed. It is safe for concurrent use.
type Ring struct {
	mu      sync.RWMutex
	current uint64
	newest  uint64 // of those that it holds
	secrets map[uint64]Secret
	derived map[uint64]*batch.Keys
}

// NewRing returns a ring without an epoch.
func NewRing() *Ring {
	return &Ring{secrets: map[uint64]Secret{}, derived: map[uint64]*batch.Keys{}}
}

// Add keeps an epoch's secret: batches of the epoch can be opened from now on.
func (r *Ring) Add(epoch uint64, s Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets[epoch] = s
	r.newest = max(r.newest, epoch)
	r.derived[epoch] = batch.NewKeys(epoch, s)
}

// Forget drops the secret of an epoch that no committed batch is sealed under.
func (r *Ring) Forget(epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.secrets, epoch)
	delete(r.derived, epoch)
}

// Use seals new batches under an epoch from now on, unless a later one is in use or the ring does not
// hold the epoch. It reports whether the epoch in use has changed.
func (r *Ring) Use(epoch uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch <= r.current || r.derived[epoch] == nil {
		return false
	}
	r.current = epoch
	return true
}

// Current returns the epoch that new batches are sealed under, and its keys: 0 and nil before Use.
func (r *Ring) Current() (uint64, *batch.Keys) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.current, r.derived[r.current]
}

// Of returns the keys of an epoch. The error is coco.ErrNotFound if the ring does not hold it.
func (r *Ring) Of(epoch uint64) (*batch.Keys, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if k := r.derived[epoch]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("%w: this node does not hold the keys of epoch %d", coco.ErrNotFound, epoch)
}

// Secret returns an epoch's secret, from which snapshots derive their keys. The error is
// coco.ErrNotFound if the ring does not hold it.
func (r *Ring) Secret(epoch uint64) (Secret, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s, ok := r.secrets[epoch]; ok {
		return s, nil
	}
	return Secret{}, fmt.Errorf("%w: this node does not hold the secret of epoch %d", coco.ErrNotFound, epoch)
}

// Recent returns the secrets of the newest epochs, as many as an epoch carries.
func (r *Ring) Recent() map[uint64]Secret {
	r.mu.RLock()
	defer r.mu.RUnlock()
	recent := map[uint64]Secret{}
	for epoch := r.newest; epoch > 0 && len(recent) < Carried; epoch-- {
		if s, ok := r.secrets[epoch]; ok {
			recent[epoch] = s
		}
	}
	return recent
}

// All returns a copy of the secrets by their epochs, for a node that joins.
func (r *Ring) All() map[uint64]Secret {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return maps.Clone(r.secrets)
}
