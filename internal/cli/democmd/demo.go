// Package democmd is `coco demo`: what a network does, in half a minute. token.go is the token that the members pay
// each other with. supply.go is `coco demo supply-chain`: who sees what in a closed network; leak.go is a token of the login in issuer.go that leaks, and
// disk.go the search of a node's disk. wallets.go sends transactions for both.
//
// Trust: host
package democmd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/ledgercmd"
	"github.com/cocoframework/coco/internal/cli/receiptcmd"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/sandbox"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// Command returns `coco demo`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	var dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what a network does: a token, transfers, a receipt, a tampered ledger",
		Long: `Deploys an ERC-20 token, mints, lets the members pay each other through different nodes,
reads the balances back on every node, fetches a receipt and verifies it offline, and then
flips one byte in a copy of a node's ledger, mending the checksum: verification names the batch.

Uses the network that runs in --dir, or a temporary one if none does.`,
		Example: "  coco demo\n  coco demo --dir /tmp/net -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			explicit := cmd.Flags().Changed("dir")
			if _, _, err := localnet.Running(cmd.Context(), dir); err != nil {
				if explicit || !localnet.Absent(err) {
					return err
				}
				dir = "" // a temporary network
			}
			return a.demo(cmd.Context(), dir)
		},
	}
	cli.DirFlag(cmd, &dir, "`folder` of the running network")
	a.OutputFlag(cmd)
	cmd.AddCommand(a.supplyChain())
	return cmd
}

// demoLine is one thing that the demonstration showed.
type demoLine struct {
	Step   string            `json:"step"`
	Node   string            `json:"node,omitempty"`
	TxID   coco.TxID         `json:"transaction_id,omitzero"`
	Values map[string]string `json:"values,omitempty"`
	Text   string            `json:"text"`
}

func (a *app) demoShow(l demoLine) {
	if a.WantsJSON() {
		_ = a.Out.JSON(l)
		return
	}
	a.Out.OK("%s", l.Text)
}

func (a *app) demo(ctx context.Context, dir string) (err error) {
	info, stop, err := sandboxcmd.Network(ctx, a.App, dir, sandbox.DefaultMembers, nil)
	if err != nil {
		return err
	}
	defer func() {
		if serr := stop(); err == nil {
			err = serr
		}
		if err != nil && ctx.Err() != nil {
			err = cli.ErrInterrupted
		}
	}()
	if err := sandboxcmd.NeedsOpen(info, "coco demo"); err != nil {
		return err
	}
	if info.Insecure && !a.WantsJSON() {
		a.Out.Insecure()
	}
	clients := make([]*client.Client, len(info.Nodes))
	for i, n := range info.Nodes {
		if clients[i], err = info.Connect(n, a.Verifiers()); err != nil {
			return err
		}
		defer clients[i].Close()
		proof, err := clients[i].Verify(ctx)
		if err != nil {
			return err
		}
		a.demoShow(demoLine{
			Step: "verify", Node: n.Name, Values: map[string]string{"measurement": string(proof.Claims.Measurement)},
			Text: fmt.Sprintf("%s proves that it runs %s", n.Name, proof.Claims.Measurement.Short()),
		})
	}
	deployed, paid, err := a.demoToken(ctx, info, clients)
	if err != nil {
		return err
	}
	if err := a.demoReceipt(ctx, info, paid); err != nil {
		return err
	}
	return a.demoTamper(ctx, info, deployed)
}

// demoToken deploys a token and lets the members pay each other; it returns the transactions of the
// deployment and of the last payment.
func (a *app) demoToken(ctx context.Context, info localnet.Info, clients []*client.Client) (deployed, paid coco.TxID, err error) {
	names := make([]string, len(info.Nodes))
	for i, n := range info.Nodes {
		names[i] = n.Name
	}
	w, err := newWallets(info, names, clients)
	if err != nil {
		return deployed, paid, err
	}
	t := token{w}
	if deployed, err = t.deploy(ctx, 0); err != nil {
		return deployed, paid, err
	}
	a.demoShow(demoLine{Step: "deploy", Node: names[0], TxID: deployed, Text: fmt.Sprintf("%s deploys the token %s at %s: %s", names[0], tokenSymbol, t.address, deployed)})
	const minted = 1000
	tx, err := t.mint(ctx, 0, 0, minted)
	if err != nil {
		return deployed, paid, err
	}
	a.demoShow(demoLine{Step: "mint", Node: names[0], TxID: tx, Text: fmt.Sprintf("%s mints %d %s: %s", names[0], minted, tokenSymbol, tx)})
	amount := int64(250)
	for i := range clients {
		to := (i + 1) % len(clients)
		if paid, err = t.transfer(ctx, i, i, to, amount); err != nil {
			return deployed, paid, err
		}
		a.demoShow(demoLine{Step: "transfer", Node: names[i], TxID: paid, Text: fmt.Sprintf("%s pays %d %s to %s through its own node: %s", names[i], amount, tokenSymbol, names[to], paid)})
		amount -= 50
		if amount <= 0 {
			amount = 1
		}
	}
	want := ""
	for i := range clients {
		balances, err := t.balances(ctx, i)
		if err != nil {
			return deployed, paid, err
		}
		text, sum := []string{}, new(big.Int)
		values := map[string]string{}
		for k, b := range balances {
			text = append(text, fmt.Sprintf("%s %v", names[k], b))
			values[names[k]] = b.String()
			sum.Add(sum, b)
		}
		got := strings.Join(text, ", ")
		if want == "" {
			want = got
		}
		if got != want || sum.Int64() != minted {
			return deployed, paid, fmt.Errorf("%w: on %s the balances are %s; on %s they are %s, and %d were minted", coco.ErrVerify, names[i], got, names[0], want, minted)
		}
		a.demoShow(demoLine{Step: "read", Node: names[i], Values: values, Text: fmt.Sprintf("on %s: %s", names[i], got)})
	}
	return deployed, paid, nil
}

// demoReceipt fetches a receipt from another node than the one that was asked to execute, and
// verifies it with nothing but the service certificate.
func (a *app) demoReceipt(ctx context.Context, info localnet.Info, tx coco.TxID) error {
	n := info.Nodes[len(info.Nodes)/2]
	c, err := info.Connect(n, a.Verifiers())
	if err != nil {
		return err
	}
	defer c.Close()
	data, err := receiptcmd.Fetch(ctx, c, tx)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(info.ServicePEM)
	if err != nil {
		return err
	}
	service, err := client.ParseCertificate(pem)
	if err != nil {
		return err
	}
	r, err := receipt.Parse(wire.MediaJSON, data)
	if err != nil {
		return err
	}
	if err := r.Verify(service, receipt.Options{}); err != nil {
		return err
	}
	if r.TxID != tx {
		return fmt.Errorf("%w: %s sent the receipt of %s for %s", coco.ErrVerify, n.Name, r.TxID, tx)
	}
	a.demoShow(demoLine{Step: "receipt", Node: n.Name, TxID: tx, Text: fmt.Sprintf("a receipt from %s proves offline that %s is committed (%d bytes)", n.Name, tx, len(data))})
	return nil
}

// demoTamper copies a ledger, verifies the copy, flips one byte of it and verifies again.
func (a *app) demoTamper(ctx context.Context, info localnet.Info, tx coco.TxID) error {
	tmp, err := os.MkdirTemp("", "coco-ledger-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	n := info.Nodes[0]
	if err := copyLedger(nodeconfig.Dir(n.Dir).Ledger(), tmp); err != nil {
		return err
	}
	report, err := ledgercmd.Audit(ctx, a.App, &info, n.Name, tmp)
	if err != nil {
		return err
	}
	a.demoShow(demoLine{Step: "audit", Node: n.Name, TxID: report.Last, Text: fmt.Sprintf("a copy of %s's ledger is whole: %s, %s up to %s", n.Name, cli.Plural(report.Entries, "entry"), cli.Plural(report.Transactions, "transaction"), report.Last)})
	file, offset, err := flipByte(tmp, tx)
	if err != nil {
		return err
	}
	_, err = ledgercmd.Audit(ctx, a.App, &info, n.Name, tmp)
	var fault *ledger.Fault
	if !errors.As(err, &fault) {
		return fmt.Errorf("%w: byte %d of %s was flipped, and the audit says: %v", coco.ErrVerify, offset, file, err)
	}
	a.demoShow(demoLine{
		Step: "tamper", Node: n.Name, TxID: tx, Values: map[string]string{"fault": fault.Error()},
		Text: fmt.Sprintf("one byte of it flipped and the checksum mended, at offset %d of %s: %v", offset, filepath.Base(file), fault),
	})
	return nil
}

func copyLedger(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		src, err := os.Open(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		dst, err := os.Create(filepath.Join(to, e.Name()))
		if err == nil {
			_, err = io.Copy(dst, src)
			err = errors.Join(err, dst.Close())
		}
		if err = errors.Join(err, src.Close()); err != nil {
			return err
		}
	}
	return nil
}

// frameHead is what precedes an entry's data in a ledger file: length, checksum, kind, view and index
// (docs/formats.md).
const frameHead = 4 + 4 + 1 + 8 + 8

// flipByte changes one bit in the middle of the batch that holds a transaction, and mends the checksum
// of its frame.
func flipByte(dir string, tx coco.TxID) (file string, offset int64, err error) {
	data, err := batchOf(dir, tx)
	if err != nil {
		return "", 0, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "ledger_*"))
	if err != nil {
		return "", 0, err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", 0, err
		}
		at := bytes.Index(content, data)
		if at < frameHead {
			continue
		}
		// An attacker mends the checksum, too: it is there against disks.
		begin, end := at-frameHead, at+len(data)
		at += len(data) / 2
		content[at] ^= 1
		frame := content[begin:end]
		castagnoli := crc32.MakeTable(crc32.Castagnoli)
		sum := crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[8:])
		binary.BigEndian.PutUint32(frame[4:], sum)
		return file, int64(at), os.WriteFile(file, content, 0o600)
	}
	return "", 0, fmt.Errorf("%w: no file in %s holds the batch of %s", coco.ErrNotFound, dir, tx)
}

// batchOf returns the bytes of the batch that holds a transaction.
func batchOf(dir string, tx coco.TxID) ([]byte, error) {
	disk, err := local.OpenReadOnly(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	log, err := ledger.OpenReadOnly(disk, filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	for index := log.Last(); index > 0 && index >= log.First(); index-- {
		entries, err := log.Read(index, index+1, 1)
		if err != nil {
			return nil, err
		}
		if entries[0].Kind != batch.KindBatch {
			continue
		}
		b, err := batch.Decode(entries[0].Data)
		if err != nil {
			return nil, err
		}
		if h := b.Header; h.First <= tx.Seqno && tx.Seqno <= h.Last() {
			return entries[0].Data, nil
		}
	}
	return nil, fmt.Errorf("%w: transaction %s is not in %s", coco.ErrNotFound, tx, dir)
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
