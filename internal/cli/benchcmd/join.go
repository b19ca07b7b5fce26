package benchcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/bench"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/ledger"
)

// joinFlags are the flags of `coco bench join`.
type joinFlags struct {
	keys, accounts, value, nodes int
}

// joinReport is what it measured.
type joinReport struct {
	Keys      int           `json:"keys"`
	Accounts  int           `json:"accounts"`
	Snapshot  uint64        `json:"snapshot_bytes"`
	Ledger    int64         `json:"ledger_bytes"`
	Fill      time.Duration `json:"fill_ns"`
	Snapshots time.Duration `json:"snapshot_ns"` // from the request until the network recorded it
	Joined    time.Duration `json:"joined_ns"`   // from the death of the old node until the new one serves
	Again     time.Duration `json:"again_ns"`    // the same, for one that finds its own snapshot on its disk
	Filled    time.Duration `json:"past_ns"`     // from then until its ledger has no gap
}

func (a *app) benchJoinCommand() *cobra.Command {
	f := joinFlags{}
	cmd := &cobra.Command{
		Use:   "join",
		Short: "Measure how long a new node takes to serve, for a state of a given size",
		Long: `Fills a temporary network with keys and accounts, has it write a snapshot, takes one node's machine
away for good and measures how long the node that replaces it takes until it serves: it fetches
the snapshot and the entries after it from the others. Then the same for a node that crashed and
has its own disk still.`,
		Example: "  coco bench join\n  coco bench join --keys 1000000 --accounts 100000 -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.keys < 0 || f.accounts < 0 || f.value < 1 || f.value > 1<<16 {
				return fmt.Errorf("%w: --keys %d --accounts %d --value %d: expected no negative number, and values of 1 to 65536 bytes", coco.ErrInvalid, f.keys, f.accounts, f.value)
			}
			if f.nodes < 3 {
				return fmt.Errorf("%w: --nodes %d: expected at least 3, so that the others go on without one", coco.ErrInvalid, f.nodes)
			}
			if err := checkNodes(f.nodes); err != nil {
				return err
			}
			return a.benchJoin(cmd.Context(), f)
		},
	}
	cmd.Flags().IntVar(&f.keys, "keys", 100_000, "`number` of keys of the key-value ledger")
	cmd.Flags().IntVar(&f.accounts, "accounts", 10_000, "`number` of Ethereum accounts")
	cmd.Flags().IntVar(&f.value, "value", 100, "`bytes` of each key's value")
	cmd.Flags().IntVar(&f.nodes, "nodes", 3, "`number` of nodes")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) benchJoin(ctx context.Context, f joinFlags) (err error) {
	info, stop, err := sandboxcmd.Network(ctx, a.App, "", f.nodes, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	r := joinReport{Keys: f.keys, Accounts: f.accounts}
	if err := a.fillNetwork(ctx, info, f, &r); err != nil {
		return err
	}
	last := len(info.Nodes) - 1
	if err := a.measureLedger(info, &r); err != nil {
		return err
	}
	if err := a.writeSnapshot(ctx, info, &r); err != nil {
		return err
	}
	if r.Joined, err = a.replace(ctx, info, last, true); err != nil {
		return err
	}
	began := time.Now()
	if err := a.awaitWholeLedger(ctx, info, last); err != nil {
		return err
	}
	r.Filled = time.Since(began)
	if r.Again, err = a.replace(ctx, info, last, false); err != nil {
		return err
	}
	a.Err.Line("")
	if a.WantsJSON() {
		return a.Out.JSON(r)
	}
	p := a.Out
	p.Printf("%d keys and %d accounts: a snapshot of %.0f MB, a ledger of %.0f MB\n", r.Keys, r.Accounts, float64(r.Snapshot)/1e6, float64(r.Ledger)/1e6)
	p.Printf("  filled in %.1f s; snapshot written and recorded in %.1f s\n", r.Fill.Seconds(), r.Snapshots.Seconds())
	p.Printf("  a new machine serves %s after the old one's end; the past is complete %.1f s later\n", p.Bold(fmt.Sprintf("%.1f s", r.Joined.Seconds())), r.Filled.Seconds())
	p.Printf("  a node that crashed serves %s after that\n", p.Bold(fmt.Sprintf("%.1f s", r.Again.Seconds())))
	return nil
}

func (a *app) fillNetwork(ctx context.Context, info localnet.Info, f joinFlags, r *joinReport) error {
	to, err := targets(info, false, false)
	if err != nil {
		return err
	}
	o := bench.FillOptions{Targets: to, Keys: f.keys, ValueBytes: f.value, Accounts: f.accounts}
	for _, acc := range info.Accounts {
		o.Funders = append(o.Funders, acc.Key)
	}
	began := time.Now()
	err = bench.Fill(ctx, o, a.showSample)
	r.Fill = time.Since(began)
	return err
}

func (a *app) measureLedger(info localnet.Info, r *joinReport) error {
	lay, err := localnet.NewLayout(info.Dir)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(lay.Node(info.Nodes[0].Name).Ledger())
	if err != nil {
		return err
	}
	for _, f := range files {
		if i, err := f.Info(); err == nil {
			r.Ledger += i.Size()
		}
	}
	return nil
}

// writeSnapshot asks for a snapshot and waits until the network has recorded it.
func (a *app) writeSnapshot(ctx context.Context, info localnet.Info, r *joinReport) error {
	c, err := info.ConnectAdmin(info.Nodes[0], a.Verifiers())
	if err != nil {
		return err
	}
	defer c.Close()
	began := time.Now()
	seqno, err := c.RequestSnapshot(ctx)
	if err != nil {
		return err
	}
	for {
		list, err := c.Snapshots(ctx)
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.ID.Seqno >= seqno {
				r.Snapshot, r.Snapshots = s.Bytes, time.Since(began)
				return nil
			}
		}
		a.Err.Line("snapshot %4.1f s", time.Since(began).Seconds())
		if !ctxtime.Sleep(ctx, 50*time.Millisecond) {
			return cli.ErrInterrupted
		}
	}
}

// replace kills a node, takes its files away if its machine is lost, and waits until the one in its place
// serves. The supervisor starts that one.
func (a *app) replace(ctx context.Context, info localnet.Info, i int, lost bool) (time.Duration, error) {
	n := info.Nodes[i]
	before, err := localnet.GetStatus(ctx, info)
	if err != nil {
		return 0, err
	}
	lay, err := localnet.NewLayout(info.Dir)
	if err != nil {
		return 0, err
	}
	if lost {
		for _, dir := range []string{nodeconfig.LedgerDir, nodeconfig.SnapshotDir, nodeconfig.HistoryDir} {
			from := filepath.Join(string(lay.Node(n.Name)), dir)
			if err := os.Rename(from, from+"-lost"); err != nil && !errors.Is(err, os.ErrNotExist) {
				return 0, err
			}
		}
	}
	process, err := os.FindProcess(before.Nodes[i].Pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := process.Kill(); err != nil {
		return 0, fmt.Errorf("end %s: %w", n.Name, err)
	}
	for {
		st, err := localnet.GetStatus(ctx, info)
		if err != nil {
			return 0, err
		}
		if s := st.Nodes[i]; s.Ready && s.Restarts > before.Nodes[i].Restarts {
			return time.Since(began), nil
		}
		a.Err.Line("%s joins %4.1f s", n.Name, time.Since(began).Seconds())
		if !ctxtime.Sleep(ctx, 20*time.Millisecond) {
			return 0, cli.ErrInterrupted
		}
	}
}

// awaitWholeLedger waits until a node's ledger has no gap.
func (a *app) awaitWholeLedger(ctx context.Context, info localnet.Info, i int) error {
	lay, err := localnet.NewLayout(info.Dir)
	if err != nil {
		return err
	}
	began := time.Now()
	for {
		whole, err := wholeLedger(string(lay.Node(info.Nodes[i].Name)))
		if err != nil || whole {
			return err
		}
		a.Err.Line("the past %4.1f s", time.Since(began).Seconds())
		if !ctxtime.Sleep(ctx, 100*time.Millisecond) {
			return cli.ErrInterrupted
		}
	}
}

// wholeLedger says whether the ledger in a node's folder has every entry from the first on.
func wholeLedger(dir string) (bool, error) {
	disk, err := local.OpenReadOnly(dir)
	if err != nil {
		return false, err
	}
	defer disk.Close()
	log, err := ledger.OpenReadOnly(disk, nodeconfig.LedgerDir)
	if err != nil {
		return false, err
	}
	defer log.Close()
	return log.First() == 1, nil
}
