package govcmd

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/visible"
	"github.com/cocoframework/coco/wire"
)

// stateOf colours a state.
func (a *app) stateOf(state string) string {
	switch state {
	case "accepted":
		return a.Out.Green(state)
	case "open":
		return a.Out.Bold(state)
	}
	return a.Out.Red(state)
}

// sentence says where a proposal stands.
func (a *app) sentence(state string, p wire.Proposal, reason string) string {
	name := p.ID.Short()
	if p.Number > 0 {
		name = numberOf(p.Number) + " (" + p.ID.Short() + ")"
	}
	text := fmt.Sprintf("Proposal %s is %s", name, a.stateOf(state))
	switch {
	case state == "open" && p.Number > 0:
		text += fmt.Sprintf(": %d yes, %d no", p.Yes, p.No)
		if len(p.Waiting) > 0 {
			text += "; no vote yet of " + strings.Join(p.Waiting, ", ")
		}
	case reason != "":
		text += ": " + reason
	}
	return text
}

func (a *app) proposalListCommand(f *officer.Access) *cobra.Command {
	var state string
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Proposals, and nodes that ask to join",
		Long:  `Lists the proposals, the newest first, and the nodes that ask to be admitted.`,
		Example: `  coco gov list --as alpha
  coco gov list --as alpha --state open -o json`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.With(cmd, func(ctx context.Context, o *officer.Officer) error {
			list, err := o.Proposals(ctx, state, limit)
			if err != nil {
				return err
			}
			nodes, err := o.GovNodes(ctx)
			if err != nil {
				return err
			}
			pending := []wire.Node{}
			for _, n := range nodes {
				if n.State == "pending" {
					pending = append(pending, n)
				}
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]any{"proposals": list, "pending_nodes": pending})
			}
			a.showProposals(list)
			a.showPending(pending)
			return nil
		})
	}
	f.ConnectFlags(a.App, cmd)
	cmd.Flags().StringVar(&state, "state", "", "only those in a `state`: open, accepted, rejected, withdrawn, expired or failed")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"open", "accepted", "rejected", "withdrawn", "expired", "failed"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) showProposals(list []wire.Proposal) {
	if len(list) == 0 {
		a.Out.Printf("no proposals\n")
		return
	}
	now := time.Now()
	rows := [][]string{{"Proposal", "Id", "State", "Yes", "No", "By", "Voting", "What"}}
	for _, p := range list {
		rows = append(rows, []string{
			numberOf(p.Number), p.ID.Short(), p.State, strconv.Itoa(p.Yes), strconv.Itoa(p.No), p.ProposerName, voting(p, now), officer.Title(p),
		})
	}
	a.Out.Table(rows)
}

// voting says when the voting on a proposal ends, or when it has ended.
func voting(p wire.Proposal, now time.Time) string {
	switch {
	case p.Decided == 0:
		return "ends " + moment(p.Expires, now)
	case p.DecidedTime.IsZero(): // a node of an older build
		return fmt.Sprintf("%s at seqno %d", ended(p), p.Decided)
	}
	return ended(p) + " " + moment(p.DecidedTime, now)
}

// ended says how a proposal that is not open any more came to its end.
func ended(p wire.Proposal) string {
	if p.State == "accepted" || p.State == "rejected" {
		return "decided"
	}
	return "ended"
}

func (a *app) showPending(nodes []wire.Node) {
	if len(nodes) == 0 {
		return
	}
	rows := [][]string{{"Node that asks to join", "Owner", "Address", "Code", "Waits for"}}
	for _, n := range nodes {
		rows = append(rows, []string{n.Node.Short(), n.OwnerName, n.Address, n.Measurement.Short(), n.Reason})
	}
	a.Out.Printf("\n")
	a.Out.Table(rows)
}

func (a *app) proposalShowCommand(f *officer.Access) *cobra.Command {
	var envelope string
	var signed bool
	cmd := &cobra.Command{
		Use:   "show PROPOSAL",
		Short: "A proposal with its actions and votes",
		Long: `Shows a proposal: what it would change, who has voted how, and who has not. Each action is a sentence; --toml
shows the actions as they were signed, with certificates and expressions.

PROPOSAL is its number, as 3 or "#3", or at least 4 digits of its id.`,
		Example: "  coco gov show 3 --as alpha\n  coco gov show ab12cd34 --as alpha --envelope proposal.cose",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: f.CompleteProposals("", 0),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if envelope != "" {
			if err := atomicfile.Free(envelope); err != nil {
				return err
			}
		}
		return f.With(cmd, func(ctx context.Context, o *officer.Officer) error {
			p, err := o.Find(ctx, args[0])
			if err != nil {
				return err
			}
			if envelope != "" {
				if err := atomicfile.Create(envelope, p.Envelope, 0o600); err != nil {
					return err
				}
			}
			if a.WantsJSON() {
				return a.Out.JSON(p)
			}
			a.showProposal(p, signed)
			return nil
		})
	}
	f.ConnectFlags(a.App, cmd)
	cmd.Flags().BoolVar(&signed, "toml", false, "show the actions as they were signed, as TOML, with certificates in PEM form and whole expressions")
	cmd.Flags().StringVar(&envelope, "envelope", "", "also write the signed proposal, as it stands in the ledger, to a `file`")
	return cmd
}

// showProposal shows a proposal; signed is with its actions as they were signed.
func (a *app) showProposal(p wire.Proposal, signed bool) {
	now := time.Now()
	a.Out.Printf("%s\n\n", a.sentence(p.State, p, p.Reason))
	a.Out.Printf("  by           %s, signed %s\n", p.ProposerName, moment(p.Time, now))
	switch {
	case p.Decided == 0:
		a.Out.Printf("  voting ends  %s\n", moment(p.Expires, now))
	case p.DecidedTime.IsZero():
		a.Out.Printf("  decided      seqno %d\n", p.Decided)
	default:
		a.Out.Printf("  %-12s %s, seqno %d\n", ended(p), moment(p.DecidedTime, now), p.Decided)
	}
	a.Out.Printf("  id           %s\n", p.ID)
	a.Out.Printf("  fingerprint  %s\n", p.ID.Fingerprint())
	if p.Note != "" {
		a.Out.Printf("  note         %s\n", strings.ReplaceAll(p.Note, "\n", "\n               "))
	}
	if signed || len(p.Summary) == 0 {
		a.Out.Printf("\n%s\n", indent(p.Actions))
	} else {
		a.Out.Printf("\n")
		for _, sentence := range p.Summary {
			a.Out.Printf("  - %s\n", visible.Text(sentence))
		}
		a.Out.Printf("  %s\n\n", a.Out.Dim("(--toml shows what was signed, word for word)"))
	}
	for i := range p.Grants {
		a.Out.Printf("  %s\n", visible.Text(finding.Grant(&p.Grants[i], now)))
	}
	if len(p.Grants) > 0 {
		a.Out.Printf("\n")
	}
	if len(p.Ballots) == 0 {
		a.Out.Printf("  no votes yet\n")
		return
	}
	rows := [][]string{{"Member", "Vote", "Signed"}}
	for _, b := range p.Ballots {
		row := []string{b.Name, b.Vote, moment(b.Time, now)}
		if !b.Counts {
			row = append(row, "does not count: it is no member any more")
		}
		rows = append(rows, row)
	}
	a.Out.Table(rows)
}

// indent moves a page to the right, without its empty lines at the end.
func indent(page string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(page), "\n") {
		b.WriteString("  " + line + "\n")
	}
	return b.String()
}

func (a *app) constitutionCommand(f *officer.Access) *cobra.Command {
	cmd := &cobra.Command{
		Use: "constitution", Short: "Show the constitution, compare versions, list them", Args: cobra.NoArgs,
		Long: `The constitution says who belongs to the network, which code nodes run, and what decides about
changes. Every proposal that is accepted makes a new version; all of them are kept.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.constitutionShowCommand(f), a.constitutionDiffCommand(f), a.constitutionHistoryCommand(f))
	return cmd
}

func (a *app) constitutionShowCommand(f *officer.Access) *cobra.Command {
	var version uint64
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "The constitution as a page",
		Long:    `Writes the constitution in force, or a past version, as TOML. Its digest is on standard error.`,
		Example: "  coco gov constitution show --as alpha\n  coco gov constitution show --as alpha --version 1 > genesis.toml",
		Args:    cobra.NoArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.With(cmd, func(ctx context.Context, o *officer.Officer) error {
			page, v, err := o.ConstitutionAt(ctx, version)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]any{"version": v.Version, "digest": v.Digest, "page": string(page)})
			}
			a.Err.Printf("%s\n", a.Err.Dim(fmt.Sprintf("# version %d, digest %s, fingerprint %s", v.Version, v.Digest, v.Digest.Fingerprint())))
			err = a.Out.Page(page)
			return err
		})
	}
	f.ConnectFlags(a.App, cmd)
	cmd.Flags().Uint64Var(&version, "version", 0, "a `version` of it (default: the one in force)")
	return cmd
}

func (a *app) constitutionDiffCommand(f *officer.Access) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff [FROM [TO]]",
		Short: "What changed from one version to another",
		Long: `Compares two versions line by line. Without FROM it is the last change; without TO it is everything
since FROM.`,
		Example: "  coco gov constitution diff --as alpha\n  coco gov constitution diff 1 --as alpha",
		Args:    cobra.MaximumNArgs(2),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var want [2]uint64
		for i, text := range args {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil || n == 0 {
				return fmt.Errorf("%w: version %q: expected a number from 1 on", coco.ErrInvalid, text)
			}
			want[i] = n
		}
		return f.With(cmd, func(ctx context.Context, o *officer.Officer) error { return a.diffVersions(ctx, o, want[0], want[1]) })
	}
	f.ConnectFlags(a.App, cmd)
	return cmd
}

// diffVersions compares versions; zeros stand for the one in force and the one before the other.
func (a *app) diffVersions(ctx context.Context, o *officer.Officer, from, to uint64) error {
	after, v, err := o.ConstitutionAt(ctx, to)
	if err != nil {
		return err
	}
	if from == 0 {
		if from = v.Version - 1; from == 0 {
			return fmt.Errorf("%w: this is version 1 still: nothing has changed since genesis", coco.ErrNotFound)
		}
	}
	before, w, err := o.ConstitutionAt(ctx, from)
	if err != nil {
		return err
	}
	name := func(v wire.ConstitutionVersion) string {
		return fmt.Sprintf("version %d (%s)", v.Version, v.Digest.Short())
	}
	text := string(diff.Diff(name(w), before, name(v), after))
	if _, rest, ok := strings.Cut(text, "\n"); ok {
		text = rest // without the line that names a program
	}
	if a.WantsJSON() {
		return a.Out.JSON(map[string]any{"from": w.Version, "to": v.Version, "diff": text})
	}
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "+"):
			line = a.Out.Green(strings.TrimSuffix(line, "\n")) + "\n"
		case strings.HasPrefix(line, "-"):
			line = a.Out.Red(strings.TrimSuffix(line, "\n")) + "\n"
		}
		a.Out.Printf("%s", line)
	}
	return nil
}

func (a *app) constitutionHistoryCommand(f *officer.Access) *cobra.Command {
	cmd := &cobra.Command{
		Use: "history", Short: "The versions, and the proposals that made them", Args: cobra.NoArgs,
		Long:    `Lists the versions of the constitution, the oldest first, each with the proposal that made it.`,
		Example: "  coco gov constitution history --as alpha",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.With(cmd, func(ctx context.Context, o *officer.Officer) error {
			list, err := o.Versions(ctx)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(list)
			}
			now := time.Now()
			rows := [][]string{{"Version", "Fingerprint", "In force since", "Seqno", "By proposal"}}
			for _, v := range list {
				by := "genesis"
				if v.Number > 0 {
					by = numberOf(v.Number) + " (" + v.Proposal.Short() + ")"
				}
				rows = append(rows, []string{strconv.FormatUint(v.Version, 10), v.Digest.Fingerprint(), moment(v.Time, now), strconv.FormatUint(v.Since, 10), by})
			}
			a.Out.Table(rows)
			return nil
		})
	}
	f.ConnectFlags(a.App, cmd)
	return cmd
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}
