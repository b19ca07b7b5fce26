package node

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/resident/exchange"
	"github.com/cocoframework/coco/snapshotter"
	"github.com/cocoframework/coco/store"
)

// state is what this node holds of the network.
type state struct {
	store     *store.Store
	ledgers   []replica.Ledger       // of the adapters, on the store; in the order of the binary's list
	inForce   map[string]coco.Digest // of each ledger's settings; the executor's, once it runs
	disk      catchup.Local          // the ledger's files, and snapshots
	scrub     *catchup.Scrubber
	history   *history.Index     // of the ledger's files
	keys      *keys.Ring         // that open them
	residents *exchange.Exchange // payloads of rows that reside with their parties
}

// ledgerClock is the host's clock, but for the time of day, which is the ledger's: what a ledger shows of now must agree with its next transaction.
type ledgerClock struct {
	host.Clock
	node *node
}

// Now implements host.Clock.
func (c ledgerClock) Now() time.Time {
	if c.node.replica == nil { // while the ledgers are opened
		return c.Clock.Now()
	}
	return c.node.replica.Now()
}

// ledger returns an adapter's ledger; nil if the network has none of that name.
func (s *state) ledger(name string) adapter.Ledger {
	for _, l := range s.ledgers {
		if l.Name == name {
			return l.Ledger
		}
	}
	return nil
}

// configure puts the settings of a constitution in force that differ from those in force. The executor calls it.
func (s *state) configure(c *constitution.Constitution) error {
	for _, l := range s.ledgers {
		digest, ok := c.AdapterDigests()[l.Name]
		if !ok || digest == s.inForce[l.Name] {
			continue
		}
		if err := l.Ledger.Configure(c.Settings(l.Name)); err != nil {
			return fmt.Errorf("the settings of ledger %q in constitution %s: %w", l.Name, c.Digest().Short(), err)
		}
		s.inForce[l.Name] = digest
	}
	return nil
}

// close closes the adapters' ledgers.
func (s *state) close(log *slog.Logger) {
	for _, l := range s.ledgers {
		if err := l.Ledger.Close(); err != nil {
			log.Warn("close ledger", "ledger", l.Name, "error", err)
		}
	}
}

// snapshots is what writes snapshots, and the rule of when.
type snapshots struct {
	pace   *snapshotter.Pace
	writer *snapshotter.Writer
}
