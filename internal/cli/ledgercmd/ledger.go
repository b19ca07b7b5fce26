// Package ledgercmd is `coco ledger`: it verifies, shows, backs up, restores and repairs ledgers by their files alone,
// without any key, and reads their private parts with keys. No node is asked.
//
//	verify    every file from the first byte on, and that the nodes of one network agree
//	show      what entries a ledger holds; nothing is verified
//	backup    a node's ledger and snapshots to another folder, also while the node runs
//	restore   the way back, for a node to begin from
//	repair    damaged and missing chunks, by those of other ledgers
//	grant     what an auditor reads some epochs with, made with members' keys
//	export    the private parts of epochs, with members' keys or by a grant
//
// Trust: host
package ledgercmd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/succession"
)

// Command returns `coco ledger`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Verify, show, back up, restore, repair or decrypt a node's ledger, without a node",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.ledgerVerifyCommand(), a.ledgerShowCommand(), a.ledgerBackupCommand(), a.ledgerRestoreCommand(), a.ledgerRepairCommand(), a.ledgerExportCommand(), a.ledgerGrantCommand(), a.ledgerGrantsCommand())
	return cmd
}

// ledgerDir is a folder of ledger files.
type ledgerDir struct {
	name string // for people
	path string
}

// open opens the folder for reading.
func (d ledgerDir) open() (disk *local.Disk, dir string, err error) {
	disk, err = local.OpenReadOnly(filepath.Dir(d.path))
	return disk, filepath.Base(d.path), err
}

// Found is a ledger in a folder.
type Found struct {
	Name string // for people
	Path string // of the folder with its files
}

// Find says which ledgers a folder means, as `coco ledger verify` takes it.
func Find(dir string) (found []Found, err error) {
	all, _, err := findLedgers(dir)
	for _, d := range all {
		found = append(found, Found{d.name, d.path})
	}
	return found, err
}

// FindOne is Find for a folder that means one ledger.
func FindOne(dir string) (Found, error) {
	found, err := Find(dir)
	if err != nil {
		return Found{}, err
	}
	if len(found) > 1 {
		return Found{}, fmt.Errorf("%w: %s holds the ledgers of %d nodes: name the folder of one", coco.ErrInvalid, dir, len(found))
	}
	return found[0], nil
}

// findLedgers says which ledgers a folder means: its own files, those of a node, or those of all
// nodes of a sandbox, which is then described too.
func findLedgers(dir string) ([]ledgerDir, *localnet.Info, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: folder %q: %w", coco.ErrInvalid, dir, err)
	}
	if st, err := os.Stat(abs); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", coco.ErrNotFound, err)
	} else if !st.IsDir() {
		return nil, nil, fmt.Errorf("%w: %s is a file: name the folder of a ledger, of a node or of a sandbox", coco.ErrInvalid, dir)
	}
	info, err := localnet.Load(abs)
	switch {
	case err == nil:
		var dirs []ledgerDir
		for _, n := range info.Nodes {
			dirs = append(dirs, ledgerDir{n.Name, nodeconfig.Dir(n.Dir).Ledger()})
		}
		return dirs, &info, nil
	case !errors.Is(err, coco.ErrNotFound):
		return nil, nil, err
	case holdsLedger(filepath.Join(abs, nodeconfig.LedgerDir)): // first: a file beside it may have a name like a chunk's
		return []ledgerDir{{filepath.Base(abs), filepath.Join(abs, nodeconfig.LedgerDir)}}, nil, nil
	case holdsLedger(abs):
		return []ledgerDir{{filepath.Base(abs), abs}}, nil, nil
	}
	return nil, nil, fmt.Errorf("%w: no ledger in %s: expected files ledger_…, a folder %s of a node, or a sandbox", coco.ErrNotFound, dir, nodeconfig.LedgerDir)
}

func holdsLedger(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "ledger_") && !e.IsDir() {
			return true
		}
	}
	return false
}

// verified is what one ledger's audit found.
type verified struct {
	Name         string         `json:"name"`
	Dir          string         `json:"dir"`
	Report       *ledger.Report `json:"report,omitempty"`
	Constitution coco.Digest    `json:"constitution,omitzero"` // in force at its end
	Governance   governance     `json:"governance,omitzero"`
	Keys         *keysJSON      `json:"keys,omitempty"`       // what was checked of committees; absent if there is none
	Service      string         `json:"service,omitempty"`    // its name
	Recoveries   []coco.TxID    `json:"recoveries,omitempty"` // after which transactions members have recovered the network under a new service
	Nodes        int            `json:"nodes"`                // that were ever admitted
	Fault        *faultJSON     `json:"fault,omitempty"`
	Missing      bool           `json:"missing,omitempty"` // there is no ledger

	auditor *audit.Auditor
}

// governance is audit.Governance, with the names that it has in the answer.
type governance struct {
	Version   uint64 `json:"version"` // of the constitution
	Proposals int    `json:"proposals"`
	Accepted  int    `json:"accepted"`
	Ballots   int    `json:"ballots"` // the last ones of each member about each proposal
}

type faultJSON struct {
	File   string    `json:"file"`
	Offset int64     `json:"offset"`
	Index  uint64    `json:"index"`
	First  coco.TxID `json:"first,omitzero"`
	Last   coco.TxID `json:"last,omitzero"`
	Reason string    `json:"reason"`
}

func faultOf(f *ledger.Fault) *faultJSON {
	return &faultJSON{File: f.File, Offset: f.Offset, Index: f.Index, First: f.First, Last: f.Last, Reason: f.Reason}
}

func (a *app) ledgerVerifyCommand() *cobra.Command {
	var service, constitution, atLeast string
	var must demands
	var moved []string
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check a ledger from its first transaction on",
		Long: `Checks a ledger without any key: the files' framing, the chain over all entries, the
digests of every part, the Merkle roots, and that each batch is signed by a node which was
admitted before, whose owner signed for it, whose code was listed and which the network's
service endorsed. DIR is a folder of ledger files, a node's folder, or a sandbox: then all
of its nodes' ledgers are checked, and that they agree.

If chunks were moved away from the ledger's folder, name where to with --moved.

A ledger names its own constitution and service. Compare what is printed with what you
know, or say it with --constitution and --service; for a sandbox both are known.

What was cut off a ledger's end leaves no trace in it. --at-least TX refuses a ledger that lacks a transaction which
you know to be committed, by its receipt or from another copy.

--report FILE also writes a report for people: the counts, the nodes and what each signed, every constitution, and
every proposal with its votes. The same for programs: -o json, and ` + "`coco ledger show DIR --governance -o json`" + `.

Exits with 0 if all is well, with 3 and the exact place if anything is not, and with 1 if a
ledger is not there; the others are checked all the same.`,
		Example: `  coco ledger verify coco-sandbox
  coco ledger verify coco-sandbox/nodes/alpha --service coco-sandbox/service.pem
  coco ledger verify /backup/network --moved /archive/ledger
  coco ledger verify /backup/ledger -o json
  coco ledger verify /backup/network --at-least 2.1733 --report audit.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, value := range map[string]string{"service": service, "constitution": constitution, "at-least": atLeast, "report": must.report} {
				if value == "" && cmd.Flags().Changed(name) {
					return fmt.Errorf("%w: --%s is empty: expected what the ledger must have; leave it out to compare what is printed yourself", coco.ErrInvalid, name)
				}
			}
			if atLeast != "" {
				var err error
				if must.atLeast, err = coco.ParseTxID(atLeast); err != nil {
					return fmt.Errorf("--at-least: %w", err)
				}
			}
			if must.report != "" {
				if err := atomicfile.Free(must.report); err != nil {
					return err
				}
			}
			dirs, info, err := findLedgers(args[0])
			if err != nil {
				return err
			}
			cfg, err := a.auditorConfig(info, service, constitution)
			if err != nil {
				return err
			}
			extra, done, err := openMoved(moved)
			if err != nil {
				return err
			}
			defer done()
			return a.verifyLedgers(cmd.Context(), dirs, cfg, extra, &must)
		},
	}
	movedFlag(cmd, &moved)
	cmd.Flags().StringVar(&service, "service", "", "`file` of the service certificate that the network must have")
	cmd.Flags().StringVar(&constitution, "constitution", "", "`digest` of the genesis constitution that it must have")
	cmd.Flags().StringVar(&atLeast, "at-least", "", "`transaction`, as view.seqno, that the ledger must hold")
	cmd.Flags().StringVar(&must.report, "report", "", "`file` to write a report for people to, which must not exist")
	a.OutputFlag(cmd)
	return cmd
}

// auditorConfig collects what is known beforehand.
func (a *app) auditorConfig(info *localnet.Info, service, constitution string) (audit.Config, error) {
	cfg := audit.Config{Verifiers: a.Verifiers(), Now: time.Now()}
	if info != nil {
		cfg.Constitution = info.Constitution
		if service == "" && info.Committed {
			service = info.ServicePEM
		}
	}
	if constitution != "" {
		if err := cfg.Constitution.UnmarshalText([]byte(constitution)); err != nil {
			return cfg, fmt.Errorf("--constitution: %w", err)
		}
		if cfg.Constitution == (coco.Digest{}) {
			return cfg, fmt.Errorf("%w: --constitution: no constitution has a digest of zeros", coco.ErrInvalid)
		}
	}
	if service != "" {
		data, err := os.ReadFile(service)
		if err != nil {
			return cfg, cli.FileError("service certificate", err)
		}
		cert, err := client.ParseCertificate(data)
		if err != nil {
			return cfg, fmt.Errorf("%s: %w", service, err)
		}
		cfg.Service = cert.Raw
	}
	return cfg, nil
}

func (a *app) verifyLedgers(ctx context.Context, dirs []ledgerDir, cfg audit.Config, extra []host.Disk, must *demands) error {
	var all []verified
	var failure error
	compare := &comparison{}
	for _, d := range dirs {
		v, err := a.verifyLedger(ctx, d, cfg, extra, compare, must)
		if ctx.Err() != nil {
			return cli.ErrInterrupted
		}
		if errors.Is(err, coco.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %s has no ledger in %s: expected files ledger_…", coco.ErrNotFound, d.name, d.path)
			v.Missing, v.Report = true, nil
		} else if err != nil && v.Fault == nil && !errors.Is(err, coco.ErrVerify) {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		all = append(all, v)
		if !a.WantsJSON() {
			a.showVerified(v, err)
		}
		failure = errors.Join(failure, err)
	}
	failure = errors.Join(failure, compare.check())
	if must.report != "" {
		if err := writeReport(must.report, a.Version, cfg.Now, all, failure); err != nil {
			return errors.Join(failure, err)
		}
	}
	if a.WantsJSON() {
		page := struct {
			OK      bool       `json:"ok"`
			Ledgers []verified `json:"ledgers"`
		}{failure == nil, all}
		if err := a.Out.JSON(page); err != nil {
			return err
		}
	} else if failure == nil && len(dirs) > 1 {
		a.Out.OK("all %d ledgers agree on every committed batch", len(dirs))
	}
	return failure
}

// verifyLedger audits one ledger.
func (a *app) verifyLedger(ctx context.Context, d ledgerDir, cfg audit.Config, extra []host.Disk, compare *comparison, must *demands) (verified, error) {
	v := verified{Name: d.name, Dir: d.path, auditor: audit.New(cfg)}
	disk, dir, err := d.open()
	if err != nil {
		return v, err
	}
	defer disk.Close()
	checker := &comparing{Auditor: v.auditor, all: compare, node: d.name, at: must.atLeast.Seqno}
	report, err := ledger.Audit(ctx, disk, dir, checker, a.Err.Bar("verifying "+d.name), extra...)
	a.Err.Line("")
	v.Report = &report
	if c := v.auditor.Constitution(); c != nil {
		v.Constitution = c.Digest()
		counted, gerr := v.auditor.Governance()
		if v.Governance = governance(counted); gerr != nil && err == nil {
			err = gerr
		}
	}
	v.Keys, v.Nodes = keysOf(v.auditor.Keys()), len(v.auditor.Nodes())
	if cert, cerr := parseDER(v.auditor.ServiceCertificate()); cerr == nil {
		v.Service, v.Recoveries = cert.Subject.CommonName, recoveriesOf(cert)
	}
	var fault *ledger.Fault
	if errors.As(err, &fault) {
		if strings.HasPrefix(fault.File, dir+"/") { // not in a folder to which chunks were moved
			fault.File = filepath.Join(filepath.Dir(d.path), fault.File)
		}
		v.Fault = faultOf(fault)
	}
	compare.done(d.name, report.CommittedIndex)
	if err == nil {
		err = demanded(v.auditor, cfg)
	}
	if err == nil {
		err = must.check(checker.held, report.Last)
	}
	return v, err
}

// Audit verifies the ledger in a folder as one of a network's. The error wraps a *ledger.Fault where the ledger is
// not whole.
func Audit(ctx context.Context, c *cli.App, info *localnet.Info, name, path string) (*ledger.Report, error) {
	a := &app{c}
	cfg, err := a.auditorConfig(info, "", "")
	if err != nil {
		return nil, err
	}
	v, err := a.verifyLedger(ctx, ledgerDir{name, path}, cfg, nil, &comparison{}, &demands{})
	return v.Report, err
}

// demanded makes sure that the ledger named the constitution and the service that it must have: an
// auditor compares them when it meets them.
func demanded(found *audit.Auditor, cfg audit.Config) error {
	// The digest is that of the genesis constitution; later ones follow from it.
	if cfg.Constitution != (coco.Digest{}) && found.Constitution() == nil {
		return fmt.Errorf("%w: the ledger does not hold the constitution %s", coco.ErrVerify, cfg.Constitution)
	}
	if cfg.Service != nil && !sameService(found.ServiceCertificate(), cfg.Service) {
		return fmt.Errorf("%w: the ledger is not of the service whose certificate was given", coco.ErrVerify)
	}
	return nil
}

// sameService compares the keys of two certificates: a renewed one is of the same.
func sameService(a, b []byte) bool {
	x, err1 := table.NetworkID(a)
	y, err2 := table.NetworkID(b)
	return err1 == nil && err2 == nil && x == y
}

// recoveriesOf returns the last transactions before the recoveries of a network, the first one first, given its service's certificate, which was verified.
func recoveriesOf(service *x509.Certificate) (out []coco.TxID) {
	chain, err := succession.Chain(service)
	if err != nil {
		return nil
	}
	for _, s := range slices.Backward(chain[1:]) {
		out = append(out, s.Until)
	}
	return out
}

func (a *app) showVerified(v verified, err error) {
	p, r := a.Out, v.Report
	if v.Missing {
		p.Printf("  %s %s: no ledger in %s\n", p.Red("✗"), v.Name, v.Dir)
		return
	}
	if err != nil && v.Fault == nil {
		p.Printf("  %s %s: whole, %s up to %s, but not what it must be\n", p.Red("✗"), v.Name, cli.Plural(r.Transactions, "transaction"), r.Last)
		return
	}
	if err != nil {
		p.Printf("  %s %s: what precedes the fault is whole: %s, %s\n", p.Red("✗"), v.Name, cli.Plural(r.Entries, "entry"), cli.Plural(r.Transactions, "transaction"))
		return
	}
	p.OK("%s: %s, %s, %s, %s, %s up to %s", v.Name, cli.Plural(r.Files, "file"), size(r.Bytes), cli.Plural(r.Entries, "entry"),
		cli.Plural(r.Batches, "signed batch"), cli.Plural(r.Transactions, "transaction"), r.Last)
	p.Printf("      framing, chain, digests, Merkle roots, signatures, certificates and owners of %s: correct\n", cli.Plural(v.Nodes, "node"))
	p.Printf("      proven to be committed up to %s (entry %d)", r.Committed, r.CommittedIndex)
	if r.Committed != r.Last {
		p.Printf("; what follows is signed, and the next batch will prove it")
	}
	p.Printf("\n      constitution %d (%s), service %q, root %s\n", v.Governance.Version, v.Constitution.Short(), v.Service, r.Root.Short())
	for _, last := range v.Recoveries {
		p.Printf("      recovered by its members after transaction %s, under a new service: what was committed after it is lost\n", last)
	}
	if g := v.Governance; g.Proposals > 0 {
		p.Printf("      governance replayed: %s, %d of them accepted, %s\n", cli.Plural(g.Proposals, "proposal"), g.Accepted, cli.Plural(g.Ballots, "ballot"))
	}
	if k := v.Keys; k != nil {
		p.Printf("      keys checked: %s, %s of which %d failed, %s, %s sealed to committees\n", cli.Plural(k.Committees, "committee"),
			cli.Plural(k.Ceremonies, "ceremony"), k.Failed, cli.Plural(k.Statements, "statement"), cli.Plural(k.sealedTo(), "epoch"))
		if k.Grants > 0 {
			p.Printf("      for auditors: %s of grants sealed, %s of seats\n", cli.Plural(k.Grants, "key"), cli.Plural(k.Parts, "part"))
		}
	}
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
