package node

import (
	"log/slog"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/snapshotter"
	"github.com/cocoframework/coco/store"
)

// state is what this node holds of the network.
type state struct {
	store   *store.Store
	ledgers []replica.Ledger // of the adapters, on the store; in the order of the binary's list
	disk    catchup.Local    // the ledger's files, and snapshots
	history *history.Index   // of the ledger's files
	keys    *keys.Ring       // that open them
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
