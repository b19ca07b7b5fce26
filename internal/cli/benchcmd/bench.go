// Package benchcmd is `coco bench`: it starts a network, or finds one, has package bench load it, and shows what was
// committed. join.go measures how long a node takes that joins a state of a given size.
//
// Trust: host
package benchcmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/bench"
	"github.com/cocoframework/coco/internal/bench/link"
	"github.com/cocoframework/coco/internal/bench/mainnet"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/sandbox"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// Command returns `coco bench`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure committed transactions per second, and latency",
		Long: `Loads a network and reports what it committed. Each command starts a temporary network,
unless --dir names one that is running. The load generator shares the machine with the
network; its share of the CPU is reported too.`,
		Example: `  coco bench erc20
  coco bench kv --clients 256 --duration 30s
  coco bench transfer --nodes 1 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, w := range []struct{ work, short string }{
		{bench.ERC20, "Loads a network with transfers of an ERC-20 token"},
		{bench.Transfer, "Loads a network with transfers of ether"},
		{bench.KV, "Loads a network with key-value writes"},
	} {
		cmd.AddCommand(a.benchWorkCommand(w.work, w.short))
	}
	cmd.AddCommand(a.benchMainnetCommand(), a.benchJoinCommand())
	return cmd
}

// benchFlags are the flags of the load commands.
type benchFlags struct {
	bench.Options
	dir   string
	plain bool
	ws    bool
	// policy compares an open and a closed network.
	policy bool
	// authenticated compares calls without a signature with signed transactions.
	authenticated bool
	turns         int // of each
	set           []string
}

func (a *app) benchWorkCommand(work, short string) *cobra.Command {
	f := benchFlags{Options: bench.Options{Work: work}}
	cmd := &cobra.Command{
		Use:   work,
		Short: short,
		Long: short + `, over mutual TLS to the nodes, and shows a live line with
the rate. In the end the network must hold exactly what it acknowledged: exit code 3 if not.`,
		Example: fmt.Sprintf("  coco bench %[1]s\n  coco bench %[1]s --nodes 1 --clients 1 --duration 5s\n  coco bench %[1]s --set epochs.transactions=20000\n  coco bench %[1]s --dir coco-sandbox --plain -o json", work),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.dir != "" && cmd.Flags().Changed("nodes") {
				return fmt.Errorf("%w: --nodes is for a temporary network; the one in %s has the nodes that it has", coco.ErrInvalid, f.dir)
			}
			if f.dir != "" && len(f.set) > 0 {
				return fmt.Errorf("%w: --set is for a temporary network; members change the one in %s by votes: coco gov propose set", coco.ErrInvalid, f.dir)
			}
			if err := f.validate(); err != nil {
				return err
			}
			if f.policy {
				if f.dir != "" || f.plain {
					return fmt.Errorf("%w: --policy starts two networks of its own, and asks nodes as their members' users: leave --dir and --plain out", coco.ErrInvalid)
				}
				return a.policy(cmd.Context(), f)
			}
			if f.authenticated {
				if f.dir != "" || f.plain || f.policy || f.Batch != 1 {
					return fmt.Errorf("%w: --authenticated starts a network of its own, whose members' users send one call in a request: leave --dir, --plain, --policy and --batch out", coco.ErrInvalid)
				}
				return a.authenticated(cmd.Context(), f)
			}
			return a.bench(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.Nodes, "nodes", 3, "`number` of nodes of the temporary network")
	fl.IntVar(&f.Clients, "clients", 64, "`number` of clients, each with one request in flight")
	fl.IntVar(&f.Batch, "batch", 1, "`transactions` in a request")
	fl.DurationVar(&f.Duration, "duration", 10*time.Second, "measured `time`")
	fl.StringVar(&f.dir, "dir", "", "`folder` of a running network (default: a temporary network)")
	fl.StringArrayVar(&f.set, "set", nil, "`KEY=VALUE`, a setting of the temporary network, such as epochs.transactions=20000; may be repeated")
	fl.BoolVar(&f.plain, "plain", false, "go through the loopback proxies instead of mutual TLS")
	if work == bench.ERC20 {
		fl.BoolVar(&f.policy, "policy", false, "measure an open and a closed network in turns, and print the ratio of their rates")
		fl.BoolVar(&f.authenticated, "authenticated", false, "measure signed transactions, and calls that are authenticated by the client's certificate alone, in turns")
		fl.IntVar(&f.turns, "turns", 8, "how `many` times --policy and --authenticated measure each of the two")
	}
	if work != bench.KV {
		fl.BoolVar(&f.ws, "ws", false, "send over WebSocket instead of HTTP requests")
	}
	a.OutputFlag(cmd)
	return cmd
}

// validate refuses what would otherwise mean a default, before a network is started.
func (f *benchFlags) validate() error {
	if f.Clients < 1 || f.Clients > bench.MaxClients {
		return fmt.Errorf("%w: --clients %d: expected 1 to %d", coco.ErrInvalid, f.Clients, bench.MaxClients)
	}
	if f.Batch < 1 || f.Batch > bench.MaxBatch {
		return fmt.Errorf("%w: --batch %d: expected 1 to %d", coco.ErrInvalid, f.Batch, bench.MaxBatch)
	}
	if f.Duration <= 0 {
		return fmt.Errorf("%w: --duration %v: expected a positive one", coco.ErrInvalid, f.Duration)
	}
	return checkNodes(f.Nodes)
}

func checkNodes(n int) error {
	if n < 1 || n > len(localnet.Names) {
		return fmt.Errorf("%w: --nodes %d: expected 1 to %d", coco.ErrInvalid, n, len(localnet.Names))
	}
	return nil
}

func (a *app) bench(ctx context.Context, f benchFlags) error {
	info, stop, err := sandboxcmd.Network(ctx, a.App, f.dir, f.Nodes, func(o *sandbox.Options) {
		if len(f.set) > 0 {
			o.Constitution = func(c *constitution.Constitution) error { return genesis.Set(c, f.set) }
		}
	})
	if err != nil {
		return err
	}
	if f.Work != bench.KV {
		if err := sandboxcmd.NeedsOpen(info, "coco bench "+f.Work); err != nil {
			return errors.Join(err, stop())
		}
	}
	epoch, err := epochOf(info)
	if err != nil {
		return errors.Join(err, stop())
	}
	opts, err := f.of(info)
	if err != nil {
		return errors.Join(err, stop())
	}
	opts.Epoch = epoch
	for _, acc := range info.Accounts {
		opts.Funders = append(opts.Funders, acc.Key)
	}
	report, err := bench.Run(ctx, opts, a.showSample)
	a.Err.Line("")
	if serr := stop(); err == nil {
		err = serr
	}
	a.Err.Line("")
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	return a.told(report, err)
}

// of are the options for a network: its nodes, and the ways into it.
func (f *benchFlags) of(info localnet.Info) (opts bench.Options, err error) {
	opts = f.Options
	opts.Nodes, opts.Processes = len(info.Nodes), map[string]int{}
	for _, n := range info.Nodes {
		opts.Processes[n.Name] = n.Pid
	}
	if f.plain {
		opts.Processes["supervisor"] = info.Pid // of the loopback proxies; otherwise it has no part in it
	}
	opts.Targets, err = targets(info, f.plain, f.ws)
	return opts, err
}

// told writes a report. There is none where preparing failed, and none to be relied on after an error that is not about what was verified.
func (a *app) told(report bench.Report, err error) error {
	if err != nil && (!errors.Is(err, coco.ErrVerify) || report.Nodes == 0) {
		return err
	}
	if a.WantsJSON() {
		return errors.Join(a.Out.JSON(report), err)
	}
	a.showReport(report)
	return err
}

// targets are the ways into a network: each node under its member's user.
func targets(info localnet.Info, plain, ws bool) ([]link.Target, error) {
	var out []link.Target
	for _, n := range info.Nodes {
		switch {
		case plain && ws:
			out = append(out, link.Target{Name: n.Name, URL: n.WS})
		case plain:
			out = append(out, link.Target{Name: n.Name, URL: n.HTTP})
		default:
			m, err := info.Member(n.Member)
			if err != nil {
				return nil, err
			}
			dir := identity.Dir(m.Dir)
			conf, err := link.ClientTLS(dir.User(), dir.UserKey(), info.ServicePEM)
			if err != nil {
				return nil, err
			}
			scheme := "https://"
			if ws {
				scheme = "wss://"
			}
			out = append(out, link.Target{Name: n.Name, URL: scheme + n.Client, TLS: conf})
		}
	}
	return out, nil
}

func (a *app) showSample(s bench.Sample) {
	switch {
	case s.Total > 0:
		a.Err.Line("%s %d/%d", s.Phase, s.Done, s.Total)
	case s.Committed > 0 || s.Errors > 0:
		a.Err.Line("%s %4.1f s  %s  %d committed  %d errors", s.Phase, s.Elapsed.Seconds(), a.Err.Bold(fmt.Sprintf("%6.0f tx/s", s.TPS)), s.Committed, s.Errors)
	default:
		a.Err.Line("%s %4.1f s", s.Phase, s.Elapsed.Seconds())
	}
}

func (a *app) showReport(r bench.Report) {
	p := a.Out
	p.Printf("%s on %s, %s: %s\n", r.Work, cli.Plural(r.Nodes, "node"), cli.Plural(r.Clients, "client"), p.Bold(fmt.Sprintf("%.0f tx/s committed", r.TPS)))
	p.Printf("  %s in %.1f s, %s\n", cli.Plural(r.Committed, "transaction"), r.Window.Seconds(), cli.Plural(r.Errors, "error"))
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		p.Printf("    %d × %s\n", r.Kinds[kind], kind)
	}
	if r.Epochs > 0 {
		p.Printf("  %s of the ledger began meanwhile\n", cli.Plural(r.Epochs, "epoch"))
	}
	p.Printf("  latency from submit to committed: p50 %.1f ms, p90 %.1f, p99 %.1f, max %.1f\n", r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max)
	var cpu []string
	names := slices.Sorted(maps.Keys(r.CPU))
	if i := slices.Index(names, "bench"); i >= 0 { // the nodes first: they are what is measured
		names = append(slices.Delete(names, i, i+1), "bench")
	}
	for _, name := range names {
		cpu = append(cpu, fmt.Sprintf("%s %.0f", name, r.CPU[name]))
	}
	if len(cpu) > 0 {
		p.Printf("  CPU in µs per transaction: %s\n", strings.Join(cpu, ", "))
	}
}

func (a *app) benchMainnetCommand() *cobra.Command {
	var o bench.MainnetOptions
	var nodes int
	cmd := &cobra.Command{
		Use:   "mainnet DIR",
		Short: "Replay blocks of Ethereum's mainnet and compare receipts with their headers",
		Long: `For every block file in DIR (NUMBER.json.gz) a network is started whose genesis holds the block's
pre-state and whose block context is pinned to the block's header. The original signed
transactions go in through the nodes in block order and are committed on all of them; then
gas used, logs bloom and, from Byzantium on, the receipts root must be the header's.

Exits with 3 on any difference.`,
		Example: "  coco bench mainnet blocks\n  coco bench mainnet blocks --nodes 1 -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir = args[0]
			if o.Batch < 1 || o.Batch > bench.MaxBatch {
				return fmt.Errorf("%w: --batch %d: expected 1 to %d", coco.ErrInvalid, o.Batch, bench.MaxBatch)
			}
			if err := checkNodes(nodes); err != nil {
				return err
			}
			return a.benchMainnet(cmd.Context(), o, nodes)
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 3, "`number` of nodes of each network")
	cmd.Flags().IntVar(&o.Batch, "batch", 100, "`transactions` in a request")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) benchMainnet(ctx context.Context, o bench.MainnetOptions, nodes int) error {
	start := func(ctx context.Context, block *mainnet.Block) ([]link.Target, func() error, error) {
		info, stop, err := sandboxcmd.Network(ctx, a.App, "", nodes, func(opts *sandbox.Options) {
			opts.ChainID = 1
			opts.Constitution = func(c *constitution.Constitution) error {
				c.Adapters["ethereum"] = block.Settings()
				return nil
			}
		})
		if err != nil {
			return nil, nil, err
		}
		to, err := targets(info, false, false)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		return to, stop, nil
	}
	report, err := bench.Mainnet(ctx, o, start, a.showSample, func(r bench.BlockResult) {
		a.Err.Line("")
		if !a.WantsJSON() {
			a.showBlock(r)
		}
	})
	a.Err.Line("")
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err != nil && !errors.Is(err, coco.ErrVerify) {
		return err
	}
	if a.WantsJSON() {
		return errors.Join(a.Out.JSON(report), err)
	}
	a.Out.Printf("%s, %s: %s; latency p50 %.0f ms, p99 %.0f ms; %d mismatches\n",
		cli.Plural(report.Blocks, "block"), cli.Plural(report.Transactions, "transaction"), a.Out.Bold(fmt.Sprintf("%.0f tx/s committed on all nodes", report.TPS)),
		report.Latency.P50, report.Latency.P99, report.Mismatches)
	return err
}

func (a *app) showBlock(r bench.BlockResult) {
	rate := float64(r.Transactions) / max(r.Elapsed.Seconds(), 1e-9)
	if len(r.Mismatches) == 0 {
		a.Out.OK("block %d: %s, %.0f tx/s, equal to its header", r.Number, cli.Plural(r.Transactions, "transaction"), rate)
		return
	}
	a.Out.Printf("  %s block %d: %d transactions\n", a.Out.Red("✗"), r.Number, r.Transactions)
	for _, m := range r.Mismatches {
		a.Out.Printf("      %s\n", m)
	}
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
