package recoverycmd

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/drill"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/rehearsal"
	"github.com/cocoframework/coco/internal/shell"
)

// A drill among separate machines: begin here, seal where each key is, end here.

func (a *app) drillBeginCommand() *cobra.Command {
	var ledgers []string
	var service, atLeast, out, keep string
	cmd := &cobra.Command{
		Use:   "begin",
		Short: "Begin a drill among separate machines: write what members are asked",
		Long: `Verifies copies as a recovery does, and seals a secret that it makes up to the members, as what locks the ledger is sealed to them. --out is for the members, and
public; --keep stays here until the end. Nothing of a ledger can be opened with either, nor with what members send back.

Each member: coco recovery drill seal. Then here: coco recovery drill end.`,
		Example: "  coco recovery drill begin --ledger /backup/alpha --out drill.json --keep drill.kept",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(atomicfile.Free(out), atomicfile.Free(keep)); err != nil {
				return err
			}
			cfg, err := a.rehearsed(ledgers, service, atLeast)
			if err != nil {
				return err
			}
			if cfg.Code, err = a.Own().Measure(); err != nil {
				return err
			}
			paper, kept, r, err := rehearsal.Begin(cmd.Context(), cfg)
			a.Err.Line("")
			if cmd.Context().Err() != nil {
				return cli.ErrInterrupted
			}
			if err != nil {
				return err
			}
			if paper == nil {
				return drill.Show(a.App, r)
			}
			if err := errors.Join(writeJSON(out, paper), writeJSON(keep, kept)); err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]string{"file": out, "kept": keep})
			}
			a.Out.OK("%s asks %d members for their parts of a secret that is in no ledger; %d of them open it", out, len(kept.Names), r.Threshold)
			a.Out.Printf("Each member, where its key is: coco recovery drill seal %s --ledger COPY --key encryption.key --out MEMBER.answer\n", shell.Quote(out))
			a.Out.Printf("Then here: coco recovery drill end MEMBER.answer… --keep %s\n", shell.Quote(keep))
			return nil
		},
	}
	a.copiesFlags(cmd, &ledgers, &service, &atLeast)
	cmd.Flags().StringVar(&out, "out", "", "`file` to write for the members, which must not exist")
	cmd.Flags().StringVar(&keep, "keep", "", "`file` to write and to keep here until the drill ends, which must not exist")
	_ = cmd.MarkFlagRequired("out")
	_ = cmd.MarkFlagRequired("keep")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) drillSealCommand() *cobra.Command {
	m, out := &member{}, ""
	cmd := &cobra.Command{
		Use:   "seal FILE",
		Short: "Take part in a drill, where a member's key is, on a machine without a network",
		Long: `Verifies the member's own copy, opens its package with its key as in earnest, and makes its part of what the drill has sealed. That is for a drill alone, which is checked before: a
part of it opens nothing of any ledger, so nothing is released and there is nothing to consent to.

A copy or a key that is of no use is said here, with exit code 3, and in the file that is written, so that it is in the report, too.`,
		Example: "  coco recovery drill seal drill.json --ledger /backup/bravo --key bravo/encryption.key --out bravo.answer",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := atomicfile.Free(out); err != nil {
				return err
			}
			var paper rehearsal.Paper
			if err := readJSON(args[0], "file of `coco recovery drill begin`", &paper); err != nil {
				return err
			}
			service, err := readService(m.service)
			if err != nil {
				return err
			}
			answer, err := a.reply(cmd, &paper, m, service)
			if err != nil && answer == nil {
				return err
			}
			if werr := writeJSON(out, answer); werr != nil {
				return errors.Join(err, werr)
			}
			switch {
			case err != nil:
				return fmt.Errorf("%w: in earnest this member could not release: %w; %s says so, too", coco.ErrVerify, err, out)
			case a.WantsJSON():
				return a.Out.JSON(answer)
			}
			a.Out.OK("the copy is whole up to %s, and the key opens the part of %q: %s is for whoever began the drill. Nothing was released", answer.Last, answer.Name, out)
			return nil
		},
	}
	m.keyFlag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&m.ledger, "ledger", "", "`folder` of the member's own copy of the ledger")
	fl.StringVar(&m.service, "service", "", "the service certificate that the network must have, a PEM `file`")
	fl.StringVar(&out, "out", "", "`file` to write, which must not exist")
	_ = cmd.MarkFlagRequired("ledger")
	_ = cmd.MarkFlagRequired("out")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) drillEndCommand() *cobra.Command {
	keep := ""
	cmd := &cobra.Command{
		Use:   "end FILE…",
		Short: "End a drill among separate machines: what would fail in earnest",
		Long: `Reads what members have answered, and says what a recovery with them would come to: which members' parts are right, who is missing, whose copy is damaged or goes further, and whether
the parts open together what was sealed. Exits with 0 if a recovery would succeed, and with 3 if it would not.`,
		Example: "  coco recovery drill end alpha.answer bravo.answer --keep drill.kept",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var kept rehearsal.Kept
			if err := readJSON(keep, "file that `coco recovery drill begin` kept", &kept); err != nil {
				return err
			}
			var answers []rehearsal.Given
			for _, file := range args {
				g := rehearsal.Given{File: file}
				g.Err = readJSON(file, "answer of a drill", &g.Answer)
				answers = append(answers, g)
			}
			r, err := kept.Judge(answers)
			if err != nil {
				return err
			}
			return drill.Show(a.App, r)
		},
	}
	cmd.Flags().StringVar(&keep, "keep", "", "the `file` that was kept when the drill began")
	_ = cmd.MarkFlagRequired("keep")
	a.OutputFlag(cmd)
	return cmd
}

// reply makes a member's answer. answer is nil if none can be written.
func (a *app) reply(cmd *cobra.Command, paper *rehearsal.Paper, m *member, service *x509.Certificate) (*rehearsal.Answer, error) {
	key, err := identity.ReadMemberKey(m.key, keyfile.Read)
	if err != nil {
		return paper.Failed(fmt.Errorf("the key cannot be read: %w", err)), err
	}
	c, err := a.verify(cmd.Context(), m.ledger, service)
	if cmd.Context().Err() != nil {
		return nil, err
	}
	if err != nil {
		return paper.Failed(fmt.Errorf("the copy is of no use as it is: %w", err)), err
	}
	return paper.Reply(c, key)
}
