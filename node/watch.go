package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cocoframework/coco"
)

// leftBehind is for how long a node hears of no leader, while nodes that it does not know reach it with
// the service's endorsement, before it takes the network to have gone on without it.
const leftBehind = 5 * time.Second

// leftBehindError ends the life of a node that was replaced, or whose peers all were, while it was
// cut off. It knows nobody who could tell it so, and has to join again.
type leftBehindError struct {
	ask          []string
	constitution coco.Digest
	service      []byte
	far          bool // it is too far behind
}

func (e *leftBehindError) Error() string {
	if e.far {
		return "this node needs ledger entries that the leader does not have any more"
	}
	return fmt.Sprintf("no leader for %v, and nodes of this network come that are not in this node's list", leftBehind)
}

// watch ends this life if the network went on without it. That somebody whom the service endorsed
// is unknown here proves that there is a network that has committed more: a mere
// partition, in which leaving would cost a vote, does not show that.
func (n *node) watch(ctx context.Context) error {
	tick := n.cfg.Host.Clock.NewTicker(time.Second)
	defer tick.Stop()
	alone := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		if n.behind.Load() {
			return n.leftBehind(true)
		}
		if n.loop.state.Load().Leader != 0 {
			alone = 0
			n.stranger.Store(false)
			continue
		}
		if alone++; alone > int(leftBehind/time.Second) && n.stranger.Load() && !n.retireAsked.Load() {
			return n.leftBehind(false)
		}
	}
}

func (n *node) leftBehind(far bool) error {
	known := maps.Clone(n.directory.Load().addresses)
	delete(known, n.id.ID())
	ask := append(slices.Clone(n.cfg.Join), slices.Sorted(maps.Values(known))...)
	return &leftBehindError{ask: ask, constitution: n.constitution.Load().Digest(), service: n.serviceCertificate().Raw, far: far}
}
