// Package govcmd is `coco gov`: it shows the constitution and its history, writes proposals and ballots, also for
// keys that never meet the network, simulates changes, and watches what happens.
//
//	actions.go    how the command line writes each kind of action
//	propose.go    proposals and ballots; offline.go the same in three steps: prepare, sign, finish
//	simulate.go   what a change would do, and which votes would accept it
//	show.go       proposals, votes and versions of the constitution
//	watch.go      events, to a terminal, a command or a web address
//
// The key and the node are package officer's.
//
// Trust: host
package govcmd

import (
	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/officer"
)

// Command returns `coco gov`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	f := &officer.Access{Verifiers: a.Verifiers()}
	cmd := &cobra.Command{
		Use:   "gov",
		Short: "Read the constitution, propose changes of it, and vote",
		Long: `Members change their network by proposals and votes. Each is signed with the member's key for
governance, and stands in the ledger, verbatim, for everybody to check. A policy of the
constitution decides; what was decided takes effect with the deciding vote.

For a network of ` + "`coco up`" + `, --as MEMBER finds the member's key and its node. Whoever runs a node names its
settings: it is asked, as gov.pem beside owner_certificate. Elsewhere name the node's administrative
address, the network's service certificate, and a certificate of your organisation with the
organisational unit "governance", with its key:

  coco gov list --config delta/node.toml
  coco gov list --node 10.0.0.7:9443 --service service.pem --cert gov.pem --key file:gov-key.pem

A key is file:PATH, or cmd:COMMAND for one that stays elsewhere, as in a hardware token.
docs/governance.md explains all of it from the beginning.`,
		Example: `  coco gov propose add-participant delta delta/org.pem --as alpha --yes
  coco gov list --as bravo
  coco gov vote yes 1 --as bravo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.constitutionCommand(f), a.proposeCommand(f), a.simulateCommand(f), a.proposalListCommand(f), a.proposalShowCommand(f),
		a.voteCommand(f), a.withdrawCommand(f), a.govWatchCommand(f), a.prepareCommand(f), a.signCommand(), a.finishCommand(f),
	)
	return cmd
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
