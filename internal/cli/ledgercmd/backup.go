package ledgercmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/resident/folder"
)

// besideLedger are the folders of a node that a backup copies with its ledger.
var besideLedger = []string{nodeconfig.SnapshotDir}

func (a *app) ledgerBackupCommand() *cobra.Command {
	var moved []string
	cmd := &cobra.Command{
		Use:   "backup DIR DEST",
		Short: "Copy a node's ledger, snapshots and resident rows, also while it runs",
		Long: `Copies the ledger, the snapshots and the contents of resident rows of a node to the folder DEST,
also while the node runs. DIR is the node's folder. Every entry's framing is checked on the way; files get their names
when they are whole and on the disk. What DEST holds already is kept, so a backup that was
interrupted, or the one of yesterday, is gone on with. Nothing in it is readable that was
not readable in the ledger, and no key is needed.

DEST belongs to one network. Nothing in it is replaced but the chunk that was being written, and
that by one which begins with the same entries: a backup of another network, or of a ledger that
was rolled back, is refused.

One node's ledger is the whole network's: a backup of one node is enough. Contents of resident rows
are on nodes of their organisations alone: back up a node of each organisation that must have them.
They are copied as they are sealed; a file that the node has sealed again replaces the older one,
and one that the node has removed stays in DEST. Check the ledger with
` + "`coco ledger verify DEST`" + `. If chunks were moved away from the node's folder, name where to with
--moved, unless DEST has them already.

Exits with 0 if DEST then holds a whole ledger.`,
		Example: `  coco ledger backup coco-sandbox/nodes/alpha /backup/network
  coco ledger backup /srv/coco/node /backup/network --moved /archive/ledger`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := nodeFolder(args[0])
			if err != nil {
				return err
			}
			if err := outside(from, args[1]); err != nil {
				return err
			}
			disk, err := local.OpenReadOnly(from)
			if err != nil {
				return err
			}
			defer disk.Close()
			extra, done, err := openMoved(moved)
			if err != nil {
				return err
			}
			defer done()
			src := ledger.Place{Disk: disk, Dir: nodeconfig.LedgerDir, Beside: besideLedger, Extra: extra}
			return a.transfer(cmd.Context(), "backup", src, args[1], ledger.Backup)
		},
	}
	movedFlag(cmd, &moved)
	a.OutputFlag(cmd)
	return cmd
}

func movedFlag(cmd *cobra.Command, moved *[]string) {
	cmd.Flags().StringArrayVar(moved, "moved", nil, "`folder` to which chunks of the ledger were moved (may be repeated)")
}

// openMoved opens folders to which chunks were moved.
func openMoved(dirs []string) (disks []host.Disk, done func(), err error) {
	var opened []*local.Disk
	done = func() {
		for _, d := range opened {
			d.Close()
		}
	}
	for _, dir := range dirs {
		d, err := local.OpenReadOnly(dir)
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("--moved: %w", err)
		}
		opened, disks = append(opened, d), append(disks, d)
	}
	return disks, done, nil
}

func (a *app) ledgerRestoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore BACKUP DIR",
		Short: "Copy a backup to a node's folder, to begin from it",
		Long: `Copies a backup, made by ` + "`coco ledger backup`" + `, to the folder DIR of a node, which must hold no
ledger. Every entry's framing is checked on the way.

A node of a network that goes on joins again and takes from the restored ledger what the
network vouches for. Contents of resident rows that the backup has are copied too; newer files
that DIR has stay. If all nodes are lost, the network is recovered from the backup with
the members' keys: what was committed after it is lost then, so use the newest one.`,
		Example: `  coco ledger restore /backup/network coco-sandbox/nodes/alpha`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := nodeFolder(args[0])
			if err != nil {
				return err
			}
			disk, err := local.OpenReadOnly(from)
			if err != nil {
				return err
			}
			defer disk.Close()
			src := ledger.Place{Disk: disk, Dir: nodeconfig.LedgerDir, Beside: besideLedger}
			return a.transfer(cmd.Context(), "restore", src, args[1], ledger.Restore)
		},
	}
	a.OutputFlag(cmd)
	return cmd
}

// nodeFolder checks that a folder is a node's, or a backup of one: that it has a ledger's folder.
func nodeFolder(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%w: folder %q: %w", coco.ErrInvalid, dir, err)
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("%w: %w", coco.ErrNotFound, err)
	}
	if info, err := localnet.Load(abs); err == nil && len(info.Nodes) > 0 {
		return "", fmt.Errorf("%w: %s is a sandbox: name the folder of one of its nodes, such as %s", coco.ErrInvalid, dir, info.Nodes[0].Dir)
	}
	if !holdsLedger(filepath.Join(abs, nodeconfig.LedgerDir)) {
		return "", fmt.Errorf("%w: no ledger in %s: expected a folder %s with files ledger_…", coco.ErrNotFound, dir, nodeconfig.LedgerDir)
	}
	return abs, nil
}

// outside refuses a copy within the node's own folder: it would fill the folder that it copies, and
// be lost with it.
func outside(node, dest string) error {
	abs, err := filepath.Abs(dest)
	if err != nil {
		return fmt.Errorf("%w: folder %q: %w", coco.ErrInvalid, dest, err)
	}
	root, err := os.Stat(node)
	if err != nil {
		return fmt.Errorf("%w: %w", coco.ErrNotFound, err)
	}
	for ; ; abs = filepath.Dir(abs) {
		if info, err := os.Stat(abs); err == nil && os.SameFile(info, root) {
			return fmt.Errorf("%w: %s lies in the node's own folder %s: choose another folder, best on another disk", coco.ErrInvalid, dest, node)
		}
		if abs == filepath.Dir(abs) {
			return nil
		}
	}
}

// claim refuses a copy that is of another service than the ledger, and otherwise notes in the copy whose it is: the chunk
// that says it may come later.
func claim(from ledger.Place, to host.Disk) error {
	service, err := join.Folder{Disk: from.Disk, Dir: from.Dir, Extra: from.Extra}.Service()
	if err != nil || service == nil {
		return err
	}
	dest := join.Folder{Disk: to, Dir: nodeconfig.LedgerDir}
	held, err := dest.Service()
	if err != nil {
		return err
	}
	if held != nil && !join.SameService(held, service) {
		return fmt.Errorf("%w: it holds the ledger of the network %q, and this one is of %q, with another service certificate: nothing was changed: choose another folder for the copy",
			coco.ErrInvalid, held.Subject.CommonName, service.Subject.CommonName)
	}
	return dest.Note(service)
}

type transferFunc func(ctx context.Context, from, to ledger.Place, progress func(done, total int64)) (ledger.Copied, error)

// transfer runs a backup or a restore and says what it did.
func (a *app) transfer(ctx context.Context, what string, from ledger.Place, dest string, do transferFunc) error {
	disk, err := local.Open(dest)
	if errors.Is(err, local.ErrLocked) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := claim(from, disk); err != nil {
		return fmt.Errorf("%s to %s: %w", what, dest, err)
	}
	report, err := do(ctx, from, ledger.Place{Disk: disk, Dir: nodeconfig.LedgerDir}, a.Err.Bar(what))
	if err == nil {
		var c folder.Copied
		c, err = folder.Copy(ctx, from.Disk, disk, nodeconfig.ResidentDir)
		report.Files, report.Bytes, report.Kept = report.Files+c.Files, report.Bytes+c.Bytes, report.Kept+c.Kept
	}
	a.Err.Line("")
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if a.WantsJSON() {
		page := struct {
			OK bool `json:"ok"`
			ledger.Copied
		}{err == nil, report}
		return errors.Join(a.Out.JSON(page), err)
	}
	if err != nil {
		return err
	}
	a.Out.OK("%s copied, %s; %s there already", cli.Plural(report.Files, "file"), size(report.Bytes), cli.Plural(report.Kept, "file"))
	a.Out.Printf("      %s holds entries 1 to %d; `coco ledger verify %s` checks that they are the network's\n", dest, report.Last, shell.Quote(dest))
	return nil
}
