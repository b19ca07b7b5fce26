package sandboxcmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/network"
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
	Dir          string       `json:"dir,omitempty"` // of a network of `coco up`
	Network      string       `json:"network"`
	ChainID      uint64       `json:"chain_id,omitempty"` // of a network of `coco up`
	Constitution coco.Digest  `json:"constitution"`
	Insecure     bool         `json:"insecure"`
	Health       string       `json:"health"`
	Notices      []string     `json:"notices,omitempty"`
	Nodes        []NodeStatus `json:"nodes"`
	// Unlisted says why there may be more nodes than these: no node has named those that the network trusts.
	Unlisted string `json:"unlisted,omitempty"`
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
	var f network.Flags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, roles, view, commit, lag and attested code",
		Long: `Asks every node of the network that ` + "`coco up`" + ` runs, after verifying its evidence, and those that have joined
it from elsewhere, which its nodes name. With --config it is the node of that node.toml and the others
of its network; they are named to a certificate only (--cert and --key, or user.pem beside owner_certificate).
Without one the nodes at ask are shown.

Exits with 0 if the network commits, 5 if too few nodes answer, 6 if nothing is running.`,
		Example: "  coco status\n  coco status --dir /tmp/net -o json\n  coco status --config delta/node.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := f.Open(cmd.Context(), a.Verifiers())
			if err != nil {
				return err
			}
			logs := ""
			if n.Sandbox != nil {
				logs = "; their logs are in " + localnet.Layout{Dir: n.Sandbox.Dir}.Nodes()
				if n.Processes.Starting {
					return fmt.Errorf("%w: the network in %s is starting: ask again in a moment%s", coco.ErrNotCommitted, n.Sandbox.Dir, logs)
				}
			}
			page := ask(cmd.Context(), n)
			if a.WantsJSON() {
				err = a.Out.JSON(page)
			} else {
				a.showStatus(page)
			}
			if err == nil && page.Health == noQuorum {
				err = fmt.Errorf("%w: too few nodes answer to commit anything%s", coco.ErrNotCommitted, logs)
			}
			return err
		},
	}
	f.Add(cmd, "`folder` of the network, of `coco up`")
	f.AddNode(cmd, "with --service")
	a.OutputFlag(cmd)
	return cmd
}

// Ask verifies and asks all nodes of a sandbox at once, and those that its nodes say have joined from outside.
func Ask(ctx context.Context, info localnet.Info, st localnet.Status, verifiers attest.Verifiers) NetworkStatus {
	n, err := network.Of(info, st, verifiers)
	if err != nil {
		page := NetworkStatus{Dir: info.Dir, Network: info.Network, Health: noQuorum, Nodes: make([]NodeStatus, len(info.Nodes))}
		for i, node := range info.Nodes {
			page.Nodes[i] = NodeStatus{Name: node.Name, Member: node.Member, Retired: node.Retired, Error: err.Error()}
		}
		return page
	}
	return ask(ctx, n)
}

// ask verifies and asks all nodes of a network: those that the command line names, and those that the network trusts beside them.
func ask(ctx context.Context, n *network.Network) NetworkStatus {
	page := NetworkStatus{Network: n.Name, Insecure: n.Insecure}
	if info := n.Sandbox; info != nil {
		page.Dir, page.Network, page.ChainID, page.Constitution, page.Insecure = info.Dir, info.Network, info.ChainID, info.Constitution, info.Insecure
	}
	answers := n.Ask(ctx, n.Own())
	others, err := n.Others(ctx, answers)
	if err != nil {
		page.Unlisted = err.Error()
	}
	for _, a := range append(answers, n.Ask(ctx, others)...) {
		page.Nodes = append(page.Nodes, statusOf(a))
	}
	if info := n.Sandbox; info != nil {
		for i, node := range info.Nodes {
			at := &page.Nodes[i]
			at.RPC, at.WS = node.HTTP, node.WS
			for _, s := range n.Processes.Nodes {
				if s.Name == node.Name && !node.Retired {
					at.Pid, at.Restarts = s.Pid, s.Restarts
				}
			}
		}
	}
	page.judge()
	return page
}

// statusOf is what a node answered.
func statusOf(a network.Answer) NodeStatus {
	s := NodeStatus{
		Name: a.Node.Name, Member: a.Node.Owner, Client: a.Node.Client, Outside: a.Node.Elsewhere, Retired: a.Node.Retired, Attested: a.Attested, Status: a.Status,
	}
	if s.Member == "" && a.Status != nil {
		s.Member = a.Status.Owner
	}
	if a.Err != nil {
		s.Error = a.Err.Error()
	}
	return s
}

// judge derives what follows from all answers together.
func (p *NetworkStatus) judge() {
	var furthest uint64
	serving, committing, all := 0, 0, 0
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
			committing++
			if !n.Status.Closed {
				serving++
			}
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
	case committing > all/2:
		p.Health = degraded
	default:
		p.Health = noQuorum
	}
}

func (a *app) showStatus(page NetworkStatus) {
	p := a.Out
	chain := ""
	if page.ChainID != 0 {
		chain = fmt.Sprintf(", chain id %d", page.ChainID)
	}
	p.Printf("%s%s, constitution %s\n", p.Bold(page.Network), chain, page.Constitution.Fingerprint())
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
			row[0], row[7], row[8] = n.Name, "", "elsewhere"
			if n.Member != "" {
				row[0] = n.Member + " at " + n.Name
			}
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
		case n.Status != nil && n.Status.Closed:
			p.Printf("  %s %s: %s\n", p.Red("✗"), n.Name, finding.Closed)
		case n.Status != nil && n.Status.Warning != "":
			p.Printf("  %s %s: %s\n", p.Red("!"), n.Name, n.Status.Warning)
		}
	}
	if page.Unlisted != "" {
		p.Printf("  %s there may be more nodes than these: %s\n", p.Red("!"), page.Unlisted)
	}
	a.showEnds(page, time.Now())
	a.showKeys(page)
	switch page.Health {
	case healthy:
		p.Printf("%s\n", p.Green("healthy: every node serves"))
	case degraded:
		p.Printf("%s\n", p.Red("degraded: not every node serves, the network commits"))
	default:
		p.Printf("%s\n", p.Red("no quorum: nothing can be committed"))
	}
}

// keys returns what the node with the newest state says of the committee; nil if none says anything.
func (page *NetworkStatus) keys() (newest *wire.Keys) {
	at := uint64(0)
	for _, n := range page.Nodes {
		if s := n.Status; s != nil && s.Keys != nil && (newest == nil || s.Committed.Seqno > at) {
			newest, at = s.Keys, s.Committed.Seqno
		}
	}
	return newest
}

// showKeys says who can open the past together.
func (a *app) showKeys(page NetworkStatus) {
	k := page.keys()
	if k == nil {
		return
	}
	p := a.Out
	if k.Committee > 0 {
		p.Printf("keys: committee %d in force since transaction %d, of key %d: %s\n", k.Committee, k.Since, k.Key, finding.Threshold(k))
	}
	rows := [][]string{{"Seat of", "Package"}}
	for _, seat := range slices.SortedStableFunc(slices.Values(k.Seats), func(x, y wire.KeySeat) int { return cmp.Compare(x.Name, y.Name) }) {
		where := "in the ledger only, sealed to " + seat.Name
		if seat.Live {
			where = "with node " + seat.Node.Short()
		}
		rows = append(rows, []string{seat.Name, where})
	}
	if k.Committee > 0 {
		p.Table(rows)
	}
	if k.Dealt {
		p.Printf("  one node made this key and forgot it: there is a ceremony once a second organisation runs a node\n")
	}
	switch c := k.Ceremony; {
	case c != nil && len(c.Waiting) > 0:
		p.Printf("  %s a new committee is being made (%s): %s, waiting for %s\n", p.Red("!"), c.Cause, c.Phase, waiting(c.Waiting))
	case c != nil:
		p.Printf("  %s a new committee is being made (%s): %s\n", p.Red("!"), c.Cause, c.Phase)
	case !k.Whole:
		p.Printf("  %s another committee is needed, and will be made soon\n", p.Red("!"))
	}
}

// maxWaiting is how many members a line names that a ceremony waits for.
const maxWaiting = 6

// waiting says for whom a ceremony waits: how many they are shows how it comes forward.
func waiting(names []string) string {
	if len(names) <= maxWaiting {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%d members: %s and %d more", len(names), strings.Join(names[:maxWaiting-1], ", "), len(names)-maxWaiting+1)
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
