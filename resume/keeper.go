package resume

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/signal"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/peer"
)

// Keeper keeps a node's state as it changes, for the goroutines that change it.
type Keeper struct {
	vault Vault
	log   *slog.Logger
	on    atomic.Bool // a state is kept; written under mu

	mu   host.Lock // held while the disk works
	none bool      // nothing is on the disk, as it was removed; under mu
	kept *State    // the newest one, without its secrets once they are on the disk; nil before the node takes part; under mu

	ring    *keys.Ring // that they came from; nil before Keep; under mu
	changes uint64     // of the ring, when they did; under mu
}

// NewKeeper returns a keeper that has kept nothing yet.
func NewKeeper(v Vault, log *slog.Logger) *Keeper {
	return &Keeper{vault: v, log: log, mu: host.NewLock()}
}

// Keeping is what a node's state follows from.
type Keeping struct {
	Clock    host.Clock
	Identity *channel.Identity
	Network  coco.Digest
	Origin   coco.NodeID // the node that started the network
	Ring     *keys.Ring
	Service  func() *channel.Service
	Changed  *signal.Signal // fires when the network's own tables do
	Seats    func() seats.Kept
	Decided  func() (version uint64, canonical []byte) // the constitution in force
	Allowed  func() bool                               // whether it allows that a state is kept
	Left     func() bool                               // whether the node has left the network for good
}

// late is how often what is kept is compared with what the node holds, whether or not a table has changed: secrets and packages come a moment later. What is lost
// if all nodes stop before that: a committee whose packages nobody has kept gives its key to no other one.
const late = time.Second

// Run keeps a node's state until ctx ends.
func (k *Keeper) Run(ctx context.Context, n Keeping) error {
	key, err := n.Identity.MarshalKey()
	if err != nil {
		return err
	}
	for {
		changed, service := n.Changed.Wait(), n.Service()
		serviceKey, err := service.MarshalKey()
		if err != nil {
			return err
		}
		now := &State{Network: n.Network, Service: service.Certificate().Raw, ServiceKey: serviceKey, Origin: n.Origin, Key: key, Seats: n.Seats()}
		now.Decided, now.Constitution = n.Decided()
		k.Keep(ctx, n.Allowed(), now, n.Ring)
		select {
		case <-ctx.Done():
			if n.Left() {
				k.Wipe("this node has left the network")
			}
			return nil
		case <-changed:
		case <-n.Clock.After(late):
		}
	}
}

// Resumed has the keeper go on with the state that this node has resumed with.
func (k *Keeper) Resumed(s *State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = s
	k.on.Store(true)
}

// maxOffers is how many secrets are kept of epochs that may have been announced since.
const maxOffers = 16

// Offer keeps the secret of an epoch that is about to be announced: once a majority holds it, batches are sealed under it. It returns once the secret is
// on the disk.
func (k *Keeper) Offer(ctx context.Context, s *rotation.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.on.Load() || slices.ContainsFunc(k.kept.Offers, func(o peer.Secret) bool { return o.Sealed == s.Sealed }) {
		return nil
	}
	next := *k.kept
	next.Offers = append(make([]peer.Secret, 0, maxOffers), next.Offers[max(0, len(next.Offers)-maxOffers+1):]...) // that never grows, which would leave copies
	next.Offers = append(next.Offers, peer.Secret(*s))
	if k.ring != nil {
		k.changes = k.ring.Changes()
		next.Secrets = k.ring.Kept()
		defer keys.Wipe(next.Secrets)
	}
	return k.save(ctx, &next)
}

// Keep keeps what the node holds now, if the constitution allows it and the machine can seal, and removes what is kept if not.
func (k *Keeper) Keep(ctx context.Context, allowed bool, now *State, ring *keys.Ring) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !allowed || k.vault.Device == nil {
		k.wipe("the constitution does not allow it")
		return
	}
	next, changes := *now, ring.Changes()
	if k.kept != nil {
		next.Offers, next.View = k.kept.Offers, k.kept.View
		if next.Decided < k.kept.Decided { // the tables are behind, as after a start
			next.Decided, next.Constitution = k.kept.Decided, k.kept.Constitution
		}
		if k.on.Load() && k.ring == ring && k.changes == changes && string(next.Service) == string(k.kept.Service) && string(next.Key) == string(k.kept.Key) && sameSeats(next.Seats, k.kept.Seats) &&
			next.Decided == k.kept.Decided {
			return
		}
	}
	next.Secrets = ring.Kept()
	defer keys.Wipe(next.Secrets)
	next.Offers = slices.DeleteFunc(slices.Clone(next.Offers), func(o peer.Secret) bool {
		held, ok := next.Secrets[o.Epoch]
		return ok && held == o.Secret
	})
	if err := k.save(ctx, &next); err != nil {
		k.log.Error("this node cannot go on by itself after all nodes have stopped: what it needs is not sealed", logevent.SealingFailed.Attr(), "error", err)
		return
	}
	k.ring, k.changes = ring, changes
}

// sameSeats compares packages: those of one committee do not change.
func sameSeats(a, b seats.Kept) bool {
	return a.Committee == b.Committee && len(a.Packages) == len(b.Packages)
}

// save keeps a state, whose offers no other one has. k.mu is held.
func (k *Keeper) save(ctx context.Context, next *State) error {
	k.none = false // from here on, also if it fails
	if err := k.vault.Save(ctx, next); err != nil {
		wipeOffers(next.Offers)
		return err
	}
	if !k.on.Load() {
		k.log.Info("what this node needs to go on is kept sealed to its code and machine", logevent.StateSealed.Attr(), "platform", k.vault.Device.Platform())
	}
	kept := *next
	if kept.Secrets = nil; k.ring == nil {
		kept.Secrets = next.Secrets // those that the node has resumed with, until the ring has them
	}
	if k.kept != nil && k.ring != nil {
		wipeOffers(k.kept.Offers)
	}
	k.kept = &kept
	k.on.Store(true)
	return nil
}

// wipeOffers clears secrets of which there is another copy, or that are of no use.
func wipeOffers(offers []peer.Secret) {
	for i := range offers {
		offers[i].Secret = keys.Secret{}
	}
}

// Wipe removes what is kept.
func (k *Keeper) Wipe(why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wipe(why)
}

func (k *Keeper) wipe(why string) {
	if k.none {
		return
	}
	if err := k.vault.Wipe(); err != nil {
		k.log.Error("what this node has sealed is not removed", logevent.SealingFailed.Attr(), "error", err)
		return
	}
	if k.on.Load() {
		k.log.Info("what this node had sealed is removed", logevent.SealedStateRemoved.Attr(), "because", why)
	}
	k.none, k.kept = true, nil
	k.on.Store(false)
}

// Kept reports whether a state is kept.
func (k *Keeper) Kept() bool { return k.on.Load() }
