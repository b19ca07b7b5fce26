package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/sandbox"
)

// retirePatience bounds how long a node may take to end after its retirement is committed.
const retirePatience = time.Minute

func (a *app) retireCommand() *cobra.Command {
	var dir, file string
	cmd := &cobra.Command{
		Use:   "retire NODE",
		Short: "Take a node out of the network for good",
		Long: `Asks a node to retire, as the organisation that runs it: a node of a network of ` + "`coco up`" + `, by its
name, or with --config the one that a node.toml describes, in the name of its owner. The node hands over leadership if it leads, the
network commits its retirement, and the node votes on until consensus does without it; then its
process ends. Its folder stays.

It is refused (exit code 5) if too few of the other nodes are there to go on without it, and (exit
code 2) if it is the only one.`,
		Example: "  coco node retire charlie\n  coco node retire charlie --dir /tmp/net -o json\n  coco node retire --config delta/node.toml",
		Args: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return a.retireOwn(cmd.Context(), file)
			}
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
	cmd.Flags().StringVar(&file, "config", "", "settings of a node without a supervisor, a `file`")
	_ = cmd.MarkFlagFilename("config", "toml")
	a.outputFlag(cmd)
	return cmd
}

// retireOwn retires the node of a node.toml, with its owner's certificate.
func (a *app) retireOwn(ctx context.Context, file string) error {
	cfg, err := sandbox.LoadNodeConfig(file)
	if err != nil {
		return err
	}
	owner, err := tls.LoadX509KeyPair(cfg.OwnerCertificate, cfg.OwnerKey)
	if err != nil {
		return fmt.Errorf("%w: owner's certificate and key: %w", coco.ErrInvalid, err)
	}
	c, err := connectOwn(ctx, cfg, &owner)
	if err != nil {
		return err
	}
	defer c.Close()
	id, err := c.Retire(ctx)
	if err != nil {
		return err
	}
	if a.wantsJSON() {
		return a.out.json(map[string]any{"node": cfg.Name, "transaction_id": id})
	}
	a.out.ok("%s has retired in transaction %s: it ends when consensus does without it", cfg.Name, id)
	return nil
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
