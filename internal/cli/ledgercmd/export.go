package ledgercmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/disclosure"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/rehearsal"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/wire"
)

// readable are the flags of commands that open a ledger.
type readable struct {
	keys            []string
	epochs, service string
}

func (r *readable) flags(cmd *cobra.Command, none string) {
	r.keyFlags(cmd, none)
	cmd.Flags().StringVar(&r.service, "service", "", "the service certificate that the network must have, a PEM `file`")
	_ = cmd.MarkFlagRequired("key")
	_ = cmd.MarkFlagFilename("service")
}

func (r *readable) keyFlags(cmd *cobra.Command, none string) {
	cmd.Flags().StringArrayVar(&r.keys, "key", nil, "a private encryption key, a PEM `file`; may be given several times")
	cmd.Flags().StringVar(&r.epochs, "epochs", "", "which `epochs`: 3, 3-5, or 3- for all from 3 on"+none)
	_ = cmd.MarkFlagFilename("key")
}

// read reads the keys, and verifies the ledger in a folder.
func (a *app) read(ctx context.Context, dir string, r *readable) (s *rehearsal.Source, c *rehearsal.Copy, k []*keys.MemberKey, e disclosure.Epochs, err error) {
	fail := func(err error) (*rehearsal.Source, *rehearsal.Copy, []*keys.MemberKey, disclosure.Epochs, error) {
		return nil, nil, nil, e, err
	}
	if r.epochs != "" {
		if e, err = disclosure.ParseEpochs(r.epochs); err != nil {
			return fail(fmt.Errorf("--epochs: %w", err))
		}
	}
	for _, file := range r.keys {
		key, err := identity.ReadMemberKey(file, keyfile.Read)
		if err != nil {
			return fail(err)
		}
		k = append(k, key)
	}
	s = &rehearsal.Source{Verifiers: a.Verifiers()}
	if r.service != "" {
		cert, err := network.ReadService(r.service)
		if err != nil {
			return fail(err)
		}
		s.Service = cert.Raw
	}
	found, err := FindOne(dir)
	if err != nil {
		return fail(err)
	}
	c, err = s.Verify(ctx, found.Path)
	if ctx.Err() != nil {
		err = cli.ErrInterrupted
	}
	return s, c, k, e, err
}

func (a *app) ledgerExportCommand() *cobra.Command {
	var r readable
	var grant, out string
	var within disclosure.Transactions
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Decrypt epochs of a ledger, offline, as JSON lines",
		Long: `Verifies a ledger, opens the private parts of some epochs, and writes a line of JSON for each of their transactions: the rows that it wrote,
with keys and values in base64, and under "completes" the same in the words of the ledgers' protocols: writes of kv, and for Ethereum each block with its
transactions and receipts. Each transaction is checked against its leaf in the Merkle tree, so what is written is what the network has committed.

An auditor names its own key. What reads the epochs that members have voted for is in the ledger (` + "`coco ledger grants`" + ` lists it), or in a file that members made
(` + "`coco ledger grant`" + `), which --grant names. Only the epochs that were granted open.
Members name the keys of a threshold of them, and any epochs.

DIR is a folder of ledger files or of a node. No node is needed and no network is asked. What is written is confidential: --out makes a file that its owner alone
reads.`,
		Example: "  coco ledger export /backup/alpha --epochs 3-5 --key auditor/encryption.key --out epochs.jsonl\n  coco ledger export /backup/alpha --key alpha/encryption.key --key bravo/encryption.key --epochs 3-5",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if within.Last != 0 && within.First > within.Last {
				return fmt.Errorf("%w: --from %d --to %d: expected the first one not to be after the last one", coco.ErrInvalid, within.First, within.Last)
			}
			s, c, k, e, err := a.read(cmd.Context(), args[0], &r)
			if err != nil {
				return err
			}
			with, err := a.keysOf(c, k, e, grant)
			if err != nil {
				return err
			}
			return a.export(cmd.Context(), s, c, with, within, out)
		},
	}
	r.flags(cmd, " (default: all)")
	cmd.Flags().StringVar(&grant, "grant", "", "what members granted, a `file` of `coco ledger grant`")
	cmd.Flags().StringVar(&out, "out", "", "`file` to make (default: standard output)")
	cmd.Flags().Uint64Var(&within.First, "from", 0, "leave out transactions before this `seqno`")
	cmd.Flags().Uint64Var(&within.Last, "to", 0, "leave out transactions after this `seqno`")
	_ = cmd.MarkFlagFilename("grant")
	return cmd
}

// keysOf returns what the batches of epochs are opened with.
func (a *app) keysOf(c *rehearsal.Copy, k []*keys.MemberKey, e disclosure.Epochs, grant string) (disclosure.Keys, error) {
	if grant == "" && len(k) == 1 && !member(c, k[0]) {
		with, numbers, faults, err := disclosure.Given(c, k[0], e)
		a.warn(faults)
		for _, n := range numbers {
			a.Err.Printf("members have let this key read it by grant %d\n", n)
		}
		return with, err
	}
	if grant == "" {
		with, faults, err := disclosure.Opened(c, k, e)
		a.warn(faults)
		return with, err
	}
	if len(k) != 1 {
		return nil, fmt.Errorf("%w: --grant: expected one --key, the auditor's, found %d", coco.ErrInvalid, len(k))
	}
	data, err := os.ReadFile(grant)
	if err != nil {
		return nil, cli.FileError("grant", err)
	}
	var g wire.EpochGrants
	if err := json.Unmarshal(data, &g); err != nil {
		return nil, fmt.Errorf("%w: %s: expected a file of `coco ledger grant`: %w", coco.ErrInvalid, grant, err)
	}
	return disclosure.Granted(c, &g, k[0], e)
}

// member says whether a key opens a package of the ledger, and is not an auditor's.
func member(c *rehearsal.Copy, key *keys.MemberKey) bool {
	lock, err := c.Lock()
	if err != nil {
		return false
	}
	_, ok := lock.ActorOf(key.Public())
	return ok
}

func (a *app) export(ctx context.Context, s *rehearsal.Source, c *rehearsal.Copy, with disclosure.Keys, within disclosure.Transactions, out string) (err error) {
	to := os.Stdout
	if out != "" {
		if to, err = os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("%w: --out: %w", coco.ErrInvalid, err)
		}
		defer func() { err = errors.Join(err, to.Close()) }()
	}
	w := bufio.NewWriterSize(to, 1<<20)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	var written error // which an audit would call a fault of the ledger
	count, err := disclosure.Export(ctx, s, c, with, within, a.Adapters, func(line *wire.Exported) error {
		written = lines.Encode(line)
		return written
	})
	switch {
	case ctx.Err() != nil:
		err = cli.ErrInterrupted
	case written != nil:
		return fmt.Errorf("writing: %w", written)
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		return err
	}
	if out != "" {
		a.Err.OK("%s of %s in %s", cli.Plural(count, "transaction"), cli.Plural(uint64(len(with)), "epoch"), out)
	}
	return nil
}

// warn says what does not open and is not needed.
func (a *app) warn(faults []error) {
	for _, f := range faults {
		a.Err.Printf("! %v\n", f)
	}
}

func (a *app) ledgerGrantCommand() *cobra.Command {
	var r readable
	var to, out string
	var unvoted bool
	cmd := &cobra.Command{
		Use:   "grant DIR",
		Short: "Let an auditor read some epochs of a ledger, and no others",
		Long: `Opens a ledger with the keys of a threshold of members, and writes a file with which one auditor reads the private parts of some epochs: for each of them
the keys of its batches, encrypted to the auditor's public encryption key. It says nothing of other epochs, and is of use to nobody else.

The auditor makes its key as a member does (` + "`coco member keygen`" + `), and sends encryption.pub; compare its fingerprint (` + "`coco member show`" + `). It reads
with ` + "`coco ledger export --grant`" + `, from any copy of the ledger. What was granted cannot be taken back.

Members must have voted for it before: ` + "`coco gov propose grant-epochs`" + ` records in the ledger which key may read which epochs, for ever. --unvoted makes a
file without that, as in a network by rules 1 or 2, which knows no such vote: then write down who agreed to it.

The members' keys meet on this machine, which could read everything: use one that is offline, and that all of them trust. No node is needed and no network is
asked. By rules 3 none of it is needed where the nodes of enough members have seats: after the vote they put on the ledger what the auditor reads with
(` + "`coco ledger grants`" + `).`,
		Example: "  coco ledger grant /backup/alpha --key alpha/encryption.key --key bravo/encryption.key --epochs 3-5 --to auditor.pub --out grant.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(to)
			if err != nil {
				return cli.FileError("--to", err)
			}
			public, err := keys.ParsePublicKey(data)
			if err != nil {
				return fmt.Errorf("%s: expected the auditor's public encryption key, as `coco member keygen` writes it to encryption.pub: %w", to, err)
			}
			_, c, k, e, err := a.read(cmd.Context(), args[0], &r)
			if err != nil {
				return err
			}
			if !unvoted {
				if err := disclosure.Voted(c, e, public); err != nil {
					return err
				}
			}
			g, faults, err := disclosure.Grant(c, k, e, public)
			a.warn(faults)
			if err != nil {
				return err
			}
			text, err := json.MarshalIndent(g, "", "  ")
			if err == nil {
				err = atomicfile.Create(out, append(text, '\n'), 0o600)
			}
			if err != nil {
				return err
			}
			var epochs []uint64
			for _, e := range g.Epochs {
				epochs = append(epochs, e.Epoch)
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]any{"file": out, "network": g.Network, "to": keys.Fingerprint(public), "epochs": epochs})
			}
			a.Out.OK("%s lets the key with the fingerprint %s read epochs %s of %q", out, keys.Fingerprint(public), disclosure.Ranges(g.Epochs), g.Name)
			return nil
		},
	}
	r.flags(cmd, "")
	fl := cmd.Flags()
	fl.StringVar(&to, "to", "", "the auditor's public encryption key, a PEM `file`")
	fl.StringVar(&out, "out", "", "`file` to make")
	fl.BoolVar(&unvoted, "unvoted", false, "grant what members have not voted for")
	for _, name := range []string{"epochs", "to", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	_ = cmd.MarkFlagFilename("to")
	a.OutputFlag(cmd)
	return cmd
}
