package receiptcmd

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// explainer is an adapter of the program that decodes what receipts of its transactions claim.
type explainer interface {
	// Explain returns nil for claims of another ledger. content, unless nil, is what the client had sent, of which the claims have
	// a digest: it is checked against that, and may add facts. Errors are of kind coco.ErrCorrupt, coco.ErrInvalid or coco.ErrVerify.
	Explain(claims, content []byte) ([]adapter.Fact, error)
}

// meaning is what a receipt says, in words of the ledger that it is of.
type meaning struct {
	Time   string         `json:"time"`             // of the batch, by its leader's clock
	Ledger string         `json:"ledger,omitempty"` // the adapter's name; empty if no adapter of this program knows the claims
	Facts  []adapter.Fact `json:"facts,omitempty"`
}

// explain decodes a receipt.
func (a *app) explain(r *receipt.Receipt, h *batch.Header, content []byte) (m meaning, err error) {
	m.Time = time.UnixMilli(int64(min(h.Time, 1<<52))).UTC().Format("2006-01-02T15:04:05.000Z")
	for _, known := range a.Adapters {
		if e, ok := known.(explainer); ok {
			if m.Facts, err = e.Explain(r.Claims, content); m.Facts != nil || err != nil {
				m.Ledger = known.Manifest().Name
				return m, err
			}
		}
	}
	if content != nil {
		return m, fmt.Errorf("%w: --content: no adapter of this program knows the claims of transaction %s: nothing can be compared", coco.ErrInvalid, r.TxID)
	}
	return m, nil
}

func printMeaning(p *cli.Printer, m meaning) {
	p.Printf("      time  %s\n", m.Time)
	if m.Ledger != "" {
		p.Printf("      ledger  %s\n", m.Ledger)
	}
	printFacts(p, m.Facts, "      ")
}

func printFacts(p *cli.Printer, facts []adapter.Fact, indent string) {
	for _, f := range facts {
		p.Printf("%s%s  %s\n", indent, strings.ReplaceAll(f.Name, "_", " "), f.Value)
		printFacts(p, f.Facts, indent+"  ")
	}
}

// maxContent is the size in bytes of the largest file that --content reads: more than any value or transaction has.
const maxContent = 128 << 20

// readContent reads the file of --content; nil if there is none.
func readContent(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	data, err := cli.ReadFile(nil, "--content", file, maxContent)
	if err != nil {
		return nil, err
	}
	return append([]byte{}, data...), nil // not nil if the file is empty
}

func contentFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "content", "", "`file` with what was sent, such as the value or the signed transaction, to check against the claims")
}

func (a *app) receiptShowCommand() *cobra.Command {
	var content string
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Print what a receipt says, without verifying it",
		Long: `Prints what a receipt says: its transaction, the time of its batch by the clock of the node that sealed it,
and its claims, decoded by the adapter of the ledger that they are of. FILE may be - for standard input.
Nothing is verified: see ` + "`coco receipt verify`" + `, which prints the same of a receipt that is correct.

Claims hold digests of what was sent. --content FILE is compared with them: the value that a key
was given, or the signed transaction, which then adds its sender and recipient. Exits with 3 if it is not what the receipt is about.`,
		Example: "  coco receipt show receipt.json\n  coco receipt show receipt.json -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			given, err := readContent(content)
			if err != nil {
				return err
			}
			r, h, err := a.readReceipt(args[0])
			if err != nil {
				return err
			}
			m, err := a.explain(r, h, given)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]any{"verified": false, "format": r.Format, "transaction_id": r.TxID, "node": h.Node, "root": h.Root, "write_set": r.WriteSet, "claims": r.Claims, "meaning": m})
			}
			a.Out.Printf("transaction %s, not verified\n", r.TxID)
			printMeaning(a.Out, m)
			return nil
		},
	}
	contentFlag(cmd, &content)
	a.OutputFlag(cmd)
	return cmd
}

// readReceipt reads a receipt and the header in it. It verifies nothing.
func (a *app) readReceipt(file string) (*receipt.Receipt, *batch.Header, error) {
	data, err := cli.ReadFile(a.In, "receipt", file, receipt.MaxSize)
	if err != nil {
		return nil, nil, err
	}
	r, err := receipt.Parse(wire.MediaJSON, data)
	var h batch.Header
	if err == nil {
		err = h.UnmarshalBinary(r.Header)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s is no whole receipt: expected what `coco receipt get` prints, unchanged: %w", coco.ErrVerify, file, err)
	}
	return r, &h, nil
}

func (a *app) verifyReceipt(file string, cert *x509.Certificate, opts receipt.Options, content []byte) error {
	r, h, err := a.readReceipt(file)
	if err != nil {
		return err
	}
	if err := r.Verify(cert, opts); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	m, err := a.explain(r, h, content)
	if err != nil {
		return err
	}
	if a.WantsJSON() {
		return a.Out.JSON(map[string]any{"ok": true, "proves": proves(r), "format": r.Format, "transaction_id": r.TxID, "node": h.Node, "root": h.Root, "write_set": r.WriteSet, "claims": r.Claims, "meaning": m})
	}
	if r.ProvesCommit() {
		a.Out.OK("transaction %s is committed", r.TxID)
	} else {
		a.Out.OK("transaction %s is in a batch that a node of the network signed", r.TxID)
		a.Out.Printf("      an older receipt (%q): it was committed if nobody outside of enclaves has ever had the keys of epoch %d\n", r.Format, h.Epoch)
	}
	a.Out.Printf("      signed by node %s under service %q; Merkle path of %d to root %s\n", h.Node.Short(), cert.Subject.CommonName, len(r.Path), h.Root.Short())
	printMeaning(a.Out, m)
	return nil
}
