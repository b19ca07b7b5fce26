package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
)

// Voting time of a proposal, as package gov bounds it.
const (
	someVoting = 7 * 24 * time.Hour
	maxVoting  = 90 * 24 * time.Hour
)

// proposing are the flags of whoever writes a proposal.
type proposing struct {
	actionFlags
	note    string
	expires time.Duration
}

func (p *proposing) add(cmd *cobra.Command) {
	p.actionFlags.add(cmd)
	cmd.Flags().StringVar(&p.note, "note", "", "a `text` for those who vote: why")
	cmd.Flags().DurationVar(&p.expires, "expires", someVoting, "how long may be voted, at most 2160h (90 days)")
}

// check finds what can be said of the flags before anybody is asked.
func (p *proposing) check() error {
	if p.expires < time.Second || p.expires > maxVoting {
		return fmt.Errorf("%w: --expires %s: expected 1s to %s", coco.ErrInvalid, p.expires, maxVoting)
	}
	return nil
}

// statement makes what is to be signed.
func (p *proposing) statement(audience coco.Digest, actions []action.Action) (envelope.Proposal, error) {
	list, err := encoded(actions)
	if err != nil {
		return envelope.Proposal{}, err
	}
	now := time.Now()
	st := envelope.Proposal{
		Audience: audience, Time: uint64(now.UnixMilli()), Expires: uint64(now.Add(p.expires).UnixMilli()), Nonce: makeNonce(), Note: p.note,
	}
	for _, a := range list {
		st.Actions = append(st.Actions, canon.Raw(a))
	}
	return st, nil
}

func makeNonce() []byte {
	b := make([]byte, envelope.NonceBytes)
	_, _ = rand.Read(b) // it never fails
	return b
}

// ballotOf makes what is to be signed.
func ballotOf(audience, proposal coco.Digest, vote envelope.Vote) envelope.Ballot {
	return envelope.Ballot{Audience: audience, Time: uint64(time.Now().UnixMilli()), Nonce: makeNonce(), Proposal: proposal, Vote: vote}
}

// audience is the network that statements are for.
func (o *officer) audience() (coco.Digest, error) { return gov.NetworkID(o.service.Raw) }

func (a *app) proposeCommand(f *governing) *cobra.Command {
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
names or ids in the constitution, NODE is a node's id.`,
		Example: `  coco gov propose add-participant delta delta/org.pem --as alpha --note "joins in January"
  coco gov propose set limits.batch_count 5000 --as alpha --yes
  coco gov propose set-policy add-code "votes.yes == members.size()" --as alpha
  coco gov propose add-code virtual:9a1b… --print >> actions.toml
  coco gov propose --file actions.toml --as alpha`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: f.completeActions,
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
				_, err = a.Out.W.Write(text)
			}
			return err
		}
		return f.with(cmd, func(ctx context.Context, o *officer) error {
			out, err := o.propose(ctx, &p, actions)
			if err == nil && yes && out.State == "open" {
				out, err = o.vote(ctx, out.ID, envelope.Yes)
			}
			if err != nil {
				return err
			}
			return a.showOutcome(ctx, o, out)
		})
	}
	f.connectFlags(a, cmd)
	f.signFlags(cmd)
	p.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "also vote yes on it")
	cmd.Flags().BoolVar(&print, "print", false, "write the action as TOML, for --file, and propose nothing")
	return cmd
}

func (o *officer) propose(ctx context.Context, p *proposing, actions []action.Action) (client.Outcome, error) {
	audience, err := o.audience()
	if err != nil {
		return client.Outcome{}, err
	}
	st, err := p.statement(audience, actions)
	if err != nil {
		return client.Outcome{}, err
	}
	raw, err := envelope.SignProposal(ctx, o.identity, st)
	if err != nil {
		return client.Outcome{}, err
	}
	return o.submit(ctx, raw)
}

func (o *officer) vote(ctx context.Context, proposal coco.Digest, vote envelope.Vote) (client.Outcome, error) {
	audience, err := o.audience()
	if err != nil {
		return client.Outcome{}, err
	}
	raw, err := envelope.SignBallot(ctx, o.identity, ballotOf(audience, proposal, vote))
	if err != nil {
		return client.Outcome{}, err
	}
	return o.submit(ctx, raw)
}

// showOutcome says what became of a statement.
func (a *app) showOutcome(ctx context.Context, o *officer, out client.Outcome) error {
	p, err := o.Proposal(ctx, out.ID.String())
	if err != nil {
		// It is committed; only this node may not have applied it yet.
		p = client.Proposal{ID: out.ID, State: out.State}
	}
	if a.WantsJSON() {
		return a.Out.JSON(struct {
			client.Outcome
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
func (a *app) voteCommand(f *governing) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vote yes|no PROPOSAL",
		Short: "Vote on a proposal",
		Long: `Signs a ballot and hands it in. A member has one vote on a proposal, and may change it until the
proposal is decided. The vote that decides also applies what was proposed: the answer says so.

PROPOSAL is its number, as 3 or "#3", or at least 4 digits of its id.`,
		Example: `  coco gov vote yes 3 --as bravo
  coco gov vote no ab12cd34 --as charlie`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: f.completeProposals("open", 1, string(envelope.Yes), string(envelope.No)),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		vote := envelope.Vote(args[0])
		if vote != envelope.Yes && vote != envelope.No {
			return fmt.Errorf("%w: vote %q: expected yes or no; a proposer takes back its proposal by `coco gov withdraw`", coco.ErrInvalid, args[0])
		}
		return a.cast(cmd, f, args[1], vote)
	}
	f.connectFlags(a, cmd)
	f.signFlags(cmd)
	return cmd
}

func (a *app) withdrawCommand(f *governing) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "withdraw PROPOSAL",
		Short:   "Take back a proposal of one's own",
		Long:    `Signs that the member takes back a proposal that it has made and that is not decided yet.`,
		Example: "  coco gov withdraw 3 --as alpha",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: f.completeProposals("open", 0),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.cast(cmd, f, args[0], envelope.Withdraw) }
	f.connectFlags(a, cmd)
	f.signFlags(cmd)
	return cmd
}

func (a *app) cast(cmd *cobra.Command, f *governing, ref string, vote envelope.Vote) error {
	return f.with(cmd, func(ctx context.Context, o *officer) error {
		p, err := o.find(ctx, ref)
		if err != nil {
			return err
		}
		out, err := o.vote(ctx, p.ID, vote)
		if err != nil {
			return err
		}
		return a.showOutcome(ctx, o, out)
	})
}

// find finds a proposal, which the node may not have applied yet.
func (o *officer) find(ctx context.Context, ref string) (client.Proposal, error) {
	p, err := o.Proposal(ctx, ref)
	if err != nil {
		return p, fmt.Errorf("proposal %s: %w", ref, err)
	}
	return p, nil
}

// simulateCommand shows what a change would do.
func (a *app) simulateCommand(f *governing) *cobra.Command {
	var flags actionFlags
	cmd := &cobra.Command{
		Use:   "simulate KIND ARGUMENT... | --file FILE",
		Short: "What a proposal would change, and which votes would accept it",
		Long: `Checks actions as the network would if they were proposed now, and says what they would change, whose
votes count, and what the policies say for which votes. Nothing is signed, nothing is handed in.
The arguments are those of ` + "`coco gov propose`.",
		Example: `  coco gov simulate remove-member alpha --as bravo
  coco gov simulate --file actions.toml --as bravo -o json`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: f.completeActions,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// A file may stand alone, too.
		if len(args) == 1 && flags.file == "" {
			if _, err := action.ParseKind(args[0]); err != nil && isFile(args[0]) {
				flags.file, args = args[0], nil
			}
		}
		actions, err := flags.read(a, args)
		if err != nil {
			return err
		}
		text, err := action.Format(actions)
		if err != nil {
			return err
		}
		return f.with(cmd, func(ctx context.Context, o *officer) error {
			raw, err := o.Simulate(ctx, text)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(raw)
			}
			return a.showSimulation(raw)
		})
	}
	f.connectFlags(a, cmd)
	flags.add(cmd)
	return cmd
}
