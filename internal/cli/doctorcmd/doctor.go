// Package doctorcmd is `coco doctor`: it examines the machine on which a node runs, or is to run, and the
// network in the folder, if there is one, or that of a node.toml.
//
//	disk.go       what a durable write costs, and what each setting of consensus.durability survives
//	doctor.go     free space and open files, which limits_*.go and memory_*.go ask the system for
//	tee.go        which kinds of TEEs the machine has (coco doctor tee)
//	network.go    certificates, all nodes of the network, and their clocks
//
// Trust: host
package doctorcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// observation is one thing that the doctor looked at.
type observation struct {
	Check   string `json:"check"`
	Level   string `json:"level"`
	Message string `json:"message"`
}

// diagnosis is the answer of `coco doctor -o json`.
type diagnosis struct {
	Dir        string        `json:"dir"` // what was measured
	Sync       *syncTimes    `json:"sync,omitempty"`
	FreeBytes  uint64        `json:"free_bytes,omitempty"`
	OpenFiles  uint64        `json:"open_files,omitempty"` // that a process may have
	Durability durability    `json:"durability"`
	Findings   []observation `json:"findings"`
}

// durability says what each setting of consensus.durability survives.
type durability struct {
	Disk   string `json:"disk"`
	Memory string `json:"memory"`
}

func (d *diagnosis) add(check, level, format string, args ...any) {
	d.Findings = append(d.Findings, observation{check, level, fmt.Sprintf(format, args...)})
}

// problems counts the findings that make `coco doctor` fail.
func (d *diagnosis) problems() (n int) {
	for _, f := range d.Findings {
		if f.Level == finding.Problem {
			n++
		}
	}
	return n
}

// Command returns `coco doctor`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	var f network.Flags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine this machine, and the nodes of its network",
		Long: `Measures how long this disk takes to make a write durable, looks at free space and open
files. It says what the settings "disk" and "memory" of consensus.durability survive here.

If a network of ` + "`coco up`" + ` is in the folder, or with --config, it looks at certificates, and asks all nodes of the
network, those of other operators too, what they do and what their clocks say. Of each finding it says what
to do. With --config it is the disk of that node; the others are named to a certificate only (--cert and
--key, or user.pem beside owner_certificate).

It writes one temporary file and removes it. Exits with 1 if something is wrong.`,
		Example: "  coco doctor\n  coco doctor --dir /var/lib/coco -o json\n  coco doctor --config delta/node.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := examine(cmd.Context(), &f, a.Verifiers())
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				err = a.Out.JSON(d)
			} else {
				a.showDiagnosis(d)
			}
			if n := d.problems(); err == nil && n > 0 {
				err = fmt.Errorf("findings that need mending: %d", n)
			}
			return err
		},
	}
	f.AddOwn(cmd, "`folder` whose disk, and network of `coco up` if there is one, to examine")
	f.AddCertificate(cmd, "with --config: certificate to ask the network's nodes by, a PEM `file` with its issuers (default: user.pem beside owner_certificate)")
	a.OutputFlag(cmd)
	cmd.AddCommand(a.teeCommand())
	return cmd
}

func examine(ctx context.Context, f *network.Flags, verifiers attest.Verifiers) (*diagnosis, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	dir, cfg := f.Dir, (*nodeconfig.Config)(nil)
	if f.Config != "" {
		own, err := nodeconfig.Load(f.Config)
		if err != nil {
			return nil, err
		}
		dir, cfg = own.Dir, &own
	}
	at, err := existing(dir)
	if err != nil {
		return nil, err
	}
	d := &diagnosis{Dir: at}
	times, err := measureSync(ctx, at)
	switch {
	case ctx.Err() != nil:
		return nil, cli.ErrInterrupted
	case err != nil:
		d.add("disk", finding.Problem, "cannot write in %s: %v", at, err)
	default:
		d.Sync = times
		level, message := times.judge(memoryDisk(at))
		d.add("disk", level, "%s", message)
	}
	d.examineMachine(at)
	d.Durability = explainDurability(d.Sync, memoryDisk(at))
	if cfg != nil {
		d.examineSettings(f.Config)
		d.examineFiles(cfg.Dir, ownFiles(cfg), time.Now())
	} else {
		info, err := localnet.Load(dir)
		if err != nil {
			if !localnet.Absent(err) {
				d.add("network", finding.Problem, "%v", err)
			}
			return d, nil
		}
		d.examineFiles(info.Dir, sandboxFiles(info), time.Now())
	}
	n, err := f.Open(ctx, verifiers)
	waits := ""
	if err != nil && cfg != nil {
		waits = nodeconfig.Dir(cfg.Dir).Waits(time.Now())
	}
	switch {
	case ctx.Err() != nil:
		return nil, cli.ErrInterrupted
	case err == nil:
		d.examineNetwork(ctx, n, time.Now())
	case cfg == nil && localnet.Absent(err):
		d.add("network", finding.Warning, "no node of the network in this folder runs: `coco up%s` goes on with it", localnet.DirHint(dir))
	case cfg != nil && errors.Is(err, coco.ErrVerify): // it runs
		d.add("nodes", finding.Problem, "neither this node nor one that it asks answers as it should: %v; its log is %s", err, nodeconfig.Dir(cfg.Dir).Log())
	case waits != "":
		d.add("nodes", finding.Problem, "this node runs and does not serve yet: %s", waits)
	case cfg != nil:
		d.add("nodes", finding.Problem, "neither this node nor one that it asks answers as it should: %v: start it by `coco node join%s`, its log is %s", err, f.Hint(), nodeconfig.Dir(cfg.Dir).Log())
	default:
		d.add("network", finding.Problem, "%v", err)
	}
	return d, nil
}

// examineSettings reads a node.toml, and the folders that it names, as the node will when it starts.
func (d *diagnosis) examineSettings(file string) {
	if err := nodeconfig.Check(file); err != nil {
		d.add("settings", finding.Problem, "the node could not start with %s: %v", file, err)
		return
	}
	d.add("settings", finding.OK, "%s can be read, and so can what it names", file)
}

// existing returns the folder, or the nearest one above it that exists: there it would be made.
func existing(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		st, err := os.Stat(dir)
		switch {
		case err == nil && !st.IsDir():
			return "", fmt.Errorf("%w: %s is no folder", coco.ErrInvalid, dir)
		case err == nil:
			return dir, nil
		case !os.IsNotExist(err) || filepath.Dir(dir) == dir:
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// What a node needs: the ledger fills chunk after chunk, and each connection is an open file.
const (
	littleSpace  = 10 << 30
	noSpace      = 1 << 30
	fewOpenFiles = 16384 // 8192 clients, peers and files, twice over
	noOpenFiles  = 1024
)

func (d *diagnosis) examineMachine(at string) {
	free, ok := freeSpace(at)
	d.FreeBytes = free
	switch {
	case !ok:
		d.add("space", finding.Warning, "how much is free is not known on this system")
	case free < noSpace:
		d.add("space", finding.Problem, "%s free: a node ends when it cannot write; make room first", bytesText(free))
	case free < littleSpace:
		d.add("space", finding.Warning, "%s free: enough to try, little for a network that stays", bytesText(free))
	default:
		d.add("space", finding.OK, "%s free", bytesText(free))
	}
	files, ok := openFiles()
	d.OpenFiles = files
	switch {
	case !ok:
		d.add("files", finding.Warning, "how many files a process may open is not known on this system")
	case files < noOpenFiles:
		d.add("files", finding.Problem, "a process may open %d files: raise it (ulimit -n) to %d", files, fewOpenFiles)
	case files < fewOpenFiles:
		d.add("files", finding.Warning, "a process may open %d files: a node with many clients wants %d (ulimit -n)", files, fewOpenFiles)
	default:
		d.add("files", finding.OK, "a process may open %d files", files)
	}
}

func (a *app) showDiagnosis(d *diagnosis) {
	p := a.Out
	p.Printf("%s\n\n", p.Bold(d.Dir))
	for _, f := range d.Findings {
		mark := p.Green("✓")
		switch f.Level {
		case finding.Warning:
			mark = p.Bold("!")
		case finding.Problem:
			mark = p.Red("✗")
		}
		p.Printf("  %s %s: %s\n", mark, f.Check, f.Message)
	}
	p.Printf("\n%s %s\n%s %s\n", p.Bold(`Durability "disk":`), d.Durability.Disk, p.Bold(`Durability "memory":`), d.Durability.Memory)
}

func bytesText(n uint64) string {
	const gib = 1 << 30
	if n >= gib {
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// readable is a certificate's file, as errors name it.
func readable(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil && fs.ValidPath(filepath.ToSlash(rel)) {
		return rel
	}
	return file
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
