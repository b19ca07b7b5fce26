package node

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// newLocal describes the ledger and the snapshots on a node's disk.
func newLocal(cfg Config, log *slog.Logger, files *ledger.Log) catchup.Local {
	return catchup.Local{Log: log, Clock: cfg.Host.Clock, Disk: cfg.Host.Disk, Snapshots: SnapshotDir, Ledger: files}
}

// sponsor makes what answers nodes that join.
func (n *node) sponsor() *join.Sponsor {
	return &join.Sponsor{
		Log: n.log, Clock: n.cfg.Host.Clock, Verifiers: n.cfg.Verifiers, Attestor: n.self,
		Network: n.current, Page: func() []byte { return n.decided.pages.Of(n.decided.constitution.Load()).Text }, Secrets: n.retention.Granted, State: n.state.store.Snapshot,
		Commit: func(ctx context.Context, by coco.ActorID, run func(*store.Tx) ([]byte, error)) (uint64, []byte, error) {
			r, err := n.replica.DoFor(ctx, by, run)
			return r.TxID.Seqno, r.Reply, err
		},
		Applied: func() uint64 { return n.replica.Last().Seqno }, Now: func() time.Time { return n.replica.Now() },
		Leads: func() (bool, string) {
			s, d := n.replica.State(), n.decided.directory.Load()
			if s.Role == consensus.Leader {
				return true, ""
			}
			return false, d.addresses[d.byConsensus[s.Leader]]
		},
		Shared: func(samples []peer.Sample) (uint64, error) { return n.state.disk.Shared(n.replica.Applied(), samples) },
	}
}

// current returns the network as members have changed it since this node was admitted.
func (n *node) current() join.Network {
	now := n.network
	now.Constitution, now.Service, now.Nodes = n.decided.constitution.Load(), n.certificates.Service(), n.decided.directory.Load().addresses
	return now
}

// leftBehind ends this life, and has the next one join.
func (n *node) leftBehind(why string) *join.LeftBehindError {
	nodes := maps.Clone(n.decided.directory.Load().addresses)
	delete(nodes, n.self.Identity.ID())
	return &join.LeftBehindError{
		Ask: slices.Sorted(maps.Values(nodes)), Constitution: n.decided.constitution.Load().Digest(),
		Service: n.certificates.OfService().Raw, Why: why,
	}
}

// again makes a configuration join again.
func (c *Config) again(behind *join.LeftBehindError) {
	for _, address := range behind.Ask {
		if !slices.Contains(c.Join, address) {
			c.Join = append(slices.Clone(c.Join), address)
		}
	}
	c.Genesis, c.Recover = nil, nil
	c.Approve, c.Service, c.past.admitted = behind.Constitution, behind.Service, behind.Admission
}

// networkID returns the network's id, see table.NetworkID.
func (n *node) networkID() coco.Digest { return n.network.ID() }
