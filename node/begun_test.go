package node_test

import (
	"testing"
	"time"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
)

// A start that is interrupted before the network's first transaction leaves entries that nobody can join or recover.
func TestANetworkBeginsInALedgerWithoutATransaction(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		log, err := ledger.Open(n.World.Host(hostName(0)).Disk, node.Dir, ledger.Options{ChunkBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append([]batch.Entry{{View: 1, Index: 1, Kind: batch.KindView}}); err != nil {
			t.Fatal(err)
		}
		if err := log.Sync(); err != nil {
			t.Fatal(err)
		}
		log.Close()
		n.waitReady(n.Start(0, n.Found))
		if id, err := put(n.client(0, 0), "key", "value"); err != nil || id.Seqno == 0 {
			t.Errorf("a write is transaction %v, %v", id, err)
		}
		_ = n.Halt(0)

		// One with a transaction is never begun anew.
		if r := n.Start(0, n.Found); r.Await(time.Minute) == nil {
			t.Error("a network was started over another one")
		}
		n.Forget(0)
	})
}
