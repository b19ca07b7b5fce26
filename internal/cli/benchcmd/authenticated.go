package benchcmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/bench"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
	"github.com/cocoframework/coco/internal/sandbox"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// maxLinked is how many accounts are linked to one member: a holder has 64 addresses at most.
const maxLinked = 60

// Authenticated is what `coco bench erc20 --authenticated` has measured. In JSON it is one line.
type Authenticated struct {
	Signed        []bench.Report `json:"signed"`
	Authenticated []bench.Report `json:"authenticated"`
	Ratio         float64        `json:"ratio"` // of the medians of the rates: without signatures to with them
}

// median is that of a figure of some runs.
func median(runs []bench.Report, of func(bench.Report) float64) float64 {
	list := make([]float64, len(runs))
	for i, r := range runs {
		list[i] = of(r)
	}
	slices.Sort(list)
	if n := len(list); n%2 == 0 {
		return (list[n/2-1] + list[n/2]) / 2
	}
	return list[len(list)/2]
}

func tps(r bench.Report) float64 { return r.TPS }
func p50(r bench.Report) float64 { return r.Latency.P50 }
func cpu(r bench.Report) float64 { return nodesCPU([]bench.Report{r}) }

// authenticated measures one network in turns: by transactions that are signed, and by calls that are not. Both are sent by the same clients, from the same
// accounts, to another token each time.
func (a *app) authenticated(ctx context.Context, f benchFlags) error {
	if most := maxLinked * f.Nodes; f.Clients > most {
		return fmt.Errorf("%w: --clients %d: expected 1 to %d with --authenticated and %s", coco.ErrInvalid, f.Clients, most, cli.Plural(f.Nodes, "node"))
	}
	if f.turns < 1 || f.turns > maxPolicyTurns {
		return fmt.Errorf("%w: --turns %d: expected 1 to %d", coco.ErrInvalid, f.turns, maxPolicyTurns)
	}
	keys, addresses, err := bench.NewKeys(f.Clients + 1)
	if err != nil {
		return err
	}
	info, stop, err := sandboxcmd.Network(ctx, a.App, "", f.Nodes, func(o *sandbox.Options) {
		o.Constitution = func(c *constitution.Constitution) error {
			links := map[string]any{}
			for i, address := range addresses {
				links[address] = map[string]any{"actor": c.Members[max(i-1, 0)%len(c.Members)].Actor().String()}
			}
			c.Adapters["ethereum"]["links"] = links
			c.Adapters["ethereum"]["authenticated_calls"] = []string{"certificate"}
			return genesis.Set(c, f.set)
		}
	})
	if err != nil {
		return err
	}
	var out Authenticated
	for turn := range f.turns {
		for i := range 2 {
			opts, oerr := f.of(info)
			if err = oerr; err != nil {
				break
			}
			opts.Keys, opts.Linked = keys, true
			opts.Unsigned = (i == 0) != openFirst(turn) // signed first, then last, and so on
			var report bench.Report
			if report, err = bench.Run(ctx, opts, a.showSample); err != nil {
				break
			}
			if opts.Unsigned {
				out.Authenticated = append(out.Authenticated, report)
			} else {
				out.Signed = append(out.Signed, report)
			}
		}
		if err != nil {
			break
		}
	}
	if serr := stop(); err == nil {
		err = serr
	}
	a.Err.Line("")
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err != nil {
		return err
	}
	out.Ratio = median(out.Authenticated, tps) / max(median(out.Signed, tps), 1e-9)
	if a.WantsJSON() {
		return a.Out.JSON(out)
	}
	p := a.Out
	p.Printf("erc20 on %s, %s: %s\n", cli.Plural(f.Nodes, "node"), cli.Plural(f.Clients, "client"), p.Bold(fmt.Sprintf("calls without a signature %.1f %% of signed transactions", 100*out.Ratio)))
	for _, n := range []struct {
		name string
		runs []bench.Report
	}{{"signed", out.Signed}, {"authenticated", out.Authenticated}} {
		p.Printf("  %-14s %.0f tx/s, p50 %.1f ms, CPU of the nodes %.0f µs per transaction (medians of %s)\n", n.name, median(n.runs, tps), median(n.runs, p50), median(n.runs, cpu), cli.Plural(len(n.runs), "turn"))
	}
	return nil
}
