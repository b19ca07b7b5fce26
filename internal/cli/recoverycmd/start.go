package recoverycmd

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/ledgercmd"
	"github.com/cocoframework/coco/internal/cli/nodecmd"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/ledger"
	coconode "github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/recoverer"
	"github.com/cocoframework/coco/wire"
)

// starting is what `coco recovery start` is told.
type starting struct {
	dir     string // of the node
	ledgers []string
	service string
	listen  string
	atLeast string
	log     string
	whole   bool
	gone    string // the name of the network whose nodes do not go on
	config  nodeconfig.Config
}

func (a *app) startCommand() *cobra.Command {
	s := &starting{}
	cmd := &cobra.Command{
		Use:   "start FOLDER",
		Short: "Recover a network on this machine, from copies of its ledger",
		Long: `Makes the folder of a node, copies the furthest of the ledgers into it, and runs the node. It verifies the ledger without any key, shows where it
ends and which members are needed, and waits for their parts at --listen. Once a threshold has released, it opens the ledger, replays it, and
goes on alone; the members' other nodes then join it.

The copies are only read. Nothing that the ledger does not prove is believed, so where they come from does not matter: name as many as there
are, and the furthest one that is whole is taken. What was committed after its end is lost, and --at-least refuses to go on
without a transaction that is known.

Snapshots beside a copy are copied, too. The newest one that the ledger records stands for the audit of each entry before it: the chain digest of all entries up to
it must be the one that the snapshot names, and the node loads its state instead of replaying them. A snapshot that is damaged, foreign, or newer than the ledger's end
is named and left out. --full-audit uses none: it verifies every signature and root from the first entry on, and replays everything.

A network whose nodes go on by themselves (recovery.unattended), or of which a node answers still, could go on beside the recovery. Then the command says which nodes
these are and what to do, and wants the network's name typed, or given as --nodes-gone, before anybody is asked to release.

With a FOLDER that is there, and without --ledger, it goes on where it ended.

--owner-cert and --owner-key are of a member, which runs the node; --service is the certificate that the network had.`,
		Example: `  coco recovery start rescue --ledger /backup/alpha --ledger /backup/bravo --service service.pem \
    --owner-cert owner.pem --owner-key owner-key.pem --peer 10.0.0.9:7000 --client 10.0.0.9:8000 --admin 10.0.0.9:8100 --listen 10.0.0.9:9000`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.OutlivePipes()
			s.dir = args[0]
			return a.start(cmd.Context(), s)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&s.ledgers, "ledger", nil, "`folder` of a copy of the ledger, of a node, or of a sandbox; may be given several times")
	fl.StringVar(&s.service, "service", "", "the service certificate that the network had, a PEM `file`")
	fl.StringVar(&s.listen, "listen", "", "`host:port` to listen on for members who release")
	fl.StringVar(&s.atLeast, "at-least", "", "`transaction`, as view.seqno, that is known to be committed")
	fl.StringVar(&s.gone, "nodes-gone", "", "`name` of the network: confirms that its nodes do not run, and that too few are left to go on by themselves")
	fl.BoolVar(&s.whole, "full-audit", false, "verify each entry from the first one on, and replay all of them, whatever snapshots there are")
	fl.StringVar(&s.log, "log", "", "`file` of the log, or - for the standard error (default: node.log in the node's folder)")
	nodecmd.Flags(cmd, &s.config)
	fl.StringVar(&s.config.Admin, "admin", "", "`host:port` to listen on for governance, and for the node's owner")
	_ = cmd.MarkFlagRequired("listen")
	_ = cmd.MarkFlagFilename("service")
	a.OutputFlag(cmd)
	return cmd
}

// start makes the node's folder unless it is there, and runs the node.
func (a *app) start(ctx context.Context, s *starting) error {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return fmt.Errorf("%w: folder %q: %w", coco.ErrInvalid, s.dir, err)
	}
	var atLeast coco.TxID
	if s.atLeast != "" {
		if atLeast, err = coco.ParseTxID(s.atLeast); err != nil {
			return fmt.Errorf("--at-least: %w", err)
		}
	}
	file := nodeconfig.Dir(dir).Config()
	cfg, err := nodeconfig.Load(file)
	switch _, serr := os.Stat(file); {
	case errors.Is(serr, fs.ErrNotExist):
		s.config.RecoverAtLeast = atLeast
		if cfg, err = a.makeNode(ctx, s, dir, file); err != nil {
			return err
		}
	case err != nil:
		return err
	case cfg.Start != nodeconfig.StartRecover:
		return fmt.Errorf("%w: %s: start = %q: the folder is of a node that takes part in a network: expected %q, as this command writes it", coco.ErrInvalid, file, cfg.Start, nodeconfig.StartRecover)
	case len(s.ledgers) > 0:
		return fmt.Errorf("%w: %s holds the ledger that the recovery goes on from: leave --ledger out, or name another folder", coco.ErrInvalid, dir)
	case cfg.Approve != (coco.Digest{}): // of a recovery before this one: the network is closed again until members open it
		cfg.Approve = coco.Digest{}
		if err := cfg.Save(file); err != nil {
			return err
		}
	}
	return a.runRecovery(ctx, s, file, cfg, cmp.Or(atLeast, cfg.RecoverAtLeast))
}

// makeNode makes the folder of a node with the furthest copy. What a crash leaves is a folder without a node.toml, which is made again.
func (a *app) makeNode(ctx context.Context, s *starting, dir, file string) (nodeconfig.Config, error) {
	c := s.config
	for _, needed := range []struct{ flag, value string }{
		{"ledger", strings.Join(s.ledgers, "")}, {"service", s.service}, {"owner-cert", c.OwnerCertificate}, {"owner-key", c.OwnerKey}, {"peer", c.Peer}, {"client", c.Client}, {"admin", c.Admin},
	} {
		if needed.value == "" {
			return c, fmt.Errorf("%w: --%s is missing: %s is no folder of a recovery yet", coco.ErrInvalid, needed.flag, dir)
		}
	}
	c.Start = nodeconfig.StartRecover
	if err := nodecmd.Complete(&c, dir); err != nil {
		return c, err
	}
	service, err := readService(s.service)
	if err != nil {
		return c, err
	}
	c.Service = filepath.Join(dir, "service.pem")
	best, err := a.furthest(s.ledgers)
	if err != nil {
		return c, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	if err := os.RemoveAll(filepath.Join(dir, nodeconfig.LedgerDir)); err != nil {
		return c, err
	}
	if err := os.WriteFile(c.Service, identity.CertificatePEM(service), 0o600); err != nil {
		return c, err
	}
	if err := a.copyLedger(ctx, best, dir); err != nil {
		return c, err
	}
	return c, c.Save(file)
}

// candidate is a ledger that a recovery may go on from.
type candidate struct {
	ledgercmd.Found
	view, index uint64
}

// furthest finds the copy that is the furthest, as consensus compares logs. That it is whole is found when it is verified.
func (a *app) furthest(dirs []string) (candidate, error) {
	var all []candidate
	for _, dir := range dirs {
		found, err := ledgercmd.Find(dir)
		if err != nil {
			return candidate{}, err
		}
		for _, f := range found {
			c := candidate{Found: f}
			if err := c.readEnd(); err != nil {
				a.Err.Printf("  %s %s cannot be gone on from: %v\n", a.Err.Red("✗"), f.Path, err)
				continue
			}
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return candidate{}, fmt.Errorf("%w: none of the copies can be gone on from: `coco ledger verify` says what is wrong with each, and `coco ledger repair` mends one from the others", coco.ErrCorrupt)
	}
	return slices.MaxFunc(all, func(x, y candidate) int { return cmp.Or(cmp.Compare(x.view, y.view), cmp.Compare(x.index, y.index)) }), nil
}

// readEnd reads where the copy ends, and that it lacks no chunk.
func (c *candidate) readEnd() error {
	folder, name := splitPath(c.Path)
	disk, err := local.OpenReadOnly(folder)
	if err != nil {
		return err
	}
	defer disk.Close()
	log, err := ledger.OpenReadOnly(disk, name)
	if err != nil {
		return err
	}
	defer log.Close()
	if missing := log.Missing(); len(missing) > 0 {
		return fmt.Errorf("%w: entries %d to %d are missing", coco.ErrCorrupt, missing[0].First, missing[0].Last)
	}
	c.index = log.Last()
	if c.index == 0 {
		return fmt.Errorf("%w: it is empty", coco.ErrCorrupt)
	}
	var ok bool
	if c.view, ok = log.ViewOf(c.index); !ok {
		return fmt.Errorf("%w: it does not know the view of its last entry %d", coco.ErrCorrupt, c.index)
	}
	return nil
}

// copyLedger copies a ledger into the folder of a node.
func (a *app) copyLedger(ctx context.Context, from candidate, dir string) error {
	folder, name := splitPath(from.Path)
	src, err := local.OpenReadOnly(folder)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := local.Open(dir)
	if err != nil {
		return err
	}
	defer dst.Close()
	_, err = ledger.Restore(ctx, ledger.Place{Disk: src, Dir: name, Beside: []string{nodeconfig.SnapshotDir}}, ledger.Place{Disk: dst, Dir: nodeconfig.LedgerDir}, a.Err.Bar("copying "+from.Name))
	a.Err.Line("")
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err == nil && !a.WantsJSON() {
		a.Out.OK("%s is the furthest copy", from.Path)
	}
	return err
}

// event is a line of output of `coco recovery start -o json`.
type event struct {
	Event    string         `json:"event"` // "collecting", "released", "opening", "closed", "ready" or "stopped"
	Recovery *wire.Recovery `json:"recovery,omitempty"`
	Node     coco.NodeID    `json:"node,omitzero"`
	Peer     string         `json:"peer,omitempty"`
	Client   string         `json:"client,omitempty"`
	Admin    string         `json:"admin,omitempty"`
	Lacking  int            `json:"resident_lacking,omitempty"` // of "ready": rows that reside with the node's organisation and others, whose contents the node does not have
}

// teller says what becomes of a recovery.
type teller struct {
	a    *app
	mu   sync.Mutex
	told int // how many members are said to have released; under mu
}

func (t *teller) say(e event, text func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.a.WantsJSON() {
		_ = t.a.Out.JSON(e)
		return
	}
	text()
}

// news reports whether more members have released than was said. A member may bring its release again, and the last one's may be told by what waits for it.
func (t *teller) news(w wire.Recovery) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.told
	t.told = max(was, len(releasedIn(w)))
	return t.told > was
}

// releasedIn returns the names of the members that have released.
func releasedIn(w wire.Recovery) (names []string) {
	for _, m := range w.Members {
		if m.Released {
			names = append(names, m.Name)
		}
	}
	return names
}

// runRecovery runs the node until ctx ends.
func (a *app) runRecovery(ctx context.Context, s *starting, file string, cfg nodeconfig.Config, atLeast coco.TxID) error {
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("%w: --listen: %w", coco.ErrInvalid, err)
	}
	serving, end := context.WithCancel(ctx)
	defer ln.Close()
	var served sync.WaitGroup
	defer served.Wait()
	defer end()
	t := &teller{a: a}
	var rec *recoverer.Recoverer
	how := func(log *slog.Logger, machine host.Host, owner *identity.Owner) (_ *coconode.Recover, err error) {
		if rec, err = newRecoverer(log, machine, t); err != nil {
			return nil, err
		}
		served.Go(func() {
			if err := rec.Serve(serving, ln); err != nil {
				log.Error("the listener for members who release", "error", err)
			}
		})
		bar, replayed := a.Err.Bar("verifying the ledger"), a.Err.Bar("replaying the ledger")
		return &coconode.Recover{
			Whole: s.whole, Replayed: replayed, Refused: func(name string, why error) {
				a.Err.Line("")
				a.Err.Printf("  %s the snapshot %s is left out: %v\n", a.Err.Red("✗"), name, why)
			},
			AtLeast: atLeast, Time: time.Now, Successor: true, Closed: func() {
				end() // members have nothing more to release
				rec.Recovered()
				a.Err.Line("")
				t.closed(cfg)
			},
			Receiver: func(p recovery.Point, resume bool) (*recovery.Receiver, error) { return rec.Receiver(ctx, p, resume) },
			Progress: func(done, total int64) { rec.Verified(done, total); bar(done, total) },
			Show: func(e coconode.Ending) error {
				a.Err.Line("")
				if err := mayRecover(ctx, e.Constitution, owner, cfg.Dir); err != nil {
					return err
				}
				if err := a.confirmAlone(othersOf(ctx, e, cfg.Peer), s.gone); err != nil {
					return err
				}
				rec.Ends(e.Point, e.Constitution, e.From)
				return nil
			},
			Release: func(ctx context.Context, round *recovery.Round) ([]error, error) {
				return nil, rec.Collect(ctx, round, func() { t.collecting(rec.State(), ln.Addr().String()) }, func() { t.opening(rec.State()) })
			},
		}, nil
	}
	err = nodecmd.Recover(ctx, a.App, file, s.log, how, func(i coconode.Info) {
		end() // members have nothing more to release
		if rec != nil {
			rec.Recovered()
		}
		t.ready(i, cfg)
	})
	var loss *coconode.LossError
	switch {
	case errors.As(err, &loss):
		return fmt.Errorf("%w; begin in another folder: with a copy that has it, or without --at-least to accept the loss", loss)
	case err == nil && ctx.Err() != nil:
		t.say(event{Event: "stopped"}, func() { a.Out.OK("the node has ended") })
	}
	return err
}

// mayRecover says whether the constitution in force lets the node's owner begin a recovery, before members release anything: the transaction that begins it would be refused. The error is
// coco.ErrDenied.
func mayRecover(ctx context.Context, c *constitution.Constitution, owner *identity.Owner, dir string) error {
	certs := owner.Certificates()
	node := table.NodeRecord{Owner: c.Holder(certs[len(certs)-1]), OwnerCertificates: certs, Time: uint64(time.Now().UnixMilli())}
	var err error
	if node.OwnerSignature, err = owner.Sign(ctx, table.NodeTuple(node.Owner, node.Address, node.ClientAddress, node.Key)); err != nil {
		return err
	}
	if err = members.VerifyOwner(c, &node); err == nil {
		err = members.CheckRecovery(c, &node)
	}
	if refusal, ok := errors.AsType[*members.Refusal](err); ok {
		return fmt.Errorf("%w: this node cannot recover the network: %s: name the certificate of a member for nodes as owner_certificate, and its key as owner_key, in %s, and start again",
			coco.ErrDenied, refusal.Detail, nodeconfig.Dir(dir).Config())
	}
	return err
}

// newRecoverer makes what collects the members' releases.
func newRecoverer(log *slog.Logger, machine host.Host, t *teller) (*recoverer.Recoverer, error) {
	cfg := recoverer.Config{Quoter: machine.Quoter, Log: log, Collected: t.released}
	if machine.Sealer != nil {
		cfg.Keep = recoverer.KeepOn(machine.Disk, machine.Sealer)
	}
	return recoverer.New(cfg)
}

func (t *teller) collecting(w wire.Recovery, address string) {
	t.news(w)
	t.say(event{Event: wire.RecoveryCollecting, Recovery: &w}, func() {
		p := t.a.Out
		if w.Snapshot == (coco.TxID{}) {
			p.OK("the ledger is verified, without any key")
		} else {
			p.OK("the ledger is verified, without any key: as one piece up to the snapshot of transaction %s, which it records, and entry by entry from there on", w.Snapshot)
		}
		t.a.showState(w)
		p.Printf("Waiting for %s at %s. Each member: coco recovery share submit --node %s --ledger COPY --key encryption.key\n", more(w.Remaining), address, shell.Quote(address))
	})
}

func (t *teller) released(w wire.Recovery) {
	if !t.news(w) {
		return
	}
	t.say(event{Event: "released", Recovery: &w}, func() {
		remain := "enough"
		if w.Remaining > 0 {
			remain = fmt.Sprintf("%d remain", w.Remaining)
		}
		t.a.Out.OK("released: %s; %s", strings.Join(releasedIn(w), ", "), remain)
	})
}

func (t *teller) opening(w wire.Recovery) {
	t.released(w)
	t.say(event{Event: wire.RecoveryOpening, Recovery: &w}, func() {
		t.a.Out.OK("enough members have released: opening the ledger and replaying it")
	})
}

func (t *teller) closed(cfg nodeconfig.Config) {
	t.say(event{Event: "closed", Client: cfg.Client, Admin: cfg.Admin}, func() {
		p := t.a.Out
		p.OK("the ledger is open and replayed. The network is closed until its members open it, under its new service")
		p.Printf("Each member: coco recovery accept --node %s --service service.pem\n", shell.Quote(cfg.Client))
		p.Printf("One of them: coco gov propose open-network service.pem --node %s --service service.pem --cert gov.pem --key file:gov-key.pem --yes; the others vote\n", shell.Quote(cfg.Admin))
	})
}

func (t *teller) ready(i coconode.Info, cfg nodeconfig.Config) {
	if service, err := x509.ParseCertificate(i.Service); err == nil { // the new one: the node's own settings name it from now on
		if err := atomicfile.Write(cfg.Service, identity.CertificatePEM(service)); err != nil {
			t.a.Err.Printf("  %s %s keeps the old service's certificate: %v\n", t.a.Err.Red("✗"), cfg.Service, err)
		}
	}
	if err := approve(nodeconfig.Dir(cfg.Dir).Config(), i.Constitution); err != nil {
		t.a.Err.Printf("  %s the constitution that members have opened the network under is not noted: approve it with `coco node approve` before this node starts again: %v\n", t.a.Err.Red("✗"), err)
	}
	t.say(event{Event: "ready", Node: i.ID, Peer: i.PeerAddress, Client: i.ClientAddress, Admin: i.AdminAddress, Lacking: i.Lacking}, func() {
		p, file := t.a.Out, nodeconfig.Dir(cfg.Dir).Config()
		p.OK("the network is open: node %s serves clients at %s", i.ID.Short(), i.ClientAddress)
		p.Printf("Next: the members' other nodes join it, each with join = [%q] and ask = [%q] in its node.toml. This node starts by coco node join --config %s from then on:\n"+
			"put their addresses into its own join and ask.\n", i.PeerAddress, i.ClientAddress, shell.Quote(file))
		if i.Lacking > 0 {
			p.Printf("This node lacks the contents of %s of its organisation. It fetches them from the nodes that join with their folder resident; `coco doctor` counts what is left.\n"+
				"Of a backup, copy the files of its folder resident into %s and start the node again.\n", cli.Plural(i.Lacking, "resident row"), shell.Quote(filepath.Join(cfg.Dir, nodeconfig.ResidentDir)))
		}
	})
}

// approve notes in a node.toml the constitution under which members have opened the network, on the word of the node that executed their vote. Their vote is the
// approval: no other node may answer yet that an operator could ask. The file is read again, as the operator may have changed it meanwhile.
func approve(file string, constitution coco.Digest) error {
	cfg, err := nodeconfig.Load(file)
	if err != nil {
		return err
	}
	cfg.Approve = constitution
	return cfg.Save(file)
}
