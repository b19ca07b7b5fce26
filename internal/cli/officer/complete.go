package officer

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

// These functions complete words of the command line. A network that does not answer completes nothing.

// CompleteMembers completes names of members.
func (f *Access) CompleteMembers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	info, err := localnet.Load(f.Dir)
	var names []string
	if err == nil {
		for _, m := range info.Members {
			names = append(names, m.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// CompleteNodes completes names of nodes.
func (f *Access) CompleteNodes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	info, err := localnet.Load(f.Dir)
	var names []string
	if err == nil {
		for _, n := range info.Nodes {
			if !n.Retired {
				names = append(names, n.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// CompleteProposals returns a function that completes the proposals in a state, at a position.
func (f *Access) CompleteProposals(state string, at int, before ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) < at {
			return before, cobra.ShellCompDirectiveNoFileComp
		}
		if len(args) > at {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		var out []string
		if o, err := f.Connect(ctx); err == nil {
			defer o.Close()
			list, _ := o.Proposals(ctx, state, 50)
			for _, p := range list {
				out = append(out, cobra.CompletionWithDesc(fmt.Sprint(p.Number), Title(p)))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// Title says in a few words what a proposal is about.
func Title(p wire.Proposal) string {
	kinds := make([]string, len(p.Kinds))
	for i, k := range p.Kinds {
		kinds[i] = strings.ReplaceAll(k, "_", "-")
	}
	text := strings.Join(kinds, ", ")
	if len(p.Summary) > 0 {
		text = firstLine(p.Summary[0])
		if more := len(p.Summary) - 1; more > 0 {
			text += fmt.Sprintf(", and %d more", more)
		}
	}
	if p.Note != "" {
		text += ": " + firstLine(p.Note)
	}
	return text
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > 60 {
		line = string(r[:59]) + "…"
	}
	return line
}
