// Package nodecmd is `coco node`: an operator's way with nodes.
//
//	init ─▶ approve ─▶ join ─▶ status … retire     a node of one's own, by its node.toml
//	run                                             what a supervisor starts: the same node, approved already
//	check                                           whether this program can be a node here
//	upgrade, snapshot                               nodes of a network of `coco up`
//
// startNode makes the node's configuration ([node.Config]) from a node.toml and what the program contains. Nothing
// is fetched from a network before its constitution is approved.
//
// Trust: host
package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/resume"
)

// nodeGC trades memory for speed: most of what a node allocates lives as long as a request. GOGC
// in the environment overrides it.
const nodeGC = 300

// Command returns `coco node`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use: "node", Short: "A node of one's own that joins a network; upgrades, snapshots, retiring", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var file string
	run := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run a validating node until its standard input ends",
		Long: `Runs one validating node, as ` + "`coco up`" + ` does for each member. The node ends when its
standard input does, so it never outlives its supervisor. On its standard output it says in one
line of JSON that it is ready, or why it is not; its log goes to standard error.`,
		Example: "  coco node run --config coco-sandbox/nodes/alpha/node.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.OutlivePipes()
			err := a.runNode(cmd.Context(), file)
			if err != nil {
				_ = a.Out.JSON(nodeconfig.FailedEvent(err))
			}
			return err
		},
	}
	run.Flags().StringVar(&file, "config", "", "the node's settings, a node.toml")
	_ = run.MarkFlagRequired("config")
	run.Hidden = true // the supervisor's
	cmd.AddCommand(run, a.nodeInitCommand(), a.joinCommand(), a.approveCommand(), a.nodeStatusCommand(), a.checkCommand(), a.upgradeCommand(), a.snapshotCommand(), a.retireCommand())
	return cmd
}

// runNode runs a supervised node.
func (a *app) runNode(ctx context.Context, file string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go a.untilEOF(cancel)
	cfg, err := nodeconfig.Load(file)
	if err != nil {
		return err
	}
	log, err := a.openLog(standardError, cfg)
	if err != nil {
		return err
	}
	defer log.close()
	defer log.reloads(a.Hangups(), file)()
	err = a.startNode(ctx, cfg, keyfile.ReadUnattended, nodeEvents{
		log: log,
		refused: func(err *join.RefusedError) {
			if err.Reason == members.NotVotedIn {
				_ = a.Out.JSON(nodeconfig.Event{Event: nodeconfig.EventWaiting, Error: err.Error()})
			}
		},
		notKept: func(err error) {
			_ = a.Out.JSON(nodeconfig.Event{Event: nodeconfig.EventNotKept, Error: err.Error()})
		},
		ready: func(info node.Info) {
			_ = a.Out.JSON(nodeconfig.Event{Event: nodeconfig.EventReady, Node: info.ID, Peer: info.PeerAddress, Client: info.ClientAddress})
		},
		recovering: func(p recovery.Point) {
			_ = a.Out.JSON(nodeconfig.Event{Event: nodeconfig.EventRecovering, Last: p.Last(), Time: p.Time, Root: p.Root, Point: p.Digest()})
		},
	})
	if err == nil && ctx.Err() == nil {
		_ = a.Out.JSON(nodeconfig.Event{Event: nodeconfig.EventRetired})
	}
	return err
}

// nodeEvents is where a node's process tells what becomes of it.
type nodeEvents struct {
	log     *nodeLog
	refused func(*join.RefusedError) // may be nil
	ready   func(node.Info)
	notKept func(error)       // may be nil
	waits   func(text string) // may be nil; what the node waits for that resumes
	// recovering is told where the ledger ends that the node goes on from, before any key is used; may be nil.
	recovering func(recovery.Point)
	// recover says how members release their parts on this machine, if not by the keys that the settings name; may be nil.
	recover func(host.Host, *identity.Owner) (*node.Recover, error)
}

// openTEE opens the device that makes the node's evidence, by its settings.
func openTEE(platform cli.Platform, cfg nodeconfig.Config) (host.Quoter, error) {
	quoter, err := platform.Open(cfg.Device)
	if err != nil {
		return nil, fmt.Errorf("TEE of the node: %w: `coco doctor tee` says what this machine has", err)
	}
	if cfg.Collateral == "" {
		return quoter, nil
	}
	carrier, err := platform.WithCollateral(quoter, cfg.Collateral)
	if err != nil {
		return nil, errors.Join(err, cli.Close(quoter))
	}
	return carrier, nil
}

// startNode runs a node until ctx ends, or it has retired. key reads the owner's key.
func (a *app) startNode(ctx context.Context, cfg nodeconfig.Config, key keyfile.Reader, events nodeEvents) error {
	disk, err := openDisk(ctx, cfg.Dir)
	if err != nil {
		return err
	}
	defer disk.Close()
	platform, err := a.Platform(cfg.Platform)
	if err != nil {
		return err
	}
	quoter, err := openTEE(platform, cfg)
	if err != nil {
		return err
	}
	defer cli.Close(quoter)
	owner, err := identity.LoadOwner(cfg.OwnerCertificate, cfg.OwnerKey, key)
	if err != nil {
		return err
	}
	machine := local.Host(disk, quoter)
	if machine.Sealer, err = platform.Seals(disk); err != nil {
		return err
	}
	note, err := nodeconfig.Dir(cfg.Dir).NoteWaits()
	if err != nil {
		return err
	}
	defer func() { _ = note.Remove() }() // it gets old
	c := node.Config{
		Name: cfg.Name, Host: machine, NotKept: events.notKept,
		Addresses: node.Addresses{
			PeerListen: cfg.Peer, ClientListen: cfg.Client, AdminListen: cfg.Admin, PeerAddress: cfg.PeerAddress, ClientAddress: cfg.ClientAddress,
		},
		Adapters: a.Adapters, Verifiers: a.Verifiers(), Owner: owner, Version: a.Version, Log: events.log.Logger, LogLevel: events.log.level, Refused: events.refused,
	}
	c.Waits = func(w resume.Waiting) {
		text := waitsText(w)
		if err := note.Write(text, time.Now()); err != nil {
			events.log.Debug("what this node waits for is not written beside its log", "error", err)
		}
		if events.waits != nil {
			events.waits(text)
		}
	}
	if c.Beginning, err = a.beginning(cfg, events.recovering); err != nil {
		return err
	}
	if events.recover != nil {
		if c.Recover, err = events.recover(c.Host, owner); err != nil {
			return err
		}
	}
	moved, err := nodeconfig.OpenLedgerFolders(cfg.LedgerFolders)
	for _, d := range moved {
		defer d.Close()
		c.LedgerFolders = append(c.LedgerFolders, d)
	}
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(nodeGC)
	}
	if err = node.Run(ctx, c, func(i node.Info) {
		_ = note.Remove() // it gets old
		events.ready(i)
	}); errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return explainLoss(err, cfg.Dir)
}

// untilEOF waits for the end of the standard input. The goroutine ends with the process: a read
// cannot be interrupted.
func (a *app) untilEOF(cancel func()) {
	buf := make([]byte, 512)
	for {
		if _, err := a.In.Read(buf); err != nil {
			cancel()
			return
		}
	}
}

// beginning is the way in which the settings say that a node starts.
func (a *app) beginning(cfg nodeconfig.Config, show func(recovery.Point)) (node.Beginning, error) {
	b := node.Beginning{Approve: cfg.Approve}
	switch cfg.Start {
	case nodeconfig.StartGenesis:
		page, err := os.ReadFile(cfg.Constitution)
		if err != nil {
			return b, fmt.Errorf("constitution: %w", err)
		}
		if b.Genesis, err = constitution.ParseNew(page, adapter.Completer(a.Adapters)); err != nil {
			return b, fmt.Errorf("%s: %w", cfg.Constitution, err)
		}
	case nodeconfig.StartJoin:
		b.Join = cfg.Join
	case nodeconfig.StartRecover:
		b.Recover = recovering(cfg, show)
	}
	if cfg.Service != "" && cfg.Start != nodeconfig.StartGenesis {
		service, err := identity.ReadLeaf(cfg.Service)
		if err != nil {
			return b, err
		}
		b.Service = service.Raw
	}
	return b, nil
}

// openDisk opens the node's folder. A node that has just been told to end may still hold it.
func openDisk(ctx context.Context, dir string) (*local.Disk, error) {
	patience, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		disk, err := local.Open(dir)
		if !errors.Is(err, local.ErrLocked) {
			return disk, err
		}
		select {
		case <-patience.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
