// Package sandboxcmd runs a network on this machine: `coco up`, `coco down`, `coco restart`, `coco status`. Other
// commands get such a network, a running or a temporary one, from [Network].
//
//	up            the supervisor in this process (package sandbox)
//	up --detach   up --supervise as a process of its own, whose steps it shows until the network is ready
//
// Trust: host
package sandboxcmd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/wellknown"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/genesisfile"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/logfile"
	"github.com/cocoframework/coco/internal/lograte"
	"github.com/cocoframework/coco/internal/sandbox"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
	"github.com/cocoframework/coco/internal/visible"
)

// upFlags are the flags of `coco up`.
type upFlags struct {
	dir       string
	members   int
	fresh     bool
	yes       bool
	detach    bool
	supervise bool
	port      int
	chainID   uint64
	set       []string
	accept    string
	last      coco.TxID // that accept names
	drill     bool
	closed    bool
	dev       bool
	genesis   genesisfile.Flags
}

// Up returns `coco up`.
func Up(c *cli.App) *cobra.Command {
	a := &app{c}
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a network of several members on this machine",
		Long: `Runs a whole consortium on this machine: for every member an organisation with its
certificate and keys and one validating node as a process of its own. The nodes attest
each other, replicate every transaction and keep a signed, encrypted ledger on disk.

Each member gets one plain loopback URL for JSON-RPC over HTTP and WebSocket. A small
proxy behind it has verified its node's evidence and speaks mutual TLS with the enclave.

The network runs until Ctrl-C or ` + "`coco down`" + `. In the same folder it goes on where it ended.
Without a terminal every step is one line of JSON; the last one says "ready".

A network that goes on shows the last transaction of its ledger, with its time and Merkle root, before any
member's key is read. If the ledgers lack a transaction that was seen committed, as when folders were restored
from older copies, nothing starts; --accept-last goes on from the transaction that they end with.

With --dev the network does what the nodes of Hardhat and Foundry do for tests: it signs for
accounts that everybody knows, and has evm_snapshot, hardhat_setBalance and the like. It has one
member and the chain id 31337 unless you say otherwise. It is for tests on this machine only.

A new network has the default settings; --set gives it others, for tests and measurements: a name as
in its constitution.toml, and a value, which is JSON or a text. 0 in snapshots means never by that.`,
		Example: `  coco up                         # three members, until Ctrl-C
  coco up --detach                # returns when the network is ready
  coco up --fresh --members 5     # discard the old network, start one of five
  coco up --dir /tmp/net -o json  # for scripts
  coco up --fresh --set ledger.chunk_bytes=1048576 --set snapshots.transactions=1000
  coco up --fresh --closed        # members see their own transactions, and what contracts admit
  coco up --fresh --dev           # for "hardhat test --network …": unlocked accounts, snapshots, time travel
  coco up --fresh --set adapters.kv.max_value_bytes=4096`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("output") && !a.Out.Terminal() {
				a.UseJSON()
			}
			if !f.supervise { // which is told what this command was, zeros included
				for _, name := range []string{"members", "port", "chain-id"} {
					if cmd.Flags().Changed(name) && cmd.Flags().Lookup(name).Value.String() == "0" {
						return fmt.Errorf("%w: --%s 0: expected at least 1; leave it out for the default", coco.ErrInvalid, name)
					}
				}
			}
			if f.dev && f.closed {
				return fmt.Errorf("%w: --dev and --closed: expected one of them: in development mode everybody sees and changes everything", coco.ErrInvalid)
			}
			if f.accept != "" {
				var err error
				if f.last, err = coco.ParseTxID(f.accept); err != nil {
					return fmt.Errorf("--accept-last: %w", err)
				}
			}
			a.OutlivePipes()
			if f.fresh && !f.yes && !f.supervise {
				if err := a.confirmFresh(cmd.Context(), f.dir); err != nil {
					return err
				}
			}
			switch {
			case f.drill:
				return a.drill(cmd.Context(), f.dir)
			case f.supervise:
				return a.supervise(cmd.Context(), f)
			case f.detach:
				return a.upDetached(cmd.Context(), f)
			}
			return a.up(cmd.Context(), f)
		},
	}
	cli.DirFlag(cmd, &f.dir, "`folder` of the network's keys and ledgers")
	fl := cmd.Flags()
	fl.IntVar(&f.members, "members", 0, fmt.Sprintf("number of `members`, 1 to %d (default %d)", len(localnet.Names), sandbox.DefaultMembers))
	fl.BoolVar(&f.fresh, "fresh", false, "discard the network in the folder and start a new one with a new chain id")
	fl.BoolVar(&f.yes, "yes", false, "do not ask on a terminal before --fresh discards a network")
	fl.BoolVar(&f.detach, "detach", false, "return when the network is ready and leave it running")
	fl.IntVar(&f.port, "port", 0, fmt.Sprintf("where the loopback URLs begin (default %d); ports in use are stepped over", sandbox.DefaultPort))
	fl.Uint64Var(&f.chainID, "chain-id", 0, "chain `id` of a new network (default random)")
	fl.StringArrayVar(&f.set, "set", nil, "`KEY=VALUE`, a setting of a new network, such as ledger.chunk_bytes=1048576; may be repeated")
	fl.BoolVar(&f.closed, "closed", false, "a new network in which each member sees its own Ethereum transactions and accounts, and what contracts admit")
	fl.BoolVar(&f.dev, "dev", false, "a new network in DEVELOPMENT mode, INSECURE: unlocked accounts, and what Hardhat and Foundry ask of a node in tests")
	f.genesis.Add(cmd)
	fl.StringVar(&f.accept, "accept-last", "", "the `transaction` that the ledgers end with, to go on from it though later ones were committed and are lost")
	fl.BoolVar(&f.drill, "drill", false, "start nothing: rehearse a recovery from the folder's ledgers with its members' keys, also while the network runs")
	fl.BoolVar(&f.supervise, "supervise", false, "")
	_ = fl.MarkHidden("supervise")
	cmd.MarkFlagsMutuallyExclusive("detach", "supervise")
	for _, name := range []string{"fresh", "detach", "members", "port", "chain-id", "set", "closed", "dev", "genesis", "state", "accept-last"} {
		cmd.MarkFlagsMutuallyExclusive("drill", name)
	}
	a.OutputFlag(cmd)
	return cmd
}

// confirmFresh asks before a network is discarded, if there is one.
func (a *app) confirmFresh(ctx context.Context, dir string) error {
	lay, err := sandbox.Prepare(dir)
	if err != nil {
		return err
	}
	parts, err := genesis.Parts(lay)
	if err != nil || len(parts) == 0 {
		return err
	}
	what := "the network"
	if info, err := localnet.Load(lay.Dir); err == nil {
		what = fmt.Sprintf("network %q of %s", info.Network, cli.Plural(len(info.Members), "member"))
	}
	return a.Confirm(ctx, "--yes", "--fresh deletes %s in %s: its keys, its ledgers and what they hold, for good.", what, lay.Dir)
}

// options are the sandbox that the flags describe.
func (a *app) options(f *upFlags) (sandbox.Options, error) {
	exe, err := os.Executable()
	if err != nil {
		return sandbox.Options{}, err
	}
	code, err := a.Own().Measure()
	if err != nil {
		return sandbox.Options{}, err
	}
	var begin *genesisfile.Section
	if f.genesis != (genesisfile.Flags{}) {
		if begin, err = f.genesis.Read(); err != nil {
			return sandbox.Options{}, err
		}
		if f.chainID != 0 && f.chainID != begin.ChainID {
			return sandbox.Options{}, fmt.Errorf("%w: --chain-id %d: the chain of %s is %d", coco.ErrInvalid, f.chainID, f.genesis.Genesis, begin.ChainID)
		}
		f.chainID = begin.ChainID
	}
	var set func(*constitution.Constitution) error
	if len(f.set) > 0 || f.closed || begin != nil {
		set = func(c *constitution.Constitution) error {
			if begin != nil {
				genesis.Import(c, begin.Settings)
			}
			if f.closed {
				if err := genesis.Close(c); err != nil {
					return err
				}
			}
			return genesis.Set(c, f.set)
		}
	}
	return sandbox.Options{
		AcceptLast: f.last,
		Dir:        f.dir, Members: f.members, Development: f.dev, Fresh: f.fresh, Port: f.port, ChainID: f.chainID, Constitution: set, CompleteSettings: adapter.Completer(a.Adapters),
		Exe: exe, Code: code, KeepCode: true, Verifiers: a.Verifiers(),
	}, nil
}

// up runs a network until it is told to stop.
func (a *app) up(ctx context.Context, f upFlags) error {
	opts, err := a.options(&f)
	if err != nil {
		return err
	}
	lay, err := sandbox.Prepare(f.dir)
	if err != nil {
		return err
	}
	log, err := logfile.Open(lay.LogFile(), logfile.Bounds{})
	if err != nil {
		return fmt.Errorf("log of the sandbox: %w", err)
	}
	defer log.Close()
	opts.Log = lograte.New(slog.NewJSONHandler(log, &slog.HandlerOptions{ReplaceAttr: visible.Attr}), local.Clock{}.Elapsed)
	ready := false
	opts.Report = func(s localnet.Step) {
		// Programs read until "ready"; what happens later is in the log.
		if a.WantsJSON() && ready {
			return
		}
		ready = ready || s.Step == "ready"
		a.showStep(s)
	}
	s, err := sandbox.Start(ctx, opts)
	if err != nil {
		if ctx.Err() != nil {
			return cli.ErrInterrupted
		}
		return err
	}
	if !a.WantsJSON() {
		a.showNetwork(ctx, s.Info(), "Ctrl-C stops the network; `coco up"+localnet.DirHint(f.dir)+"` goes on.")
	}
	return s.Wait()
}

func openLog(lay localnet.Layout) (*os.File, error) {
	f, err := os.OpenFile(lay.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of the sandbox: %w", err)
	}
	return f, nil
}

// upDetached starts the supervisor as a process of its own and shows its steps until it is ready.
func (a *app) upDetached(ctx context.Context, f upFlags) error {
	if f.genesis != (genesisfile.Flags{}) { // what is wrong with a file is said here, and not by a process beside
		if _, err := f.genesis.Read(); err != nil {
			return err
		}
	}
	lay, err := sandbox.Prepare(f.dir)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := openLog(lay)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(exe, "up", "--supervise", "-o", cli.OutputJSON, "--dir", lay.Dir,
		"--members", strconv.Itoa(f.members), "--port", strconv.Itoa(f.port), "--chain-id", strconv.FormatUint(f.chainID, 10), "--fresh="+strconv.FormatBool(f.fresh), "--closed="+strconv.FormatBool(f.closed), "--dev="+strconv.FormatBool(f.dev))
	if f.accept != "" {
		cmd.Args = append(cmd.Args, "--accept-last", f.accept)
	}
	for _, setting := range f.set {
		cmd.Args = append(cmd.Args, "--set", setting)
	}
	if f.genesis.Genesis != "" {
		cmd.Args = append(cmd.Args, "--genesis", f.genesis.Genesis, "--state", f.genesis.State)
	}
	cmd.Stderr = log
	sandbox.Background(cmd)
	steps, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	// Ctrl-C ends a start. Once the network is ready it is not this command's any more.
	interrupt := context.AfterFunc(ctx, func() { _, _ = localnet.Down(context.WithoutCancel(ctx), lay.Dir) })
	ready, err := a.followSteps(steps)
	interrupt()
	if !ready {
		werr := cmd.Wait()
		switch {
		case ctx.Err() != nil:
			return cli.ErrInterrupted
		case err != nil:
			return err
		}
		return fmt.Errorf("the supervisor ended before the network was ready (%v); its log is %s", werr, lay.LogFile())
	}
	if a.WantsJSON() {
		return nil
	}
	info, err := localnet.Load(lay.Dir)
	if err != nil {
		return err
	}
	a.showNetwork(ctx, info, "The network runs in the background; `coco down"+localnet.DirHint(f.dir)+"` stops it.")
	return nil
}

// followSteps shows the steps that a supervisor writes until the network is ready or the supervisor
// has failed.
func (a *app) followSteps(r io.Reader) (ready bool, err error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var s localnet.Step
		if json.Unmarshal(sc.Bytes(), &s) != nil {
			continue
		}
		if s.Step == localnet.StepFailed {
			return false, s.Err()
		}
		a.showStep(s)
		if s.Step == "ready" {
			return true, nil
		}
	}
	return false, sc.Err()
}

// supervise is the supervisor of a network in the background. Its standard output goes to the
// command that started it, which leaves once the network is ready.
func (a *app) supervise(ctx context.Context, f upFlags) error {
	opts, err := a.options(&f)
	if err != nil {
		return err
	}
	log := a.Err.W
	if name := (localnet.Layout{Dir: f.dir}).LogFile(); logfile.IsStandardError(name) {
		file, err := logfile.Open(name, logfile.Bounds{})
		if err != nil {
			return fmt.Errorf("log of the sandbox: %w", err)
		}
		defer file.Close()
		log = file
	}
	opts.Log = lograte.New(slog.NewJSONHandler(log, &slog.HandlerOptions{ReplaceAttr: visible.Attr}), local.Clock{}.Elapsed)
	ready := false
	opts.Report = func(s localnet.Step) {
		if !ready {
			_ = a.Out.JSON(s)
		}
		ready = ready || s.Step == "ready"
	}
	s, err := sandbox.Start(ctx, opts)
	if err != nil {
		_ = a.Out.JSON(localnet.FailedStep(err))
		return err
	}
	return s.Wait()
}

// showStep shows what a sandbox did.
func (a *app) showStep(s localnet.Step) {
	if a.WantsJSON() {
		_ = a.Out.JSON(s)
		return
	}
	switch s.Step {
	case "ready":
	case "down", "damaged":
		a.Out.Printf("  %s %s\n", a.Out.Red("✗"), s.Text)
	case "recovering", "restarting", "code":
		a.Out.Printf("  %s %s\n", a.Out.Dim("…"), s.Text)
	default:
		a.Out.OK("%s", s.Text)
	}
}

// showNetwork says how to reach a network and what to do next.
func (a *app) showNetwork(ctx context.Context, info localnet.Info, end string) {
	p := a.Out
	p.Printf("\n")
	var notices []string
	if n, err := network.Of(info, localnet.Status{}, a.Verifiers()); err == nil { // a node that does not answer is not shown either
		notices = ask(ctx, n).Notices
	}
	if info.Insecure && len(notices) == 0 {
		p.Insecure()
	}
	for _, t := range notices {
		p.Printf("%s\n", p.Red(t))
	}
	p.Printf("\n")
	rows := [][]string{{"Member", "JSON-RPC", "WebSocket"}}
	for _, n := range info.Nodes {
		if n.Retired {
			continue
		}
		rows = append(rows, []string{n.Member, n.HTTP, n.WS})
	}
	p.Table(rows)
	p.Printf("\n  %s %d\n", p.Bold("Chain id"), info.ChainID)
	p.Printf("  Values by key are at /app/kv/KEY of each URL; a browser shows at the URL itself what is there.\n\n")
	funds := "1,000,000"
	if info.Development {
		funds = "10,000"
	}
	rows = [][]string{{"Account, " + funds + " ETH each", "Private key"}}
	for _, acc := range info.Accounts {
		rows = append(rows, []string{acc.Address, acc.Key})
	}
	p.Table(rows)
	if genesis.WellKnown(info.Accounts) {
		p.Printf("\n  %s %s\n", p.Bold("Mnemonic"), wellknown.Mnemonic)
		p.Printf("  %s %s/0 to /%d, as in Hardhat and Foundry\n", p.Bold("Paths"), wellknown.Path, len(info.Accounts)-1)
		p.Printf("  %s\n", p.Red("Everybody knows these keys: what is sent to them on any other network is stolen."))
	}
	dir := localnet.DirHint(info.Dir)
	p.Printf("\n  %s %s\n", p.Bold("State folder"), info.Dir)
	p.Printf("  %s %s\n\n", p.Bold("Constitution"), info.Constitution)
	p.Printf("Next, in another terminal:\n")
	p.Printf("  coco status%s           nodes, roles, commit, lag\n", dir)
	p.Printf("  coco demo%s             a token, transfers, a receipt, a tampered ledger\n", dir)
	p.Printf("  coco bench erc20%s      transactions per second\n", dir)
	p.Printf("%s\n", end)
}

// Down returns `coco down`.
func Down(c *cli.App) *cobra.Command {
	a := &app{c}
	var dir string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the network on this machine",
		Long: `Stops the network that ` + "`coco up`" + ` runs from a folder, and whatever a supervisor that
crashed has left running. The ledgers stay; ` + "`coco up`" + ` goes on with them.`,
		Example: "  coco down\n  coco down --dir /tmp/net",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			was, err := localnet.Down(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]any{"stopped": was})
			}
			if was {
				a.Out.Printf("Stopped. `coco up%s` goes on where it ended.\n", localnet.DirHint(dir))
			} else {
				a.Out.Printf("Nothing was running.\n")
			}
			return nil
		},
	}
	cli.DirFlag(cmd, &dir, "`folder` of the network")
	a.OutputFlag(cmd)
	return cmd
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
