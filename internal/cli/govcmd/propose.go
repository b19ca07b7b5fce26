package govcmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/wire"
)

// proposing are the flags of commands that write a proposal.
type proposing struct {
	actionFlags
	officer.Terms
}

func (p *proposing) add(cmd *cobra.Command) {
	p.actionFlags.add(cmd)
	cmd.Flags().StringVar(&p.Note, "note", "", "a `text` for those who vote: why")
	p.Expires = officer.DefaultVoting
	cmd.Flags().Var((*period)(&p.Expires), "expires", "how long may be voted, as 7d, 2w or 36h, at most 90d")
}

// check finds what can be said of the flags before anybody is asked.
func (p *proposing) check() error {
	if p.Expires < time.Second || p.Expires > officer.MaxVoting {
		return fmt.Errorf("%w: --expires %s: expected 1s to 90d", coco.ErrInvalid, (*period)(&p.Expires))
	}
	return nil
}

func (a *app) proposeCommand(f *officer.Access) *cobra.Command {
	var p proposing
	var yes, print bool
	cmd := &cobra.Command{
		Use:   "propose KIND ARGUMENT... | --file FILE",
		Short: "Propose a change",
		Long: `Signs a proposal and hands it in. It is checked now and again when it is applied. Members then
vote; the policy of each kind of action in it decides. Proposing is not voting: --yes does both.

Kinds of actions:

` + actionHelp() + `
Several actions in one proposal stand in a file, as --print writes it; they take effect together.
A KIND may be written with dashes or underscores. PARTICIPANT, MEMBER, OWNER and ORGANISATION are
names or ids in the constitution, NODE is a node's id. POLICY is a name (majority, unanimous,
weighted majority, veto, seconded, or as "2 of 3" with the number of members) or an expression; what
is signed is the expression.`,
		Example: `  coco gov propose add-participant delta delta/org.pem --as alpha --note "joins in January"
  coco gov propose set limits.batch_count 5000 --as alpha --yes
  coco gov propose set-policy add-code "2 of 3" --as alpha --expires 7d
  coco gov propose set-policy add-code "votes.yes == members.size()" --as alpha
  coco gov propose add-code virtual:9a1b… --print >> actions.toml
  coco gov propose --file actions.toml --as alpha`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: kindsOf(f),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.check(); err != nil {
			return err
		}
		actions, err := p.read(a, args)
		if err != nil {
			return err
		}
		if print {
			text, err := action.Format(actions)
			if err == nil {
				err = a.Out.Page(text)
			}
			return err
		}
		return f.With(cmd, func(ctx context.Context, o *officer.Officer) error {
			if err := p.fit(ctx, a, o, actions); err != nil {
				return err
			}
			a.warn(ctx, o, p.Expires, actions)
			out, err := o.Propose(ctx, p.Terms, actions)
			if err == nil && yes && out.State == "open" {
				out, err = o.Vote(ctx, out.ID, envelope.Yes)
			}
			if err != nil {
				return err
			}
			return a.showOutcome(ctx, o, out)
		})
	}
	f.ConnectFlags(a.App, cmd)
	f.SignFlags(cmd)
	p.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "also vote yes on it")
	cmd.Flags().BoolVar(&print, "print", false, "write the action as TOML, for --file, and propose nothing")
	return cmd
}

// showOutcome says what became of a statement.
func (a *app) showOutcome(ctx context.Context, o *officer.Officer, out wire.Outcome) error {
	p, err := o.Proposal(ctx, out.ID.String())
	if err != nil {
		// It is committed; only this node may not have applied it yet.
		p = wire.Proposal{ID: out.ID, State: out.State}
	}
	if a.WantsJSON() {
		return a.Out.JSON(struct {
			wire.Outcome
			Number  uint64   `json:"number,omitempty"`
			Yes     int      `json:"yes"`
			No      int      `json:"no"`
			Waiting []string `json:"waiting,omitempty"`
		}{out, p.Number, p.Yes, p.No, p.Waiting})
	}
	a.Out.Printf("%s\n", a.sentence(out.State, p, out.Reason))
	for _, e := range out.Effects {
		a.Out.Printf("      %s\n", e.Text)
	}
	if out.State == "accepted" {
		a.Out.Printf("      constitution %d (%s) is in force\n", out.Version, out.Digest.Short())
	}
	return nil
}

// voteCommand votes on a proposal; a later vote replaces an earlier one.
func (a *app) voteCommand(f *officer.Access) *cobra.Command {
	var sure bool
	cmd := &cobra.Command{
		Use:   "vote yes|no PROPOSAL",
		Short: "Vote on a proposal",
		Long: `Signs a ballot and hands it in. A member has one vote on a proposal, and may change it until the
proposal is decided. The vote that decides also applies what was proposed: the answer says so.

At a terminal it shows the proposal first, and what would follow, and asks; --yes answers.

PROPOSAL is its number, as 3 or "#3", or at least 4 digits of its id.`,
		Example: `  coco gov vote yes 3 --as bravo
  coco gov vote no ab12cd34 --as charlie`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: f.CompleteProposals("open", 1, string(envelope.Yes), string(envelope.No)),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		vote := envelope.Vote(args[0])
		if vote != envelope.Yes && vote != envelope.No {
			return fmt.Errorf("%w: vote %q: expected yes or no; a proposer takes back its proposal by `coco gov withdraw`", coco.ErrInvalid, args[0])
		}
		return a.cast(cmd, f, args[1], vote, sure)
	}
	f.ConnectFlags(a.App, cmd)
	f.SignFlags(cmd)
	cmd.Flags().BoolVar(&sure, "yes", false, sureUsage)
	return cmd
}

const sureUsage = "do not ask; where the standard input is no terminal, nothing is asked anyway"

func (a *app) withdrawCommand(f *officer.Access) *cobra.Command {
	var sure bool
	cmd := &cobra.Command{
		Use:     "withdraw PROPOSAL",
		Short:   "Take back a proposal of one's own",
		Long:    `Signs that the member takes back a proposal that it has made and that is not decided yet.`,
		Example: "  coco gov withdraw 3 --as alpha",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: f.CompleteProposals("open", 0),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.cast(cmd, f, args[0], envelope.Withdraw, sure) }
	f.ConnectFlags(a.App, cmd)
	f.SignFlags(cmd)
	cmd.Flags().BoolVar(&sure, "yes", false, sureUsage)
	return cmd
}

func (a *app) cast(cmd *cobra.Command, f *officer.Access, ref string, vote envelope.Vote, sure bool) error {
	return f.With(cmd, func(ctx context.Context, o *officer.Officer) error {
		p, err := o.Find(ctx, ref)
		if err != nil {
			return err
		}
		if !sure && a.Asks() {
			if err := a.askToVote(ctx, o, p, vote); err != nil {
				return err
			}
		}
		out, err := o.Vote(ctx, p.ID, vote)
		if err != nil {
			return err
		}
		return a.showOutcome(ctx, o, out)
	})
}
