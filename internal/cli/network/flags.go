// Package network is how a command line names a network, and one of its nodes. All commands that ask a network that
// runs take the same flags:
//
//	on the command line                           the network                  certificates
//	--dir FOLDER                                  of `coco up` in the folder   its members'
//	--config node.toml                            of the node of one's own     user.pem, gov.pem beside owner_certificate
//	--node HOST:PORT --service service.pem        of the node at the address   none
//	--sealed URL --service service.pem            behind what ends TLS there   none; --cert signs each request, which is sealed
//
// --cert and --key name a certificate, in the last three. [Flags] holds what was given, and [Flags.Open] makes a [Network] of
// it, which knows what a node must prove, and by which certificate it is asked:
//
//	Flags ─ Open ─▶ Network ─ One, Own, Others ─▶ Node ─ Connect, Look, ConnectAdmin ─▶ *client.Client
//
// A node is verified before it is asked: it runs code of the constitution in force, and the network's service endorsed it.
//
// Trust: host
package network

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/internal/signer"
)

// Flags say which network is meant, and which of its nodes. One value may be given to several commands of which one runs.
type Flags struct {
	Dir     string // folder of a network of `coco up`
	Config  string // a node.toml
	Node    string // name in that folder, or host:port
	Service string // file
	Cert    string // file, of a certificate that the command shows
	Key     string // its key, as package signer names it
	As      string // member of a network of `coco up` whose application asks; empty for the one that runs the node
	// SandboxKey: for a network of `coco up` too, Key may be given: it is that of the member's certificate, kept elsewhere.
	SandboxKey bool
	// Balancer is what ends TLS in front of the nodes, if that is how the network is reached.
	Balancer Balancer

	sets    []*pflag.FlagSet // of the commands that have the flags
	keyFlag string           // what the flag of Key is called
}

// Add gives a command the flags that name a network. folder is the help of --dir; see [cli.DirFlag].
func (f *Flags) Add(cmd *cobra.Command, folder string) {
	f.AddOwn(cmd, folder)
	cmd.Flags().StringVar(&f.Service, "service", "", "another network: its service certificate, a PEM `file`")
	_ = cmd.MarkFlagFilename("service")
}

// AddOwn is Add for a command that is for nodes on this machine: without --service.
func (f *Flags) AddOwn(cmd *cobra.Command, folder string) {
	cli.DirFlag(cmd, &f.Dir, folder)
	cmd.Flags().StringVar(&f.Config, "config", "", "another network: the one of the node with these settings, a `file` node.toml")
	_ = cmd.MarkFlagFilename("config", "toml")
	f.sets = append(f.sets, cmd.Flags())
}

// AddNode gives a command, beside Add, the flags for the node to ask and the certificate to ask it by. which says what node is
// asked if none is named.
func (f *Flags) AddNode(cmd *cobra.Command, which string) {
	cmd.Flags().StringVar(&f.Node, "node", "", "`node` to ask: its name, or host:port ("+which+")")
	f.AddCertificate(cmd, "certificate to show, a PEM `file` with its issuers (default with --config: user.pem beside owner_certificate)")
}

// AddConnect gives a command the flags of Connect.
func (f *Flags) AddConnect(cmd *cobra.Command) {
	f.Add(cmd, "`folder` of the running network, of `coco up`")
	f.AddNode(cmd, "default: one that serves")
	f.Balancer.add(cmd)
}

// AddAs gives a command the flag of the member whose application asks in a network of `coco up`.
func (f *Flags) AddAs(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.As, "as", os.Getenv("COCO_MEMBER"), "`member` of that network whose application asks (default $COCO_MEMBER, or the one that runs the node)")
}

// AddCertificate gives a command the flags for the certificate to ask by; usage is the help of --cert. A command that has a flag --key of
// another meaning already gets --cert-key.
func (f *Flags) AddCertificate(cmd *cobra.Command, usage string) {
	f.keyFlag = "key"
	if cmd.Flags().Lookup(f.keyFlag) != nil {
		f.keyFlag = "cert-key"
	}
	cmd.Flags().StringVar(&f.Cert, "cert", "", usage)
	cmd.Flags().StringVar(&f.Key, f.keyFlag, "", "the certificate's `key`: file:PATH or cmd:COMMAND")
	_ = cmd.MarkFlagFilename("cert")
}

// changed reports whether a flag was given to the command that runs.
func (f *Flags) changed(name string) bool {
	for _, set := range f.sets {
		if set.Changed(name) {
			return true
		}
	}
	return false
}

// InSandbox reports whether a network of `coco up` is meant.
func (f *Flags) InSandbox() bool {
	return f.Config == "" && f.Service == "" && !strings.Contains(f.Node, ":")
}

// Check finds flags that contradict each other. Open does it, too.
func (f *Flags) Check() error {
	var ways []string
	if err := f.checkBalancer(); err != nil {
		return err
	}
	for _, name := range []string{"dir", "config", "service"} {
		if f.changed(name) {
			ways = append(ways, "--"+name)
		}
	}
	if len(ways) > 1 {
		return fmt.Errorf("%w: %s each name the network: expected one of them, found %s", coco.ErrInvalid, strings.Join(ways, " and "), both(len(ways)))
	}
	if f.InSandbox() && f.SandboxKey && f.Cert == "" {
		return nil
	}
	if f.InSandbox() && f.Cert+f.Key != "" {
		return fmt.Errorf("%w: --cert and --%s belong to --config, or to --node HOST:PORT with --service: a network of `coco up` has its own", coco.ErrInvalid, f.keyFlag)
	}
	if !f.InSandbox() && f.changed("as") {
		return fmt.Errorf("%w: --as belongs to a network of `coco up`: another one's is asked by --cert and --%s", coco.ErrInvalid, f.keyFlag)
	}
	if (f.Cert == "") != (f.Key == "") {
		return fmt.Errorf("%w: --cert and --%s belong together", coco.ErrInvalid, f.keyFlag)
	}
	return nil
}

func both(n int) string {
	if n == 2 {
		return "both"
	}
	return "all"
}

// ServiceCertificate reads the network's service certificate, without asking anybody. what is the thing that is verified by it.
func (f *Flags) ServiceCertificate(what string) (*x509.Certificate, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	file := f.Service
	switch {
	case f.Config != "":
		cfg, err := nodeconfig.Load(f.Config)
		if err != nil {
			return nil, err
		}
		if file = cfg.Service; file == "" {
			return nil, fmt.Errorf("%w: %s names no service certificate: no network has been approved; see `coco node approve --config %s`", coco.ErrInvalid, f.Config, shell.Quote(f.Config))
		}
	case file == "":
		info, err := localnet.Load(f.Dir)
		if err != nil {
			return nil, fmt.Errorf("%w: which network's %s is this? Name its service certificate with --service, a node.toml of it with --config, or a sandbox with --dir (%w)", coco.ErrInvalid, what, err)
		}
		file = info.ServicePEM
	}
	return ReadService(file)
}

// ReadService reads the certificate of a network's service.
func ReadService(file string) (*x509.Certificate, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, cli.FileError("service certificate", err)
	}
	return identity.ReadLeaf(file)
}

// Open returns the network that the flags name. It asks a node, for the constitution in force, unless the network is one of `coco up`,
// whose supervisor must answer. The error is coco.ErrUnreachable if none answers.
func (f *Flags) Open(ctx context.Context, verifiers attest.Verifiers) (*Network, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	n := &Network{flags: *f, verifiers: verifiers}
	switch {
	case f.Balancer.URL != "":
		return n, n.trustSealed(ctx)
	case f.Config != "":
		cfg, err := nodeconfig.Load(f.Config)
		if err != nil {
			return nil, err
		}
		n.Config = &cfg
		return n, n.trustConfig(ctx)
	case f.InSandbox():
		info, st, err := localnet.Running(ctx, f.Dir)
		if err != nil {
			return nil, err
		}
		n.Sandbox, n.Processes = &info, st
		n.trust, err = info.Trust(verifiers)
		return n, err
	}
	return n, n.trustService(ctx)
}

// Connect returns a client of the node that the flags name, or of one that serves, with an application's certificate.
func (f *Flags) Connect(ctx context.Context, verifiers attest.Verifiers) (*client.Client, error) {
	n, err := f.Open(ctx, verifiers)
	if err != nil {
		return nil, err
	}
	node, err := n.One(ctx)
	if err != nil {
		return nil, err
	}
	return n.Connect(node)
}

// Call makes a call of JSON-RPC, as [client.Client.RPC] does. What the node refuses is coco.ErrInvalid: the request is wrong, and asking again does
// not help.
func Call(ctx context.Context, c *client.Client, result any, method string, params ...any) error {
	_, err := c.RPC(ctx, result, method, params...)
	if refusal := (*client.RPCError)(nil); errors.As(err, &refusal) {
		return fmt.Errorf("%w: the node refuses %s: %s", coco.ErrInvalid, method, refusal.Message)
	}
	return err
}

// trustService makes the trust of a network that is named by an address and a service certificate.
func (n *Network) trustService(ctx context.Context) error {
	for _, needed := range [][2]string{{"node", n.flags.Node}, {"service", n.flags.Service}} {
		if needed[1] == "" {
			return fmt.Errorf("%w: --%s is missing: a network that is neither one of `coco up` (--dir) nor that of a node of your own (--config) needs --node HOST:PORT and --service FILE",
				coco.ErrInvalid, needed[0])
		}
	}
	service, err := identity.ReadLeaf(n.flags.Service)
	if err != nil {
		return fmt.Errorf("--service: %w", err)
	}
	page, err := reach.Endorsed(ctx, Address(n.flags.Node), service)
	if err != nil {
		return err
	}
	return n.setTrust(page, service)
}

// trustConfig makes the trust of the network that a node.toml names: as the node itself says it or, where it does not answer, one of those
// that it asks. What was approved is believed, and nothing else.
func (n *Network) trustConfig(ctx context.Context) error {
	known, err := ApprovedService(n.Config)
	if err != nil {
		return err
	}
	if n.Config.Client == "" {
		return fmt.Errorf("%w: %s names no listener for clients: add client = \"HOST:PORT\"", coco.ErrInvalid, n.flags.Config)
	}
	addresses := []string{n.own()[0].Client}
	if known != nil {
		addresses = append(addresses, n.Config.Ask...)
	}
	var failed error
	for _, address := range addresses {
		id, err := reach.Identify(ctx, []string{address}, known, n.verifiers)
		if err == nil {
			n.trust = client.Policy{Code: id.Parsed.Measurements(), TEE: id.Parsed.TEEPolicies(), Verifiers: n.verifiers, Service: id.ServiceCertificate}
			n.Name, n.Insecure = id.Network, id.Insecure
			return nil
		}
		if failed = cmp.Or(failed, err); !errors.Is(err, coco.ErrUnreachable) && !errors.Is(err, coco.ErrBusy) {
			return err
		}
	}
	return failed
}

// ApprovedService is the service certificate that was approved for a node; nil if none was.
func ApprovedService(cfg *nodeconfig.Config) (*x509.Certificate, error) {
	if cfg.Service == "" {
		return nil, nil
	}
	cert, err := identity.ReadLeaf(cfg.Service)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the service's certificate that was approved is gone: put it back, or take service and approve out of node.toml and approve anew: %w", coco.ErrInvalid, err)
	}
	return cert, err
}

func (n *Network) setTrust(page []byte, service *x509.Certificate) error {
	c, err := constitution.Parse(page)
	if err != nil {
		return err
	}
	n.trust = client.Policy{Code: c.Measurements(), TEE: c.TEEPolicies(), Verifiers: n.verifiers, Service: service}
	n.Name, n.Insecure = c.Network.Name, c.Network.Insecure
	return nil
}

// Address is the host:port of a node that a person wrote, as a URL too.
func Address(text string) string {
	return strings.TrimSuffix(strings.TrimPrefix(text, "https://"), "/")
}

// GovernanceFiles are the certificate for governance, and its key as package signer names it: what was named, or gov.pem beside the owner's
// of a node.toml.
func (f *Flags) GovernanceFiles() (cert, key string, err error) {
	if err := f.Check(); err != nil {
		return "", "", err
	}
	switch {
	case f.Cert != "":
		return f.Cert, f.Key, nil
	case f.Config == "":
		return "", "", fmt.Errorf("%w: no certificate for governance: a network that is neither one of `coco up` (--dir) nor that of a node of your own (--config) needs --node, --service, --cert and --%s", coco.ErrInvalid, f.keyFlag)
	}
	cfg, err := nodeconfig.Load(f.Config)
	if err != nil {
		return "", "", err
	}
	return folder(&cfg).Gov(), "file:" + folder(&cfg).GovKey(), nil
}

// Governance is the identity with which one administers or governs, by GovernanceFiles.
func (f *Flags) Governance() (*signer.Identity, error) {
	cert, key, err := f.GovernanceFiles()
	if err != nil {
		return nil, err
	}
	id, err := signer.Load(cert, key)
	if err != nil && f.Cert == "" {
		err = fmt.Errorf("%w: the certificate for governance: name one with --cert and --%s: %w", coco.ErrInvalid, f.keyFlag, err)
	}
	return id, err
}

// Hint is what a command that people are shown needs after its name to find the same network, with a space before it; it can be
// pasted into a shell.
func (f *Flags) Hint() string {
	switch {
	case f.Config != "":
		return " --config " + shell.Quote(f.Config)
	case f.InSandbox():
		return localnet.DirHint(f.Dir)
	}
	hint := ""
	for _, flag := range [][2]string{
		{"sealed", f.Balancer.URL}, {"sealed-ca", f.Balancer.CA}, {"constitution", f.Balancer.Constitution}, {"node", f.Node}, {"service", f.Service}, {"cert", f.Cert}, {f.keyFlag, f.Key},
	} {
		if flag[1] != "" {
			hint += " --" + flag[0] + " " + shell.Quote(flag[1])
		}
	}
	return hint
}

// KeyFolder is the folder of the keys of the organisation that runs a node.
func KeyFolder(cfg *nodeconfig.Config) string { return string(folder(cfg)) }

// folder is the folder of an organisation's keys: that of the certificate that a node.toml names.
func folder(cfg *nodeconfig.Config) identity.Dir {
	return identity.Dir(filepath.Dir(cfg.OwnerCertificate))
}
