package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/localnet"
)

// retirePatience bounds how long a node may take to end after its retirement is committed.
const retirePatience = time.Minute

func (a *app) retireCommand() *cobra.Command {
	var f network.Flags
	cmd := &cobra.Command{
		Use:   "retire NODE",
		Short: "Take a node out of the network for good",
		Long: `Asks a node to retire, as the organisation that runs it, at the node's administrative listener: a node
of a network of ` + "`coco up`" + `, by its name, with --config the one that a node.toml describes, which must say
where that listener is (admin), or with --service the one at --node. It takes a certificate for governance of the owner's: --cert and --key, or
gov.pem and gov-key.pem in the folder of owner_certificate. The node hands over leadership if it leads, the
network commits its retirement, and the node votes on until consensus does without it; then its
process ends. Its folder stays.

It is refused (exit code 5) if too few of the other nodes are there to go on without it, and (exit
code 2) if it is the only one.`,
		Example: "  coco node retire charlie\n  coco node retire charlie --dir /tmp/net -o json\n  coco node retire --config delta/node.toml\n  coco node retire --config delta/node.toml --cert gov.pem --key file:gov-key.pem",
		Args: func(cmd *cobra.Command, args []string) error {
			if !f.InSandbox() {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			net, err := f.Open(cmd.Context(), a.Verifiers())
			if err != nil {
				return err
			}
			if net.Sandbox == nil {
				return net.Explain(a.retireOwn(cmd.Context(), net))
			}
			if f.Node != "" {
				return fmt.Errorf("%w: --node belongs to --service: a node of a network of `coco up` is named by an argument", coco.ErrInvalid)
			}
			info := *net.Sandbox
			n, err := info.Node(args[0])
			if err != nil {
				return err
			}
			if n.Retired {
				return fmt.Errorf("%w: node %s has retired already", coco.ErrInvalid, n.Name)
			}
			id, err := a.retireNode(cmd.Context(), info, n)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(struct {
					Node string    `json:"node"`
					ID   coco.TxID `json:"transaction_id"`
				}{n.Name, id})
			}
			a.Out.Printf("%s %s has retired in transaction %s; its folder %s can be kept or deleted\n", a.Out.Green("✓"), n.Name, id, n.Dir)
			return nil
		},
	}
	f.Add(cmd, "`folder` of the network, of `coco up`")
	cmd.Flags().StringVar(&f.Node, "node", "", "with --service: `host:port` of the node's administrative listener")
	f.AddCertificate(cmd, "the owner's certificate for governance, a PEM `file` with its issuers (default with --config: gov.pem beside owner_certificate)")
	a.OutputFlag(cmd)
	return cmd
}

// retireOwn retires the node that the command line names, with a certificate for governance of its owner's.
func (a *app) retireOwn(ctx context.Context, net *network.Network) error {
	node := net.Own()[0]
	c, err := net.ConnectAdmin(node)
	if err != nil {
		return err
	}
	defer c.Close()
	id, err := c.Retire(ctx)
	if errors.Is(err, coco.ErrUnreachable) {
		return fmt.Errorf("%w: a node asks for its own retirement, so it must run; without it, members vote `coco gov propose remove-node`", err)
	}
	if err != nil {
		return err
	}
	if a.WantsJSON() {
		return a.Out.JSON(map[string]any{"node": node.Name, "transaction_id": id})
	}
	a.Out.OK("%s has retired in transaction %s: it ends when consensus does without it", node, id)
	return nil
}

// retireNode asks, and waits until the supervisor has seen the node end.
func (a *app) retireNode(ctx context.Context, info localnet.Info, n localnet.Node) (coco.TxID, error) {
	c, err := info.ConnectAdmin(n, a.Verifiers())
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
		now, err := localnet.Load(info.Dir)
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
