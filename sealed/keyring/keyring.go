// Package keyring keeps the network's keys for sealed requests (package sealed) on a node: it derives them from what every node of the network has, opens messages by
// them, and announces the one in use with evidence.
//
//	service's key, secret of the epoch ─▶ Keys ─ Open ─────▶ gateway/unseal
//	                                          └─ Announce ─▶ GET /node/sealed-key
//
// Trust: enclave
package keyring

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/wire"
)

// grace is how long messages to the key of the epoch before are opened: as long as clients use an announced key.
const grace = 10 * time.Minute

// Source is what a node derives the network's keys from, and shows for them.
type Source struct {
	// Current is the epoch under which the node seals batches; 0 before there is one. Secret is that of keys.Ring.
	Current func() uint64
	Secret  func(epoch uint64) (keys.Secret, error)
	// Service is the service's private key (PKCS 8).
	Service func() ([]byte, error)
	Node    coco.NodeID
	// Public is the node's public key (PKIX DER), and Certificates are the one of the node that the service has endorsed and the service's.
	Public       []byte
	Certificates func() [][]byte
	Quoter       host.Quoter
	Clock        host.Clock
}

// Keys are the network's keys that this node opens messages by: that of the epoch in use, that of the next one where others have begun it before this node
// did, and for ten minutes that of the one before. It is safe for concurrent use.
type Keys struct {
	src Source

	mu      sync.Mutex
	made    map[uint64]*sealed.Key
	current uint64
	since   time.Duration // when the current epoch was seen first, by Clock.Elapsed
}

// New returns keys that are derived when they are needed.
func New(src Source) *Keys { return &Keys{src: src, made: map[uint64]*sealed.Key{}} }

// Node is the id of the node that opens messages.
func (k *Keys) Node() coco.NodeID { return k.src.Node }

// Open opens a message. Whatever the error is, who sent the message must not be told.
func (k *Keys) Open(message []byte) (*sealed.Opened, error) {
	epoch, err := sealed.Epoch(message)
	if err != nil {
		return nil, err
	}
	key, err := k.of(epoch)
	if err != nil {
		return nil, err
	}
	return key.Open(message)
}

// of returns the key of an epoch. The error is coco.ErrNotFound if messages to it are not opened.
func (k *Keys) of(epoch uint64) (*sealed.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.src.Clock.Elapsed()
	if c := k.src.Current(); c != k.current {
		k.current, k.since = c, now
		for e := range k.made {
			if e+1 < c {
				delete(k.made, e)
			}
		}
	}
	switch {
	case k.current == 0, epoch == 0, epoch > k.current+1, epoch+1 < k.current, epoch+1 == k.current && now-k.since >= grace:
		return nil, fmt.Errorf("%w: messages to the key of epoch %d are not opened in epoch %d", coco.ErrNotFound, epoch, k.current)
	}
	if key := k.made[epoch]; key != nil {
		return key, nil
	}
	secret, err := k.src.Secret(epoch)
	if err != nil {
		return nil, err
	}
	defer clear(secret[:])
	service, err := k.src.Service()
	if err != nil {
		return nil, err
	}
	defer clear(service)
	key, err := sealed.Derive(service, secret[:], epoch)
	if err != nil {
		return nil, err
	}
	k.made[epoch] = key
	return key, nil
}

// Announce says which key is in use, with evidence over the nonce. The error is coco.ErrBusy before there is one.
func (k *Keys) Announce(ctx context.Context, nonce []byte) (wire.SealedKey, error) {
	epoch := k.src.Current()
	if epoch == 0 {
		return wire.SealedKey{}, fmt.Errorf("%w: the node has not joined its network yet", coco.ErrBusy)
	}
	key, err := k.of(epoch)
	if err != nil {
		return wire.SealedKey{}, err
	}
	announcement, err := key.Announce(k.src.Node).Encode()
	if err != nil {
		return wire.SealedKey{}, err
	}
	ev, err := attest.Quote(ctx, k.src.Quoter, sealed.Context, k.src.Public, sealed.EvidenceNonce(announcement, nonce))
	if err != nil {
		return wire.SealedKey{}, err
	}
	return wire.SealedKey{
		Announcement: announcement, Certificates: k.src.Certificates(), Platform: ev.Platform, Quote: ev.Quote, Nonce: hex.EncodeToString(nonce),
	}, nil
}
