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
	"github.com/cocoframework/coco/keys"
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
	var out, under, purpose, encryption string
	var days uint16
	var protect protection
	cmd := &cobra.Command{
		Use:   "keygen NAME",
		Short: "Make the keys and certificates of an organisation",
		Long: `Makes, in a new folder:

  org.pem, org-key.pem     the organisation's certificate, for the constitution, and its key
  encryption.pub, .key     the key that what the member holds of the ledger's secrets is encrypted to
  user.pem, user-key.pem   issued under it: for an application
  gov.pem, gov-key.pem     issued under it: for governance

To become a member or participant, send org.pem (and encryption.pub) to a member, who proposes
it. Everything that ends in "key" or ".key" stays with you; organisations that have a certificate
authority of their own use ` + "`coco member csr`" + ` instead.

The certificate for governance ends after --days, a year unless said otherwise: whoever leaves the organisation loses
it soon. The organisation's own and the application's last 10 years.

The encryption key is for X-Wing, which is ML-KEM-768 and X25519 together: a ledger that somebody records today does not open
with a quantum computer of tomorrow. --encryption x25519 makes one for X25519 instead, which OpenSSL and hardware security modules
know, and which alone a network by rules 1 or 2 accepts (` + "`coco gov constitution show`" + ` says by which rules it runs). It does not have that safety. A key
in a module, or made by ` + "`openssl genpkey -algorithm x25519`" + `, serves as well: members are told its public part in place of encryption.pub.

With --under FOLDER it makes one more certificate for governance, gov.pem and gov-key.pem, issued
with the key of the organisation in that folder; with --for nodes one for nodes, owner.pem and owner-key.pem, valid for 90
days unless said otherwise. Nodes of the organisation start with the latter (owner_certificate and owner_key in
node.toml), so that the organisation's own key stays offline. It is good for nothing else.

--passphrase protects every key that it makes: it asks for a passphrase at the terminal, twice, and commands
that read such a key ask for it there. A node of a supervisor, and any program without a terminal, reads keys
without a passphrase only.`,
		Example: `  coco member keygen delta
  coco member keygen delta --passphrase
  coco member keygen delta --encryption x25519
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
		algorithm, err := encryptionOf(encryption)
		if err != nil {
			return err
		}
		if under != "" && cmd.Flags().Changed("encryption") {
			return fmt.Errorf("%w: --encryption and --under: one more certificate comes without an encryption key", coco.ErrInvalid)
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
			err = identity.New(name, out, now, identity.Choices{Governs: governs, Encryption: algorithm, Passphrase: passphrase})
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
	cmd.Flags().StringVar(&encryption, "encryption", "x-wing", "`algorithm` of the encryption key: x-wing or x25519")
	_ = cmd.RegisterFlagCompletionFunc("encryption", cobra.FixedCompletions([]string{"x-wing", "x25519"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().Uint16Var(&days, "days", 365, "for how many `days` the certificate for governance or for nodes is valid (for nodes: 90)")
	protect.flags(cmd)
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.MarkFlagDirname("under")
	a.OutputFlag(cmd)
	return cmd
}

// encryptionOf reads the name of an algorithm, as people write it. The error is coco.ErrInvalid.
func encryptionOf(name string) (keys.Algorithm, error) {
	for _, a := range []keys.Algorithm{keys.XWing, keys.X25519} {
		if strings.EqualFold(name, string(a)) {
			return a, nil
		}
	}
	return "", fmt.Errorf("%w: --encryption %q: expected x-wing or x25519", coco.ErrInvalid, name)
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
organisation's id, by which the constitution names it. A public encryption key is shown with what it is for and its fingerprint, which
proposals and the page to approve show too.`,
		Example: "  coco member show delta\n  coco member show gov.pem -o json\n  coco member show delta/encryption.pub",
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error { return a.showMember(args[0]) }
	a.OutputFlag(cmd)
	return cmd
}

// papersInfo is what is said about a certificate.
type papersInfo struct {
	File    string       `json:"file"`
	Subject string       `json:"subject,omitempty"`
	Issuer  string       `json:"issuer,omitempty"`
	Use     string       `json:"use"` // organisation, governance, nodes, application or encryption
	Actor   coco.ActorID `json:"actor,omitzero"`
	Key     string       `json:"key"`
	From    time.Time    `json:"valid_from,omitzero"`
	To      time.Time    `json:"valid_to,omitzero"`
	// Fingerprint is of an encryption key.
	Fingerprint string `json:"fingerprint,omitempty"`
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
		if public := identity.Dir(name).EncryptionPublic(); exists(public) {
			files = append(files, public)
		}
	}
	var all []papersInfo
	for _, file := range files {
		if key, ok, err := encryptionKeyOf(file); err != nil {
			return err
		} else if ok {
			all = append(all, key)
			continue
		}
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
		if p.Fingerprint != "" {
			rows = append(rows, []string{p.File, p.Use, "a public key for " + p.Key, ""})
			continue
		}
		rows = append(rows, []string{p.File, p.Use, p.Subject, p.To.Format(time.DateOnly)})
	}
	a.Out.Table(rows)
	for _, p := range all {
		if p.Fingerprint != "" {
			a.Out.Printf("\n  %s for %s\n  %s       %s\n", a.Out.Bold("Encryption key"), p.Key, a.Out.Bold("fingerprint"), p.Fingerprint)
		}
		if p.Actor != (coco.ActorID{}) {
			a.Out.Printf("\n  %s %s\n  %s       %s\n", a.Out.Bold("Organisation's id"), p.Actor, a.Out.Bold("fingerprint"), p.Actor.Fingerprint())
		}
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// encryptionKeyOf describes a file that holds a public encryption key, and reports false for a file of another kind.
func encryptionKeyOf(file string) (papersInfo, bool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return papersInfo{}, false, err
	}
	if block, _ := pem.Decode(data); block == nil || block.Type != "PUBLIC KEY" {
		return papersInfo{}, false, nil
	}
	public, err := keys.ParsePublicKey(data)
	if err != nil {
		return papersInfo{}, false, fmt.Errorf("%s: %w", file, err)
	}
	of, err := keys.AlgorithmOf(public)
	return papersInfo{File: file, Use: "encryption", Key: string(of), Fingerprint: keys.Fingerprint(public)}, true, err
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
