package node_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A host may show a node any mixture of its own old files, another node's, and damaged ones.
func TestANodeComesBackWithAnyMixtureOfFiles(t *testing.T) {
	long(t)
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.frequent()
				n.open()
				acked := n.busy(2 * time.Second)
				old := n.World.Files(hostName(2), "")
				maps.Copy(acked, n.busy(2*time.Second))
				n.Crash(2)
				maps.Copy(acked, n.busy(time.Second))
				r := rand.New(rand.NewPCG(seed, 3))
				mixed := map[string][]byte{}
				for _, from := range []map[string][]byte{old, n.World.Files(hostName(2), ""), n.World.Files(hostName(1), "")} {
					for _, name := range slices.Sorted(maps.Keys(from)) {
						b := slices.Clone(from[name])
						switch r.IntN(6) {
						case 0:
							continue
						case 1:
							if len(b) > 0 && r.IntN(4) == 0 {
								b[r.IntN(len(b))] ^= 1 << r.IntN(8)
							}
						case 2:
							if r.IntN(4) == 0 {
								b = b[:r.IntN(len(b)+1)]
							}
						}
						mixed[name] = b
					}
				}
				n.World.SetFiles(hostName(2), mixed)
				n.World.Restart(hostName(2))
				n.waitReady(n.Start(2, n.Join(0, 1)))
				time.Sleep(30 * time.Second)
				n.check(acked, 2)
				n.sameState(0, 1, 2)
				if first, _ := n.chunks(2); first != 1 {
					t.Errorf("after half a minute its ledger begins with entry %d", first)
				}
			})
		})
	}
}
