package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/internal/signer"
)

func govCommand(c *cli.App) *cobra.Command {
	a := &app{c}
	f := &governing{}
	cmd := &cobra.Command{
		Use:   "gov",
		Short: "Read the constitution, propose changes of it, and vote",
		Long: `Members change their network by proposals and votes. Each is signed with the member's key for
governance, and stands in the ledger, verbatim, for everybody to check. A policy of the
constitution decides; what was decided takes effect with the deciding vote.

For a network of ` + "`coco up`" + `, --as MEMBER finds the member's key and its node. Elsewhere name the
node's administrative address, the network's service certificate, and a certificate of your
organisation with the organisational unit "governance", with its key:

  coco gov list --node 10.0.0.7:9443 --service service.pem --cert gov.pem --key file:gov-key.pem

A key is file:PATH, or cmd:COMMAND for one that stays elsewhere, as in a hardware token.
docs/governance.md explains all of it from the beginning.`,
		Example: `  coco gov propose add-participant delta delta/org.pem --as alpha --yes
  coco gov list --as bravo
  coco gov vote yes 1 --as bravo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.constitutionCommand(f), a.proposeCommand(f), a.simulateCommand(f), a.proposalListCommand(f), a.proposalShowCommand(f),
		a.voteCommand(f), a.withdrawCommand(f), a.govWatchCommand(f), a.prepareCommand(f), a.signCommand(), a.finishCommand(f),
	)
	return cmd
}

// governing says as whom, and at which node, a command of governance works.
type governing struct {
	dir, as      string // in a sandbox
	node         string // name of a sandbox's node, or host:port
	service      string // elsewhere, as all below
	cert, key    string
	signCert     string
	signKey      string
	constitution string
}

// connectFlags gives a command what it needs to reach a node.
func (f *governing) connectFlags(a *app, cmd *cobra.Command) {
	cli.DirFlag(cmd, &f.dir, "`folder` of the running network, of `coco up`")
	fl := cmd.Flags()
	fl.StringVar(&f.as, "as", os.Getenv("COCO_MEMBER"), "`member` of that network to act for (default $COCO_MEMBER)")
	fl.StringVar(&f.node, "node", "", "`node` to ask: its name in that network (default: the member's own), or the host:port of its administrative listener")
	fl.StringVar(&f.service, "service", "", "service certificate of the network, a PEM `file`")
	fl.StringVar(&f.cert, "cert", "", "certificate for governance, a PEM `file` with its issuers")
	fl.StringVar(&f.key, "key", "", "its `key`: file:PATH or cmd:COMMAND")
	fl.StringVar(&f.constitution, "constitution", "", "a constitution, TOML `file`, whose code manifest the node must be in (default: what the network says)")
	_ = cmd.RegisterFlagCompletionFunc("as", f.completeMembers)
	_ = cmd.RegisterFlagCompletionFunc("node", f.completeNodes)
	a.OutputFlag(cmd)
}

// signFlags gives a command what it needs to sign with another key than it connects with.
func (f *governing) signFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.signCert, "sign-cert", "", "certificate of the key that signs, if that is another one, a PEM `file`")
	fl.StringVar(&f.signKey, "sign-key", "", "the `key` that signs, if that is another one: file:PATH or cmd:COMMAND")
}

// officer is somebody who governs: an identity, and a verified node.
type officer struct {
	*client.Client
	auth     *signer.Identity // of the connection
	identity *signer.Identity // signs statements
	service  *x509.Certificate
}

// with connects and calls do.
func (f *governing) with(cmd *cobra.Command, do func(context.Context, *officer) error) error {
	o, err := f.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer o.Close()
	return o.explain(do(cmd.Context(), o))
}

// explain returns why a key did not sign, if that is why the node could not be reached.
func (o *officer) explain(err error) error {
	if kerr := o.auth.Key.Err(); err != nil && kerr != nil {
		return kerr
	}
	return err
}

func (f *governing) connect(ctx context.Context) (*officer, error) {
	if f.inSandbox() {
		return f.connectSandbox(ctx)
	}
	for name, value := range map[string]string{"node": f.node, "service": f.service, "cert": f.cert, "key": f.key} {
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
	addr := strings.TrimSuffix(strings.TrimPrefix(f.node, "https://"), "/")
	code, err := f.listedCode(ctx, addr, service)
	if err != nil {
		return nil, err
	}
	return f.officer(addr, auth, client.Policy{Code: code, Verifiers: verifiers(), Service: service})
}

// inSandbox reports whether the command is about a network of `coco up`.
func (f *governing) inSandbox() bool {
	return f.service == "" && f.cert == "" && !strings.Contains(f.node, ":")
}

func (f *governing) connectSandbox(ctx context.Context) (*officer, error) {
	info, err := f.running(ctx)
	if err != nil {
		return nil, err
	}
	if f.as == "" {
		names := make([]string, len(info.Members))
		for i, m := range info.Members {
			names[i] = m.Name
		}
		return nil, fmt.Errorf("%w: which member acts? Name it with --as, or in COCO_MEMBER: one of %s", coco.ErrInvalid, strings.Join(names, ", "))
	}
	dir, err := info.Governance(f.as)
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
	n, err := f.sandboxNode(info)
	if err != nil {
		return nil, err
	}
	trust, err := info.Trust(verifiers())
	if err != nil {
		return nil, err
	}
	return f.officer(n.Admin, auth, trust)
}

// running loads the sandbox, whose supervisor must answer.
func (f *governing) running(ctx context.Context) (*localnet.Info, error) {
	info, _, err := localnet.Running(ctx, f.dir)
	return &info, err
}

// sandboxNode is the node to ask: the one that was named, the member's own, or any other.
func (f *governing) sandboxNode(info *localnet.Info) (localnet.Node, error) {
	if f.node != "" {
		n, err := info.Node(f.node)
		if err == nil && n.Retired {
			err = fmt.Errorf("%w: node %s has left the network: name another one with --node", coco.ErrInvalid, n.Name)
		}
		return n, err
	}
	best := -1
	for i, n := range info.Nodes {
		if n.Admin == "" || n.Retired || n.Pid == 0 {
			continue
		}
		if best < 0 || n.Member == f.as {
			best = i
		}
	}
	if best < 0 {
		return localnet.Node{}, fmt.Errorf("%w: no node of the network in %s has an administrative listener: restart it with `coco down` and `coco up`", coco.ErrUnreachable, info.Dir)
	}
	return info.Nodes[best], nil
}

// officer makes the client, and the identity that signs.
func (f *governing) officer(addr string, auth *signer.Identity, trust client.Policy) (*officer, error) {
	c, err := client.New(client.Config{Addr: addr, Certificate: auth.TLS(), Policy: trust})
	if err != nil {
		return nil, err
	}
	o := &officer{Client: c, auth: auth, identity: auth, service: trust.Service}
	if f.signCert != "" || f.signKey != "" {
		if f.signCert == "" || f.signKey == "" {
			return nil, fmt.Errorf("%w: --sign-cert and --sign-key belong together", coco.ErrInvalid)
		}
		if o.identity, err = signer.Load(f.signCert, f.signKey); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// listedCode is the code that the node may run: what a constitution that the user named lists, or the one
// in force, of a node that the service vouches for. It is asked without showing a certificate.
func (f *governing) listedCode(ctx context.Context, addr string, service *x509.Certificate) ([]coco.Measurement, error) {
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
	c, err := gov.ParseConstitution(page)
	if err != nil {
		return nil, err
	}
	return c.Measurements(), nil
}

// statementPatience bounds how long a statement is handed in again while the network is busy, as during
// an election.
const statementPatience = 15 * time.Second

// submit hands in a signed statement, again if it certainly did not get into the ledger: the same bytes
// count once.
func (o *officer) submit(ctx context.Context, envelope []byte) (client.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, statementPatience)
	defer cancel()
	for {
		out, _, err := o.Govern(ctx, envelope)
		if !errors.Is(err, coco.ErrBusy) && !errors.Is(err, coco.ErrNotCommitted) {
			return out, err
		}
		pause := time.NewTimer(200 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return out, err
		}
	}
}
