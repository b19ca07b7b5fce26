package doctorcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/internal/cli"
)

// tee is what the doctor finds of one platform.
type tee struct {
	Platform string `json:"platform"`
	// State is "ready", "unverified" (the device answers, its evidence does not verify here), "absent" or "failing".
	State       string           `json:"state"`
	Message     string           `json:"message,omitempty"`
	Needs       string           `json:"needs,omitempty"`
	Measurement coco.Measurement `json:"measurement,omitempty"`
	Insecure    bool             `json:"insecure,omitempty"`
	Policy      json.RawMessage  `json:"policy,omitempty"` // a draft
	facts       []attest.Fact
	evidence    attest.Evidence
}

const (
	ready      = "ready"
	unverified = "unverified"
	absent     = "absent"
	failing    = "failing"
)

// teeFlags are the flags of `coco doctor tee`.
type teeFlags struct{ platform, device, collateral, out string }

func (a *app) teeCommand() *cobra.Command {
	var f teeFlags
	cmd := &cobra.Command{
		Use:   "tee",
		Short: "Find out which TEEs this machine has, and what is missing",
		Long: `Asks each kind of TEE that this program can run nodes on for evidence, and verifies it as other nodes would. It says what
is there and what is not, and of each TEE that answers its measurement, which members vote for, and the draft of a
policy that asks for what this machine has.

--collateral is a folder of what the vendor says about the TEE: certificates and lists of revoked ones. Without them
evidence may not verify. --out writes the evidence for ` + "`coco attest show`" + `.

With --platform it looks at one, and exits with 1 if nodes cannot run on it.`,
		Example: `  coco doctor tee
  coco doctor tee --platform snp --collateral /etc/coco/collateral --out evidence.cbor
  coco doctor tee --platform tpm --device /dev/tpmrm0 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := a.lookAtTEEs(cmd.Context(), f)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				err = a.Out.JSON(found)
			} else {
				a.showTEEs(found)
			}
			if err == nil && f.out != "" {
				err = writeEvidence(f.out, found[0].evidence)
			}
			if err == nil && f.platform != "" && found[0].State != ready {
				err = fmt.Errorf("nodes cannot run on platform %q here: it is %s", f.platform, found[0].State)
			}
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.platform, "platform", "", "look at one `kind` of TEE only")
	fl.StringVar(&f.device, "device", "", "with --platform: `path` of its device (default: its usual place)")
	fl.StringVar(&f.collateral, "collateral", "", "`folder` of what the vendor says about this machine's TEE")
	fl.StringVar(&f.out, "out", "", "with --platform: `file` to write the evidence to")
	_ = cmd.MarkFlagDirname("collateral")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) lookAtTEEs(ctx context.Context, f teeFlags) ([]tee, error) {
	if f.platform == "" {
		if f.device != "" || f.out != "" {
			return nil, fmt.Errorf("%w: --device and --out are of one kind of TEE: name it with --platform", coco.ErrInvalid)
		}
		var found []tee
		for _, p := range a.Platforms {
			if p.Device == nil {
				continue
			}
			t, err := look(ctx, p, f)
			if err != nil {
				return nil, err
			}
			found = append(found, t)
		}
		return found, nil
	}
	p, err := a.Platform(f.platform)
	if err != nil {
		return nil, err
	}
	t, err := look(ctx, p, f)
	return []tee{t}, err
}

// look asks one platform. The error is one of the command line; what is wrong with the platform is in its state.
func look(ctx context.Context, p cli.Platform, f teeFlags) (tee, error) {
	t := tee{Platform: p.Name()}
	q, err := p.Open(f.device)
	switch {
	case errors.Is(err, coco.ErrNotFound):
		t.State, t.Message, t.Needs = absent, err.Error(), p.Needs
		return t, nil
	case errors.Is(err, coco.ErrInvalid):
		return t, err
	case err != nil:
		t.State, t.Message, t.Needs = failing, err.Error(), p.Needs
		return t, nil
	}
	defer func() { _ = cli.Close(q) }()
	if f.collateral != "" {
		if q, err = p.WithCollateral(q, f.collateral); err != nil {
			return t, err
		}
	}
	ev, claims, err := p.Self(ctx, q)
	t.evidence = ev
	switch {
	case errors.Is(err, coco.ErrVerify):
		t.State, t.Message = unverified, err.Error()
		return t, nil
	case err != nil:
		t.State, t.Message, t.Needs = failing, err.Error(), p.Needs
		return t, nil
	}
	t.State, t.Measurement, t.Insecure = ready, claims.Measurement, claims.Insecure
	if claims.Debug {
		t.Message = "in debug mode: its host can look into it"
	}
	if e, ok := claims.Own.(attest.Explainer); ok {
		t.facts = e.Explain()
		if t.Policy, err = e.Demand(); err != nil {
			return t, err
		}
	}
	return t, nil
}

func writeEvidence(file string, ev attest.Evidence) error {
	if len(ev.Quote) == 0 {
		return fmt.Errorf("%w: there is no evidence to write to %s", coco.ErrNotFound, file)
	}
	b, err := ev.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

func (a *app) showTEEs(found []tee) {
	p := a.Out
	none := true
	for _, t := range found {
		switch t.State {
		case ready:
			none = false
			p.Printf("%s %s: %s\n", p.Green("✓"), p.Bold(t.Platform), t.Measurement)
			if t.Insecure {
				p.Printf("    %s\n", p.Red("INSECURE: it does not protect what a node holds in memory"))
			}
			if t.Message != "" {
				p.Printf("    %s\n", p.Red(t.Message))
			}
			for _, f := range t.facts {
				p.Printf("    %-16s %s\n", f.Name, f.Value)
			}
			if len(t.Policy) > 0 {
				p.Printf("    draft of a policy, which asks for what this machine has; nobody has judged whether that is good enough:\n      %s\n", t.Policy)
			}
			p.Printf("    members vote: coco gov propose add-code %s\n", t.Measurement)
		case unverified:
			none = false
			p.Printf("%s %s: the device answers, but its evidence does not verify here: %s\n", p.Bold("!"), p.Bold(t.Platform), t.Message)
		default:
			p.Printf("%s %s: %s\n    needs %s\n", p.Dim("-"), p.Bold(t.Platform), t.Message, t.Needs)
		}
	}
	if none {
		p.Printf("\nNodes run here on the simulated TEE only, which protects nothing.\n")
	}
}
