package govcmd

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
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
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/internal/signer"
	"github.com/cocoframework/coco/internal/visible"
)

// A key that never meets the network signs in three steps: prepare writes a statement without signature,
// here; sign, or any other tool, signs it there; finish puts both together, here.

// The files beside NAME of a statement that waits for its signature.
const (
	toBeSigned = ".tbs"
	signature  = ".sig"
	subject    = ".proposal" // of a ballot: the signed proposal that it is about, whose SHA-256 the ballot names
)

func (a *app) prepareCommand(f *officer.Access) *cobra.Command {
	var p proposing
	var out string
	cmd := &cobra.Command{
		Use:   "prepare propose KIND ARGUMENT... | vote yes|no PROPOSAL | withdraw PROPOSAL",
		Short: "Write a statement for a key that never meets the network",
		Long: `Writes a proposal or a ballot without a signature to FILE, and the bytes to be signed to FILE.tbs. Beside a
ballot stands FILE.proposal, the signed proposal that it is about: carry it along, so that it can be read before it is voted on. Only certificates are read, no key: name that of the key which will sign by --sign-cert.

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
		st, about, err := a.statement(cmd.Context(), f, &p, service, args)
		if err != nil {
			return err
		}
		return a.prepare(chain, st, about, out, f.Hint())
	}
	f.ConnectFlags(a.App, cmd)
	p.add(cmd)
	cmd.Flags().StringVar(&f.SignCert, "sign-cert", "", "certificate of the key that will sign, a PEM `file` with its issuers (default: the one to connect with)")
	cmd.Flags().StringVar(&out, "out", "statement.cose", "`file` to write, which must not exist")
	return cmd
}

// statement is what the arguments of prepare say. about is the proposal's envelope, for a ballot if there is a node to ask.
func (a *app) statement(ctx context.Context, f *officer.Access, p *proposing, service *x509.Certificate, args []string) (st envelope.Statement, about []byte, err error) {
	audience, err := table.NetworkID(service.Raw)
	if err != nil {
		return nil, nil, err
	}
	what, rest := args[0], args[1:]
	var vote envelope.Vote
	switch {
	case what == "propose":
		actions, err := p.read(a, rest)
		if err != nil {
			return nil, nil, err
		}
		st, err = p.Statement(audience, actions)
		return st, nil, err
	case what == "vote" && len(rest) == 2 && (rest[0] == "yes" || rest[0] == "no"):
		vote = envelope.Vote(rest[0])
	case what == "withdraw" && len(rest) == 1:
		vote = envelope.Withdraw
	default:
		return nil, nil, fmt.Errorf("%w: prepare %s: expected propose KIND ARGUMENT..., vote yes PROPOSAL, vote no PROPOSAL or withdraw PROPOSAL", coco.ErrInvalid, strings.Join(args, " "))
	}
	ref := rest[len(rest)-1]
	var id coco.Digest
	asks := f.InSandbox() || f.Node != "" || f.Config != ""
	if whole := id.UnmarshalText([]byte(ref)) == nil; !whole || asks {
		if !asks {
			return nil, nil, fmt.Errorf("%w: proposal %q: without a node to ask, expected its whole id, 64 digits", coco.ErrInvalid, ref)
		}
		o, err := f.ConnectToAsk(ctx)
		if err != nil {
			return nil, nil, err
		}
		defer o.Close()
		found, err := o.Find(ctx, ref)
		if err != nil {
			return nil, nil, err
		}
		id, about = found.ID, found.Envelope
	}
	return officer.Ballot(audience, id, vote), about, nil
}

// prepare writes the files of a statement. hint is what a command needs to reach the network by which it is handed in.
func (a *app) prepare(chain []*x509.Certificate, st envelope.Statement, about []byte, out, hint string) error {
	raw := make([][]byte, len(chain))
	for i, c := range chain {
		raw[i] = c.Raw
	}
	tbs, unfinished, err := envelope.Prepare(raw, st)
	if err != nil {
		return err
	}
	// A signature that is there belongs to an older statement of this name.
	for _, name := range []string{out, out + toBeSigned, out + signature, out + subject} {
		if err := atomicfile.Free(name); err != nil {
			return err
		}
	}
	files := map[string][]byte{out: unfinished, out + toBeSigned: tbs}
	if about != nil {
		files[out+subject] = about
	}
	for name, data := range files {
		if err := atomicfile.Create(name, data, 0o600); err != nil {
			return err
		}
	}
	if a.WantsJSON() {
		told := map[string]any{"file": out, "to_be_signed": out + toBeSigned, "signature": out + signature}
		if about != nil {
			told["proposal"] = out + subject
		}
		return a.Out.JSON(told)
	}
	a.Out.OK("%s is the statement, %s are the bytes to be signed with the key of %q", out, out+toBeSigned, chain[0].Subject)
	if about != nil {
		a.Out.Printf("    %s is the proposal: take it along\n", out+subject)
	}
	a.Out.Printf("    There: coco gov sign %s --key file:KEY   (or put another tool's signature into %s)\n", shell.Quote(out), out+signature)
	a.Out.Printf("    Here:  coco gov finish %s%s\n", shell.Quote(out), hint)
	return nil
}

func (a *app) signCommand() *cobra.Command {
	var key, about string
	var unseen bool
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Show a prepared statement and sign it, where the key is",
		Long: `Shows what a statement says that ` + "`coco gov prepare`" + ` has written, and signs it. It needs no network:
the bytes to be signed are made from the statement that is shown. Carry FILE.sig back.

A ballot names its proposal by SHA-256. The proposal is read from FILE.proposal, compared with that, and shown whole; its fingerprint is the
beginning of what ` + "`sha256sum FILE.proposal`" + ` and ` + "`coco gov show`" + ` print.`,
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
		var proposal *envelope.Signed
		if st.Ballot != nil && !unseen {
			if proposal, err = readSubject(cmp.Or(about, args[0]+subject), st.Ballot.Proposal); err != nil {
				return err
			}
		}
		k, err := signer.Open(key, st.Chain[0].PublicKey)
		if err != nil {
			return err
		}
		if !a.WantsJSON() {
			if err := a.showStatement(st, proposal); err != nil {
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
	cmd.Flags().StringVar(&about, "proposal", "", "the signed proposal that a ballot is about, a `file` (default: FILE.proposal)")
	cmd.Flags().BoolVar(&unseen, "unseen", false, "sign a ballot without its proposal: what is voted on cannot be shown")
	_ = cmd.MarkFlagRequired("key")
	a.OutputFlag(cmd)
	return cmd
}

// readSubject reads the proposal that a ballot names by its digest.
func readSubject(file string, id coco.Digest) (*envelope.Signed, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the ballot is about proposal %s, and there is no %s that holds it: bring the file that `coco gov prepare` wrote, or `coco gov show --envelope FILE`, or sign --unseen",
			coco.ErrInvalid, id, file)
	}
	if err != nil {
		return nil, err
	}
	if found := coco.Digest(sha256.Sum256(raw)); found != id {
		return nil, fmt.Errorf("%w: %s is not the proposal that the ballot is about: expected SHA-256 %s, found %s", coco.ErrVerify, file, id, found)
	}
	s, err := envelope.Open(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file, err)
	case s.Proposal == nil:
		return nil, fmt.Errorf("%w: %s is no proposal", coco.ErrInvalid, file)
	}
	return s, nil
}

// showStatement shows what is about to be signed; about is the proposal that a ballot is about, if it is known.
func (a *app) showStatement(s, about *envelope.Signed) error {
	p := a.Out
	p.Printf("  network  %s\n  signer   %s\n  time     %s\n", s.Audience(), visible.Text(s.Chain[0].Subject.String()), moment(time.UnixMilli(int64(s.Time())), time.Now()))
	if b := s.Ballot; b != nil {
		p.Printf("  vote     %s\n  on       proposal %s\n  which is %s\n", p.Bold(string(b.Vote)), b.Proposal, p.Bold(b.Proposal.Fingerprint()))
		if about == nil {
			p.Printf("           %s\n", p.Red("not shown"))
			return nil
		}
		p.Printf("  by       %s\n", visible.Text(about.Chain[0].Subject.String()))
		return a.showActions(about.Proposal)
	}
	p.Printf("  propose\n")
	return a.showActions(s.Proposal)
}

// showActions shows what a proposal says.
func (a *app) showActions(proposal *envelope.Proposal) error {
	p := a.Out
	p.Printf("  until    %s\n", moment(time.UnixMilli(int64(proposal.Expires)), time.Now()))
	if proposal.Note != "" {
		p.Printf("  note     %s\n", visible.Text(proposal.Note))
	}
	var actions []action.Action
	for _, raw := range proposal.Actions {
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
