package nodecmd

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/reach"
)

// configFlag gives a command the flag --config.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", nodeFile, "the node's settings, a `file`")
	_ = cmd.MarkFlagFilename("config", "toml")
}

func (a *app) approveCommand() *cobra.Command {
	var file, digest string
	cmd := &cobra.Command{
		Use:   "approve",
		Short: "Look at a network's constitution, and approve it for a node",
		Long: `Asks the nodes that node.toml names who their network is, shows its constitution and what each node
has proven to run, and, once that is approved, writes the digest and the service's certificate into
the node's folder. Without it the node fetches nothing.

A constitution that members change later, by their votes, is believed from nodes that the same
service vouches for. Approving again is for an operator who wants to have read it, and to begin with
the new one after a restart.

--approve DIGEST approves without a question, if that is what the nodes show; see it by
` + "`coco node approve -o json`" + `.`,
		Example: "  coco node approve --config delta/node.toml\n  coco node approve --approve 1f0e…",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nodeconfig.Load(file)
			if err != nil {
				return err
			}
			if a.WantsJSON() && digest == "" {
				id, err := a.lookUp(cmd.Context(), cfg)
				if err != nil {
					return err
				}
				return a.Out.JSON(id)
			}
			return a.approve(cmd.Context(), file, &cfg, digest)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&digest, "approve", "", "`digest` of the constitution to approve, without a question")
	a.OutputFlag(cmd)
	return cmd
}

// lookUp asks the nodes of a node.toml for their network's identity.
func (a *app) lookUp(ctx context.Context, cfg nodeconfig.Config) (*reach.Identity, error) {
	if len(cfg.Ask) == 0 {
		return nil, fmt.Errorf("%w: node.toml has no ask: list where clients reach the nodes of the network", coco.ErrInvalid)
	}
	known, err := network.ApprovedService(&cfg)
	if err != nil {
		return nil, err
	}
	return reach.Identify(ctx, cfg.Ask, known, a.Verifiers())
}

// approve has the operator approve what the network shows, and notes it in node.toml.
func (a *app) approve(ctx context.Context, file string, cfg *nodeconfig.Config, digest string) error {
	id, err := a.lookUp(ctx, *cfg)
	if err != nil {
		return err
	}
	if !a.WantsJSON() {
		a.showIdentity(id)
	}
	switch {
	case digest == id.Constitution.String():
	case digest != "":
		return fmt.Errorf("%w: the network's constitution has digest %s, and --approve says %s: nothing is fetched", coco.ErrDenied, id.Constitution, digest)
	case cfg.Approve == id.Constitution && cfg.Service != "":
		if !a.WantsJSON() {
			a.Out.OK("this constitution is approved already")
		}
		return nil
	case a.WantsJSON():
		return notApproved(id)
	default:
		if err := a.question(ctx, id); err != nil {
			return err
		}
	}
	service := filepath.Join(cfg.Dir, "service.pem")
	if err := atomicfile.Write(service, identity.CertificatePEM(id.ServiceCertificate)); err != nil {
		return err
	}
	cfg.Approve, cfg.Service = id.Constitution, service
	if err := cfg.Save(file); err != nil {
		return err
	}
	if !a.WantsJSON() {
		a.Out.OK("approved: %s says so now", file)
	}
	return nil
}

func notApproved(id *reach.Identity) error {
	return fmt.Errorf("%w: the constitution is not approved, so nothing is fetched: answer the question, or give --approve %s", coco.ErrDenied, id.Constitution)
}

// shortApproval is how many digits of the digest an operator types.
const shortApproval = 8

// question asks the operator for the first digits of the digest, which stand above the constitution and not in the
// question.
func (a *app) question(ctx context.Context, id *reach.Identity) error {
	want := id.Constitution.String()[:shortApproval]
	a.Out.Printf("Read the constitution above. To approve it, type the first %d digits of its digest: ", shortApproval)
	type reply struct {
		line string
		err  error
	}
	got := make(chan reply, 1)
	go func() { // a read cannot be interrupted: it ends with the process
		line, err := bufio.NewReader(a.In).ReadString('\n')
		got <- reply{line, err}
	}()
	select {
	case <-ctx.Done():
		return cli.ErrInterrupted
	case r := <-got:
		line := strings.TrimSpace(r.line)
		switch {
		case line == want || line == id.Constitution.String():
			return nil
		case line == "" && r.err != nil:
			return notApproved(id)
		}
		return fmt.Errorf("%w: not approved, so nothing is fetched: expected %s, found %q", coco.ErrDenied, want, line)
	}
}

// showIdentity writes everything that is to be approved.
func (a *app) showIdentity(id *reach.Identity) {
	p := a.Out
	p.Printf("%s\n", p.Bold(id.Network))
	if id.Insecure {
		p.Insecure()
	}
	p.Printf("  network       %s\n                (SHA-256 of the service's key; its certificate ends on %s)\n", id.ID, id.Ends.Format(time.DateOnly))
	p.Printf("  constitution  %s\n                (version %d)\n\n", id.Constitution, id.Version)
	for line := range strings.Lines(id.Page) {
		p.Printf("  | %s", line)
	}
	p.Printf("\n")
	for _, n := range id.Peers {
		if n.Error != "" {
			p.Printf("  %s %s\n", p.Red("✗"), n.Error)
			continue
		}
		note := ""
		if n.Note != "" {
			note = " (" + n.Note + ")"
		}
		p.OK("node %s at %s has proven to run\n    %s%s", n.Node.Short(), n.Address, n.Measurement, note)
	}
	p.Printf("\n")
}
