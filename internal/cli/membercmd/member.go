// Package membercmd is `coco member`: it makes the keys and certificates of an organisation, asks an
// organisation's own authority for a certificate, and shows what a certificate is for. No network is asked.
//
// Trust: host
package membercmd

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/signer"
)

// Command returns `coco member`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use:   "member",
		Short: "Keys and certificates of an organisation",
		Long: `An organisation stands in the constitution with a certificate. Under it the organisation issues others
by itself, without a vote: for applications, and for governance, with the organisational unit (OU)
"governance". A node's listener for applications refuses the latter, its administrative listener
all others.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.keygenCommand(), a.csrCommand(), a.passphraseCommand(), a.memberShowCommand())
	return cmd
}

// What a certificate under an organisation's is for, as --for names it.
const (
	forGovernance = "governance"
	forNodes      = "nodes"
)

func (a *app) keygenCommand() *cobra.Command {
	var out, under, purpose string
	var days uint16
	var protect protection
	cmd := &cobra.Command{
		Use:   "keygen NAME",
		Short: "Make the keys and certificates of an organisation",
		Long: `Makes, in a new folder:

  org.pem, org-key.pem     the organisation's certificate, for the constitution, and its key
  encryption.pub, .key     the key that the member's shares of the ledger's secrets are encrypted to
  user.pem, user-key.pem   issued under it: for an application
  gov.pem, gov-key.pem     issued under it: for governance

To become a member or participant, send org.pem (and encryption.pub) to a member, who proposes
it. Everything that ends in "key" or ".key" stays with you; organisations that have a certificate
authority of their own use ` + "`coco member csr`" + ` instead.

The certificate for governance ends after --days, a year unless said otherwise: whoever leaves the organisation loses
it soon. The organisation's own and the application's last 10 years.

With --under FOLDER it makes one more certificate for governance, gov.pem and gov-key.pem, issued
with the key of the organisation in that folder; with --for nodes one for nodes, owner.pem and owner-key.pem, valid for 90
days unless said otherwise. Nodes of the organisation start with the latter (owner_certificate and owner_key in
node.toml), so that the organisation's own key stays offline. It is good for nothing else.

--passphrase protects every key that it makes: it asks for a passphrase at the terminal, twice, and commands
that read such a key ask for it there. A node of a supervisor, and any program without a terminal, reads keys
without a passphrase only.`,
		Example: `  coco member keygen delta
  coco member keygen delta --passphrase
  coco member keygen delta --under delta --out officer-2 --days 90
  coco member keygen delta --under delta --out delta-nodes --for nodes --days 30`,
		Args: cobra.ExactArgs(1),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		switch {
		case purpose != forGovernance && purpose != forNodes:
			return fmt.Errorf("%w: --for %q: expected %s or %s", coco.ErrInvalid, purpose, forGovernance, forNodes)
		case purpose == forNodes && under == "":
			return fmt.Errorf("%w: --for %s needs --under: the folder of the organisation that issues the certificate", coco.ErrInvalid, forNodes)
		case purpose == forNodes && !cmd.Flags().Changed("days"):
			days = 90
		}
		if out == "" {
			out = name
		}
		if days == 0 {
			return fmt.Errorf("%w: --days 0: expected at least 1", coco.ErrInvalid)
		}
		if err := identity.CheckNew(out); err != nil {
			return err
		}
		passphrase, err := protect.get()
		if err != nil {
			return err
		}
		defer clear(passphrase)
		now := time.Now()
		governs := now.AddDate(0, 0, int(days))
		switch {
		case under == "":
			err = identity.New(name, out, now, governs, passphrase)
		case purpose == forNodes:
			err = identity.NewOwner(name, under, out, now, governs, passphrase)
		default:
			err = identity.NewGovernance(name, under, out, now, governs, passphrase)
		}
		if err != nil {
			return err
		}
		return a.showMember(out)
	}
	cmd.Flags().StringVar(&out, "out", "", "`folder` to make (default: NAME)")
	cmd.Flags().StringVar(&under, "under", "", "`folder` of an organisation that issues one more certificate")
	cmd.Flags().StringVar(&purpose, "for", forGovernance, "with --under: what the certificate is for, `governance` or nodes")
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{forGovernance, forNodes}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().Uint16Var(&days, "days", 365, "for how many `days` the certificate for governance or for nodes is valid (for nodes: 90)")
	protect.flags(cmd)
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.MarkFlagDirname("under")
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) csrCommand() *cobra.Command {
	var key, public, org, out string
	var application, nodes bool
	cmd := &cobra.Command{
		Use:   "csr NAME",
		Short: "Ask an organisation's certificate authority for a certificate",
		Long: `Writes a certificate request (PKCS #10) for a key, which may be in a file or behind a command. The
organisation's authority signs it; NAME is the common name of the person or service.

The request is for governance, with the organisational unit "governance", unless --application is
given, or --nodes for a certificate by which the organisation's nodes start, with the unit "nodes". An authority
that sets the subject by itself has to keep that unit.`,
		Example: `  openssl ecparam -name prime256v1 -genkey -noout -out ann-key.pem
  coco member csr "Ann Archer" --org alpha --key file:ann-key.pem --out ann.csr
  openssl x509 -req -in ann.csr -CA org.pem -CAkey org-key.pem -days 365 -out ann.pem`,
		Args: cobra.ExactArgs(1),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		subject := pkix.Name{CommonName: args[0], Organization: []string{org}}
		if org == "" {
			subject.Organization = nil
		}
		switch {
		case application && nodes:
			return fmt.Errorf("%w: --application and --nodes: a certificate is for one of them", coco.ErrInvalid)
		case nodes:
			subject.OrganizationalUnit = []string{coco.NodesUnit}
		case !application:
			subject.OrganizationalUnit = []string{coco.GovernanceUnit}
		}
		k, err := keyFor(key, public)
		if err != nil {
			return err
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, k)
		if err != nil {
			return fmt.Errorf("certificate request: %w", err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
		if out == "" {
			err = a.Out.Page(text)
			return err
		}
		if err := atomicfile.Create(out, text, 0o644); err != nil {
			return err
		}
		if a.WantsJSON() {
			return a.Out.JSON(map[string]any{"file": out, "subject": subject.String()})
		}
		a.Out.OK("%s asks for a certificate of %q", out, subject)
		return nil
	}
	fl := cmd.Flags()
	fl.StringVar(&key, "key", "", "the `key`: file:PATH or cmd:COMMAND")
	fl.StringVar(&public, "public", "", "the public key of a cmd: key, a PEM `file`")
	fl.StringVar(&org, "org", "", "`name` of the organisation, for the subject")
	fl.StringVar(&out, "out", "", "`file` to write (default: standard output)")
	fl.BoolVar(&application, "application", false, "for an application, not for governance")
	fl.BoolVar(&nodes, "nodes", false, "for the organisation's nodes, not for governance")
	_ = cmd.MarkFlagRequired("key")
	a.OutputFlag(cmd)
	return cmd
}

// keyFor opens a key whose public one comes from the private one, or from a file.
func keyFor(key, public string) (crypto.Signer, error) {
	if public == "" {
		if strings.HasPrefix(key, "cmd:") {
			return nil, fmt.Errorf("%w: a command says nothing of its public key: name it with --public", coco.ErrInvalid)
		}
		data, err := keyfile.Read(strings.TrimPrefix(key, "file:"))
		if err != nil {
			return nil, err
		}
		defer clear(data)
		return signer.ParsePrivate(data)
	}
	data, err := os.ReadFile(public)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%w: %s: expected a PEM block PUBLIC KEY", coco.ErrInvalid, public)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, public, err)
	}
	return signer.Open(key, pub)
}

func (a *app) memberShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE|FOLDER",
		Short: "What a certificate is for, whose it is, and until when",
		Long: `Shows the certificates of a file, or of an organisation's folder: what each is for, its dates, and the
organisation's id, by which the constitution names it.`,
		Example: "  coco member show delta\n  coco member show gov.pem -o json",
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error { return a.showMember(args[0]) }
	a.OutputFlag(cmd)
	return cmd
}

// papersInfo is what is said about a certificate.
type papersInfo struct {
	File    string       `json:"file"`
	Subject string       `json:"subject"`
	Issuer  string       `json:"issuer,omitempty"`
	Use     string       `json:"use"` // organisation, governance, nodes or application
	Actor   coco.ActorID `json:"actor,omitzero"`
	Key     string       `json:"key"`
	From    time.Time    `json:"valid_from"`
	To      time.Time    `json:"valid_to"`
}

// showMember describes the certificates of a file or folder.
func (a *app) showMember(name string) error {
	files := []string{name}
	if st, err := os.Stat(name); err != nil {
		return err
	} else if st.IsDir() {
		if files, err = filepath.Glob(filepath.Join(name, "*.pem")); err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "-key.pem") })
	}
	var all []papersInfo
	for _, file := range files {
		chain, err := identity.ReadChain(file)
		if err != nil {
			return err
		}
		all = append(all, papersOf(file, chain[0]))
	}
	if len(all) == 0 {
		return fmt.Errorf("%w: %s holds no certificates", coco.ErrInvalid, name)
	}
	if a.WantsJSON() {
		return a.Out.JSON(all)
	}
	rows := [][]string{{"File", "For", "Subject", "Valid until"}}
	for _, p := range all {
		rows = append(rows, []string{p.File, p.Use, p.Subject, p.To.Format(time.DateOnly)})
	}
	a.Out.Table(rows)
	for _, p := range all {
		if p.Actor != (coco.ActorID{}) {
			a.Out.Printf("\n  %s %s\n  %s       %s\n", a.Out.Bold("Organisation's id"), p.Actor, a.Out.Bold("fingerprint"), p.Actor.Fingerprint())
		}
	}
	return nil
}

func papersOf(file string, c *x509.Certificate) papersInfo {
	p := papersInfo{
		File: file, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Use: "application",
		Key: c.PublicKeyAlgorithm.String(), From: c.NotBefore, To: c.NotAfter,
	}
	switch {
	case slices.Contains(c.Subject.OrganizationalUnit, coco.NodesUnit):
		p.Use = forNodes
	case slices.Contains(c.Subject.OrganizationalUnit, coco.GovernanceUnit):
		p.Use = forGovernance
	case c.IsCA:
		p.Use, p.Actor = "organisation", sha256.Sum256(c.Raw)
	}
	return p
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }
