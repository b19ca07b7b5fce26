package nodecmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/rolling"
	"github.com/cocoframework/coco/wire"
)

// everybody, as --as, stands for all members whose keys a sandbox holds.
const everybody = "ALL"

func (a *app) upgradeCommand() *cobra.Command {
	var dir, to, note string
	var as []string
	cmd := &cobra.Command{
		Use:   "upgrade --to FILE --as MEMBER",
		Short: "Replace the program that the nodes run, while the network goes on",
		Long: `Measures the new program and has it check itself (` + "`coco node check`" + `), has members vote it into the
constitution, replaces one node after the other, the leader last, each of which is a voter again
before the next one is touched, and has members vote the old program out. A node whose new program
does not start goes back to the old one, and the upgrade ends.

--as names the members, of a network of ` + "`coco up`" + `, that vote here: the first one proposes.
It may be given several times; --as ALL stands for all of them. The others vote by ` + "`coco gov vote`" + `;
meanwhile this command says whose votes are missing, and waits.

It may be interrupted at any time: the network goes on with both programs, and the same command
goes on where it ended. Clients lose no request: a node that ends sends them elsewhere.`,
		Example: "  coco node upgrade --to ./coco-v2 --as ALL\n  coco node upgrade --to ./coco-v2 --as alpha --note \"release 2\" -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.OutlivePipes()
			info, _, err := localnet.Running(cmd.Context(), dir)
			if err != nil {
				return err
			}
			members, err := voters(info, as)
			if err != nil {
				return err
			}
			v := &codeVote{a: a, dir: dir, members: members, note: note}
			return rolling.Upgrade(cmd.Context(), rolling.UpgradeOptions{
				Dir: dir, To: to, Verifiers: a.Verifiers(), Try: TryProgram, Vote: v.decide, Report: a.showUpgrade,
			})
		},
	}
	cli.DirFlag(cmd, &dir, "`folder` of the running network")
	cmd.Flags().StringVar(&to, "to", "", "the new program, a `file`")
	cmd.Flags().StringSliceVar(&as, "as", nil, "`member` that votes here, or ALL")
	cmd.Flags().StringVar(&note, "note", "", "a `text` for those who vote: why")
	_ = cmd.MarkFlagRequired("to")
	_ = cmd.MarkFlagRequired("as")
	_ = cmd.MarkFlagFilename("to")
	_ = cmd.RegisterFlagCompletionFunc("as", (&officer.Access{Flags: network.Flags{Dir: localnet.DefaultDir}}).CompleteMembers)
	a.OutputFlag(cmd)
	return cmd
}

// voters are the members that vote here.
func voters(info localnet.Info, as []string) ([]string, error) {
	var all []string
	for _, m := range info.Members {
		all = append(all, m.Name)
	}
	if len(as) == 1 && as[0] == everybody {
		return all, nil
	}
	for _, name := range as {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("%w: --as %q: expected %s, or one of %q", coco.ErrInvalid, name, everybody, all)
		}
	}
	return as, nil
}

func (a *app) showUpgrade(s localnet.Step) {
	if a.WantsJSON() {
		_ = a.Out.JSON(s)
		return
	}
	switch s.Step {
	case "stopping", "restarting", "voting":
		a.Out.Printf("    %s\n", s.Text)
	case "upgraded":
		a.Out.Printf("%s\n", a.Out.Green(s.Text))
	default:
		a.Out.OK("%s", s.Text)
	}
}

// codeVote has members decide on a change of the code manifest.
type codeVote struct {
	a       *app
	dir     string
	members []string // that vote here, the first one proposes
	note    string
}

// VoteOnCode returns a function by which members of a network of `coco up`, whose keys are in its folder, decide on
// a change of the code manifest. The first member proposes. The function returns once the change is in force.
func VoteOnCode(c *cli.App, dir string, members []string) func(context.Context, rolling.CodeChange) error {
	return (&codeVote{a: &app{c}, dir: dir, members: members}).decide
}

// votePause is how often a proposal that waits for others is looked at.
const votePause = 500 * time.Millisecond

// decide returns once the change is in force. A proposal of the same change that is open already is gone on with.
func (v *codeVote) decide(ctx context.Context, change rolling.CodeChange) error {
	act := action.Action{Kind: action.AddCode, Args: action.Args{Measurement: string(change.Measurement), Note: v.note}}
	if change.Remove {
		act = action.Action{Kind: action.RemoveCode, Args: action.Args{Measurement: string(change.Measurement)}}
	}
	first, err := (&officer.Access{Verifiers: v.a.Verifiers(), Flags: network.Flags{Dir: v.dir}, As: v.members[0]}).Connect(ctx)
	if err != nil {
		return err
	}
	defer first.Close()
	p, err := v.open(ctx, first, act)
	if err != nil {
		return err
	}
	for _, name := range v.members {
		if p.State != "open" {
			break
		}
		if slices.ContainsFunc(p.Ballots, func(b wire.Ballot) bool { return b.Name == name && b.Vote == string(envelope.Yes) }) {
			continue
		}
		if p, err = v.voteAs(ctx, name, p); err != nil {
			return err
		}
	}
	return v.await(ctx, first, p, change)
}

// open returns the open proposal of an action, which it makes if there is none.
func (v *codeVote) open(ctx context.Context, o *officer.Officer, act action.Action) (wire.Proposal, error) {
	list, err := o.Proposals(ctx, "open", 0)
	if err != nil {
		return wire.Proposal{}, err
	}
	for _, short := range list {
		p, err := o.Proposal(ctx, short.ID.String())
		if err != nil {
			return p, err
		}
		all, err := action.Parse([]byte(p.Actions))
		if err == nil && len(all) == 1 && all[0].Kind == act.Kind && all[0].Args.Measurement == act.Args.Measurement {
			v.say("proposal %d, of %s, is open already", p.Number, p.ProposerName)
			return p, nil
		}
	}
	out, err := o.Propose(ctx, officer.Terms{Note: v.note, Expires: officer.DefaultVoting}, []action.Action{act})
	if err != nil {
		return wire.Proposal{}, err
	}
	p, err := proposalOf(ctx, o, out)
	if err == nil {
		v.say("%s proposes %s as proposal %d", v.members[0], strings.ReplaceAll(string(act.Kind), "_", "-"), p.Number)
	}
	return p, err
}

// proposalOf waits until the node that is asked knows of a proposal that is committed.
func proposalOf(ctx context.Context, o *officer.Officer, out wire.Outcome) (wire.Proposal, error) {
	ctx, cancel := context.WithTimeout(ctx, officer.Patience)
	defer cancel()
	for {
		p, err := o.Proposal(ctx, out.ID.String())
		if err == nil && (p.State == out.State || p.State != "open") {
			return p, nil
		}
		if !ctxtime.Sleep(ctx, votePause/5) {
			return p, fmt.Errorf("proposal %s: %w", out.ID.Short(), cmp.Or(err, cli.ErrInterrupted))
		}
	}
}

func (v *codeVote) voteAs(ctx context.Context, name string, p wire.Proposal) (wire.Proposal, error) {
	o, err := (&officer.Access{Verifiers: v.a.Verifiers(), Flags: network.Flags{Dir: v.dir}, As: name}).Connect(ctx)
	if err != nil {
		return p, err
	}
	defer o.Close()
	out, err := o.Vote(ctx, p.ID, envelope.Yes)
	if err != nil {
		return p, fmt.Errorf("vote of %s: %w", name, err)
	}
	if p, err = proposalOf(ctx, o, out); err == nil {
		v.say("%s votes yes: proposal %d is %s", name, p.Number, p.State)
	}
	return p, err
}

// await waits until others have decided.
func (v *codeVote) await(ctx context.Context, o *officer.Officer, p wire.Proposal, change rolling.CodeChange) error {
	missing := ""
	for p.State == "open" {
		if now := strings.Join(p.Waiting, ", "); now != missing {
			missing = now
			v.say("waiting for the votes of %s: `coco gov vote yes %d --as MEMBER%s`", now, p.Number, localnet.DirHint(v.dir))
		}
		if !ctxtime.Sleep(ctx, votePause) {
			return fmt.Errorf("%w: proposal %d (%s) is open still: the same command goes on", cli.ErrInterrupted, p.Number, change)
		}
		next, err := o.Proposal(ctx, p.ID.String())
		if err == nil {
			p = next
		}
	}
	if p.State != "accepted" {
		return fmt.Errorf("%w: proposal %d (%s) is %s: %s", coco.ErrDenied, p.Number, change, p.State, p.Reason)
	}
	return nil
}

func (v *codeVote) say(format string, args ...any) {
	v.a.showUpgrade(localnet.Step{Step: "voting", Text: fmt.Sprintf(format, args...)})
}
