// Package attestcmd is `coco attest`: it shows what evidence of a TEE claims, and decides whether it is genuine and good enough, for anybody and without a network.
//
// Evidence comes from three kinds of files (read.go), collateral from a folder or the evidence itself, and the time may be given, because collateral and certificates
// end; package collateralcmd fills such folders. What a platform's claims are in plain words, its driver says: attest.Explainer.
//
// Trust: host
package attestcmd

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/collateralcmd"
)

type app struct{ *cli.App }

// Command returns `coco attest`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "Evidence of TEEs, and what their vendors say about them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.showCommand(), a.verifyCommand(), a.tpmCommand(), collateralcmd.Command(c))
	return cmd
}

// flags are what both commands have.
type flags struct{ platform, collateral, at string }

func (f *flags) add(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.platform, "platform", "", "`kind` of TEE, of a file that is a bare quote")
	cmd.Flags().StringVar(&f.collateral, "collateral", "", "`folder` of what vendors say about TEEs: certificates, CRLs, TCB infos")
	cmd.Flags().StringVar(&f.at, "at", "", "`time` at which certificates and collateral must be valid, such as 2026-01-31 or 2026-01-31T12:00:00Z (default: now)")
	_ = cmd.MarkFlagDirname("collateral")
	a.OutputFlag(cmd)
}

const fileHelp = `FILE is evidence as ` + "`coco doctor tee --out`" + ` writes it, the JSON of a node's evidence, or, with --platform, a bare quote
of a vendor's form: a SEV-SNP report with or without its certificate table, a TDX or SGX quote.

--collateral is a folder of what the vendors say. Without it the evidence must carry what it needs.`

func (a *app) showCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show what evidence claims, once its signatures are verified",
		Long: `Verifies that evidence is genuine, and prints its claims in plain words, with the draft of a policy that asks for what this TEE has. It does not
decide whether that is good enough: ` + "`coco attest verify`" + ` does.

` + fileHelp + `

Exits with 3 and the reason if the evidence is not genuine.`,
		Example: `  coco attest show evidence.cbor
  coco attest show report.bin --platform snp --collateral certs
  coco attest show quote.bin --platform tdx --collateral certs --at 2026-01-31 -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			claims, at, err := a.open(args[0], f)
			if err != nil {
				return err
			}
			s, err := describe(claims, at)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(s)
			}
			a.show(s)
			return nil
		},
	}
	f.add(a, cmd)
	return cmd
}

// verifyFlags are what a TEE must be.
type verifyFlags struct {
	flags
	policy, reportData string
	measurements       []string
	insecure           bool
}

func (a *app) verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Decide whether evidence is genuine and good enough",
		Long: `Decides what a node decides: whether evidence is genuine at the time, not of a TEE in debug mode, and satisfies the policy of its platform. Without --policy that is the
platform's default, which accepts no SEV-SNP machine, since a minimum for its firmware must be said. docs/tee.md has the policies.

--measurement lists the code that counts, and --report-data what the evidence must be bound to.

` + fileHelp + `

Exits with 3 and the reason if it is refused.`,
		Example: `  coco attest verify evidence.cbor --policy '{"tcb_status": ["UpToDate"]}' --measurement tdx:0123…
  coco attest verify evidence.cbor --policy @policy.json --collateral certs --at 2026-01-31`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			claims, at, err := a.open(args[0], f.flags)
			if err != nil {
				return err
			}
			if err := f.judge(claims, func(policy []byte) error { return a.Verifiers().ValidatePolicy(claims.Platform, policy) }); err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]any{"verified": true, "platform": claims.Platform, "measurement": claims.Measurement, "at": at})
			}
			a.Out.OK("genuine at %s, and it satisfies the policy: %s", at.Format(time.RFC3339), claims.Measurement)
			if len(f.measurements) == 0 {
				a.Out.Printf("  ! which code counts was not said (--measurement)\n")
			}
			if f.reportData == "" {
				a.Out.Printf("  ! what it must be bound to was not said (--report-data): it may be another's, or old\n")
			}
			return nil
		},
	}
	f.add(a, cmd)
	cmd.Flags().StringVar(&f.policy, "policy", "", "the platform's `policy`, a JSON object, or @FILE (default: {})")
	cmd.Flags().StringSliceVar(&f.measurements, "measurement", nil, "`measurement` of code that counts")
	cmd.Flags().StringVar(&f.reportData, "report-data", "", "the report data that is expected, 64 or 128 hexadecimal `digits`")
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "accept platforms that keep no memory secret: the simulated TEE, a plain TPM")
	return cmd
}

// judge decides whether claims are what the flags demand.
func (f verifyFlags) judge(c attest.Claims, validate func([]byte) error) error {
	policy := []byte(f.policy)
	if name, ok := strings.CutPrefix(f.policy, "@"); ok {
		var err error
		if policy, err = os.ReadFile(name); err != nil {
			return fmt.Errorf("%w: --policy: %w", coco.ErrInvalid, err)
		}
	}
	if err := validate(policy); err != nil {
		return fmt.Errorf("--policy: %w", err)
	}
	switch {
	case c.Insecure && !f.insecure:
		return fmt.Errorf("%w: platform %q keeps no memory secret (--insecure accepts it)", attest.ErrInsecure, c.Platform)
	case c.Debug:
		return fmt.Errorf("%w: %s", attest.ErrDebug, c.Measurement)
	}
	if err := c.Satisfy(policy); err != nil {
		return err
	}
	if len(f.measurements) > 0 && !slices.Contains(f.measurements, string(c.Measurement)) {
		return fmt.Errorf("%w: it measures %s; --measurement lists %s", attest.ErrMeasurement, c.Measurement, strings.Join(f.measurements, ", "))
	}
	return f.bound(c)
}

// bound checks the report data. Half of them stand for those behind which there are zeros.
func (f verifyFlags) bound(c attest.Claims) error {
	if f.reportData == "" {
		return nil
	}
	b, err := hex.DecodeString(f.reportData)
	if err != nil || len(b) != attest.ReportDataSize && len(b) != attest.ReportDataSize/2 {
		return fmt.Errorf("%w: --report-data: expected %d or %d hexadecimal digits", coco.ErrInvalid, attest.ReportDataSize, 2*attest.ReportDataSize)
	}
	var want [attest.ReportDataSize]byte
	copy(want[:], b)
	if c.ReportData != want {
		return fmt.Errorf("%w: expected report data %x, found %x", attest.ErrBinding, want, c.ReportData)
	}
	return nil
}

// open reads and verifies a file.
func (a *app) open(file string, f flags) (attest.Claims, time.Time, error) {
	at, err := cli.ParseTime("--at", f.at)
	if err != nil {
		return attest.Claims{}, at, err
	}
	ev, err := readEvidence(file, f.platform)
	if err != nil {
		return attest.Claims{}, at, err
	}
	p, err := a.platform(ev.Platform)
	if err != nil {
		return attest.Claims{}, at, err
	}
	if f.collateral != "" {
		if ev.Quote, err = addCollateral(ev.Quote, f.collateral); err != nil {
			return attest.Claims{}, at, err
		}
	}
	// The bound of evidence on the wire does not hold for a folder.
	claims, err := p.Verifier.Verify(ev.Quote, at)
	claims.Platform = ev.Platform
	return claims, at, err
}

func (a *app) platform(name string) (cli.Platform, error) {
	var names []string
	for _, p := range a.Platforms {
		if p.Name() == name {
			return p, nil
		}
		names = append(names, p.Name())
	}
	return cli.Platform{}, fmt.Errorf("%w: %q: this program reads evidence of %s", attest.ErrPlatform, name, strings.Join(names, ", "))
}

// addCollateral adds what a folder has to what the evidence carries.
func addCollateral(evidence []byte, dir string) ([]byte, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, cli.FileError("--collateral", err)
	}
	set, err := collateral.Read(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("--collateral %s: %w", dir, err)
	}
	quote, own, err := collateral.Split(evidence)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", attest.ErrQuote, err)
	}
	if set, err = collateral.Merge(own, set); err != nil {
		return nil, err
	}
	return collateral.Bundle(quote, set)
}

// description is the answer of `coco attest show -o json`.
type description struct {
	Platform    string           `json:"platform"`
	Measurement coco.Measurement `json:"measurement"`
	ReportData  string           `json:"report_data"`
	Debug       bool             `json:"debug"`
	Insecure    bool             `json:"insecure"`
	Advisories  []string         `json:"advisories,omitempty"`
	At          time.Time        `json:"at"`
	Claims      []claim          `json:"claims,omitempty"`
	Policy      json.RawMessage  `json:"policy,omitempty"` // a draft
}

type claim struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func describe(c attest.Claims, at time.Time) (description, error) {
	d := description{
		Platform: c.Platform, Measurement: c.Measurement, ReportData: hex.EncodeToString(c.ReportData[:]),
		Debug: c.Debug, Insecure: c.Insecure, Advisories: c.Advisories, At: at,
	}
	e, ok := c.Own.(attest.Explainer)
	if !ok {
		return d, nil
	}
	for _, f := range e.Explain() {
		d.Claims = append(d.Claims, claim(f))
	}
	var err error
	d.Policy, err = e.Demand()
	return d, err
}

func (a *app) show(d description) {
	p := a.Out
	p.OK("genuine evidence of platform %s at %s", d.Platform, d.At.Format(time.RFC3339))
	line := func(name, value string) { p.Printf("  %-16s %s\n", name, value) }
	line("measurement", string(d.Measurement))
	line("report data", d.ReportData)
	if d.Debug {
		line("debug", p.Red("YES: the host can look into it"))
	} else {
		line("debug", "no")
	}
	if d.Insecure {
		line("INSECURE", p.Red("it keeps no memory secret"))
	}
	if len(d.Advisories) > 0 {
		line("open advisories", strings.Join(d.Advisories, ", "))
	}
	for _, c := range d.Claims {
		line(c.Name, c.Value)
	}
	if len(d.Policy) > 0 {
		p.Printf("A policy that asks for what this TEE has, which nobody has judged:\n  %s\n", d.Policy)
	}
}
