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
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/internal/signer"
)

// Access says for which member, and at which node, a command governs.
type Access struct {
	Verifiers attest.Verifiers
	Dir, As   string // a network of `coco up`, and the member
	Node      string // name of one of its nodes, or host:port

	// The fields below are for other networks.
	service      string // file
	cert, key    string // of the connection
	SignCert     string // file; with signKey, if another key signs
	signKey      string
	constitution string // file
}

// ConnectFlags gives a command what it needs to reach a node.
func (f *Access) ConnectFlags(a *cli.App, cmd *cobra.Command) {
	cli.DirFlag(cmd, &f.Dir, "`folder` of the running network, of `coco up`")
	fl := cmd.Flags()
	fl.StringVar(&f.As, "as", os.Getenv("COCO_MEMBER"), "`member` of that network to act for (default $COCO_MEMBER)")
	fl.StringVar(&f.Node, "node", "", "`node` to ask: its name in that network (default: the member's own), or the host:port of its administrative listener")
	fl.StringVar(&f.service, "service", "", "service certificate of the network, a PEM `file`")
	fl.StringVar(&f.cert, "cert", "", "certificate for governance, a PEM `file` with its issuers")
	fl.StringVar(&f.key, "key", "", "its `key`: file:PATH or cmd:COMMAND")
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
	for name, value := range map[string]string{"node": f.Node, "service": f.service, "cert": f.cert, "key": f.key} {
		if value == "" {
			return nil, fmt.Errorf("%w: --%s is missing: a network that is not one of `coco up` needs --node, --service, --cert and --key", coco.ErrInvalid, name)
		}
	}
	auth, err := signer.Load(f.cert, f.key)
	if err != nil {
		return nil, err
	}
	service, err := identity.ReadLeaf(f.service)
	if err != nil {
		return nil, fmt.Errorf("--service: %w", err)
	}
	addr := strings.TrimSuffix(strings.TrimPrefix(f.Node, "https://"), "/")
	code, err := f.listedCode(ctx, addr, service)
	if err != nil {
		return nil, err
	}
	return f.officer(addr, auth, client.Policy{Code: code, Verifiers: f.Verifiers, Service: service})
}

// InSandbox reports whether the command is about a network of `coco up`.
func (f *Access) InSandbox() bool {
	return f.service == "" && f.cert == "" && !strings.Contains(f.Node, ":")
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
	key := f.key
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
		return localnet.Node{}, fmt.Errorf("%w: no node of the network in %s has an administrative listener: restart it with `coco down` and `coco up`", coco.ErrUnreachable, info.Dir)
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

// listedCode is the code that the node may run: what a constitution that the user named lists, or the one
// in force, of a node that the service vouches for. It is asked without showing a certificate.
func (f *Access) listedCode(ctx context.Context, addr string, service *x509.Certificate) ([]coco.Measurement, error) {
	var page []byte
	var err error
	if f.constitution != "" {
		page, err = os.ReadFile(f.constitution)
	} else {
		page, err = reach.Endorsed(ctx, addr, service)
	}
	if err != nil {
		return nil, err
	}
	c, err := constitution.Parse(page)
	if err != nil {
		return nil, err
	}
	return c.Measurements(), nil
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
	cert, serviceFile := f.SignCert, f.service
	if f.InSandbox() {
		info, err := localnet.Load(f.Dir)
		if err != nil {
			return nil, nil, err
		}
		serviceFile = info.ServicePEM
		if cert == "" {
			dir, err := info.Governance(f.As)
			if err != nil {
				return nil, nil, err
			}
			cert = dir.Gov()
		}
	}
	if cert == "" {
		cert = f.cert
	}
	if cert == "" || serviceFile == "" {
		return nil, nil, fmt.Errorf("%w: expected --as MEMBER of a network of `coco up`, or --sign-cert and --service", coco.ErrInvalid)
	}
	if chain, err = identity.ReadChain(cert); err != nil {
		return nil, nil, err
	}
	if service, err = identity.ReadLeaf(serviceFile); err != nil {
		return nil, nil, fmt.Errorf("service certificate %s: %w", serviceFile, err)
	}
	return chain, service, nil
}
