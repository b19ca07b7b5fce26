package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/node"
)

func TestNodeCutOffWhileAllOthersAreReplacedComesBack(t *testing.T) {
	simulate(t, 5, func(t *testing.T, n *network) {
		n.open()
		n.replaceAllBut4()
		time.Sleep(2 * time.Minute)
		n.check(map[string]string{"key": "value"}, 0, 1, 2, 3, 4)
	})
}

// replaceAllBut4 leaves node 4 with a list of nodes that holds none of those that run. The network can be reached again.
func (n *network) replaceAllBut4() {
	n.t.Helper()
	time.Sleep(time.Second)
	for i := range 4 {
		n.World.Partition(hostName(i), hostName(4))
	}
	for i := range 4 {
		time.Sleep(3 * time.Second)
		n.Crash(i)
		time.Sleep(3 * time.Second)
		n.World.Restart(hostName(i))
		n.waitReady(n.Start(i, n.Join((i+1)%4, (i+2)%4, (i+3)%4)))
	}
	time.Sleep(3 * time.Second)
	if _, err := put(n.client(0, 0), "key", "value"); err != nil {
		n.t.Fatal(err)
	}
	for i := range 4 {
		n.World.Heal(hostName(i), hostName(4))
	}
}

// quoter is a device that gives no quotes while it is broken.
type quoter struct {
	host.Quoter
	broken atomic.Bool
}

func (q *quoter) Quote(ctx context.Context, reportData [host.ReportDataSize]byte) ([]byte, error) {
	if q.broken.Load() {
		return nil, errors.New("the device does not answer")
	}
	return q.Quoter.Quote(ctx, reportData)
}

func TestANodeThatMustJoinAgainOutlastsItsAttestationDevice(t *testing.T) {
	simulate(t, 5, func(t *testing.T, n *network) {
		device := &quoter{}
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(4) {
				device.Quoter = c.Host.Quoter
				c.Host.Quoter = device
			}
		}
		n.open()
		device.broken.Store(true)
		n.replaceAllBut4()
		time.Sleep(time.Minute)
		device.broken.Store(false)
		time.Sleep(2 * time.Minute)
		n.check(map[string]string{"key": "value"}, 0, 1, 2, 3, 4)
	})
}

// A chain of restarts of every node in turn, the leader too, without a pause.
func TestRestartsInAnyOrderOneAfterTheOther(t *testing.T) {
	long(t)
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(2 * time.Second)
		l := n.load(3)
		for _, i := range []int{2, 2, 2, 0, 1, 0, 0, 2} {
			n.Crash(i)
			n.World.Restart(hostName(i))
			if !n.readyWithin(n.Start(i, n.Join(0, 1, 2)), 2*time.Minute) {
				l.end()
				return
			}
			time.Sleep(2 * time.Second)
		}
		acked := l.end()
		time.Sleep(2 * time.Second)
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
	})
}

// The others have moved the past away. What a node that comes back has of it may be the last copy.
func TestANodeThatComesBackKeepsThePastThatOthersLack(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(3 * time.Second)
		n.Crash(2)
		n.busy(3 * time.Second)
		n.World.Restart(hostName(2))
		kept := n.World.Files(hostName(2), node.Dir)
		var last uint64
		for name := range kept {
			var first uint64
			_, _ = fmt.Sscanf(name, node.Dir+"/ledger_%d", &first)
			last = max(last, first)
		}
		for i := range 2 {
			disk := n.World.Host(hostName(i)).Disk
			for name := range n.World.Files(hostName(i), node.Dir) {
				var first, end uint64
				if k, _ := fmt.Sscanf(name, node.Dir+"/ledger_%d-%d", &first, &end); k == 2 && first <= last {
					if err := disk.Remove(name); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		n.waitReady(n.Start(2, n.Join(0, 1)))
		time.Sleep(20 * time.Second)
		for name, b := range kept {
			if !strings.Contains(name, "-") {
				continue
			}
			held := false
			for _, there := range n.World.Files(hostName(2), "") {
				held = held || string(there) == string(b)
			}
			if !held {
				t.Errorf("%s was on one disk only, and is gone", name)
			}
		}
	})
}

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

// A node that begins with a snapshot follows the constitution that was in force then, and what was decided after it.
func TestANodeThatBeginsWithASnapshotKnowsWhatWasDecided(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.governs()
		n.open()
		service := n.serviceCertificate().Raw
		shop, stall := newMember(t, "shop"), newMember(t, "stall")
		for _, m := range []*nettest.Member{shop, stall} {
			n.decide(action.Action{Kind: action.AddParticipant, Args: action.Args{Name: m.Name, Certificate: m.Cert}})
		}
		n.busy(3 * time.Second)
		n.decide(action.Action{Kind: action.RemoveParticipant, Args: action.Args{Actor: "stall"}})
		n.Crash(2)
		n.decide(setThreshold("3"))
		acked := n.busyAt(1, 3*time.Second)
		n.World.Restart(hostName(2))
		n.waitReady(n.Start(2, func(c *node.Config) { n.Join(0, 1)(c); c.Service = service }))
		time.Sleep(3 * time.Second)
		n.Crash(n.leader())
		time.Sleep(5 * time.Second)
		if _, err := put(n.clientOf(shop, 2), "shop", "x"); err != nil {
			t.Errorf("a participant at the node that came back: %v", err)
		}
		if _, err := put(n.clientOf(stall, 2), "stall", "x"); err == nil {
			t.Error("a removed participant writes at the node that came back")
		}
		n.check(acked, 2)
	})
}

func TestALedgerWithAForgedChangeOfMembersIsFetchedAgain(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		index := uint64(1)
		for n.entry(2, index).Kind != batch.KindMembers {
			index++
		}
		n.Crash(2)
		files := n.World.Files(hostName(2), "")
		for name, b := range files {
			if strings.Contains(name, "ledger_") {
				forgeFrame(b, int(index-1))
			}
		}
		n.World.SetFiles(hostName(2), files)
		n.World.Restart(hostName(2))
		if bytes.Equal(n.entry(2, index).Data, n.entry(0, index).Data) {
			t.Fatal("nothing was forged")
		}
		n.waitReady(n.Start(2, n.Join(0, 1)))
		time.Sleep(time.Second)
		if got, want := n.entry(2, index), n.entry(0, index); !bytes.Equal(got.Data, want.Data) {
			t.Errorf("entry %d, which no transaction's root speaks for, is %x; the network has %x", index, got.Data, want.Data)
		}
		n.check(map[string]string{"key": "value"}, 2)
	})
}

func TestAForkThatIsNewerThanTheNetworkDoesNotUnseatItsLeader(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		for i := range 3 {
			n.Crash(i)
		}
		n.World.Restart(hostName(0))
		n.World.Restart(hostName(1))
		// Two recoveries that know nothing of each other. The one of the lower view is the network.
		n.World.Partition(hostName(0), hostName(1))
		n.waitReady(n.Start(0, n.Recover))
		n.waitReady(n.Start(1, n.Recover))
		network, fork := 0, 1
		if n.status(0).View > n.status(1).View {
			network, fork = 1, 0
		}
		for i := range 5 {
			if _, err := put(n.client(fork, fork), fmt.Sprint("forked", i), "value"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := put(n.client(network, network), "key", "value"); err != nil {
			t.Fatal(err)
		}
		before := n.status(network)
		n.Crash(fork)
		n.World.Restart(hostName(fork))
		n.World.Heal(hostName(0), hostName(1))
		n.waitReady(n.Start(fork, n.Join(network)))
		time.Sleep(time.Second)
		if after := n.status(network); after != before {
			t.Errorf("the network had %+v; with a joiner whose ledger is of a newer fork it has %+v", before, after)
		}
		n.check(map[string]string{"key": "value"}, network, fork)
		n.sameState(network, fork)
	})
}
