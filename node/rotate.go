package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// When the members change, so do the secrets: a new epoch's secret is shared among the members that there are then, and
// whoever left cannot open what is written later. An epoch begins in three steps:
//
//  1. The leader makes the secret. The transaction that changes the members announces it, sealed to their keys.
//  2. Once that is committed, the leader hands the secret to the other nodes, over their attested connections.
//  3. Once a majority has it, batches are sealed under it. Before, the leader's crash would lose them.
//
// A crash after the first step leaves an epoch that is never used: the next leader announces another one. A node
// that missed the second step finds out by a batch that it cannot open. It asks all others for the secret, and votes on
// meanwhile: its vote may be what they wait for. Only if nobody has it while somebody leads, it joins again.

// rotateEvery is how often a leader looks whether an announced epoch can begin.
const rotateEvery = 250 * time.Millisecond

// secretPatience is for how long a leader waits for somebody to give it the secret of an announced epoch.
const secretPatience = 3 * time.Second

// secretOffer is a secret whose epoch is not known to be announced.
type secretOffer struct {
	Sealed coco.Digest // SHA-256 of the epoch's public form
	Epoch  uint64
	Secret keys.Secret
}

// holders are the nodes that have said that they hold the secret of the newest epoch.
type holders struct {
	mu     sync.Mutex
	sealed coco.Digest
	nodes  map[coco.NodeID]bool
}

func (h *holders) note(sealed coco.Digest, id coco.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sealed == sealed {
		h.nodes[id] = true
	}
}

// of returns who holds a secret; asking about another one forgets those of the last.
func (h *holders) of(sealed coco.Digest) map[coco.NodeID]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sealed != sealed {
		h.sealed, h.nodes = sealed, map[coco.NodeID]bool{}
	}
	out := make(map[coco.NodeID]bool, len(h.nodes))
	for id := range h.nodes {
		out[id] = true
	}
	return out
}

// newEpoch makes the next epoch for a transaction of this leader's. Its secret is kept until the epoch is announced.
func (n *node) newEpoch(r store.Reader, recipients []keys.Recipient, threshold int) (*keys.SealedEpoch, error) {
	epochs, err := gov.Epochs(r)
	if err != nil {
		return nil, err
	}
	if len(epochs) == 0 {
		return nil, fmt.Errorf("%w: this network has no epoch yet", coco.ErrNotFound)
	}
	secret, sealed, err := keys.NewEpoch(epochs[len(epochs)-1].Epoch+1, recipients, threshold)
	if err != nil {
		return nil, err
	}
	if err := sealed.SealPrevious(secret, n.keys.all()); err != nil {
		return nil, err
	}
	public, err := sealed.Marshal()
	if err != nil {
		return nil, err
	}
	n.keys.offer(sha256.Sum256(public), sealed.Epoch, secret)
	return sealed, nil
}

// announced takes note of the epochs that were committed.
func (n *node) announced(r store.Reader) error {
	epochs, err := gov.Epochs(r)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		n.keys.announced(sha256.Sum256(e.Sealed), e.Epoch)
	}
	return nil
}

// rotate lets announced epochs begin, and proposals end whose time is over, while this node leads.
func (n *node) rotate(ctx context.Context) error {
	clock := n.cfg.Host.Clock
	tick := clock.NewTicker(rotateEvery)
	defer tick.Stop()
	without := time.Duration(0) // since when this leader lacks a secret
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		if err := n.expire(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, coco.ErrNotCommitted) {
			n.log.Warn("proposals whose time is over are not judged yet", "error", err)
		}
		newest, ok, err := n.epochToBegin()
		if err != nil {
			return err
		}
		if !ok {
			without = 0
			continue
		}
		sealed := coco.Digest(sha256.Sum256(newest.Sealed))
		if secret, err := n.keys.secret(newest.Epoch); err == nil {
			n.handOut(sealed, newest.Epoch, secret)
			without = 0
			continue
		}
		if now := clock.Elapsed(); without == 0 {
			without = now
		} else if now-without > secretPatience {
			without = 0
			n.log.Warn("nobody has the secret of the announced epoch: announcing another one", "epoch", newest.Epoch)
			if err := n.announceEpoch(ctx); err != nil && ctx.Err() == nil {
				n.log.Warn("no new epoch yet", "error", err)
			}
		}
	}
}

// epochToBegin returns the newest epoch if this node leads and batches are sealed under an older one.
func (n *node) epochToBegin() (gov.EpochRecord, bool, error) {
	if !n.replica.Leads() {
		return gov.EpochRecord{}, false, nil
	}
	s := n.store.Snapshot()
	defer s.Release()
	epochs, err := gov.Epochs(s)
	if err != nil || len(epochs) == 0 {
		return gov.EpochRecord{}, false, err
	}
	newest := epochs[len(epochs)-1]
	used, _ := n.keys.Current()
	return newest, newest.Epoch > used, nil
}

// handOut gives a secret to those who lack it, and begins the epoch once a majority has it.
func (n *node) handOut(sealed coco.Digest, epoch uint64, secret keys.Secret) {
	held := n.holders.of(sealed)
	held[n.id.ID()] = true
	nodes := n.directory.Load().addresses
	count := 0
	for id := range nodes {
		if held[id] {
			count++
			continue
		}
		n.peers.Send(id, &peer.Secret{Sealed: sealed, Epoch: epoch, Secret: secret})
	}
	if count < len(nodes)/2+1 {
		return
	}
	n.replica.Between(func() {
		if n.keys.Use(epoch) {
			n.log.Info("a new epoch begins", "epoch", epoch)
		}
	})
}

// announceEpoch has this leader announce an epoch whose secret it holds.
func (n *node) announceEpoch(ctx context.Context) error {
	_, err := n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		c, err := gov.LoadConstitution(tx)
		if err != nil {
			return nil, err
		}
		sealed, err := n.newEpoch(tx, c.Recipients(), c.Shares.Threshold)
		if err != nil {
			return nil, err
		}
		return nil, gov.WriteEpoch(tx, sealed)
	})
	return err
}

// receiveSecret keeps what the leader hands out, or what this node has asked for.
func (n *node) receiveSecret(from coco.NodeID, offer *peer.Secret) {
	if from != n.leader() && offer.Epoch != n.wanted.Load() {
		n.log.Warn("an epoch's secret from a node that does not lead, and was not asked for it", "node", from.Short(), "epoch", offer.Epoch)
		return
	}
	n.keys.offer(offer.Sealed, offer.Epoch, offer.Secret)
	// Should it be announced already, it is of use at once.
	n.replica.Between(func() {
		s := n.store.Snapshot()
		defer s.Release()
		if err := n.announced(s); err != nil {
			n.log.Error("the list of epochs does not decode", "error", err)
		}
	})
	n.peers.Send(from, &peer.SecretHeld{Sealed: offer.Sealed})
}

// want asks all other nodes for the secret of an epoch, and reports whether somebody leads who should have it given. A node
// that is being removed is not given any, and votes until consensus does without it. The executor calls this while it waits.
func (n *node) want(epoch uint64) (led bool) {
	n.wanted.Store(epoch)
	s := n.store.Snapshot()
	err := n.announced(s) // of what others have sent
	s.Release()
	if err != nil {
		n.log.Error("the list of epochs does not decode", "error", err)
	}
	nodes := n.directory.Load().addresses
	for id := range nodes {
		n.peers.Send(id, &peer.SecretWanted{Epoch: epoch})
	}
	_, trusted := nodes[n.id.ID()]
	return trusted && n.replica.State().Leader != 0
}

// giveSecret gives a trusted node the secret of an epoch that was announced.
func (n *node) giveSecret(from coco.NodeID, wanted *peer.SecretWanted) {
	if _, trusted := n.directory.Load().addresses[from]; !trusted {
		return // it is leaving
	}
	s := n.store.Snapshot()
	defer s.Release()
	epochs, err := gov.Epochs(s)
	if err != nil {
		n.log.Error("the list of epochs does not decode", "error", err)
		return
	}
	for _, e := range epochs {
		secret, err := n.keys.secret(e.Epoch)
		if e.Epoch != wanted.Epoch || err != nil {
			continue
		}
		n.peers.Send(from, &peer.Secret{Sealed: sha256.Sum256(e.Sealed), Epoch: e.Epoch, Secret: secret})
	}
}

// noteHolder takes note of a node that holds a secret.
func (n *node) noteHolder(from coco.NodeID, held *peer.SecretHeld) {
	n.holders.note(held.Sealed, from)
}

// maxOffers bounds the secrets of epochs that were never announced.
const maxOffers = 16

// offer keeps a secret until its epoch is announced.
func (k *keyring) offer(sealed coco.Digest, epoch uint64, s keys.Secret) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offers = slices.DeleteFunc(k.offers, func(o secretOffer) bool { return o.Sealed == sealed })
	if len(k.offers) == maxOffers {
		k.offers = k.offers[1:]
	}
	k.offers = append(k.offers, secretOffer{Sealed: sealed, Epoch: epoch, Secret: s})
}

// announced takes an epoch's secret into use for opening batches, if this node holds it.
func (k *keyring) announced(sealed coco.Digest, epoch uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, o := range k.offers {
		if o.Sealed == sealed && o.Epoch == epoch {
			k.keep(epoch, o.Secret)
			k.offers = slices.Delete(k.offers, i, i+1)
			return
		}
	}
}
