package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller/message"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/signer"
)

// Balancer says how a network is reached through something that ends TLS.
type Balancer struct {
	URL          string // where sealed requests go; empty if nodes are reached
	CA           string // file with certificates that may issue the one that is shown there; empty for those of the system
	Constitution string // that a person has approved: its digest, or a file with its page
}

// maxPage bounds the bytes of a constitution's page.
const maxPage = 4 << 20

func (b *Balancer) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&b.URL, "sealed", "", "reach the network at this `URL`, where something else than a node ends TLS: every request is encrypted for the nodes, and signed by --cert")
	fl.StringVar(&b.CA, "sealed-ca", "", "certificates that may issue the one of --sealed, a PEM `file` (default: those of the system)")
	fl.StringVar(&b.Constitution, "constitution", "", "with --sealed: the `digest` of the constitution that you approve, or a file that holds it")
	_ = cmd.MarkFlagFilename("sealed-ca")
}

// check finds flags that contradict each other, or are missing.
func (f *Flags) checkBalancer() error {
	b := &f.Balancer
	switch {
	case b.URL == "" && b.CA+b.Constitution != "":
		return fmt.Errorf("%w: --sealed-ca and --constitution belong to --sealed", coco.ErrInvalid)
	case b.URL == "":
		return nil
	case f.Node != "":
		return fmt.Errorf("%w: --sealed and --node each say where the network is reached: what ends TLS chooses the node", coco.ErrInvalid)
	case f.Service == "" || f.Cert == "" || f.Key == "":
		return fmt.Errorf("%w: --sealed needs --service, the network's service certificate, and --cert and --%s, by which each request is signed: no certificate that is shown reaches a node behind what ends TLS",
			coco.ErrInvalid, f.keyFlag)
	case b.Constitution == "":
		return fmt.Errorf("%w: --sealed needs --constitution: what ends TLS shows the constitution, and could show another one, so compare its digest with a member and approve it", coco.ErrInvalid)
	}
	return nil
}

// trustSealed makes the trust of a network that is reached through what ends TLS: its constitution is the one that was approved.
func (n *Network) trustSealed(ctx context.Context) error {
	b := &n.flags.Balancer
	service, err := ReadService(n.flags.Service)
	if err != nil {
		return fmt.Errorf("--service: %w", err)
	}
	outer, err := Outer(b.CA)
	if err != nil {
		return err
	}
	page, err := b.approved(ctx, outer)
	if err != nil {
		return err
	}
	n.sealed = &client.SealedConfig{URL: b.URL, Outer: outer}
	return n.setTrust(page, service)
}

// approved is the page of the constitution that was approved.
func (b *Balancer) approved(ctx context.Context, outer http.RoundTripper) ([]byte, error) {
	var digest coco.Digest
	if digest.UnmarshalText([]byte(b.Constitution)) != nil {
		page, err := cli.ReadFile(nil, "constitution", b.Constitution, maxPage)
		if err != nil {
			return nil, fmt.Errorf("%w: --constitution %q: expected a digest of 64 hexadecimal digits, or a file: %w", coco.ErrInvalid, b.Constitution, err)
		}
		return page, nil
	}
	page, err := UnverifiedPage(ctx, outer, b.URL)
	if err != nil {
		return nil, err
	}
	con, err := constitution.Parse(page)
	if err != nil {
		return nil, err
	}
	if found := con.Digest(); found != digest {
		return nil, fmt.Errorf("%w: the constitution in force is said to be version %d, %s, and you approve %s: members may have changed it since, or it is another network. Compare it with a member, and approve the one in force",
			coco.ErrVerify, con.Version, found, digest.Short())
	}
	return page, nil
}

// Outer makes requests to what ends TLS, whose certificate those of a file have issued, or those of the system if none is named.
func Outer(ca string) (*http.Transport, error) {
	outer := http.DefaultTransport.(*http.Transport).Clone()
	if ca == "" {
		return outer, nil
	}
	roots, err := os.ReadFile(ca)
	if err != nil {
		return nil, cli.FileError("certificates of --sealed-ca", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("%w: --sealed-ca %s: expected certificates in PEM form", coco.ErrInvalid, ca)
	}
	outer.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return outer, nil
}

// Signing signs sealed messages with the key of a certificate.
func Signing(by *signer.Identity) *client.Signing {
	return &client.Signing{
		Certificate: message.CertificateID(by.Certificates()[0]),
		Sign: func(ctx context.Context, text []byte, network coco.Digest, node coco.NodeID, now time.Time) (string, error) {
			return message.SignSealed(ctx, by, text, network, node, now)
		},
	}
}

// UnverifiedPage is the constitution that is shown in plain. It is believed if a person has approved its digest.
func UnverifiedPage(ctx context.Context, by http.RoundTripper, base string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/node/constitution", nil)
	if err != nil {
		return nil, fmt.Errorf("%w: --sealed %q: expected a URL such as https://coco.example", coco.ErrInvalid, base)
	}
	resp, err := by.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%w: --sealed: %w", coco.ErrUnreachable, err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s: asked for the constitution it answers %s", coco.ErrUnreachable, base, resp.Status)
	}
	return page, nil
}
