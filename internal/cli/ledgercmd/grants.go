package ledgercmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/wire"
)

func (a *app) ledgerGrantsCommand() *cobra.Command {
	var moved []string
	cmd := &cobra.Command{
		Use:   "grants DIR",
		Short: "Which auditor may read which epochs of a ledger",
		Long: `Lists what members have voted to let auditors read: to whom, which epochs, and whether the ledger has all that the auditor reads with: a part of each of as many
seats of the committee as open something together, each encrypted to the auditor's key. Then the auditor reads by ` + "`coco ledger export`" + `.

The ledger is verified first, as by ` + "`coco ledger verify`" + `. No key is needed, no node, and no network is asked. Where the ledger is not whole, what precedes the fault is shown, and
the exit code is 3. Name folders to which chunks were moved with --moved. DIR is a folder of ledger files, a node's folder, or a sandbox: then its first node's
ledger is read.`,
		Example: "  coco ledger grants /backup/alpha\n  coco ledger grants /backup/alpha -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, _, err := findLedgers(args[0])
			if err != nil {
				return err
			}
			extra, done, err := openMoved(moved)
			if err != nil {
				return err
			}
			defer done()
			return a.showGrants(cmd.Context(), dirs[0], extra)
		},
	}
	movedFlag(cmd, &moved)
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) showGrants(ctx context.Context, d ledgerDir, extra []host.Disk) error {
	cfg, err := a.auditorConfig(nil, "", "")
	if err != nil {
		return err
	}
	found, _, failure := a.follow(ctx, d, cfg, extra)
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	var fault *ledger.Fault
	if failure != nil && !errors.As(failure, &fault) {
		return failure
	}
	all := []wire.Grant{}
	if c := found.Constitution(); c != nil {
		if all, err = query.Grants(found.Tables(), c); err != nil {
			return errors.Join(failure, err)
		}
	}
	if a.WantsJSON() {
		page := struct {
			Grants []wire.Grant `json:"grants"`
			Fault  *faultJSON   `json:"fault,omitempty"` // what follows is not verified
		}{Grants: all}
		if fault != nil {
			page.Fault = faultOf(fault)
		}
		return errors.Join(a.Out.JSON(page), failure)
	}
	if len(all) == 0 {
		a.Out.Printf("nothing is granted to an auditor in this ledger\n")
		return failure
	}
	rows := [][]string{{"Grant", "Auditor", "Epochs", "State", "Seats that gave", "Voted", "Fingerprint of the key"}}
	var open []string
	for i := range all {
		g := &all[i]
		state := "complete"
		if !g.Complete {
			state = "not complete"
			open = append(open, stateOf(g))
		}
		rows = append(rows, []string{
			strconv.FormatUint(g.Number, 10), g.Name, action.RangeText(g.First, g.Last), state, strings.Join(g.Gave, ", "),
			fmt.Sprintf("%s, seqno %d", stamp(g.Time), g.Since), keys.Fingerprint(g.To),
		})
	}
	a.Out.Table(rows)
	for _, text := range open {
		a.Out.Printf("%s\n", text)
	}
	return failure
}

// stateOf says how far a grant is, as of now.
func stateOf(g *wire.Grant) string { return finding.Grant(g, time.Now()) }
