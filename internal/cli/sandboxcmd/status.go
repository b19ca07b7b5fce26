package sandboxcmd

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

// The health of a network.
const (
	healthy  = "ok"        // every node serves
	degraded = "degraded"  // some do not; the network commits
	noQuorum = "no quorum" // too few do: nothing can be committed
)

// NetworkStatus is the answer of `coco status -o json`.
type NetworkStatus struct {
	Dir          string       `json:"dir"`
	Network      string       `json:"network"`
	ChainID      uint64       `json:"chain_id"`
	Constitution coco.Digest  `json:"constitution"`
	Insecure     bool         `json:"insecure"`
	Health       string       `json:"health"`
	Notices      []string     `json:"notices,omitempty"`
	Nodes        []NodeStatus `json:"nodes"`
}

type NodeStatus struct {
	Name     string `json:"name"` // of a node that joined from outside, its address for other nodes
	Member   string `json:"member"`
	RPC      string `json:"rpc"`
	WS       string `json:"ws"`
	Outside  bool   `json:"outside,omitempty"` // it is none of the sandbox's
	Client   string `json:"client"`
	Pid      int    `json:"pid,omitempty"`
	Restarts int    `json:"restarts"`
	Retired  bool   `json:"retired,omitempty"` // it has left the network for good
	// Attested is what the node's evidence proved to this command.
	Attested coco.Measurement `json:"attested_measurement,omitempty"`
	Status   *wire.Status     `json:"status,omitempty"`
	Lag      uint64           `json:"lag"` // transactions behind the furthest node
	Error    string           `json:"error,omitempty"`
}

// Status returns `coco status`.
func Status(c *cli.App) *cobra.Command {
	a := &app{c}
	var dir string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, roles, view, commit, lag and attested code",
		Long: `Asks every node of the network that ` + "`coco up`" + ` runs, after verifying its evidence, and those that have joined
it from elsewhere, which its nodes name.

Exits with 0 if the network commits, 5 if too few nodes answer, 6 if nothing is running.`,
		Example: "  coco status\n  coco status --dir /tmp/net -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, st, err := localnet.Running(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if st.Starting {
				return fmt.Errorf("%w: the network in %s is starting: ask again in a moment; its nodes' logs are in %s", coco.ErrNotCommitted, info.Dir, localnet.Layout{Dir: info.Dir}.Nodes())
			}
			page := Ask(cmd.Context(), info, st, a.Verifiers())
			if a.WantsJSON() {
				err = a.Out.JSON(page)
			} else {
				a.showStatus(page)
			}
			if err == nil && page.Health == noQuorum {
				err = fmt.Errorf("%w: too few nodes answer to commit anything; their logs are in %s", coco.ErrNotCommitted, localnet.Layout{Dir: info.Dir}.Nodes())
			}
			return err
		},
	}
	cli.DirFlag(cmd, &dir, "`folder` of the network")
	a.OutputFlag(cmd)
	return cmd
}

// Ask verifies and asks all nodes of the network at once: the sandbox's, and those that its nodes say have joined from outside.
func Ask(ctx context.Context, info localnet.Info, st localnet.Status, verifiers attest.Verifiers) NetworkStatus {
	page := NetworkStatus{
		Dir: info.Dir, Network: info.Network, ChainID: info.ChainID, Constitution: info.Constitution, Insecure: info.Insecure,
		Nodes: make([]NodeStatus, len(info.Nodes)),
	}
	asked, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var wg sync.WaitGroup
	for i, n := range info.Nodes {
		at := &page.Nodes[i]
		*at = NodeStatus{Name: n.Name, Member: n.Member, RPC: n.HTTP, WS: n.WS, Client: n.Client, Retired: n.Retired}
		if n.Retired {
			continue
		}
		for _, s := range st.Nodes {
			if s.Name == n.Name {
				at.Pid, at.Restarts = s.Pid, s.Restarts
			}
		}
		wg.Go(func() {
			c, err := info.Connect(n, verifiers)
			at.ask(asked, c, err)
		})
	}
	wg.Wait()
	page.Nodes = append(page.Nodes, askOthers(ctx, info, page.Nodes, verifiers)...)
	page.judge()
	return page
}

// askPatience bounds how long nodes may take to answer.
const askPatience = 5 * time.Second

// askOthers asks the nodes that have joined from outside. No others are known to a network whose nodes do not answer.
func askOthers(ctx context.Context, info localnet.Info, own []NodeStatus, verifiers attest.Verifiers) []NodeStatus {
	var serving []localnet.Node
	for i, n := range own {
		if n.Status != nil && n.Status.Role != "joining" && n.Status.Problem == "" {
			serving = append(serving, info.Nodes[i])
		}
	}
	others, err := info.Others(ctx, serving, verifiers)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	outside := make([]NodeStatus, len(others))
	var wg sync.WaitGroup
	for i, n := range others {
		outside[i] = NodeStatus{Name: n.Address, Member: n.OwnerName, Client: n.ClientAddress, Outside: true}
		wg.Go(func() {
			c, err := info.ConnectOther(n, verifiers)
			outside[i].ask(ctx, c, err)
		})
	}
	wg.Wait()
	return outside
}

// ask fills in what a node says, or why it does not.
func (s *NodeStatus) ask(ctx context.Context, c *client.Client, err error) {
	if err == nil {
		defer c.Close()
		var proof client.Attested
		if proof, err = c.Verify(ctx); err == nil {
			s.Attested = proof.Claims.Measurement
			s.Status, err = c.Status(ctx)
		}
	}
	if err != nil {
		s.Error = err.Error()
	}
}

// judge derives what follows from all answers together.
func (p *NetworkStatus) judge() {
	var furthest uint64
	serving, all := 0, 0
	seen := map[string]bool{}
	for _, n := range p.Nodes {
		if !n.Retired {
			all++
		}
		if n.Status == nil {
			continue
		}
		if n.Status.Committed.Seqno >= furthest && n.Status.Constitution != (coco.Digest{}) {
			p.Constitution = n.Status.Constitution // members may have changed it since genesis
		}
		furthest = max(furthest, n.Status.Committed.Seqno, n.Status.Known)
		if n.Status.Role != "joining" && n.Status.Problem == "" {
			serving++
		}
		if t := n.Status.Notice; t != "" && !seen[t] {
			seen[t] = true
			p.Notices = append(p.Notices, t)
		}
	}
	for i, n := range p.Nodes {
		if n.Status != nil {
			p.Nodes[i].Lag = furthest - n.Status.Committed.Seqno
		}
	}
	switch {
	case serving == all:
		p.Health = healthy
	case serving > all/2:
		p.Health = degraded
	default:
		p.Health = noQuorum
	}
}

func (a *app) showStatus(page NetworkStatus) {
	p := a.Out
	p.Printf("%s, chain id %d, constitution %s\n", p.Bold(page.Network), page.ChainID, page.Constitution.Short())
	if page.Insecure && len(page.Notices) == 0 {
		p.Insecure()
	}
	for _, t := range page.Notices {
		p.Printf("%s\n", p.Red(t))
	}
	p.Printf("\n")
	rows := [][]string{{"Node", "Id", "Role", "View", "Committed", "Lag", "Attested code", "JSON-RPC", "Process"}}
	for _, n := range page.Nodes {
		row := []string{n.Name, "", "down", "", "", "", "", n.RPC, "–"}
		if n.Retired {
			row[2] = "retired"
		}
		if n.Outside {
			row[0], row[7], row[8] = n.Member+" at "+n.Name, "", "elsewhere"
		}
		if n.Pid != 0 {
			row[8] = strconv.Itoa(n.Pid)
		}
		if s := n.Status; s != nil {
			row[1], row[2], row[3], row[4], row[5] = s.Node.Short(), s.Role, strconv.FormatUint(s.View, 10), s.Committed.String(), strconv.FormatUint(n.Lag, 10)
		}
		if n.Attested != "" {
			row[6] = n.Attested.Short()
		}
		rows = append(rows, row)
	}
	p.Table(rows)
	p.Printf("\n")
	for _, n := range page.Nodes {
		switch {
		case n.Error != "":
			p.Printf("  %s %s: %s\n", p.Red("✗"), n.Name, n.Error)
		case n.Status != nil && n.Status.Problem != "":
			p.Printf("  %s %s: %s\n", p.Red("✗"), n.Name, n.Status.Problem)
		case n.Status != nil && n.Status.Warning != "":
			p.Printf("  %s %s: %s\n", p.Red("!"), n.Name, n.Status.Warning)
		}
	}
	a.showEnds(page, time.Now())
	switch page.Health {
	case healthy:
		p.Printf("%s\n", p.Green("healthy: every node serves"))
	case degraded:
		p.Printf("%s\n", p.Red("degraded: not every node serves, the network commits"))
	default:
		p.Printf("%s\n", p.Red("no quorum: nothing can be committed"))
	}
}

// showEnds says which certificate of a network ends first, and every one that ends soon.
func (a *app) showEnds(page NetworkStatus, now time.Time) {
	var first wire.Certificate
	name := ""
	told := map[string]bool{}
	for _, n := range page.Nodes {
		if n.Status == nil {
			continue
		}
		for _, c := range n.Status.Certificates {
			what := finding.Certificate(c)
			if c.Of == "node" {
				what = "of node " + n.Name
			}
			if first.Of == "" || c.NotAfter.Before(first.NotAfter) {
				first, name = c, what
			}
			if level, text := finding.End(c.NotAfter, now); level != finding.OK && !told[what] {
				told[what] = true
				a.Out.Printf("  %s the certificate %s %s\n", a.Out.Red("✗"), what, text)
			}
		}
	}
	if first.Of != "" && len(told) == 0 {
		a.Out.Printf("certificates: the first one, %s, ends on %s\n", name, first.NotAfter.Format(time.DateOnly))
	}
}
