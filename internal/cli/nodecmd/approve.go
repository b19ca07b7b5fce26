package nodecmd

import (
	"bufio"
	"context"
	"crypto/x509"
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
	cmd.Flags().StringVar(file, "config", nodeconfig.Dir("").Config(), "the node's settings, a `file`")
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

The page begins with a table of members, code, policies and limits, and ends with warnings: of certificates
that end within 30 days, and of what single members could do. It asks for the fingerprint, which stands in the
table and which ` + "`coco status`" + ` and ` + "`coco gov constitution show`" + ` print too: compare it with what another member
tells you.

--approve DIGEST approves without a question. It takes what the question takes, the fingerprint or the whole
digest; ` + "`coco node approve -o json`" + ` shows both.`,
		Example: "  coco node approve --config delta/node.toml\n  coco node approve --approve '1f0e 8f3c 91ab 27de 4410'",
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
				return a.Out.JSON(approval{id, id.Constitution.Fingerprint(), append([]string{}, warnings(id, ownerChain(cfg), time.Now())...)})
			}
			return a.approve(cmd.Context(), file, &cfg, digest)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&digest, "approve", "", "`digest` of the constitution to approve, whole or as fingerprint, without a question")
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
		a.showIdentity(id, warnings(id, ownerChain(*cfg), time.Now()))
	}
	switch {
	case digest != "" && approves(digest, id.Constitution):
	case digest != "":
		return fmt.Errorf("%w: the network's constitution has the fingerprint %s (digest %s), and --approve says %s: nothing is fetched; expected one of the two",
			coco.ErrDenied, id.Constitution.Fingerprint(), id.Constitution, digest)
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
	return fmt.Errorf("%w: the constitution is not approved, so nothing is fetched: answer the question, or give --approve with its fingerprint '%s' or its digest %s", coco.ErrDenied, id.Constitution.Fingerprint(), id.Constitution)
}

// ownerChain reads the certificate of a node's owner, with its issuers; nothing if it cannot be read, which is said when the node starts.
func ownerChain(cfg nodeconfig.Config) []*x509.Certificate {
	chain, err := identity.ReadChain(cfg.OwnerCertificate)
	if err != nil {
		return nil
	}
	return chain
}

// question asks the operator for the fingerprint, which stands above the constitution and not in the question.
func (a *app) question(ctx context.Context, id *reach.Identity) error {
	a.Out.Printf("Read the constitution above. To approve it, type its fingerprint or its whole digest: ")
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
		case approves(line, id.Constitution):
			return nil
		case line == "" && r.err != nil:
			return notApproved(id)
		}
		return fmt.Errorf("%w: not approved, so nothing is fetched: expected the fingerprint %s or the digest %s, found %q", coco.ErrDenied, id.Constitution.Fingerprint(), id.Constitution, line)
	}
}

// showIdentity writes everything that is to be approved.
func (a *app) showIdentity(id *reach.Identity, warnings []string) {
	p := a.Out
	p.Printf("%s\n", p.Bold(id.Network))
	if id.Insecure {
		p.Insecure()
	}
	p.Printf("\n")
	p.Table(summary(id))
	p.Printf("\n  digest      %s\n  network id  %s (SHA-256 of its first service's key)\n\n", id.Constitution, id.ID)
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
	for line := range strings.Lines(id.Page) {
		p.Printf("  | %s", line)
	}
	p.Printf("\n")
	for _, text := range warnings {
		p.Printf("  %s %s\n", p.Bold("!"), text)
	}
	if len(warnings) > 0 {
		p.Printf("\n")
	}
}
