package ledgercmd

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/ledger/chain"
)

// repaired is a range of entries that was taken from another ledger.
type repaired struct {
	ledger.Range
	From   string `json:"from"`             // the folder
	Damage string `json:"damage,omitempty"` // what was wrong; empty if there were no entries
}

func (a *app) ledgerRepairCommand() *cobra.Command {
	var moved []string
	cmd := &cobra.Command{
		Use:   "repair DIR OTHER…",
		Short: "Replace damaged and missing chunks of a node's ledger by those of others",
		Long: `Replaces the complete chunks that are damaged in the ledger of a node, and fills its gaps, from
other ledgers of the network. DIR is the node's folder; the node must not run. Each OTHER is
the folder of another node, a backup, a folder of ledger files, or a sandbox.

A node that runs finds and mends such damage by itself, from the others. This is for a node
that begins a recovery, which needs the whole ledger, and for one whose network is gone.

No other ledger is believed: what is taken leads to the entries that follow it. Nothing is
deleted: a damaged file stays beside the new one, as ledger_FIRST-LAST.damaged. The last chunk,
which no other one vouches for, is not repaired: go on from another ledger then.

Exits with 0 if the ledger is whole then, else with 3; what could be repaired is.`,
		Example: `  coco ledger repair /srv/coco/node /backup/network
  coco ledger repair coco-sandbox/nodes/alpha coco-sandbox/nodes/bravo coco-sandbox/nodes/charlie`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return a.repair(args[0], args[1:], moved) },
	}
	movedFlag(cmd, &moved)
	a.OutputFlag(cmd)
	return cmd
}

// repair repairs the ledger of a node's folder.
func (a *app) repair(dir string, from, moved []string) error {
	node, err := nodeFolder(dir)
	if err != nil {
		return err
	}
	extra, done, err := openMoved(moved)
	if err != nil {
		return err
	}
	defer done()
	disk, err := local.Open(node)
	if err != nil {
		return fmt.Errorf("repair %s: %w", dir, err)
	}
	defer disk.Close()
	others, err := openOthers(node, from)
	if err != nil {
		return err
	}
	defer others.close()
	if err := others.ofTheSame(join.Folder{Disk: disk, Dir: nodeconfig.LedgerDir, Extra: extra}); err != nil {
		return fmt.Errorf("repair %s: %w", dir, err)
	}
	log, err := ledger.Open(disk, nodeconfig.LedgerDir, ledger.Options{Extra: extra})
	if err != nil {
		return err
	}
	defer log.Close()
	taken, err := chain.Repair(log, others.logs)
	report := make([]repaired, len(taken))
	for i, r := range taken {
		report[i] = repaired{Range: r.Range, From: others.dirs[r.From].path}
		if r.Damage != nil {
			report[i].Damage = r.Damage.Error()
		}
	}
	if a.WantsJSON() {
		page := struct {
			OK       bool       `json:"ok"`
			Last     uint64     `json:"last"` // entry of the ledger
			Repaired []repaired `json:"repaired"`
		}{err == nil, log.Last(), report}
		return errors.Join(a.Out.JSON(page), err)
	}
	for _, r := range report {
		why := "which it lacked"
		if r.Damage != "" {
			why = "which were damaged (" + r.Damage + ")"
		}
		a.Out.OK("entries %d to %d, %s, are taken from %s", r.First, r.Last, why, r.From)
	}
	if err != nil {
		return err
	}
	a.Out.OK("entries 1 to %d follow one another; %s", log.Last(), cli.Plural(len(report), "range")+" repaired")
	a.Out.Printf("      `coco ledger verify %s` checks that they are the network's\n", shell.Quote(dir))
	return nil
}

// others are the ledgers from which one is repaired.
type others struct {
	dirs  []ledgerDir
	disks []*local.Disk
	logs  []*ledger.Log
}

// openOthers opens all ledgers of folders but the one that is repaired.
func openOthers(node string, dirs []string) (_ *others, err error) {
	o := &others{}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	for _, dir := range dirs {
		found, _, err := findLedgers(dir)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			if d.path == nodeconfig.Dir(node).Ledger() {
				continue
			}
			disk, name, err := d.open()
			if err != nil {
				return nil, err
			}
			o.disks = append(o.disks, disk)
			log, err := ledger.OpenReadOnly(disk, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.path, err)
			}
			o.dirs, o.logs = append(o.dirs, d), append(o.logs, log)
		}
	}
	if len(o.logs) == 0 {
		return nil, fmt.Errorf("%w: no other ledger than %s itself is named: expected another node's folder, or a backup", coco.ErrInvalid, node)
	}
	return o, nil
}

// ofTheSame makes sure that none is known to be another network's: that a chunk of it does not lead on would say less.
func (o *others) ofTheSame(f join.Folder) error {
	own, err := f.Service()
	if err != nil || own == nil {
		return nil // the first chunk, which says it, is damaged or missing
	}
	for i, d := range o.dirs {
		other, err := join.Folder{Disk: o.disks[i], Dir: filepath.Base(d.path)}.Service()
		if err == nil && other != nil && !join.SameService(own, other) {
			return fmt.Errorf("%w: it is of the network %q, and %s is of %q, with another service certificate: nothing was changed",
				coco.ErrInvalid, own.Subject.CommonName, d.path, other.Subject.CommonName)
		}
	}
	return nil
}

func (o *others) close() {
	for _, l := range o.logs {
		_ = l.Close() // it was only read
	}
	for _, d := range o.disks {
		d.Close()
	}
}
