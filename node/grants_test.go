package node_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/granting"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/keys/grant"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/wire"
)

// granted waits until a grant of a proposal is as a test wants it, and returns it.
func (n *network) granted(id coco.Digest, at int, is func(wire.Grant) bool) wire.Grant {
	n.t.Helper()
	c := n.officer(n.Members[at], at)
	var p wire.Proposal
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if text, err := get(c, "/gov/proposals/"+id.String()); err == nil {
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				n.t.Fatal(err)
			}
			if len(p.Grants) == 1 && is(p.Grants[0]) {
				return p.Grants[0]
			}
		}
		if time.Now().After(until) {
			n.t.Fatalf("after 20 seconds the grants are %+v", p.Grants)
		}
	}
}

// audits opens what a grant has in a node's ledger with the auditor's key, and returns the epochs that it reads.
func (n *network) audits(at int, number uint64, auditor *nettest.Member) (epochs []uint64) {
	n.t.Helper()
	a := audit.New(audit.Config{Constitution: n.Constitution.Digest()})
	if _, err := ledger.Audit(context.Background(), n.World.Host(hostName(at)).Disk, node.Dir, a, nil); err != nil {
		n.t.Fatal(err)
	}
	g, err := granting.Load(a.Tables(), number)
	if err != nil {
		n.t.Fatal(err)
	}
	c, err := g.Sealing.ToCombine()
	if err != nil {
		n.t.Fatal(err)
	}
	s, err := grant.Parse(g.Sealing.Sealing)
	if err != nil {
		n.t.Fatal(err)
	}
	network, err := table.NetworkID(a.ServiceCertificate())
	if err != nil {
		n.t.Fatal(err)
	}
	parts := map[uint32][]byte{}
	for seat, part := range g.Parts {
		parts[seat] = part.Box
	}
	private, faults, err := s.Open(c, g.Of(network, g.Sealing.Committee, g.Sealing.Key), auditor.Share, parts)
	if err != nil || len(faults) > 0 {
		n.t.Fatal(faults, err)
	}
	for epoch := g.First; epoch <= g.Last; epoch++ {
		row, _ := a.Tables().Get(table.GrantsTable, table.GrantKey(number, epoch, 0))
		box, err := table.DecodeGrantBox(row)
		if err != nil {
			n.t.Fatal(err)
		}
		if _, err := private.OpenGrant(network, epoch, box.Box); err != nil {
			n.t.Fatal(err)
		}
		epochs = append(epochs, epoch)
	}
	return epochs
}

// A vote is enough: the nodes put on the ledger what the auditor reads with, though a node is away, the leader ends, and the committee is another one than that of the epochs' time.
func TestNodesLetAnAuditorRead(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		first := n.committee(0, wire.Keys{}, 10*time.Second)
		auditor := newMember(t, "kpmg")
		ask := func(epochs string) coco.Digest {
			return n.decide(action.Action{Kind: action.GrantEpochs, Args: action.Args{Name: "kpmg", Certificate: auditor.Cert, EncryptionKey: auditor.Share.Public(), Epochs: epochs}}).ID
		}
		whole := func(g wire.Grant) bool { return g.Complete && len(g.Waiting) == 0 }

		// Epoch 1 is of the committee that the first node has dealt, which no node could open.
		id := ask("1-2")
		if g := n.granted(id, 1, whole); g.Committee != first.Committee || !slices.Equal(g.Gave, []string{"member1", "member2", "member3"}) {
			t.Errorf("the first grant is %+v", g)
		}
		if got := n.audits(1, 1, auditor); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("the auditor reads epochs %v", got)
		}

		// A member's node is away, so that two of three seats give. The one that comes back is another node, for which there is another committee; nothing is needed of it.
		n.Crash(2)
		id = ask("2")
		if g := n.granted(id, 1, func(g wire.Grant) bool { return g.Complete }); !slices.Equal(g.Waiting, []string{"member3"}) {
			t.Errorf("the second grant is %+v", g)
		}
		n.rejoin(2, 0, 1)
		second := n.committee(1, first, 15*time.Second)

		// The node that leads ends at once after the vote.
		id = ask("1-2")
		n.Crash(n.leader())
		at := n.Running()[0]
		if g := n.granted(id, at, func(g wire.Grant) bool { return g.Complete }); g.Committee < second.Committee {
			t.Errorf("the third grant is %+v", g)
		}
		if got := n.audits(at, 3, auditor); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("the auditor reads epochs %v", got)
		}
	})
}
