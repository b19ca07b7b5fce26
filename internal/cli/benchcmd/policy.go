package benchcmd

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/bench"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/sandbox"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// maxPolicyTurns bounds how often each of the two networks is measured: each time by accounts that have sent nothing.
const maxPolicyTurns = 50

// maxPolicyClients bounds the accounts that the closed network begins with.
const maxPolicyClients = 256

// Comparison is what `coco bench erc20 --policy` has measured. In JSON it is one line.
type Comparison struct {
	Open   []bench.Report `json:"open"`
	Closed []bench.Report `json:"closed"`
	Ratio  float64        `json:"ratio"` // of the closed network's rate to the open one's
}

// rate is the transactions per second of some runs together, and the least and the greatest of one.
func rate(runs []bench.Report) (all, least, most float64) {
	var committed uint64
	var window time.Duration
	for i, r := range runs {
		committed, window = committed+r.Committed, window+r.Window
		if i == 0 {
			least = r.TPS
		}
		least, most = min(least, r.TPS), max(most, r.TPS)
	}
	if window == 0 {
		return 0, least, most
	}
	return float64(committed) / window.Seconds(), least, most
}

// latency is the mean of the runs' medians, in milliseconds.
func latency(runs []bench.Report) (p50 float64) {
	for _, r := range runs {
		p50 += r.Latency.P50 / float64(len(runs))
	}
	return p50
}

// nodesCPU is what all nodes together used for a transaction, in microseconds, as the mean of the runs.
func nodesCPU(runs []bench.Report) (us float64) {
	for _, r := range runs {
		for name, used := range r.CPU {
			if name != "bench" && name != "supervisor" {
				us += used / float64(len(runs))
			}
		}
	}
	return us
}

// openFirst reports whether the open network is measured first in a turn. The order is open, closed, closed, open, …, so that a machine that becomes slower or faster favours neither.
func openFirst(turn int) bool { return turn%2 == 0 }

// senders are the keys of all turns in a network of so many nodes, and closes the constitution of one in which each account belongs to a user of the member whose node
// its client sends to.
func senders(clients, nodes, times int) (turns [][]*ecdsa.PrivateKey, closes func(*constitution.Constitution) error, err error) {
	type owned struct {
		address string
		member  int
		user    string
	}
	var all []owned
	for turn := range times {
		keys, addresses, err := bench.NewKeys(clients + 1)
		if err != nil {
			return nil, nil, err
		}
		for i, address := range addresses {
			all = append(all, owned{address, max(i-1, 0) % nodes, fmt.Sprintf("bench-%d-%d", turn, i)})
		}
		turns = append(turns, keys)
	}
	return turns, func(c *constitution.Constitution) error {
		if err := genesis.Close(c); err != nil {
			return err
		}
		links, ok := c.Adapters["ethereum"]["links"].(map[string]any)
		if !ok || len(c.Members) != nodes {
			return fmt.Errorf("%w: bench: %d members of a network of %d nodes: expected one each", coco.ErrInvalid, len(c.Members), nodes)
		}
		for _, a := range all {
			links[a.address] = map[string]any{"actor": c.Members[a.member].Actor().String(), "user": a.user}
		}
		return nil
	}, nil
}

// policy measures an open and a closed network in turns.
func (a *app) policy(ctx context.Context, f benchFlags) error {
	if f.Clients > maxPolicyClients {
		return fmt.Errorf("%w: --clients %d: expected 1 to %d with --policy", coco.ErrInvalid, f.Clients, maxPolicyClients)
	}
	if f.turns < 1 || f.turns > maxPolicyTurns {
		return fmt.Errorf("%w: --turns %d: expected 1 to %d", coco.ErrInvalid, f.turns, maxPolicyTurns)
	}
	keys, closes, err := senders(f.Clients, f.Nodes, f.turns)
	if err != nil {
		return err
	}
	start := func(change func(*constitution.Constitution) error) (localnet.Info, func() error, error) {
		return sandboxcmd.Network(ctx, a.App, "", f.Nodes, func(o *sandbox.Options) {
			o.Constitution = func(c *constitution.Constitution) error {
				if change != nil {
					if err := change(c); err != nil {
						return err
					}
				}
				return genesis.Set(c, f.set)
			}
		})
	}
	open, stopOpen, err := start(nil)
	if err != nil {
		return err
	}
	closed, stopClosed, err := start(closes)
	if err != nil {
		return errors.Join(err, stopOpen())
	}
	var out Comparison
	for turn := range f.turns {
		for i := range 2 {
			info, runs := open, &out.Open
			if (i == 0) != openFirst(turn) {
				info, runs = closed, &out.Closed
			}
			var report bench.Report
			if report, err = a.policyTurn(ctx, f, info, keys[turn]); err != nil {
				break
			}
			*runs = append(*runs, report)
		}
		if err != nil {
			break
		}
	}
	if serr := errors.Join(stopOpen(), stopClosed()); err == nil {
		err = serr
	}
	a.Err.Line("")
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err != nil {
		return err
	}
	of, _, _ := rate(out.Open)
	in, _, _ := rate(out.Closed)
	out.Ratio = in / max(of, 1e-9)
	if a.WantsJSON() {
		return a.Out.JSON(out)
	}
	a.showComparison(f, &out)
	return nil
}

func (a *app) policyTurn(ctx context.Context, f benchFlags, info localnet.Info, keys []*ecdsa.PrivateKey) (bench.Report, error) {
	opts, err := f.of(info)
	if err != nil {
		return bench.Report{}, err
	}
	opts.Keys = keys
	return bench.Run(ctx, opts, a.showSample)
}

func (a *app) showComparison(f benchFlags, c *Comparison) {
	p := a.Out
	p.Printf("erc20 on %s, %s, each of which reads the receipts of its transfers: %s\n", cli.Plural(f.Nodes, "node"), cli.Plural(f.Clients, "client"), p.Bold(fmt.Sprintf("closed %.1f %% of open", 100*c.Ratio)))
	for _, n := range []struct {
		name string
		runs []bench.Report
	}{{"open", c.Open}, {"closed", c.Closed}} {
		all, least, most := rate(n.runs)
		p.Printf("  %-7s %.0f tx/s (%.0f to %.0f in %s), p50 %.1f ms, CPU of the nodes %.0f µs per transaction\n", n.name, all, least, most, cli.Plural(len(n.runs), "turn"), latency(n.runs), nodesCPU(n.runs))
	}
	p.Printf("In both networks the token is one whose rule shows a transfer to its two parties, and each sender is an account of a user of the member whose node it asks.\n")
}
