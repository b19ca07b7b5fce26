package proxycmd

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/fleet"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/signer"
)

// access is which network is meant, and how it is asked.
type access struct {
	nodes   []string
	client  client.Config
	pin     *pin
	who     string // for people
	service func() (*x509.Certificate, error)
	key     *signer.Identity // nil, or one whose key may be behind a command
}

// explain returns why the caller's key did not sign, if that is why nodes could not be reached.
func (acc *access) explain(err error) error {
	if acc.key != nil {
		if kerr := acc.key.Key.Err(); kerr != nil {
			return kerr
		}
	}
	return err
}

func (a *app) access(ctx context.Context, f *flags) (acc *access, err error) {
	acc = &access{}
	switch {
	case f.sealed != "":
		err = a.ofSealed(ctx, f, acc)
	case f.Config != "":
		err = a.ofConfig(ctx, f, acc)
	case f.InSandbox():
		err = a.ofSandbox(ctx, f, acc)
	default:
		err = a.ofService(ctx, f, acc)
	}
	if err != nil {
		return nil, err
	}
	acc.client.Policy.Verifiers = a.Verifiers()
	if f.token != "" {
		t := &tokenFile{path: f.token}
		if _, err := t.read(); err != nil {
			return nil, err
		}
		acc.client.Certificate, acc.client.Token, acc.who = nil, t.read, "the holder of the token in "+f.token
	}
	return acc, nil
}

// ofSandbox is a network of `coco up`: its folder was made on this machine, and approves its constitution.
func (a *app) ofSandbox(ctx context.Context, f *flags, acc *access) error {
	info, _, err := localnet.Running(ctx, f.Dir)
	if err != nil {
		return err
	}
	as := cmp.Or(f.as, info.Members[0].Name)
	m, err := info.Member(as)
	if err != nil {
		return err
	}
	if acc.client.Certificate, err = m.UserCertificate(); err != nil {
		return err
	}
	for _, n := range info.Nodes {
		if n.Retired || f.Node != "" && n.Name != f.Node {
			continue
		}
		if n.Member == as {
			acc.nodes = slices.Insert(acc.nodes, 0, n.Client)
		} else {
			acc.nodes = append(acc.nodes, n.Client)
		}
	}
	if len(acc.nodes) == 0 {
		return fmt.Errorf("%w: no node %q in this network", coco.ErrInvalid, f.Node)
	}
	acc.who = fmt.Sprintf("an application of %s, by its certificate", as)
	acc.serviceFile(info.ServicePEM)
	if acc.client.Policy.Service, err = acc.service(); err != nil {
		return err
	}
	acc.pin, err = approve(f, acc.inForce(ctx), func() ([]byte, error) {
		con, err := info.InForce()
		if err != nil {
			return nil, err
		}
		return con.TOML(), nil
	})
	return err
}

// ofConfig is the network that the node of a node.toml belongs to, by the service that was approved for the node.
func (a *app) ofConfig(ctx context.Context, f *flags, acc *access) error {
	n, err := f.Open(ctx, a.Verifiers())
	if err != nil {
		return err
	}
	if n.Config.Service == "" {
		return fmt.Errorf("%w: %s names no service certificate: no network has been approved for the node", coco.ErrInvalid, f.Config)
	}
	acc.serviceFile(n.Config.Service)
	acc.client.Policy.Service = n.Trust().Service
	acc.nodes = addresses(f.Node)
	for _, own := range n.Own() {
		if f.Node == "" {
			acc.nodes = append(acc.nodes, own.Client)
		}
	}
	if f.Node == "" {
		for _, address := range n.Config.Ask {
			if !slices.Contains(acc.nodes, address) {
				acc.nodes = append(acc.nodes, address)
			}
		}
	}
	inForce := acc.inForce(ctx)
	if acc.pin, err = approve(f, inForce, inForce); err != nil {
		return err
	}
	cert, key := f.Cert, f.Key
	if cert == "" {
		dir := identity.Dir(network.KeyFolder(n.Config))
		cert, key = dir.User(), "file:"+dir.UserKey()
	}
	return acc.certificate(cert, key, f.token)
}

// ofService is a network that is known by its service's certificate.
func (a *app) ofService(ctx context.Context, f *flags, acc *access) error {
	acc.nodes = addresses(f.Node)
	if len(acc.nodes) == 0 || f.Service == "" {
		return fmt.Errorf("%w: a network that is neither one of `coco up` (--dir) nor that of a node of your own (--config) needs --node HOST:PORT and --service FILE", coco.ErrInvalid)
	}
	acc.serviceFile(f.Service)
	var err error
	if acc.client.Policy.Service, err = acc.service(); err != nil {
		return err
	}
	if f.Cert == "" && f.token == "" {
		return fmt.Errorf("%w: no credential: name a certificate with --cert and --key, or a token with --token", coco.ErrInvalid)
	}
	if err := acc.certificate(f.Cert, f.Key, f.token); err != nil {
		return err
	}
	acc.pin, err = approve(f, acc.inForce(ctx), nil)
	return err
}

// ofSealed is a network that is reached through what ends TLS, and known by its service's certificate.
func (a *app) ofSealed(ctx context.Context, f *flags, acc *access) (err error) {
	if f.Service == "" || (f.token == "") == (f.Cert == "") {
		return fmt.Errorf("%w: --sealed needs --service, the network's service certificate, and --token, or --cert and --key, by which each request is signed: no certificate that is shown reaches a node behind what ends TLS", coco.ErrInvalid)
	}
	acc.serviceFile(f.Service)
	if acc.client.Policy.Service, err = acc.service(); err != nil {
		return err
	}
	outer, err := network.Outer(f.sealedCA)
	if err != nil {
		return err
	}
	acc.nodes = []string{f.sealed}
	acc.client.Sealed = &client.SealedConfig{
		URL: f.sealed, Outer: outer, Effect: fleet.EffectOf,
	}
	if f.Cert != "" {
		by, err := signer.Load(f.Cert, f.Key)
		if err != nil {
			return err
		}
		acc.client.Sealed.Signing = network.Signing(by)
		acc.who = "the holder of " + f.Cert + ", who signs each request"
	}
	acc.pin, err = approve(f, func() ([]byte, error) { return network.UnverifiedPage(ctx, outer, f.sealed) }, nil)
	return err
}

func (acc *access) serviceFile(file string) {
	acc.service = func() (*x509.Certificate, error) { return network.ReadService(file) }
}

// certificate has the caller show a certificate, unless there is a token.
func (acc *access) certificate(cert, key, token string) error {
	if token != "" {
		return nil
	}
	id, err := signer.Load(cert, key)
	if err != nil {
		return err
	}
	acc.key, acc.client.Certificate = id, id.TLS()
	leaf, err := x509.ParseCertificate(id.TLS().Certificate[0])
	if err != nil {
		return err
	}
	acc.who = fmt.Sprintf("%s, by the certificate in %s, which ends on %s", leaf.Subject, cert, leaf.NotAfter.Format(time.DateOnly))
	return nil
}

// addresses are those of a list with commas.
func addresses(list string) (all []string) {
	for a := range strings.SplitSeq(list, ",") {
		a = network.Address(strings.TrimSpace(a))
		if _, _, err := net.SplitHostPort(a); err == nil && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// tokenFile is a bearer token in a file that another program renews.
type tokenFile struct {
	path string

	mu    sync.Mutex
	token string
	at    time.Time // the file's, when it was read
	size  int64
}

const maxToken = 16 << 10 // bytes

// read returns the token. It is never part of an error.
func (t *tokenFile) read() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	file, err := os.Open(t.path)
	if err != nil {
		return "", cli.FileError("token", err)
	}
	defer file.Close()
	stat, err := file.Stat()
	if err != nil {
		return "", cli.FileError("token", err)
	}
	if t.token != "" && stat.ModTime().Equal(t.at) && stat.Size() == t.size {
		return t.token, nil
	}
	data, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	if err != nil {
		return "", cli.FileError("token", err)
	}
	token := string(bytes.TrimSpace(data))
	if token == "" || len(data) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return !isTokenChar(r) }) {
		return "", fmt.Errorf("%w: %s: expected one bearer token (RFC 6750) of at most %d bytes", coco.ErrInvalid, t.path, maxToken)
	}
	t.token, t.at, t.size = token, stat.ModTime(), stat.Size()
	return token, nil
}

// isTokenChar reports whether b64token of RFC 6750, section 2.1, may have a character.
func isTokenChar(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/=", r)
}
