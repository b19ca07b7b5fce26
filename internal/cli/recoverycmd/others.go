package recoverycmd

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/cli"
	coconode "github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/resume"
)

// A recovery begins a network beside the nodes of the one before, if these are not gone: those that run, and those that may go on by themselves when they start
// (package resume). No enclave can know that they are gone, so an operator says so before members are asked for anything.

// others are the nodes of the network that is to be recovered, as the ledger trusts them.
type others struct {
	network string
	nodes   []otherNode
	enough  int // so many of them go on by themselves; 0 if none do
}

// otherNode is one of them.
type otherNode struct {
	owner, address string
	answers        bool // somebody listens at its address
}

// reachPatience bounds how long a node may take to accept a connection.
const reachPatience = 3 * time.Second

// othersOf looks for the nodes that a ledger trusts. own are addresses that this node listens at.
func othersOf(ctx context.Context, e coconode.Ending, own ...string) others {
	o := others{network: e.Constitution.Network.Name, enough: enoughToGoOn(e.Constitution, len(e.Nodes))}
	o.nodes = make([]otherNode, len(e.Nodes))
	var asked sync.WaitGroup
	for i, n := range e.Nodes {
		o.nodes[i] = otherNode{owner: e.Constitution.Name(n.Owner), address: n.Address}
		if slices.Contains(own, n.Address) {
			continue
		}
		asked.Go(func() { o.nodes[i].answers = answers(ctx, n) })
	}
	asked.Wait()
	slices.SortFunc(o.nodes, func(a, b otherNode) int { return strings.Compare(a.owner+a.address, b.owner+b.address) })
	return o
}

func answers(ctx context.Context, n table.NodeRecord) bool {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", n.Address)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// enoughToGoOn returns how many of so many nodes go on by themselves by a constitution; 0 if they do not, however many there are.
func enoughToGoOn(c *constitution.Constitution, nodes int) int {
	need := resume.Needed(nodes, false)
	if c.Recovery.Unattended != constitution.Yes || need > nodes {
		return 0
	}
	return need
}

// danger says why there could be two networks; empty if there is no sign of it.
func (o *others) danger() string {
	var b strings.Builder
	if slices.ContainsFunc(o.nodes, func(n otherNode) bool { return n.answers }) {
		b.WriteString("Some of this network's nodes may run still: somebody listens where the ledger has them.\n")
	}
	if o.enough > 0 {
		fmt.Fprintf(&b, "This network goes on without its members (recovery.unattended) once %d of its %s start again.\n", o.enough, cli.Plural(len(o.nodes), "node"))
	}
	if b.Len() == 0 {
		return ""
	}
	for _, n := range o.nodes {
		listens := ""
		if n.answers {
			listens = "   answers"
		}
		fmt.Fprintf(&b, "  %-20s %s%s\n", n.owner, n.address, listens)
	}
	b.WriteString("Beside a recovery that would be a second network, with the same past: what is committed in the one is not in the other.\n")
	b.WriteString("Before members release anything: stop all of them")
	if o.enough > 0 {
		fmt.Fprintf(&b, ", and see to it that at least %d cannot start again with what they have: remove resume/state.sealed from their folders and copies, or destroy these", len(o.nodes)-o.enough+1)
	}
	b.WriteString(".")
	return b.String()
}

// confirmAlone has the operator confirm that no other node goes on, if one could. gone is what the command was told: the network's name, typed.
func (a *app) confirmAlone(o others, gone string) error {
	danger := o.danger()
	switch {
	case danger == "" || gone == o.network:
		return nil
	case gone != "":
		return fmt.Errorf("%w: --nodes-gone %q: expected the name of the network, %q: nobody was asked to release anything", coco.ErrDenied, gone, o.network)
	}
	a.Err.Printf("\n%s\n", danger)
	if !a.Asks() {
		return fmt.Errorf("%w: other nodes of %s could go on: nobody was asked to release anything: once none can, confirm it with --nodes-gone %q; the folder is made, so leave --ledger out", coco.ErrDenied, o.network, o.network)
	}
	yes, err := a.AskWord(fmt.Sprintf("Type the name of the network (%s) once that is so:", o.network), o.network)
	if err == nil && !yes {
		err = fmt.Errorf("%w: nobody was asked to release anything", coco.ErrDenied)
	}
	return err
}
