package receiptcmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/client"
)

// finder is an adapter of the program that finds transactions by what users know of them.
type finder interface {
	Finding() adapter.Finding
}

// findings are those of the program's adapters.
func (a *app) findings() (all []adapter.Finding) {
	for _, known := range a.Adapters {
		if f, ok := known.(finder); ok {
			all = append(all, f.Finding())
		}
	}
	return all
}

// which says which transaction is meant, and may ask the node.
type which func(context.Context, *client.Client) (coco.TxID, error)

// chosen reads how a command line names its transaction: by an argument, or by one of the adapters' flags.
func (a *app) chosen(cmd *cobra.Command, args []string) (which, error) {
	var chosen []which
	names := "TX"
	if len(args) == 1 {
		tx, err := coco.ParseTxID(args[0])
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, func(context.Context, *client.Client) (coco.TxID, error) { return tx, nil })
	}
	for _, f := range a.findings() {
		names += " or --" + f.Flag
		if flag := cmd.Flags().Lookup(f.Flag); flag.Changed {
			value := flag.Value.String()
			chosen = append(chosen, func(ctx context.Context, c *client.Client) (coco.TxID, error) {
				return patiently(ctx, func(ctx context.Context) (coco.TxID, error) { return f.Find(ctx, value, c.Ask) })
			})
		}
	}
	if len(chosen) != 1 {
		return nil, fmt.Errorf("%w: expected one transaction, by %s; found %d", coco.ErrInvalid, names, len(chosen))
	}
	return chosen[0], nil
}
