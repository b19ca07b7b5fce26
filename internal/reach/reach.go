// Package reach asks nodes for what a tool must know before it can trust one, and what an operator must
// see before a node joins.
//
//	how a node is trusted              what it is asked
//	not at all                         [Identify], first: the constitution and the service it claims
//	the service endorsed it            [Endorsed]: the constitution in force
//	evidence, under both of these      [Constitution], and [Identify], again: the same must be said
//
// What an untrusted node says only tells by what to verify it. Nothing here writes a file.
//
// Trust: host
package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
)

const (
	// patience bounds how long one node may take for all that it is asked.
	patience = 15 * time.Second
	// maxPage bounds the bytes of an answer.
	maxPage = 4 << 20
)

// Constitution asks a node, which c verifies, for the constitution in force. It returns the TOML page too.
func Constitution(ctx context.Context, c *client.Client) (*constitution.Constitution, []byte, error) {
	page, digest, err := c.Constitution(ctx)
	if err != nil {
		return nil, nil, err
	}
	con, err := constitution.Parse(page)
	if err != nil {
		return nil, nil, err
	}
	if got := con.Digest(); got != digest {
		return nil, nil, fmt.Errorf("%w: the node's constitution has digest %s, and it says %s", coco.ErrVerify, got.Short(), digest.Short())
	}
	return con, page, nil
}

// Endorsed asks a node, whose certificate a service must have endorsed, for the TOML page of the constitution
// in force. The node proves no code: what it must run is what the page is asked for.
func Endorsed(ctx context.Context, address string, service *x509.Certificate) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return get(ctx, address, "/node/constitution", func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return fmt.Errorf("%w: the node shows no certificate", coco.ErrVerify)
		}
		leaf := cs.PeerCertificates[0]
		if err := leaf.CheckSignatureFrom(service); err != nil {
			if next := client.Successor(service, cs.PeerCertificates); next != nil {
				return next
			}
			return fmt.Errorf("%w: the node's certificate %q is not endorsed by service %q: the service certificate is another network's, or something else answers at this address", coco.ErrVerify, leaf.Subject, service.Subject)
		}
		return nil
	})
}

// get makes one request. verify, unless it is nil, decides who may answer; its errors are coco.ErrVerify. The
// error is coco.ErrInvalid for a bad address, and coco.ErrUnreachable for every other failure.
func get(ctx context.Context, address, path string, verify func(tls.ConnectionState) error) ([]byte, error) {
	// The service is no public authority, so the TLS library cannot verify what it endorsed.
	tr := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: verify}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: node at %q: expected host:port", coco.ErrInvalid, address)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err // without the method and the URL
		}
		if !errors.Is(err, coco.ErrVerify) {
			err = fmt.Errorf("%w: %w", coco.ErrUnreachable, err)
		}
		return nil, fmt.Errorf("node at %s: %w", address, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("node at %s: %w: asked for %s it answers %s", address, coco.ErrUnreachable, path, resp.Status)
	}
	return body, nil
}
