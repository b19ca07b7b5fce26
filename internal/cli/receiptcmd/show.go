package receiptcmd

import (
	"crypto/x509"
	"encoding/hex"
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

// revealer is an adapter some of whose claims hide what was written under a salt.
type revealer interface {
	// Reveal checks that the claims commit to a key and a value; docs/http.md, "Resident rows". Errors are of kind coco.ErrInvalid or coco.ErrVerify.
	Reveal(claims, salt []byte, key, media string, value []byte) error
}

// content is what a person says was sent.
type content struct {
	file             string // as the flag says
	salt, key, media string // of a resident row, of which the claims have a commitment; the salt in hexadecimal
	given            []byte // what the file has; nil if there is none
}

func (c *content) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.file, "content", "", "`file` with what was sent, such as the value or the signed transaction, to check against the claims")
	cmd.Flags().StringVar(&c.salt, "salt", "", "`salt` of a resident row in hexadecimal, to check --content with --key against its commitment")
	cmd.Flags().StringVar(&c.key, "key", "", "`key` of the resident row")
	cmd.Flags().StringVar(&c.media, "content-type", "", "content `type` of the resident row's value")
}

// read reads the file of --content.
func (c *content) read() (err error) {
	switch {
	case c.salt == "" && (c.key != "" || c.media != ""):
		return fmt.Errorf("%w: --key and --content-type are about a resident row: expected its --salt too", coco.ErrInvalid)
	case c.salt != "" && (c.key == "" || c.file == ""):
		return fmt.Errorf("%w: --salt: a resident row commits to its key and its value: expected --key and --content too", coco.ErrInvalid)
	case c.file != "":
		c.given, err = cli.ReadFile(nil, "--content", c.file, maxContent)
		c.given = append([]byte{}, c.given...) // not nil if the file is empty
	}
	return err
}

// reveal checks the claims of a resident row.
func (a *app) reveal(r *receipt.Receipt, c *content) error {
	salt, err := hex.DecodeString(c.salt)
	if err != nil {
		return fmt.Errorf("%w: --salt %q: expected hexadecimal digits", coco.ErrInvalid, c.salt)
	}
	for _, known := range a.Adapters {
		if e, ok := known.(revealer); ok {
			return e.Reveal(r.Claims, salt, c.key, c.media, c.given)
		}
	}
	return fmt.Errorf("%w: --salt: no adapter of this program has claims with a salt", coco.ErrInvalid)
}

// meaning is what a receipt says, in words of the ledger that it is of.
type meaning struct {
	Time   string         `json:"time"`             // of the batch, by its leader's clock
	Ledger string         `json:"ledger,omitempty"` // the adapter's name; empty if no adapter of this program knows the claims
	Facts  []adapter.Fact `json:"facts,omitempty"`
}

// explain decodes a receipt.
func (a *app) explain(r *receipt.Receipt, h *batch.Header, c *content) (m meaning, err error) {
	content := c.given
	if c.salt != "" {
		if err := a.reveal(r, c); err != nil {
			return m, err
		}
		content = nil // the claims have no digest of it
	}
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

func (a *app) receiptShowCommand() *cobra.Command {
	var sent content
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Print what a receipt says, without verifying it",
		Long: `Prints what a receipt says: its transaction, the time of its batch by the clock of the node that sealed it,
and its claims, decoded by the adapter of the ledger that they are of. FILE may be - for standard input.
Nothing is verified: see ` + "`coco receipt verify`" + `, which prints the same of a receipt that is correct.

Claims hold digests of what was sent. --content FILE is compared with them: the value that a key
was given, or the signed transaction, which then adds its sender and recipient. Exits with 3 if it is not what the receipt is about.

Of a resident row the claims have a salted commitment. A party that shows its value to somebody adds the salt of a read (X-Coco-Salt, coco kv get
-o json): --salt, --key, and --content-type unless it is application/octet-stream.`,
		Example: "  coco receipt show receipt.json\n  coco receipt show receipt.json -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := sent.read(); err != nil {
				return err
			}
			r, h, err := a.readReceipt(args[0])
			if err != nil {
				return err
			}
			m, err := a.explain(r, h, &sent)
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
	sent.add(cmd)
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

func (a *app) verifyReceipt(file string, cert *x509.Certificate, opts receipt.Options, sent *content) error {
	r, h, err := a.readReceipt(file)
	if err != nil {
		return err
	}
	if err := r.Verify(cert, opts); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	m, err := a.explain(r, h, sent)
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
