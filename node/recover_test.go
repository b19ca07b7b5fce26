package node_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
)

// The view of a recovered network must not be one that another ledger of it has used.
func TestBestLedgerJoinsANetworkRecoveredFromTheSecondBest(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.Partition(hostName(0), hostName(1))
		n.World.Partition(hostName(0), hostName(2))
		time.Sleep(5 * time.Second)
		var lost []coco.TxID
		c := n.client(1, 1)
		for i := range 40 {
			id, err := put(c, fmt.Sprint("lost", i), "value")
			if err != nil {
				t.Fatal(err)
			}
			lost = append(lost, id)
		}
		for i := range 3 {
			n.Crash(i)
		}
		n.World.Heal(hostName(0), hostName(1))
		n.World.Heal(hostName(0), hostName(2))
		for i := range 3 {
			n.World.Restart(hostName(i))
		}
		n.waitReady(n.Start(0, n.Recover))
		if n.readyWithin(n.Start(1, n.Join(0)), time.Minute) {
			time.Sleep(time.Second)
			_, err0 := get(n.client(0, 0), "/app/kv/lost0")
			v, err1 := get(n.client(1, 1), "/app/kv/lost0")
			if (err0 == nil) != (err1 == nil) {
				t.Errorf("lost0: node 1 says %v, node 2 says %q %v", err0, v, err1)
			}
			n.sameState(0, 1)
			for i := range 5 {
				id, err := put(n.client(0, 0), fmt.Sprint("new", i), "value")
				if err != nil {
					t.Errorf("write after the recovery: %v", err)
					break
				}
				if slices.Contains(lost, id) {
					t.Errorf("transaction id %v was given before, to another transaction", id)
				}
				time.Sleep(5 * time.Second)
			}
		}
	})
}

// lastMembers returns the last change of members in a node's ledger and says whether it begins a
// joint change.
func (n *network) lastMembers(i int) (index uint64, joint bool) {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(i)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	for at := log.Last(); at > 0; at-- {
		entries, err := log.Read(at, at+1, 0)
		if err != nil {
			n.t.Fatal(err)
		}
		if entries[0].Kind != batch.KindMembers {
			continue
		}
		var cc pb.ConfChangeV2
		if err := proto.Unmarshal(entries[0].Data, &cc); err != nil {
			n.t.Fatal(err)
		}
		return at, cc.GetTransition() == pb.ConfChangeTransitionJointExplicit
	}
	return 0, false
}

func TestRecoveryFromALedgerThatEndsWithinAChangeOfMembers(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.waitReady(n.Start(0, n.Found))
		n.waitReady(n.Start(1, n.Join(0)))
		time.Sleep(time.Second)
		for i := range 3 {
			n.World.SetSyncDelay(hostName(i), 50*time.Millisecond)
		}
		before, _ := n.lastMembers(0)
		n.Start(2, n.Join(0))
		for range 1000 {
			if at, joint := n.lastMembers(0); joint && at > before {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(60 * time.Millisecond)
		for i := range 3 {
			n.Crash(i)
		}
		for i := range 3 {
			n.World.SetSyncDelay(hostName(i), 0)
			n.World.Restart(hostName(i))
		}
		if _, joint := n.lastMembers(0); !joint {
			t.Fatal("the change of members ended in time")
		}
		n.waitReady(n.Start(0, n.Recover))
		n.readyWithin(n.Start(1, n.Join(0)), time.Minute)
		n.readyWithin(n.Start(2, n.Join(0)), time.Minute)
	})
}

// Recovery works with the members that there are, also once those who began the network are gone.
func TestRecoveryByMembersWhoCameLater(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		acked := n.busy(time.Second)
		for _, name := range []string{"delta", "echo"} {
			m := newMember(t, name)
			n.decideAll(action.Action{Kind: action.AddMember, Args: action.Args{Name: name, Certificate: m.Cert, EncryptionKey: m.Share.Public()}},
				setThreshold([]string{"3", "2"}[len(n.Members)-3]))
			n.Members = append(n.Members, m)
		}
		time.Sleep(2 * time.Second)
		_ = acked
		// As they leave, the later ones decide: the first two vote once more.
		n.decideAll(action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "member2", Unbalanced: true}},
			action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "member3"}})
		for _, i := range []int{1, 2} {
			select {
			case <-n.Node(i).Done():
				n.Forget(i)
			case <-time.After(time.Minute):
				t.Fatal("a removed member's node goes on")
			}
		}
		more := n.busyAt(0, 2*time.Second)
		for k, v := range more {
			acked[k] = v
		}
		time.Sleep(20 * time.Second) // until a ceremony has made a committee of those who stay
		n.Crash(0)
		n.World.Restart(hostName(0))
		n.Members = []*nettest.Member{n.Members[0], n.Members[3], n.Members[4]}
		r := n.Start(0, func(c *node.Config) {
			c.Approve = n.Constitution.Digest()
			c.Recover = &node.Recover{Release: n.Release}
		})
		n.waitReady(r)
		n.check(acked, 0)
	})
}

// A node that recovers begins with its newest snapshot that the ledger proves, and replays the rest; without one it replays everything. Either way the same is there.
func TestARecoveryBeginsWithASnapshotThatTheLedgerProves(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*node.Recover)
		damage bool
		loads  bool
	}{
		"the newest":  {loads: true},
		"all damaged": {damage: true},
		"not wanted":  {change: func(r *node.Recover) { r.Whole = true }},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.frequent()
				n.open()
				acked := n.busy(5 * time.Second)
				files := 0
				for i := range 3 {
					n.Crash(i)
					n.World.Restart(hostName(i))
				}
				order, err := n.Ledgers()
				if err != nil {
					t.Fatal(err)
				}
				first := order[0]
				for file := range n.World.Files(hostName(first), node.SnapshotDir) {
					files++
					if c.damage {
						all := n.World.Files(hostName(first), "")
						all[file][len(all[file])/2] ^= 1
						n.World.SetFiles(hostName(first), all)
					}
				}
				if files == 0 {
					t.Fatal("no snapshot was written")
				}
				log, refused := n.listen(first), 0
				n.waitReady(n.Start(first, func(cfg *node.Config) {
					n.Recover(cfg)
					cfg.Recover.Refused = func(string, error) { refused++ }
					if c.change != nil {
						c.change(cfg.Recover)
					}
				}))
				if loaded := strings.Contains(log.String(), string(logevent.SnapshotLoaded)); loaded != c.loads || c.damage && refused != files {
					t.Errorf("loaded a snapshot: %v; refused %d of %d:\n%s", loaded, refused, files, log)
				}
				n.check(acked, first)
				other := (first + 1) % 3
				n.waitReady(n.Start(other, n.Join(first)))
				maps.Copy(acked, n.busyAt(first, 2*time.Second))
				n.check(acked, first, other)
				n.sameState(first, other)
			})
		})
	}
}
