package govcmd

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/wire"
)

// showSimulation says what would change, what decides, and which votes are enough.
func (a *app) showSimulation(s wire.Simulation) error {
	p := a.Out
	p.Printf("%s\n", p.Bold("What would change"))
	for _, e := range s.Effects {
		p.Printf("  %s\n", e.Text)
	}
	if len(s.Effects) == 0 {
		p.Printf("  nothing\n")
	}
	if s.Before != s.After {
		p.Printf("\n%s\n", p.Bold(fmt.Sprintf("In the constitution, whose version %d it would be", s.Version)))
		p.Printf("%s", indent(changedLines(s.Before, s.After)))
	}
	p.Printf("\n%s\n", p.Bold("What decides"))
	for _, u := range s.Policies {
		name := "its own policy"
		if u.Policy != u.Kind {
			name = "the policy " + u.Policy
		}
		otherwise := ""
		if u.Unanimity {
			otherwise = " (which this replaces or ends), or the yes of all members"
		}
		expression := u.Expression
		if called := policy.NameOf(expression, len(s.ByYes)-1); called != "" {
			expression = called + " (" + expression + ")"
		}
		p.Printf("  %s: %s, %s%s\n", strings.ReplaceAll(u.Kind, "_", "-"), name, expression, otherwise)
	}
	if after := s.QuorumAfter; !reflect.DeepEqual(s.Quorum, after) {
		p.Printf("\n%s\n", p.Bold("Votes in consensus"))
		p.Printf("  %s\n", finding.Quorum(after))
	}
	if len(s.Consequences) > 0 {
		p.Printf("\n%s\n", p.Bold("From then on"))
		for _, c := range s.Consequences {
			p.Printf("  %s\n", c.Text)
		}
	}
	if len(s.Warnings) > 0 {
		p.Printf("\n%s\n", p.Bold("Certificates"))
		for _, text := range s.Warnings {
			p.Printf("  %s\n", text)
		}
	}
	p.Printf("\n%s\n", p.Bold("With which votes"))
	p.Printf("  %s\n", verdict(s))
	for yes, enough := range s.ByYes {
		word := "not enough"
		if enough {
			word = p.Green("accepted")
		}
		p.Printf("  %2d of %d yes  %s\n", yes, len(s.ByYes)-1, word)
	}
	return nil
}

// verdict says in a sentence which votes are needed.
func verdict(s wire.Simulation) string {
	switch {
	case s.Automatic:
		return "It would be accepted when it is proposed, without a vote."
	case s.Silent:
		if s.MinimumSeconds > 0 {
			return fmt.Sprintf("It would be accepted at the end of voting if there are no votes and it was open for %s.", seconds(s.MinimumSeconds))
		}
		return "It would be accepted at the end of voting if there are no votes."
	case s.Possible:
		return "It would be accepted by the votes of " + strings.Join(s.Enough, ", ") + "; others may be enough, too."
	}
	return "It could not be accepted before the time for voting is over, even if all members voted yes."
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// warn says what a proposal would give away, and whether it has the time that its policies want. What it cannot learn it
// leaves out: the proposal is checked when it is handed in.
func (a *app) warn(ctx context.Context, o *officer.Officer, expires time.Duration, actions []action.Action) {
	text, err := action.Format(actions)
	if err != nil || a.WantsJSON() {
		return
	}
	s, err := o.Simulate(ctx, text)
	if err != nil {
		return
	}
	for _, c := range s.Consequences {
		a.Out.Printf("  %s from then on, %s\n", a.Out.Bold("!"), c.Text)
	}
	for _, text := range s.Warnings {
		a.Out.Printf("  %s %s\n", a.Out.Bold("!"), text)
	}
	if least := seconds(s.MinimumSeconds); expires < least {
		a.Out.Printf("  %s the end of voting does not count as closed: it is in %s, and voting.minimum_seconds wants %s\n", a.Out.Bold("!"), expires, least)
	}
}

// changedLines are the lines that differ, marked with + and -.
func changedLines(before, after string) string {
	var b strings.Builder
	for line := range strings.Lines(string(diff.Diff("before", []byte(before), "after", []byte(after)))) {
		if (line[0] == '+' || line[0] == '-') && !strings.HasPrefix(line, "+++") && !strings.HasPrefix(line, "---") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// simulateCommand shows what a change would do.
func (a *app) simulateCommand(f *officer.Access) *cobra.Command {
	var flags actionFlags
	cmd := &cobra.Command{
		Use:   "simulate KIND ARGUMENT... | --file FILE",
		Short: "What a proposal would change, and which votes would accept it",
		Long: `Checks actions as the network would if they were proposed now, and says what they would change, whose
votes count, and what the policies say for which votes. Nothing is signed, nothing is handed in.
The arguments are those of ` + "`coco gov propose`.",
		Example: `  coco gov simulate remove-member alpha --as bravo
  coco gov simulate --file actions.toml --as bravo -o json`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: kindsOf(f),
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
		return f.With(cmd, func(ctx context.Context, o *officer.Officer) error {
			if err := flags.fit(ctx, a, o, actions); err != nil {
				return err
			}
			text, err := action.Format(actions)
			if err != nil {
				return err
			}
			s, err := o.Simulate(ctx, text)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(s)
			}
			return a.showSimulation(s)
		})
	}
	f.ConnectFlags(a.App, cmd)
	flags.add(cmd)
	return cmd
}
