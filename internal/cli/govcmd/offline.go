package govcmd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/signer"
	"github.com/cocoframework/coco/internal/visible"
)

// A key that never meets the network signs in three steps: prepare writes a statement without signature,
// here; sign, or any other tool, signs it there; finish puts both together, here.

// The files beside NAME of a statement that waits for its signature.
const (
	toBeSigned = ".tbs"
	signature  = ".sig"
)

func (a *app) prepareCommand(f *officer.Access) *cobra.Command {
	var p proposing
	var out string
	cmd := &cobra.Command{
		Use:   "prepare propose KIND ARGUMENT... | vote yes|no PROPOSAL | withdraw PROPOSAL",
		Short: "Write a statement for a key that never meets the network",
		Long: `Writes a proposal or a ballot without a signature to FILE, and the bytes to be signed to FILE.tbs.
Only certificates are read, no key: name that of the key which will sign by --sign-cert.

Where the key is, sign FILE by ` + "`coco gov sign`" + `, which shows what it says, or FILE.tbs by any other
tool; then hand it in by ` + "`coco gov finish`" + `. A statement is taken for 30 days after it was prepared.

With --service instead of a network, PROPOSAL is the whole id, and nothing is asked.`,
		Example: `  coco gov prepare propose add-participant delta delta/org.pem --as alpha --sign-cert offline.pem --out p.cose
  coco gov prepare vote yes 3 --as alpha --sign-cert offline.pem --out ballot.cose
  openssl dgst -sha256 -sign offline-key.pem -out ballot.cose.sig ballot.cose.tbs
  coco gov finish ballot.cose --as alpha`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
			switch {
			case len(args) == 0:
				return []string{"propose", "vote", "withdraw"}, cobra.ShellCompDirectiveNoFileComp
			case args[0] == "propose":
				return completeActions(f, cmd, args[1:])
			case args[0] == "vote":
				return f.CompleteProposals("open", 1, "yes", "no")(cmd, args[1:], text)
			}
			return f.CompleteProposals("open", 0)(cmd, args[1:], text)
		},
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.check(); err != nil {
			return err
		}
		chain, service, err := f.Papers()
		if err != nil {
			return err
		}
		st, err := a.statement(cmd.Context(), f, &p, service, args)
		if err != nil {
			return err
		}
		return a.prepare(chain, st, out)
	}
	f.ConnectFlags(a.App, cmd)
	p.add(cmd)
	cmd.Flags().StringVar(&f.SignCert, "sign-cert", "", "certificate of the key that will sign, a PEM `file` with its issuers (default: the one to connect with)")
	cmd.Flags().StringVar(&out, "out", "statement.cose", "`file` to write, which must not exist")
	return cmd
}

// statement is what the arguments of prepare say.
func (a *app) statement(ctx context.Context, f *officer.Access, p *proposing, service *x509.Certificate, args []string) (envelope.Statement, error) {
	audience, err := table.NetworkID(service.Raw)
	if err != nil {
		return nil, err
	}
	what, rest := args[0], args[1:]
	var vote envelope.Vote
	switch {
	case what == "propose":
		actions, err := p.read(a, rest)
		if err != nil {
			return nil, err
		}
		return p.Statement(audience, actions)
	case what == "vote" && len(rest) == 2 && (rest[0] == "yes" || rest[0] == "no"):
		vote = envelope.Vote(rest[0])
	case what == "withdraw" && len(rest) == 1:
		vote = envelope.Withdraw
	default:
		return nil, fmt.Errorf("%w: prepare %s: expected propose KIND ARGUMENT..., vote yes PROPOSAL, vote no PROPOSAL or withdraw PROPOSAL", coco.ErrInvalid, strings.Join(args, " "))
	}
	ref := rest[len(rest)-1]
	var id coco.Digest
	if id.UnmarshalText([]byte(ref)) != nil {
		if !f.InSandbox() && f.Node == "" {
			return nil, fmt.Errorf("%w: proposal %q: without a node to ask, expected its whole id, 64 digits", coco.ErrInvalid, ref)
		}
		o, err := f.ConnectToAsk(ctx)
		if err != nil {
			return nil, err
		}
		defer o.Close()
		found, err := o.Find(ctx, ref)
		if err != nil {
			return nil, err
		}
		id = found.ID
	}
	return officer.Ballot(audience, id, vote), nil
}

func (a *app) prepare(chain []*x509.Certificate, st envelope.Statement, out string) error {
	raw := make([][]byte, len(chain))
	for i, c := range chain {
		raw[i] = c.Raw
	}
	tbs, unfinished, err := envelope.Prepare(raw, st)
	if err != nil {
		return err
	}
	// A signature that is there belongs to an older statement of this name.
	for _, name := range []string{out, out + toBeSigned, out + signature} {
		if err := atomicfile.Free(name); err != nil {
			return err
		}
	}
	for name, data := range map[string][]byte{out: unfinished, out + toBeSigned: tbs} {
		if err := atomicfile.Create(name, data, 0o600); err != nil {
			return err
		}
	}
	if a.WantsJSON() {
		return a.Out.JSON(map[string]any{"file": out, "to_be_signed": out + toBeSigned, "signature": out + signature})
	}
	a.Out.OK("%s is the statement, %s are the bytes to be signed with the key of %q", out, out+toBeSigned, chain[0].Subject)
	a.Out.Printf("    There: coco gov sign %s --key file:KEY   (or put another tool's signature into %s)\n", out, out+signature)
	a.Out.Printf("    Here:  coco gov finish %s\n", out)
	return nil
}

func (a *app) signCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Show a prepared statement and sign it, where the key is",
		Long: `Shows what a statement says that ` + "`coco gov prepare`" + ` has written, and signs it. It needs no network:
the bytes to be signed are made from the statement that is shown. Carry FILE.sig back.`,
		Example: "  coco gov sign ballot.cose --key file:offline-key.pem",
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		st, tbs, err := envelope.Unfinished(data)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if err := atomicfile.Free(args[0] + signature); err != nil {
			return err
		}
		k, err := signer.Open(key, st.Chain[0].PublicKey)
		if err != nil {
			return err
		}
		if !a.WantsJSON() {
			if err := a.showStatement(st); err != nil {
				return err
			}
		}
		sig, err := k.SignBytes(cmd.Context(), tbs)
		if err != nil {
			return err
		}
		if _, err := envelope.Finish(data, sig); err != nil {
			return err
		}
		if err := atomicfile.Create(args[0]+signature, sig, 0o600); err != nil {
			return err
		}
		if a.WantsJSON() {
			return a.Out.JSON(map[string]any{"file": args[0], "signature": args[0] + signature})
		}
		a.Out.OK("signed: the signature is in %s", args[0]+signature)
		return nil
	}
	cmd.Flags().StringVar(&key, "key", "", "the `key` that signs: file:PATH or cmd:COMMAND")
	_ = cmd.MarkFlagRequired("key")
	a.OutputFlag(cmd)
	return cmd
}

// showStatement shows what is about to be signed.
func (a *app) showStatement(s *envelope.Signed) error {
	p := a.Out
	p.Printf("  network  %s\n  signer   %s\n  time     %s\n", s.Audience(), visible.Text(s.Chain[0].Subject.String()), minute(time.UnixMilli(int64(s.Time()))))
	if b := s.Ballot; b != nil {
		p.Printf("  vote     %s\n  on       proposal %s\n", p.Bold(string(b.Vote)), b.Proposal)
		return nil
	}
	p.Printf("  propose, to be voted on until %s\n", minute(time.UnixMilli(int64(s.Proposal.Expires))))
	if s.Proposal.Note != "" {
		p.Printf("  note     %s\n", visible.Text(s.Proposal.Note))
	}
	var actions []action.Action
	for _, raw := range s.Proposal.Actions {
		act, err := action.Decode(raw)
		if err != nil {
			return err
		}
		actions = append(actions, act)
	}
	text, err := action.Format(actions)
	if err == nil {
		p.Printf("\n%s\n", indent(string(text)))
	}
	return err
}

func (a *app) finishCommand(f *officer.Access) *cobra.Command {
	var sigFile, envelopeFile string
	cmd := &cobra.Command{
		Use:   "finish FILE",
		Short: "Hand in a prepared statement with its signature",
		Long: `Puts the signature of FILE.sig, or --signature, into the statement that ` + "`coco gov prepare`" + ` has written,
checks it, and hands it in. An ECDSA signature may be in ASN.1 form or r and s.

Who hands it in need not be who signed it: both are members. With --envelope FILE the signed
statement is only written, to be handed in by POST /gov/submit.`,
		Example: "  coco gov finish ballot.cose --as alpha\n  coco gov finish ballot.cose --signature token.sig --as alpha",
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		raw, err := finished(args[0], sigFile)
		if err != nil {
			return err
		}
		if envelopeFile != "" {
			return atomicfile.Create(envelopeFile, raw, 0o600)
		}
		o, err := f.ConnectToAsk(cmd.Context())
		if err != nil {
			return err
		}
		defer o.Close()
		out, err := o.Submit(cmd.Context(), raw)
		if err != nil {
			return o.Explain(err)
		}
		return a.showOutcome(cmd.Context(), o, out)
	}
	f.ConnectFlags(a.App, cmd)
	cmd.Flags().StringVar(&sigFile, "signature", "", "the signature, a `file` (default: FILE.sig)")
	cmd.Flags().StringVar(&envelopeFile, "envelope", "", "write the signed statement to a `file` and do not hand it in")
	return cmd
}

// finished is a prepared statement with its signature.
func finished(file, sigFile string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if sigFile == "" {
		sigFile = file + signature
	}
	sig, err := os.ReadFile(sigFile)
	if err != nil {
		return nil, fmt.Errorf("signature: %w: sign %s first, or name the signature with --signature", err, file)
	}
	raw, err := envelope.Finish(data, sig)
	if errors.Is(err, coco.ErrVerify) {
		return nil, fmt.Errorf("%s does not belong to %s: %w", sigFile, file, err)
	}
	return raw, err
}
