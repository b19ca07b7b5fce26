package node

import (
	"fmt"
	"maps"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/keys"
)

// keyring holds the epochs' secrets, in the enclave's memory only.
type keyring struct {
	mu      sync.RWMutex
	epoch   uint64 // that new batches are sealed under
	secrets map[uint64]keys.Secret
	opened  map[uint64]*batch.Keys
	offers  []secretOffer // of epochs that are not known to be announced; oldest first
}

func newKeyring() *keyring {
	return &keyring{secrets: map[uint64]keys.Secret{}, opened: map[uint64]*batch.Keys{}}
}

// add takes an epoch's secret.
func (k *keyring) add(epoch uint64, s keys.Secret) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keep(epoch, s)
}

// keep needs k.mu.
func (k *keyring) keep(epoch uint64, s keys.Secret) {
	k.secrets[epoch] = s
	k.opened[epoch] = batch.NewKeys(epoch, s)
}

// Use seals new batches under an epoch from now on, unless a later one is in use. It reports whether that is new.
func (k *keyring) Use(epoch uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if epoch <= k.epoch || k.opened[epoch] == nil {
		return false
	}
	k.epoch = epoch
	return true
}

// Current returns the epoch that new batches are sealed under, and its keys.
func (k *keyring) Current() (uint64, *batch.Keys) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.epoch, k.opened[k.epoch]
}

// Of returns the keys of an epoch.
func (k *keyring) Of(epoch uint64) (*batch.Keys, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if keys := k.opened[epoch]; keys != nil {
		return keys, nil
	}
	return nil, fmt.Errorf("%w: this node does not hold the key of epoch %d", coco.ErrNotFound, epoch)
}

// secret returns an epoch's secret, from which snapshots derive their keys.
func (k *keyring) secret(epoch uint64) ([32]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if s, ok := k.secrets[epoch]; ok {
		return s, nil
	}
	return [32]byte{}, fmt.Errorf("%w: this node does not hold the secret of epoch %d", coco.ErrNotFound, epoch)
}

// all returns a copy of the secrets, for a node that joins.
func (k *keyring) all() map[uint64]keys.Secret {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return maps.Clone(k.secrets)
}
