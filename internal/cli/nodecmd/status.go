package nodecmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/wire"
)

func (a *app) nodeStatusCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a node of one's own does",
		Long: `Asks the node that a node.toml describes, after verifying that it runs code of the constitution that it
shows, under the service that was approved. Needs no certificate.

Exits with 0 if the node serves, 5 if it waits for other nodes, joins or cannot serve, 6 if it does not answer.`,
		Example: "  coco node status --config delta/node.toml\n  coco node status -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nodeconfig.Load(file)
			if err != nil {
				return err
			}
			return a.status(cmd.Context(), cfg)
		},
	}
	configFlag(cmd, &file)
	a.OutputFlag(cmd)
	return cmd
}

// status shows what the node of a node.toml does. The error is that it does not serve.
func (a *app) status(ctx context.Context, cfg nodeconfig.Config) error {
	if waits := nodeconfig.Dir(cfg.Dir).Waits(time.Now()); waits != "" {
		return a.showWaits(waits)
	}
	s, err := Status(ctx, cfg, a.Verifiers())
	if err != nil {
		return err
	}
	if a.WantsJSON() {
		err = a.Out.JSON(s)
	} else {
		a.showOwnStatus(s)
	}
	if err == nil && s.Problem == "" && s.Closed {
		err = fmt.Errorf("%w: the node serves no client: %s", coco.ErrBusy, finding.Closed)
	}
	if err == nil && (s.Role == "joining" || s.Problem != "") {
		err = fmt.Errorf("%w: the node does not serve yet: %s", coco.ErrBusy, cmp.Or(s.Problem, "it is joining"))
	}
	return err
}

// waitsStatus is the answer of `coco node status -o json` for a node that waits.
type waitsStatus struct {
	Role    string `json:"role"`
	Problem string `json:"problem"`
}

// showWaits says what the node waits for, which answers nobody until then. Its process says it, and nothing proves it.
func (a *app) showWaits(waits string) error {
	err := fmt.Errorf("%w: the node runs and does not serve yet: %s", coco.ErrBusy, waits)
	if a.WantsJSON() {
		return errors.Join(a.Out.JSON(waitsStatus{Role: "waiting", Problem: waits}), err)
	}
	return err
}

// Status verifies and asks the node of a node.toml.
func Status(ctx context.Context, cfg nodeconfig.Config, verifiers attest.Verifiers) (*wire.Status, error) {
	known, err := network.ApprovedService(&cfg)
	if err != nil {
		return nil, err
	}
	id, err := reach.Identify(ctx, []string{cfg.Client}, known, verifiers)
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Config{
		Addr: cfg.Client, Policy: client.Policy{Code: id.Parsed.Measurements(), TEE: id.Parsed.TEEPolicies(), Verifiers: verifiers, Service: id.ServiceCertificate},
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Status(ctx)
}

func (a *app) showOwnStatus(s *wire.Status) {
	p := a.Out
	p.Printf("%s, node %s of %s\n", p.Bold(s.Network), s.Node.Short(), s.Owner)
	if s.Insecure {
		p.Insecure()
	}
	vote := "it does not vote yet"
	if s.Voter {
		vote = "it votes"
	} else if s.Learns {
		vote = "it learns and does not vote: its organisation would have too many of the votes"
	}
	p.Printf("  role          %s in view %d; %s\n", s.Role, s.View, vote)
	p.Printf("  committed     %s\n", s.Committed)
	p.Printf("  constitution  %s\n                fingerprint %s\n", s.Constitution, s.Constitution.Fingerprint())
	p.Printf("  code          %s (%s)\n", s.Measurement, s.Version)
	p.Printf("  ledger's time %s\n", s.LedgerTime.UTC().Format(time.RFC3339))
	a.showCertificates(s.Certificates, time.Now())
	if s.Problem != "" {
		p.Printf("  %s %s\n", p.Red("✗"), s.Problem)
	}
	if s.Warning != "" {
		p.Printf("  %s %s\n", p.Red("!"), s.Warning)
	}
}

// showCertificates says when certificates end, and which need looking after.
func (a *app) showCertificates(all []wire.Certificate, now time.Time) {
	for _, c := range all {
		level, text := finding.End(c.NotAfter, now)
		if level != finding.OK {
			text = a.Out.Red("✗ " + text)
		}
		a.Out.Printf("  certificate   %s %s\n", finding.Certificate(c), text)
	}
}
