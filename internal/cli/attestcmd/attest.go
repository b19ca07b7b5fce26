// Package attestcmd is `coco attest`: evidence of TEEs, and what vendors say about them.
//
// Trust: host
package attestcmd

import (
	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/collateralcmd"
)

// Command returns `coco attest`.
func Command(c *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "Evidence of TEEs, and what their vendors say about them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(collateralcmd.Command(c))
	return cmd
}
