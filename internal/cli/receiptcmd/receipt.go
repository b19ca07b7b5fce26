// Package receiptcmd is `coco receipt`: it fetches the receipt of a committed transaction from a node, prints what it
// says, and verifies one offline with nothing but the network's service certificate.
//
// Trust: host
package receiptcmd

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// Command returns `coco receipt`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use:   "receipt",
		Short: "Get a transaction's receipt, show or verify one offline",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.receiptGetCommand(), a.receiptShowCommand(), a.receiptVerifyCommand())
	return cmd
}

func (a *app) receiptGetCommand() *cobra.Command {
	var f network.Flags
	var file string
	cmd := &cobra.Command{
		Use:   "get [TX]",
		Short: "Fetch the receipt of a committed transaction",
		Long: `Fetches the receipt of a committed transaction from a node and writes it as JSON. TX is
the transaction's id, view.seqno, which every committed write answers in the header
` + wire.HeaderTxID + `. The receipt proves the commit to anyone, offline: the node signs that it has
applied the transaction's batch as committed.

Instead of TX, name the transaction in the words of a ledger: --key finds the last write of a key of kv,
--hash an Ethereum transaction.

The network is one of ` + "`coco up`" + `, that of a node of one's own (--config), or the one with a service
certificate, at a node's address.`,
		Example: "  coco receipt get 2.17\n  coco receipt get 2.17 --node bravo -f receipt.json\n  coco receipt get 2.17 | coco receipt verify -\n  coco receipt get --key greeting | coco receipt show -\n  coco receipt get 2.17 --config delta/node.toml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := a.chosen(cmd, args)
			if err != nil {
				return err
			}
			if file != "" {
				if err := atomicfile.Free(file); err != nil {
					return err
				}
			}
			c, err := f.Connect(cmd.Context(), a.Verifiers())
			if err != nil {
				return err
			}
			defer c.Close()
			tx, err := which(cmd.Context(), c)
			if err != nil {
				return err
			}
			data, err := Fetch(cmd.Context(), c, tx)
			if err != nil {
				return err
			}
			data = append(data, '\n')
			if file == "" {
				_, err = a.Out.W.Write(data)
				return err
			}
			return atomicfile.Create(file, data, 0o644)
		},
	}
	for _, f := range a.findings() {
		cmd.Flags().String(f.Flag, "", f.Usage)
	}
	f.AddConnect(cmd)
	cmd.Flags().StringVarP(&file, "file", "f", "", "`file` to write, which must not exist (default: standard output)")
	return cmd
}

// receiptPatience is how long a node may take to learn that a transaction is committed, and to index it.
const receiptPatience = 5 * time.Second

// Fetch asks a node for a receipt. A node may hear of the commit later than the client did.
func Fetch(ctx context.Context, c *client.Client, tx coco.TxID) ([]byte, error) {
	return patiently(ctx, func(ctx context.Context) ([]byte, error) { return c.Receipt(ctx, tx) })
}

// patiently asks a node until it answers, is of another mind than that it will know later, or receiptPatience is over.
func patiently[T any](ctx context.Context, ask func(context.Context) (T, error)) (none T, err error) {
	ctx, cancel := context.WithTimeout(ctx, receiptPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		answer, err := ask(ctx)
		switch {
		case err == nil:
			return answer, nil
		case ctx.Err() != nil && last != nil:
			return none, last // what the node said says more than that the time is over
		case !errors.Is(err, coco.ErrBusy) && !errors.Is(err, coco.ErrNotCommitted) && !errors.Is(err, coco.ErrPending):
			return none, err
		}
		last = err
		select {
		case <-ctx.Done():
			return none, last
		case <-tick.C:
		}
	}
}

func (a *app) receiptVerifyCommand() *cobra.Command {
	var f network.Flags
	var older bool
	var sent content
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify a receipt offline",
		Long: `Verifies a receipt against the network's service certificate, without asking anybody: the
certificate of the node that sealed the batch, its signature over the Merkle root, the path from
the transaction to the root, and the signature of a node that has applied the batch as committed.
FILE may be - for standard input. It prints what the claims say; --content FILE is compared with them, see
` + "`coco receipt show`" + `.

Receipts of earlier releases ("coco receipt 1") lack the last signature. They prove that a node signed the
batch, and that it was committed only if the epoch's keys were never known outside of enclaves: they are
refused, unless --accept-older takes them for that.

Exits with 3 if the receipt does not prove what is asked of it.`,
		Example: "  coco receipt verify receipt.json\n  coco receipt verify receipt.json --service service.pem\n  coco receipt verify receipt.json --config delta/node.toml\n  coco receipt verify receipt.json --content value --salt 5f0c… --key price --content-type text/plain",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cert, err := f.ServiceCertificate("receipt")
			if err != nil {
				return err
			}
			if err := sent.read(); err != nil {
				return err
			}
			return a.verifyReceipt(args[0], cert, receipt.Options{Older: older}, &sent)
		},
	}
	f.Add(cmd, "`folder` of the network, of `coco up`, whose service certificate counts")
	cmd.Flags().BoolVar(&older, "accept-older", false, "accept a receipt of an earlier release for what it proves: that the batch was signed")
	sent.add(cmd)
	a.OutputFlag(cmd)
	return cmd
}

// proves names what a receipt proves that was verified, for programs.
func proves(r *receipt.Receipt) string {
	if r.ProvesCommit() {
		return "committed"
	}
	return "signed"
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
