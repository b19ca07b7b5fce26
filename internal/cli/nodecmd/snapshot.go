package nodecmd

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/wire"
)

func (a *app) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Ask for a snapshot of the state, list them, or verify one offline",
		Long: `A snapshot is the state at one transaction in a file: a new node begins with it, instead of
executing everything again. All nodes write the same bytes, and the network records their
digest. The constitution says when that happens; these commands are for in between.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.snapshotCreateCommand(), a.snapshotListCommand(), a.snapshotVerifyCommand())
	return cmd
}

// atNode is a node of a running network that a command asks.
type atNode struct {
	*client.Client
	network.Node
	Hint string // for a command about the same network
}

// onNode gives a command the flags that name a node of a running network, and a client of it, at its administrative listener
// if the command is for that one.
func (a *app) onNode(cmd *cobra.Command, admin bool, do func(context.Context, atNode) error) *cobra.Command {
	var f network.Flags
	f.Add(cmd, "`folder` of the running network, of `coco up`")
	cmd.Flags().StringVar(&f.Node, "node", "", "`node` to ask: its name, or host:port (default: one that serves)")
	usage := "certificate to show, a PEM `file` with its issuers (default with --config: user.pem beside owner_certificate)"
	if admin {
		usage = "certificate for governance, a PEM `file` with its issuers (default with --config: gov.pem beside owner_certificate)"
	}
	f.AddCertificate(cmd, usage)
	a.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		n, err := f.Open(cmd.Context(), a.Verifiers())
		if err != nil {
			return err
		}
		node, err := n.One(cmd.Context())
		if err != nil {
			return err
		}
		at := atNode{Node: node, Hint: n.Hint()}
		if admin {
			at.Client, err = n.ConnectAdmin(node)
		} else {
			at.Client, err = n.Connect(node)
		}
		if err != nil {
			return err
		}
		defer at.Client.Close()
		return n.Explain(do(cmd.Context(), at))
	}
	return cmd
}

func (a *app) snapshotCreateCommand() *cobra.Command {
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Have all nodes write a snapshot now",
		Long: `Asks the network for a snapshot of the present state, as the member that runs the node and at the
node's administrative listener, and waits until the network has
recorded it and the node that was asked has the file. The network goes on meanwhile.

Exits with 1 if it is not there in time. It may come later: see ` + "`coco node snapshot list`.",
		Example: "  coco node snapshot create\n  coco node snapshot create --node bravo --timeout 10m -o json\n  coco node snapshot create --config delta/node.toml",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().DurationVar(&patience, "timeout", 5*time.Minute, "how long to wait; 0 for not at all")
	return a.onNode(cmd, true, func(ctx context.Context, n atNode) error {
		if patience < 0 {
			return fmt.Errorf("%w: --timeout %s: expected a time such as 10m, or 0 for not waiting", coco.ErrInvalid, patience)
		}
		seqno, err := n.RequestSnapshot(ctx)
		if err != nil {
			return err
		}
		if patience == 0 {
			if a.WantsJSON() {
				return a.Out.JSON(map[string]any{"requested_seqno": seqno})
			}
			a.Out.OK("asked for a snapshot of the state at seqno %d or later", seqno)
			return nil
		}
		a.Out.Line("waiting for the snapshot …")
		got, err := awaitSnapshot(ctx, n, seqno, patience)
		a.Out.Line("")
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		if a.WantsJSON() {
			return a.Out.JSON(got)
		}
		a.Out.OK("%s has a snapshot up to transaction %s: %s, digest %s", n.Name, got.ID, cli.Plural(got.Bytes, "byte"), got.Digest.Short())
		a.Out.Printf("      %s\n", snapshotFile(n.Node, got))
		return nil
	})
}

// snapshotFile is where a node has a snapshot's file: its path if the node's folder is on this machine, else as in that folder.
func snapshotFile(n network.Node, s wire.Snapshot) string {
	return filepath.Join(n.Dir, nodeconfig.SnapshotDir, snapshot.Info{Index: s.Index, Seqno: s.ID.Seqno}.Name())
}

// awaitSnapshot waits until a node has a snapshot of a seqno or a later one, recorded by the network.
func awaitSnapshot(ctx context.Context, n atNode, seqno uint64, patience time.Duration) (wire.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := n.Snapshots(ctx)
		for _, s := range list {
			if s.ID.Seqno >= seqno && s.Held {
				return s, nil
			}
		}
		if err != nil && ctx.Err() == nil {
			return wire.Snapshot{}, err
		}
		select {
		case <-ctx.Done():
			return wire.Snapshot{}, fmt.Errorf("%w: the snapshot of seqno %d or later was asked for and is not there after %s: look again with `coco node snapshot list%s`",
				coco.ErrPending, seqno, patience, n.Hint)
		case <-tick.C:
		}
	}
}

func (a *app) snapshotListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the snapshots that the network recorded",
		Long:    `Lists the newest snapshots that the network recorded, and whether the node has their files.`,
		Example: "  coco node snapshot list\n  coco node snapshot list --node bravo -o json\n  coco node snapshot list --config delta/node.toml",
		Args:    cobra.NoArgs,
	}
	return a.onNode(cmd, false, func(ctx context.Context, n atNode) error {
		list, err := n.Snapshots(ctx)
		if err != nil {
			return err
		}
		if a.WantsJSON() {
			return a.Out.JSON(map[string]any{"node": n.Name, "snapshots": list})
		}
		if len(list) == 0 {
			a.Out.Printf("The network has recorded no snapshot yet. `coco node snapshot create%s` asks for one.\n", n.Hint)
			return nil
		}
		rows := [][]string{{"UP TO", "INDEX", "BYTES", "DIGEST", "FILE ON " + n.Name}}
		for _, s := range list {
			file := "not here"
			if s.Held {
				file = snapshotFile(n.Node, s)
			}
			rows = append(rows, []string{s.ID.String(), strconv.FormatUint(s.Index, 10), strconv.FormatUint(s.Bytes, 10), s.Digest.Short(), file})
		}
		a.Out.Table(rows)
		return nil
	})
}

func (a *app) snapshotVerifyCommand() *cobra.Command {
	var f network.Flags
	var older bool
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify a snapshot's file offline",
		Long: `Verifies that a snapshot's file is, byte for byte, what the network recorded, without any key
and without asking anybody: the file ends with the receipt of the record. The rows stay
encrypted.

Exits with 3 if the file is damaged, or proves nothing.`,
		Example: "  coco node snapshot verify coco-sandbox/nodes/alpha/snapshots/snapshot_7_9\n  coco node snapshot verify snapshot_7_9 --service service.pem\n  coco node snapshot verify delta/snapshots/snapshot_7_9 --config delta/node.toml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cert, err := f.ServiceCertificate("snapshot")
			if err != nil {
				return err
			}
			return a.verifySnapshot(cmd.Context(), args[0], cert, receipt.Options{Older: older})
		},
	}
	f.Add(cmd, "`folder` of the network, of `coco up`, whose service certificate counts")
	cmd.Flags().BoolVar(&older, "accept-older", false, "accept the receipt of an earlier release for what it proves; see coco receipt verify")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) verifySnapshot(ctx context.Context, file string, service *x509.Certificate, opts receipt.Options) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return cli.FileError("snapshot", err)
	}
	if st, err := os.Stat(path); err != nil {
		return cli.FileError("snapshot", err)
	} else if !st.Mode().IsRegular() {
		return fmt.Errorf("%w: %s: expected a snapshot's file, found something else", coco.ErrInvalid, file)
	}
	disk, err := local.OpenReadOnly(filepath.Dir(path))
	if err != nil {
		return cli.FileError("snapshot", err)
	}
	defer disk.Close()
	f, err := snapshot.Open(disk, filepath.Base(path))
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Receipt() == nil {
		return fmt.Errorf("%w: %s: the network has not recorded this snapshot yet, so nothing proves it", coco.ErrVerify, file)
	}
	digest, err := f.Digest(ctx)
	if err != nil {
		return err
	}
	r, err := receipt.Parse(wire.MediaJSON, f.Receipt())
	if err != nil {
		return fmt.Errorf("%w: %s: %w", coco.ErrVerify, file, err)
	}
	if err := r.Verify(service, opts); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	h := f.Header()
	if !bytes.Equal(r.Claims, snapshot.Claims(h, digest, f.Bytes())) {
		return fmt.Errorf("%w: %s: its receipt, of transaction %s, is not about this snapshot: index %d, seqno %d, %d bytes with digest %s",
			coco.ErrVerify, file, r.TxID, h.Index, h.Seqno, f.Bytes(), digest)
	}
	up := coco.TxID{View: h.View, Seqno: h.Seqno}
	if a.WantsJSON() {
		return a.Out.JSON(map[string]any{
			"ok": true, "transaction_id": up, "index": h.Index, "digest": digest, "bytes": f.Bytes(), "epoch": h.Epoch,
			"service": h.Network, "time": time.UnixMilli(int64(h.Time)).UTC(), "recorded_by": r.TxID,
		})
	}
	a.Out.OK("the state up to transaction %s is what the network recorded", up)
	a.Out.Printf("      recorded by transaction %s under service %q; digest %s, sealed in epoch %d\n", r.TxID, service.Subject.CommonName, digest.Short(), h.Epoch)
	return nil
}
