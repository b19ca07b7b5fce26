package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/internal/localnet"
)

// These functions complete words of the command line. A network that does not answer completes nothing.

func (f *governing) completeMembers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	info, err := localnet.Load(f.dir)
	var names []string
	if err == nil {
		for _, m := range info.Members {
			names = append(names, m.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (f *governing) completeNodes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	info, err := localnet.Load(f.dir)
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

// completeProposals returns a function that completes the proposals in a state, at a position.
func (f *governing) completeProposals(state string, at int, before ...string) cobra.CompletionFunc {
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
		if o, err := f.connect(ctx); err == nil {
			defer o.Close()
			list, _ := o.Proposals(ctx, state, 50)
			for _, p := range list {
				out = append(out, cobra.CompletionWithDesc(fmt.Sprint(p.Number), titleOf(p)))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
