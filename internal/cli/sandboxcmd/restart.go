package sandboxcmd

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/rolling"
)

// Restart returns `coco restart`.
func Restart(c *cli.App) *cobra.Command {
	a := &app{c}
	var dir string
	cmd := &cobra.Command{
		Use:   "restart [NODE]...",
		Short: "Restart nodes one after the other, while the network goes on",
		Long: `Restarts the nodes named, or all of them, one after the other; the leader comes last and hands
over leadership first. A node that was restarted is a new one for the others: it joins in its
predecessor's place, and the next one is not touched before it votes.

Clients lose no request: a node that ends finishes what it has begun and sends them elsewhere.
It takes a network of three nodes at least, all of which serve.`,
		Example: "  coco restart\n  coco restart bravo --dir /tmp/net",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkSettings(dir, args); err != nil {
				return err
			}
			a.OutlivePipes()
			err := rolling.Restart(cmd.Context(), dir, args, a.Verifiers(), func(s localnet.Step) {
				if a.WantsJSON() {
					_ = a.Out.JSON(s)
					return
				}
				mark := " "
				if s.Step == "back" {
					mark = a.Out.Green("✓")
				}
				a.Out.Printf("%s %s\n", mark, s.Text)
			})
			if cmd.Context().Err() != nil {
				return cli.ErrInterrupted
			}
			if err == nil && !a.WantsJSON() {
				a.Out.Printf("%s\n", a.Out.Green("restarted: every node is back"))
			}
			return err
		},
	}
	cli.DirFlag(cmd, &dir, "`folder` of the network")
	a.OutputFlag(cmd)
	return cmd
}

// checkSettings reads the settings of the nodes named, or of all of them, as they will when they start:
// one that cannot start must not be told to end. Whether there are such nodes is for Restart to say.
func checkSettings(dir string, names []string) error {
	info, err := localnet.Load(dir)
	if err != nil {
		return err
	}
	for _, n := range info.Nodes {
		if n.Retired || len(names) > 0 && !slices.Contains(names, n.Name) {
			continue
		}
		file := nodeconfig.Dir(n.Dir).Config()
		if err := nodeconfig.Check(file); err != nil {
			return fmt.Errorf("%w: node %s could not start again, nothing was restarted: mend %s: %w", coco.ErrInvalid, n.Name, file, err)
		}
	}
	return nil
}
