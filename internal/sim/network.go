package sim

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/node"
)

const chainID = 4711

func hostName(i int) string { return nettest.Host(i) }

// network is a consortium whose constitution makes much happen in little time.
type network struct {
	*nettest.Network
	service []byte // the certificate of the first service, once it is there: it names the network
	now     []byte // of the service that the network has now: receipts are verified by it, and nodes join no other one
}

func newNetwork(seed uint64, p plan, log func(host string) *slog.Logger) (network, error) {
	n, err := nettest.New(seed, p.members, nettest.Options{
		Adapters: func() []adapter.Adapter { return []adapter.Adapter{kv.Adapter{}, ethereum.New()} },
		Log:      log,
		Constitution: func(c *constitution.Constitution) {
			c.Adapters["ethereum"] = map[string]any{"chain_id": chainID, "visibility": "network"}
			// Small, so that chunks end, snapshots are written and old entries are fetched all the time.
			c.Ledger = constitution.Ledger{ChunkBytes: 64 << 10}
			c.Snapshots = constitution.SnapshotPolicy{Transactions: 40}
			c.Epochs.Transactions = 700
			if p.unattended {
				c.Recovery.Unattended = constitution.Yes
			}
		},
	})
	if err == nil {
		n.Alter = nettest.Administered
	}
	return network{Network: n}, err
}

// join has a node ask all others.
func (n network) join(i int) func(*node.Config) {
	var others []int
	for o := 1; o < len(n.Members); o++ {
		others = append(others, (i+o)%len(n.Members))
	}
	return func(c *node.Config) {
		n.Join(others...)(c)
		c.Service = n.now
	}
}

// crash takes a host away with all that its disk had not synced, or, if torn, with parts of it.
func (n network) crash(i int, torn bool) {
	if torn {
		n.CrashTorn(i)
	} else {
		n.Crash(i)
	}
}

// client is a user of a member, on a host of its own. The host of a request's URL is the node's.
func (n network) client(from string, member int, patience time.Duration) *http.Client {
	return &http.Client{Timeout: patience, Transport: n.Transport(n.Members[member], from, "")}
}
