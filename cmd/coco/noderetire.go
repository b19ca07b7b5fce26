package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/sandbox"
)

// retirePatience bounds how long a node may take to end after its retirement is committed.
const retirePatience = time.Minute

func (a *app) retireCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "retire NODE",
		Short: "Take a node out of the network for good",
		Long: `Asks a node to retire, as the member that runs it. The node hands over leadership if it leads, the
network commits its retirement, and the node votes on until consensus does without it; then its
process ends. Its folder stays.

It is refused (exit code 5) if too few of the other nodes are there to go on without it, and (exit
code 2) if it is the only one.`,
		Example: "  coco node retire delta\n  coco node retire delta --dir /tmp/net -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, _, err := running(cmd.Context(), dir)
			if err != nil {
				return err
			}
			n, err := info.Node(args[0])
			if err != nil {
				return err
			}
			if n.Retired {
				return fmt.Errorf("%w: node %s has retired already", coco.ErrInvalid, n.Name)
			}
			id, err := retireNode(cmd.Context(), info, n)
			if err != nil {
				return err
			}
			if a.wantsJSON() {
				return a.out.json(struct {
					Node string    `json:"node"`
					ID   coco.TxID `json:"transaction_id"`
				}{n.Name, id})
			}
			a.out.printf("%s %s has retired in transaction %s; its folder %s can be kept or deleted\n", a.out.green("✓"), n.Name, id, n.Dir)
			return nil
		},
	}
	dirFlag(cmd, &dir, "`folder` of the network")
	a.outputFlag(cmd)
	return cmd
}

// retireNode asks, and waits until the supervisor has seen the node end.
func retireNode(ctx context.Context, info sandbox.Info, n sandbox.Node) (coco.TxID, error) {
	c, err := info.Connect(n, verifiers())
	if err != nil {
		return coco.TxID{}, err
	}
	defer c.Close()
	id, err := c.Retire(ctx)
	if err != nil {
		return id, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, retirePatience, fmt.Errorf("its process does not end within %v", retirePatience))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := sandbox.Load(info.Dir)
		if err == nil {
			if at, err := now.Node(n.Name); err == nil && at.Retired {
				return id, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return id, fmt.Errorf("%w: node %s has retired in transaction %s, but %w", coco.ErrUnknown, n.Name, id, context.Cause(ctx))
		}
	}
}
