package attestcmd

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/attest/vtpm"
	"github.com/cocoframework/coco/host/tpm"
	"github.com/cocoframework/coco/internal/cli"
)

// The files of a challenge, in the order in which they pass between the TPM's machine and the challenger.
type (
	tpmRequest struct {
		Endorsement []byte `json:"endorsement_key"`       // TPMT_PUBLIC
		Certificate []byte `json:"certificate,omitempty"` // of the endorsement key, DER
		Attestation []byte `json:"attestation_key"`       // TPMT_PUBLIC
	}
	tpmChallenge struct {
		Blob []byte `json:"blob"`
		Seed []byte `json:"seed"`
	}
	tpmSecret struct {
		Key   string `json:"key"`
		Value []byte `json:"secret"`
	}
	tpmAnswer struct {
		Value []byte `json:"answer"`
	}
)

func (a *app) tpmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tpm",
		Short: "Find out whether an attestation key is in a TPM",
		Long: `A plain TPM's quote does not show that its key is in a TPM. A challenge does: a secret that only one TPM can open, and only while it holds
the key. Files pass between the machine of the TPM and somebody who is to be convinced:

  TPM's machine     coco attest tpm request --out request.json
  challenger        coco attest tpm challenge request.json --roots vendor.pem --out challenge.json --secret secret.json
  TPM's machine     coco attest tpm answer challenge.json --out answer.json
  challenger        coco attest tpm check answer.json --secret secret.json

The name that check prints goes into attestation_keys of the platform's policy.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.tpmRequest(), a.tpmChallenge(), a.tpmAnswer(), a.tpmCheck())
	return cmd
}

// withTPM runs work on the machine's TPM.
func withTPM(path string, work func(*tpm.Device) error) error {
	t, err := tpm.Open(path)
	if err != nil {
		return err
	}
	d, err := tpm.Plain(t)
	if err != nil {
		return err
	}
	return errors.Join(work(d), d.Close())
}

func (a *app) tpmRequest() *cobra.Command {
	var device, out string
	cmd := &cobra.Command{
		Use:     "request",
		Short:   "On the TPM's machine: write its keys, and its vendor's certificate",
		Example: "  coco attest tpm request --out request.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return withTPM(device, func(d *tpm.Device) error {
				ek, err := d.Endorsement()
				if err != nil {
					return err
				}
				r := tpmRequest{Endorsement: ek, Attestation: d.Key()}
				if r.Certificate, err = d.EndorsementCertificate(); err != nil && !errors.Is(err, coco.ErrNotFound) {
					return err
				}
				if err := writeJSON(out, r, 0o644); err != nil {
					return err
				}
				a.Out.OK("%s is written", out)
				if r.Certificate == nil {
					a.Out.Printf("  ! the TPM has no certificate of its vendor: the challenger must know its endorsement key from elsewhere\n")
				}
				return nil
			})
		},
	}
	deviceFlag(cmd, &device)
	outFlag(cmd, &out)
	return cmd
}

func (a *app) tpmChallenge() *cobra.Command {
	var (
		out, secret string
		roots       []string
		uncertified bool
	)
	cmd := &cobra.Command{
		Use:   "challenge REQUEST",
		Short: "As challenger: make a challenge for the TPM of a request",
		Long: `Checks that the TPM's vendor has certified its endorsement key, up to one of the --roots, and writes a challenge, and the secret by which its answer is checked. Keep the
secret: whoever has it can answer without a TPM.`,
		Example: "  coco attest tpm challenge request.json --roots vendor.pem --out challenge.json --secret secret.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var r tpmRequest
			if err := readJSON(args[0], &r); err != nil {
				return err
			}
			if uncertified == (len(roots) > 0) {
				return fmt.Errorf("%w: give --roots, or --uncertified if you know from elsewhere that the endorsement key is of the right TPM", coco.ErrInvalid)
			}
			if !uncertified {
				if err := checkVendor(r, roots, time.Now()); err != nil {
					return err
				}
			}
			c, s, err := vtpm.NewChallenge(rand.Reader, r.Endorsement, r.Attestation)
			if err != nil {
				return err
			}
			if err := writeJSON(secret, tpmSecret(s), 0o600); err != nil {
				return err
			}
			if err := writeJSON(out, tpmChallenge(c), 0o644); err != nil {
				return err
			}
			a.Out.OK("%s is for the TPM's machine; keep %s", out, secret)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&roots, "roots", nil, "`file` of certificates of the TPM's vendor: roots, and those between, PEM or DER")
	cmd.Flags().BoolVar(&uncertified, "uncertified", false, "do not ask for the vendor's certificate")
	cmd.Flags().StringVar(&secret, "secret", "", "`file` to write the secret to")
	_ = cmd.MarkFlagRequired("secret")
	outFlag(cmd, &out)
	return cmd
}

// checkVendor checks the certificate of the endorsement key. Of the files' certificates those that have signed themselves are roots.
func checkVendor(r tpmRequest, files []string, now time.Time) error {
	if len(r.Certificate) == 0 {
		return fmt.Errorf("%w: the request has no certificate of the TPM's vendor (--uncertified does without)", coco.ErrVerify)
	}
	items, err := collateral.Parse(r.Certificate)
	if err != nil || items[0].Certificate == nil {
		return fmt.Errorf("%w: certificate of the endorsement key: %w", coco.ErrVerify, err)
	}
	var issuers, roots []*x509.Certificate
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("%w: --roots: %w", coco.ErrInvalid, err)
		}
		found, err := collateral.Parse(b)
		if err != nil {
			return fmt.Errorf("--roots %s: %w", file, err)
		}
		for _, it := range found {
			switch c := it.Certificate; {
			case c == nil:
			case c.CheckSignatureFrom(c) == nil:
				roots = append(roots, c)
			default:
				issuers = append(issuers, c)
			}
		}
	}
	return vtpm.CheckEndorsement(r.Endorsement, items[0].Certificate, issuers, roots, now)
}

func (a *app) tpmAnswer() *cobra.Command {
	var device, out string
	cmd := &cobra.Command{
		Use:     "answer CHALLENGE",
		Short:   "On the TPM's machine: have the TPM open a challenge",
		Example: "  coco attest tpm answer challenge.json --out answer.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var c tpmChallenge
			if err := readJSON(args[0], &c); err != nil {
				return err
			}
			return withTPM(device, func(d *tpm.Device) error {
				value, err := d.Answer(c.Blob, c.Seed)
				if err != nil {
					return fmt.Errorf("%w: %w", coco.ErrVerify, err)
				}
				if err := writeJSON(out, tpmAnswer{value}, 0o600); err != nil {
					return err
				}
				a.Out.OK("%s is for the challenger alone", out)
				return nil
			})
		},
	}
	deviceFlag(cmd, &device)
	outFlag(cmd, &out)
	return cmd
}

func (a *app) tpmCheck() *cobra.Command {
	var secret string
	cmd := &cobra.Command{
		Use:     "check ANSWER",
		Short:   "As challenger: check an answer, and print the key's name",
		Long:    `Exits with 3 if the TPM has not opened the challenge.`,
		Example: `  coco attest tpm check answer.json --secret secret.json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var s tpmSecret
			var answer tpmAnswer
			if err := errors.Join(readJSON(secret, &s), readJSON(args[0], &answer)); err != nil {
				return err
			}
			if err := vtpm.Secret(s).Check(answer.Value); err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]string{"key": s.Key})
			}
			a.Out.OK("the TPM has opened the challenge: attestation key %s is in it", s.Key)
			a.Out.Printf("Members vote: coco gov propose set-tee %s --tee-policy '{\"attestation_keys\": [\"%s\"]}'\n", vtpm.PlatformTPM, s.Key)
			return nil
		},
	}
	cmd.Flags().StringVar(&secret, "secret", "", "`file` of the secret")
	_ = cmd.MarkFlagRequired("secret")
	a.OutputFlag(cmd)
	return cmd
}

func deviceFlag(cmd *cobra.Command, device *string) {
	cmd.Flags().StringVar(device, "device", tpm.DefaultPath, "`path` of the TPM")
}

func outFlag(cmd *cobra.Command, out *string) {
	cmd.Flags().StringVar(out, "out", "", "`file` to write")
	_ = cmd.MarkFlagRequired("out")
}

func writeJSON(file string, v any, mode os.FileMode) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), mode)
}

// readJSON reads a file of a challenge. The error is coco.ErrInvalid.
func readJSON(file string, into any) error {
	b, err := cli.ReadFile(nil, "challenge", file, 64<<10)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", coco.ErrInvalid, file, err)
	}
	return nil
}
