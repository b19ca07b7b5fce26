package node_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/wire"
)

// An organisation keeps its id when it replaces its certificate. A node that it starts with the new one is the organisation's, also after the
// first certificate, by which the id was made, has gone.
func TestAnOrganisationsNodesComeBackWithItsNewCertificate(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		status := func(i int) (s wire.Status) {
			page, err := get(n.client(0, i), "/node/status")
			if err == nil {
				err = json.Unmarshal([]byte(page), &s)
			}
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		old, renewed := n.Members[2], newMember(t, "renewed")
		n.decideAll(action.Action{Kind: action.AddCertificate, Args: action.Args{Actor: old.Name, Certificate: renewed.Cert}},
			action.Action{Kind: action.RemoveCertificate, Args: action.Args{Actor: old.Name, Certificate: old.Cert}})
		time.Sleep(time.Second)
		n.Crash(2)
		n.World.Restart(hostName(2))
		join := n.Join(0)
		n.waitReady(n.Start(2, func(c *node.Config) {
			join(c)
			c.Owner, c.Approve = renewed, status(0).Constitution
		}))
		if owner := status(2).Owner; owner != old.Name {
			t.Errorf("a node of %q, expected one of %q", owner, old.Name)
		}
		n.decide(action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: old.Name, Unbalanced: true}})
		select {
		case <-n.Node(2).Done():
			n.Forget(2)
		case <-time.After(time.Minute):
			t.Error("a removed organisation's node goes on under its new certificate")
		}
	})
}
