package nodecmd

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/signer"
)

// retirePatience bounds how long a node may take to end after its retirement is committed.
const retirePatience = time.Minute

func (a *app) retireCommand() *cobra.Command {
	var dir, file, cert, key string
	cmd := &cobra.Command{
		Use:   "retire NODE",
		Short: "Take a node out of the network for good",
		Long: `Asks a node to retire, as the organisation that runs it, at the node's administrative listener: a node
of a network of ` + "`coco up`" + `, by its name, or with --config the one that a node.toml describes, which must say
where that listener is (admin). It takes a certificate for governance of the owner's: --cert and --key, or
gov.pem and gov-key.pem in the folder of owner_certificate. The node hands over leadership if it leads, the
network commits its retirement, and the node votes on until consensus does without it; then its
process ends. Its folder stays.

It is refused (exit code 5) if too few of the other nodes are there to go on without it, and (exit
code 2) if it is the only one.`,
		Example: "  coco node retire charlie\n  coco node retire charlie --dir /tmp/net -o json\n  coco node retire --config delta/node.toml\n  coco node retire --config delta/node.toml --cert gov.pem --key file:gov-key.pem",
		Args: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return a.retireOwn(cmd.Context(), file, cert, key)
			}
			if cert != "" || key != "" {
				return fmt.Errorf("%w: --cert and --key belong to --config: a network of `coco up` has its own", coco.ErrInvalid)
			}
			info, _, err := localnet.Running(cmd.Context(), dir)
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
	cli.DirFlag(cmd, &dir, "`folder` of the network")
	cmd.Flags().StringVar(&file, "config", "", "settings of a node without a supervisor, a `file`")
	cmd.Flags().StringVar(&cert, "cert", "", "with --config: the owner's certificate for governance, a PEM `file` with its issuers (default: gov.pem beside owner_certificate)")
	cmd.Flags().StringVar(&key, "key", "", "with --config: its `key`: file:PATH or cmd:COMMAND (default: gov-key.pem beside owner_certificate)")
	_ = cmd.MarkFlagFilename("config", "toml")
	_ = cmd.MarkFlagFilename("cert")
	a.OutputFlag(cmd)
	return cmd
}

// retireOwn retires the node of a node.toml, with a certificate for governance of its owner's.
func (a *app) retireOwn(ctx context.Context, file, cert, key string) error {
	cfg, err := nodeconfig.Load(file)
	if err != nil {
		return err
	}
	if cfg.Admin == "" {
		return fmt.Errorf("%w: %s names no administrative listener, where alone a node is retired: add admin = \"HOST:PORT\" and start the node again", coco.ErrInvalid, file)
	}
	officer, err := ownersOfficer(cfg, cert, key)
	if err != nil {
		return err
	}
	c, err := connectOwn(ctx, cfg, a.Verifiers(), cfg.Admin, officer.TLS())
	if err != nil {
		return err
	}
	defer c.Close()
	id, err := c.Retire(ctx)
	if kerr := officer.Key.Err(); err != nil && kerr != nil {
		return kerr // why the node could not be reached
	}
	if err != nil {
		return err
	}
	if a.WantsJSON() {
		return a.Out.JSON(map[string]any{"node": cfg.Name, "transaction_id": id})
	}
	a.Out.OK("%s has retired in transaction %s: it ends when consensus does without it", cfg.Name, id)
	return nil
}

// ownersOfficer is the identity that administers a node: the certificate for governance that was named, or the one that
// `coco member keygen` put beside the owner's.
func ownersOfficer(cfg nodeconfig.Config, cert, key string) (*signer.Identity, error) {
	if (cert == "") != (key == "") {
		return nil, fmt.Errorf("%w: --cert and --key belong together", coco.ErrInvalid)
	}
	if cert == "" {
		dir := identity.Dir(filepath.Dir(cfg.OwnerCertificate))
		cert, key = dir.Gov(), "file:"+dir.GovKey()
	}
	officer, err := signer.Load(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%w: the owner's certificate for governance: name it with --cert and --key: %w", coco.ErrInvalid, err)
	}
	return officer, nil
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
