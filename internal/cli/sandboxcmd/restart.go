package sandboxcmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/internal/rolling"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/wire"
)

// Restart returns `coco restart`.
func Restart(c *cli.App) *cobra.Command {
	a := &app{c}
	var f network.Flags
	cmd := &cobra.Command{
		Use:   "restart [NODE]...",
		Short: "Restart nodes one after the other, while the network goes on",
		Long: `Restarts the nodes named, or all of them, one after the other; the leader comes last and hands
over leadership first. A node that was restarted is a new one for the others: it joins in its
predecessor's place, and the next one is not touched before it votes.

Clients lose no request: a node that ends finishes what it has begun and sends them elsewhere.
It takes a network of three nodes at least, all of which serve.

With --config it is the node of that node.toml, which ` + "`coco node join`" + ` runs, whatever has started that: its
process ends the node in the same order, and begins anew in its place, as the program that is at its path
then. The command is given where the node's folder is. It looks first whether the settings can be read, whether
the network still takes the owner's certificate (exit code 4 if not), and whether the other voters can go on without
the node (exit code 5 if not), and waits until the node is back.`,
		Example: "  coco restart\n  coco restart bravo --dir /tmp/net\n  coco restart --config delta/node.toml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !f.InSandbox() && len(args) > 0 {
				return fmt.Errorf("%w: node %q: with --config the node is that of the file: expected no names", coco.ErrInvalid, args[0])
			}
			if err := checkSettings(&f, args); err != nil {
				return err
			}
			a.OutlivePipes()
			restart := func() error { return rolling.Restart(cmd.Context(), f.Dir, args, a.Verifiers(), a.showRestart) }
			if !f.InSandbox() {
				restart = func() error { return a.restartOwn(cmd.Context(), &f) }
			}
			err := restart()
			if cmd.Context().Err() != nil {
				return cli.ErrInterrupted
			}
			if err == nil && !a.WantsJSON() && f.InSandbox() {
				a.Out.Printf("%s\n", a.Out.Green("restarted: every node is back"))
			}
			return err
		},
	}
	f.AddOwn(cmd, "`folder` of the network, of `coco up`")
	f.AddCertificate(cmd, "with --config: certificate to ask the network's nodes by, a PEM `file` with its issuers (default: user.pem beside owner_certificate)")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) showRestart(s localnet.Step) {
	if a.WantsJSON() {
		_ = a.Out.JSON(s)
		return
	}
	mark := " "
	if s.Step == "back" {
		mark = a.Out.Green("✓")
	}
	a.Out.Printf("%s %s\n", mark, s.Text)
}

// restartOwn restarts the node of a node.toml.
func (a *app) restartOwn(ctx context.Context, f *network.Flags) error {
	n, err := f.Open(ctx, a.Verifiers())
	if err != nil {
		return err
	}
	node, dir := n.Own()[0], nodeconfig.Dir(n.Config.Dir)
	if err := checkOwner(ctx, n, node); err != nil {
		return err
	}
	return rolling.RestartSingle(ctx, rolling.Single{
		Name: node.Name, Log: dir.Log(),
		Status: func(ctx context.Context) (*wire.Status, error) {
			got := n.Ask(ctx, []network.Node{node})[0]
			return got.Status, got.Err
		},
		Others:  func(ctx context.Context) ([]*wire.Status, error) { return otherVoters(ctx, n) },
		Restart: func(ctx context.Context) error { return dir.AskRestart(ctx, takePatience) },
	}, a.showRestart)
}

// checkOwner judges the certificate that the node of a node.toml starts with as the others will, by the constitution in force: one that has ended, was
// revoked or is not for nodes would keep the node out. A node that does not answer is not asked to prove anything: nothing is lost by its restart.
func checkOwner(ctx context.Context, n *network.Network, node network.Node) error {
	c, err := n.Look(node)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, takePatience)
	defer cancel()
	con, _, err := reach.Constitution(ctx, c)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	owner, err := identity.LoadOwner(n.Config.OwnerCertificate, n.Config.OwnerKey, keyfile.ReadUnattended)
	if err != nil {
		return err
	}
	chain := owner.Certificates()
	rec := &table.NodeRecord{Owner: con.Holder(chain[len(chain)-1]), OwnerCertificates: chain, Time: uint64(time.Now().UnixMilli())}
	if rec.OwnerSignature, err = owner.Sign(ctx, table.NodeTuple(rec.Owner, rec.Address, rec.ClientAddress, rec.Key)); err != nil {
		return err
	}
	var refused *members.Refusal
	if err := members.VerifyOwner(con, rec); errors.As(err, &refused) {
		return fmt.Errorf("%w: the network would not admit the node again, nothing was restarted: put another owner_certificate, with its key, in place: %s (%s)", coco.ErrDenied, refused.Detail, refused.Reason)
	}
	return nil
}

// takePatience bounds how long a node's process may take to see that it is asked to start again.
const takePatience = 5 * time.Second

// otherVoters asks the voters of a network but the command line's own node; an answer is nil for one that does not give any.
func otherVoters(ctx context.Context, n *network.Network) ([]*wire.Status, error) {
	others, err := n.Others(ctx, n.Ask(ctx, n.Own()))
	if err != nil {
		return nil, err
	}
	others = slices.DeleteFunc(others, func(o network.Node) bool { return !o.Voter })
	all := make([]*wire.Status, len(others))
	for i, a := range n.Ask(ctx, others) {
		if a.Err == nil {
			all[i] = a.Status
		}
	}
	return all, nil
}

// checkSettings reads the settings of the nodes named, or of all of them, as they will when they start:
// one that cannot start must not be told to end. Whether there are such nodes is for Restart to say.
func checkSettings(f *network.Flags, names []string) error {
	if !f.InSandbox() {
		return checkOwnSettings(f.Config)
	}
	info, err := localnet.Load(f.Dir)
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

// checkOwnSettings does so for the node of a node.toml, which `coco node join` must run.
func checkOwnSettings(file string) error {
	if err := nodeconfig.Check(file); err != nil {
		return fmt.Errorf("%w: the node could not start again, nothing was restarted: mend %s: %w", coco.ErrInvalid, file, err)
	}
	cfg, err := nodeconfig.Load(file)
	if err != nil {
		return err
	}
	if info, err := localnet.Load(filepath.Dir(filepath.Dir(cfg.Dir))); err == nil {
		if n, err := info.Node(cfg.Name); err == nil && n.Dir == filepath.Clean(cfg.Dir) {
			return fmt.Errorf("%w: `coco up` runs this node: restart it by `coco restart %s --dir %s`", coco.ErrInvalid, shell.Quote(n.Name), shell.Quote(info.Dir))
		}
	}
	if _, err := identity.LoadOwner(cfg.OwnerCertificate, cfg.OwnerKey, keyfile.ReadUnattended); err != nil {
		return fmt.Errorf("%w: the node could not start again, nothing was restarted: %w", coco.ErrInvalid, err)
	}
	return nil
}
