package officer

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/internal/signer"
)

// Access says for which member, and at which node, a command governs. The certificate of its network's flags is the one for
// governance, and its node the one whose administrative listener is asked.
type Access struct {
	network.Flags
	Verifiers attest.Verifiers
	As        string // the member, of a network of `coco up`
	SignCert  string // file; with signKey, if another key signs than that of the connection
	signKey   string

	constitution string // file
}

// ConnectFlags gives a command what it needs to reach a node.
func (f *Access) ConnectFlags(a *cli.App, cmd *cobra.Command) {
	f.SandboxKey = true
	f.Add(cmd, "`folder` of the running network, of `coco up`")
	fl := cmd.Flags()
	fl.StringVar(&f.As, "as", os.Getenv("COCO_MEMBER"), "`member` of that network to act for (default $COCO_MEMBER)")
	fl.StringVar(&f.Node, "node", "", "`node` to ask: its name in that network (default: the member's own), or the host:port of its administrative listener")
	f.AddCertificate(cmd, "certificate for governance, a PEM `file` with its issuers (default with --config: gov.pem beside owner_certificate)")
	fl.StringVar(&f.constitution, "constitution", "", "a constitution, TOML `file`, whose code manifest the node must be in (default: what the network says)")
	_ = cmd.RegisterFlagCompletionFunc("as", f.CompleteMembers)
	_ = cmd.RegisterFlagCompletionFunc("node", f.CompleteNodes)
	a.OutputFlag(cmd)
}

// SignFlags gives a command what it needs to sign with another key than it connects with.
func (f *Access) SignFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.SignCert, "sign-cert", "", "certificate of the key that signs, if that is another one, a PEM `file`")
	fl.StringVar(&f.signKey, "sign-key", "", "the `key` that signs, if that is another one: file:PATH or cmd:COMMAND")
}

// Connect returns a verified node, and the identity to govern with.
func (f *Access) Connect(ctx context.Context) (*Officer, error) {
	if f.InSandbox() {
		return f.connectSandbox(ctx)
	}
	auth, err := f.Governance()
	if err != nil {
		return nil, err
	}
	n, err := f.Open(ctx, f.Verifiers)
	if err != nil {
		return nil, err
	}
	addr, err := n.Admin(n.Own()[0])
	if err != nil {
		return nil, err
	}
	trust := n.Trust()
	if f.constitution != "" {
		if trust.Code, err = listedCode(f.constitution); err != nil {
			return nil, err
		}
	}
	return f.officer(addr, auth, trust)
}

// listedCode is the code that a constitution lists.
func listedCode(file string) ([]coco.Measurement, error) {
	page, err := os.ReadFile(file)
	if err != nil {
		return nil, cli.FileError("constitution", err)
	}
	c, err := constitution.Parse(page)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c.Measurements(), nil
}

func (f *Access) connectSandbox(ctx context.Context) (*Officer, error) {
	info, err := f.running(ctx)
	if err != nil {
		return nil, err
	}
	if f.As == "" {
		names := make([]string, len(info.Members))
		for i, m := range info.Members {
			names[i] = m.Name
		}
		return nil, fmt.Errorf("%w: which member acts? Name it with --as, or in COCO_MEMBER: one of %s", coco.ErrInvalid, strings.Join(names, ", "))
	}
	dir, err := info.Governance(f.As)
	if err != nil {
		return nil, err
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	key := f.Key
	if key == "" {
		key = "file:" + dir.GovKey()
	}
	auth, err := signer.Load(dir.Gov(), key)
	if err != nil {
		return nil, err
	}
	n, err := f.sandboxNode(ctx, info)
	if err != nil {
		return nil, err
	}
	trust, err := info.Trust(f.Verifiers)
	if err != nil {
		return nil, err
	}
	return f.officer(n.Admin, auth, trust)
}

// running loads the sandbox, whose supervisor must answer.
func (f *Access) running(ctx context.Context) (*localnet.Info, error) {
	info, _, err := localnet.Running(ctx, f.Dir)
	return &info, err
}

// sandboxNode is the node to ask: the one that was named, or one that serves, the member's own if it does.
func (f *Access) sandboxNode(ctx context.Context, info *localnet.Info) (localnet.Node, error) {
	if f.Node != "" {
		n, err := info.Node(f.Node)
		if err == nil && n.Retired {
			err = fmt.Errorf("%w: node %s has left the network: name another one with --node", coco.ErrInvalid, n.Name)
		}
		return n, err
	}
	serving, err := info.Serving(ctx, f.Verifiers)
	if err != nil {
		return localnet.Node{}, err
	}
	best := -1
	for i, n := range serving {
		if n.Admin != "" && (best < 0 || n.Member == f.As) {
			best = i
		}
	}
	if best < 0 {
		return localnet.Node{}, fmt.Errorf("%w: no node of the network in %s has an administrative listener: restart it with `coco down%s` and `coco up%s`", coco.ErrUnreachable, info.Dir, localnet.DirHint(info.Dir), localnet.DirHint(info.Dir))
	}
	return serving[best], nil
}

// officer makes the client, and the identity that signs.
func (f *Access) officer(addr string, auth *signer.Identity, trust client.Policy) (*Officer, error) {
	c, err := client.New(client.Config{Addr: addr, Certificate: auth.TLS(), Policy: trust})
	if err != nil {
		return nil, err
	}
	o := &Officer{Client: c, auth: auth, identity: auth, service: trust.Service}
	if f.SignCert != "" || f.signKey != "" {
		if f.SignCert == "" || f.signKey == "" {
			return nil, fmt.Errorf("%w: --sign-cert and --sign-key belong together", coco.ErrInvalid)
		}
		if o.identity, err = signer.Load(f.SignCert, f.signKey); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// Hint is what a command that people are shown needs after its name to govern the same network, for the same member.
func (f *Access) Hint() string {
	if f.InSandbox() && f.As != "" {
		return f.Flags.Hint() + " --as " + shell.Quote(f.As)
	}
	return f.Flags.Hint()
}

// With connects and calls do. The error says why a key did not sign, if that is why.
func (f *Access) With(cmd *cobra.Command, do func(context.Context, *Officer) error) error {
	o, err := f.Connect(cmd.Context())
	if err != nil {
		return err
	}
	defer o.Close()
	return o.Explain(do(cmd.Context(), o))
}

// ConnectToAsk connects without the key that signs, which may be elsewhere.
func (f *Access) ConnectToAsk(ctx context.Context) (*Officer, error) {
	g := *f
	g.SignCert, g.signKey = "", ""
	return g.Connect(ctx)
}

// Papers reads the certificates of the key that will sign, and the network's service certificate. Both are public.
func (f *Access) Papers() (chain []*x509.Certificate, service *x509.Certificate, err error) {
	cert := f.SignCert
	switch {
	case cert != "":
	case f.InSandbox():
		info, err := localnet.Load(f.Dir)
		if err != nil {
			return nil, nil, err
		}
		dir, err := info.Governance(f.As)
		if err != nil {
			return nil, nil, err
		}
		cert = dir.Gov()
	default:
		if cert, _, err = f.GovernanceFiles(); err != nil {
			return nil, nil, fmt.Errorf("%w: expected --as MEMBER of a network of `coco up`, --config, or --sign-cert and --service", coco.ErrInvalid)
		}
	}
	if chain, err = identity.ReadChain(cert); err != nil {
		return nil, nil, err
	}
	service, err = f.ServiceCertificate("statement")
	return chain, service, err
}
