package keys

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

// Ring holds the epochs' secrets that a node knows, in the enclave's memory, and says under which
// epoch new batches are sealed. What leaves it is erased (Forget, Expire). It is safe for concurrent use.
type Ring struct {
	mu      sync.RWMutex
	current uint64
	held    map[uint64]*held
	changes uint64 // of held
}

// held is an epoch's secret, in one place in memory, and what is derived from it.
type held struct {
	secret Secret
	keys   *batch.Keys
	opened time.Time // by the ledger's time; zero if it was not opened again after its time
}

func (h *held) erase() {
	h.keys.Erase()
	clear(h.secret[:])
}

// NewRing returns a ring without an epoch.
func NewRing() *Ring { return &Ring{held: map[uint64]*held{}} }

// Add keeps an epoch's secret: batches of the epoch can be opened from now on.
func (r *Ring) Add(epoch uint64, s Secret) { r.add(epoch, s, time.Time{}) }

// Open keeps the secret of an epoch that had expired, and was opened again at a time of the ledger's: Expire counts from then on. One that the ring holds stays as it is.
func (r *Ring) Open(epoch uint64, s Secret, at time.Time) {
	if !r.Holds(epoch) {
		r.add(epoch, s, at)
	}
}

func (r *Ring) add(epoch uint64, s Secret, opened time.Time) {
	h := &held{secret: s, keys: batch.NewKeys(epoch, s), opened: opened}
	clear(s[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.held[epoch]; old != nil {
		if old.secret.Equal(h.secret) {
			h.erase() // who uses the keys goes on
			return
		}
		old.erase()
	}
	r.held[epoch] = h
	r.changes++
}

// Forget erases the secret of an epoch that no committed batch is sealed under.
func (r *Ring) Forget(epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(epoch)
}

func (r *Ring) forget(epoch uint64) {
	if h := r.held[epoch]; h != nil {
		h.erase()
		delete(r.held, epoch)
		r.changes++
	}
}

// Expire erases the secrets that have been kept for long enough: those of epochs that ended so long ago, or were opened again so long ago. The epoch in use, and those
// after it, stay. Ended says when an epoch ended, and whether it has; now is the ledger's time. It returns the epochs, in order.
func (r *Ring) Expire(now time.Time, keep time.Duration, ended func(epoch uint64) (time.Time, bool)) (expired []uint64) {
	for _, epoch := range r.Epochs() {
		since, over := ended(epoch)
		r.mu.Lock()
		if h := r.held[epoch]; h != nil && epoch < r.current {
			if over && !h.opened.IsZero() {
				since = h.opened
			}
			if over && now.Sub(since) >= keep {
				r.forget(epoch)
				expired = append(expired, epoch)
			}
		}
		r.mu.Unlock()
	}
	return expired
}

// Use seals new batches under an epoch from now on, unless a later one is in use or the ring does not
// hold the epoch. It reports whether the epoch in use has changed.
func (r *Ring) Use(epoch uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch <= r.current || r.held[epoch] == nil {
		return false
	}
	r.current = epoch
	return true
}

// Current returns the epoch that new batches are sealed under, and its keys: 0 and nil before Use.
func (r *Ring) Current() (uint64, *batch.Keys) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if h := r.held[r.current]; h != nil {
		return r.current, h.keys
	}
	return r.current, nil
}

// Of returns the keys of an epoch. The error is coco.ErrNotFound if the ring does not hold it.
func (r *Ring) Of(epoch uint64) (*batch.Keys, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if h := r.held[epoch]; h != nil {
		return h.keys, nil
	}
	return nil, fmt.Errorf("%w: this node does not hold the keys of epoch %d", coco.ErrNotFound, epoch)
}

// Secret returns an epoch's secret, from which snapshots derive their keys. The caller wipes it. The error is
// coco.ErrNotFound if the ring does not hold it.
func (r *Ring) Secret(epoch uint64) (Secret, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if h := r.held[epoch]; h != nil {
		return h.secret, nil
	}
	return Secret{}, fmt.Errorf("%w: this node does not hold the secret of epoch %d", coco.ErrNotFound, epoch)
}

// Holds reports whether the ring holds an epoch.
func (r *Ring) Holds(epoch uint64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.held[epoch] != nil
}

// Epochs returns the epochs that the ring holds, in order.
func (r *Ring) Epochs() (epochs []uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for epoch := range r.held {
		epochs = append(epochs, epoch)
	}
	slices.Sort(epochs)
	return epochs
}

// Changes counts what has come to the ring and gone from it.
func (r *Ring) Changes() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.changes
}

// Recent returns the secrets of the newest epochs, as many as an epoch carries. The caller wipes them.
func (r *Ring) Recent() map[uint64]Secret {
	epochs := r.Epochs()
	return r.some(epochs[max(0, len(epochs)-Carried):], true)
}

// All returns a copy of the secrets by their epochs. The caller wipes them.
func (r *Ring) All() map[uint64]Secret { return r.some(r.Epochs(), true) }

// Kept is All without the epochs that were opened again, but for some: what another node may have of this one, and what a node seals to its machine.
func (r *Ring) Kept(but ...uint64) map[uint64]Secret { return r.some(r.Epochs(), false, but...) }

func (r *Ring) some(epochs []uint64, opened bool, but ...uint64) map[uint64]Secret {
	out := make(map[uint64]Secret, len(epochs)) // that never grows, which would leave copies
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, epoch := range epochs {
		if h := r.held[epoch]; h != nil && (opened || h.opened.IsZero() || slices.Contains(but, epoch)) {
			out[epoch] = h.secret
		}
	}
	return out
}

// Wipe overwrites secrets in a map, and empties it.
func Wipe(secrets map[uint64]Secret) {
	for epoch := range secrets {
		secrets[epoch] = Secret{}
	}
	clear(secrets)
}
