package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/internal/sandbox"
)

// networkIdentity is what an operator looks at before a node joins a network: who it is, by which rules it
// lives, and what its nodes have proven to run.
type networkIdentity struct {
	Network      string       `json:"network"`
	Insecure     bool         `json:"insecure"`
	ID           coco.Digest  `json:"network_id"` // of the service's key
	Ends         time.Time    `json:"service_not_after"`
	Constitution coco.Digest  `json:"constitution"`
	Version      uint64       `json:"version"`
	Page         string       `json:"page"` // TOML
	Peers        []provenPeer `json:"peers"`

	service *x509.Certificate
	parsed  *gov.Constitution
}

// provenPeer is a node that was asked.
type provenPeer struct {
	Address     string           `json:"address"`
	Node        coco.NodeID      `json:"node,omitzero"`
	Platform    string           `json:"platform,omitempty"`
	Measurement coco.Measurement `json:"attested_measurement,omitempty"`
	Note        string           `json:"note,omitempty"` // of the constitution about this code
	Insecure    bool             `json:"insecure,omitempty"`
	Error       string           `json:"error,omitempty"`
}

// askIdentity asks every node, and verifies that each runs code of the constitution that it shows, under the one
// service. Known is the service's certificate, if it was approved before.
func askIdentity(ctx context.Context, addresses []string, known *x509.Certificate) (*networkIdentity, error) {
	var id *networkIdentity
	var peers []provenPeer
	var failed error
	for _, address := range addresses {
		got, err := askPeer(ctx, address)
		if err == nil {
			err = sameIdentity(id, got, known)
		}
		switch {
		case errors.Is(err, coco.ErrUnreachable), errors.Is(err, coco.ErrBusy):
			failed = err
			peers = append(peers, provenPeer{Address: address, Error: err.Error()})
			continue
		case err != nil:
			return nil, err
		}
		peers = append(peers, got.Peers...)
		if id == nil {
			id = got
		}
	}
	if id == nil {
		return nil, fmt.Errorf("no node answers: %w", failed)
	}
	id.Peers = peers
	return id, nil
}

func sameIdentity(id, got *networkIdentity, known *x509.Certificate) error {
	address := got.Peers[0].Address
	if known != nil && !bytes.Equal(known.RawSubjectPublicKeyInfo, got.service.RawSubjectPublicKeyInfo) {
		return fmt.Errorf("%w: the node at %s belongs to another network, %s (%s), than the one that was approved before", coco.ErrVerify, address, got.ID.Short(), got.Network)
	}
	switch {
	case id == nil:
		return nil
	case id.ID != got.ID:
		return fmt.Errorf("%w: the nodes at %s and %s belong to different networks, %s and %s", coco.ErrVerify, id.Peers[0].Address, address, id.ID.Short(), got.ID.Short())
	case id.Constitution != got.Constitution:
		return fmt.Errorf("%w: the nodes at %s and %s show different constitutions, %s and %s: one may be catching up; ask again in a moment",
			coco.ErrVerify, id.Peers[0].Address, address, id.Constitution.Short(), got.Constitution.Short())
	}
	return nil
}

// askPeer asks one node. What it says before it is verified only tells what to verify it by; then it has
// to say the same on a connection that its evidence vouches for.
func askPeer(ctx context.Context, address string) (*networkIdentity, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	claim, err := askUnverified(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("node at %s: %w", address, err)
	}
	c, err := client.New(client.Config{
		Addr: address, Policy: client.Policy{Code: claim.parsed.Measurements(), Verifiers: verifiers(), Service: claim.service},
	})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	proof, err := c.Verify(ctx)
	if err != nil {
		if errors.Is(err, attest.ErrMeasurement) {
			err = fmt.Errorf("%w: it runs other code than its constitution lists", err)
		}
		return nil, err
	}
	con, page, err := sandbox.AskConstitution(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("node at %s: %w", address, err)
	}
	service, err := c.Service(ctx)
	if err != nil {
		return nil, fmt.Errorf("node at %s: %w", address, err)
	}
	if con.Digest() != claim.parsed.Digest() || !bytes.Equal(service.RawSubjectPublicKeyInfo, claim.service.RawSubjectPublicKeyInfo) {
		return nil, fmt.Errorf("%w: the node at %s says another thing once it is verified", coco.ErrVerify, address)
	}
	networkID, err := gov.NetworkID(service.Raw)
	if err != nil {
		return nil, err
	}
	peer := provenPeer{Address: address, Node: proof.Node, Platform: proof.Platform, Measurement: proof.Claims.Measurement, Insecure: proof.Claims.Insecure}
	for _, code := range con.Code {
		if code.Measurement == peer.Measurement {
			peer.Note = code.Note
		}
	}
	return &networkIdentity{
		Network: con.Network.Name, Insecure: con.Network.Insecure, ID: networkID, Ends: service.NotAfter.UTC(), Constitution: con.Digest(),
		Version: con.Version, Page: string(page), Peers: []provenPeer{peer}, service: service, parsed: con,
	}, nil
}

// askUnverified asks whoever answers.
func askUnverified(ctx context.Context, address string) (*networkIdentity, error) {
	tr := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	get := func(path string) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+path, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: expected host:port: %w", coco.ErrInvalid, err)
		}
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			if outer := (*url.Error)(nil); errors.As(err, &outer) {
				err = outer.Err
			}
			return nil, fmt.Errorf("%w: %w", coco.ErrUnreachable, err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
		if err != nil || resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%w: asked for %s it answers %s", coco.ErrUnreachable, path, resp.Status)
		}
		return body, nil
	}
	page, err := get("/node/constitution")
	if err != nil {
		return nil, err
	}
	con, err := gov.ParseConstitution(page)
	if err != nil {
		return nil, err
	}
	certificate, err := get("/node/service")
	if err != nil {
		return nil, err
	}
	service, err := client.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("its service certificate: %w", err)
	}
	return &networkIdentity{service: service, parsed: con}, nil
}

// showIdentity writes everything that is to be approved.
func (a *app) showIdentity(id *networkIdentity) {
	p := a.out
	p.printf("%s\n", p.bold(id.Network))
	if id.Insecure {
		p.insecure()
	}
	p.printf("  network       %s\n                (SHA-256 of the service's key; its certificate ends on %s)\n", id.ID, id.Ends.Format(time.DateOnly))
	p.printf("  constitution  %s\n                (version %d)\n\n", id.Constitution, id.Version)
	for line := range strings.Lines(id.Page) {
		p.printf("  | %s", line)
	}
	p.printf("\n")
	for _, n := range id.Peers {
		if n.Error != "" {
			p.printf("  %s %s\n", p.red("✗"), n.Error)
			continue
		}
		note := ""
		if n.Note != "" {
			note = " (" + n.Note + ")"
		}
		p.ok("node %s at %s has proven to run\n    %s%s", n.Node.Short(), n.Address, n.Measurement, note)
	}
	p.printf("\n")
}
