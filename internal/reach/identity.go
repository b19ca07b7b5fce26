package reach

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
)

// Identity is what an operator reads before a node joins a network: its name and service, its constitution, and
// what its nodes have proven to run.
type Identity struct {
	Network      string      `json:"network"`
	Insecure     bool        `json:"insecure"`
	ID           coco.Digest `json:"network_id"` // of the service's key
	Ends         time.Time   `json:"service_not_after"`
	Constitution coco.Digest `json:"constitution"`
	Version      uint64      `json:"version"`
	Page         string      `json:"page"` // TOML
	Peers        []Peer      `json:"peers"`

	ServiceCertificate *x509.Certificate          `json:"-"`
	Parsed             *constitution.Constitution `json:"-"` // of Page
}

// Peer is a node that was asked.
type Peer struct {
	Address     string           `json:"address"`
	Node        coco.NodeID      `json:"node,omitzero"`
	Platform    string           `json:"platform,omitempty"`
	Measurement coco.Measurement `json:"attested_measurement,omitempty"`
	Note        string           `json:"note,omitempty"` // of the constitution about this code
	Insecure    bool             `json:"insecure,omitempty"`
	Error       string           `json:"error,omitempty"`
}

// Identify asks nodes for their network, and verifies that each runs code of the constitution that it shows, and
// that all show the same one under the same service. known is the service's certificate, if it was approved
// before. A node that does not answer is noted in Peers; the error is that of the last one if none does.
func Identify(ctx context.Context, addresses []string, known *x509.Certificate, verifiers attest.Verifiers) (*Identity, error) {
	var id *Identity
	var peers []Peer
	var failed error
	for _, address := range addresses {
		got, err := askPeer(ctx, address, verifiers)
		if err == nil {
			err = sameIdentity(id, got, known)
		}
		switch {
		case errors.Is(err, coco.ErrUnreachable), errors.Is(err, coco.ErrBusy):
			failed = err
			peers = append(peers, Peer{Address: address, Error: err.Error()})
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

// sameIdentity checks that what a node says agrees with what another one said (nil: none has yet), and with
// the service that was approved before.
func sameIdentity(id, got *Identity, known *x509.Certificate) error {
	address := got.Peers[0].Address
	if known != nil && !bytes.Equal(known.RawSubjectPublicKeyInfo, got.ServiceCertificate.RawSubjectPublicKeyInfo) {
		if next := client.Follows(known, got.ServiceCertificate); next != nil {
			return fmt.Errorf("the node at %s: %w", address, next)
		}
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

// askPeer asks one node twice: unverified, for what to verify it by, and then on a connection that its evidence
// vouches for. Both answers must be the same.
func askPeer(ctx context.Context, address string, verifiers attest.Verifiers) (*Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	claim, err := askUnverified(ctx, address)
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Config{
		Addr: address, Policy: client.Policy{Code: claim.Parsed.Measurements(), TEE: claim.Parsed.TEEPolicies(), Verifiers: verifiers, Service: claim.ServiceCertificate},
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
	con, page, err := Constitution(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("node at %s: %w", address, err)
	}
	service, err := c.Service(ctx)
	if err != nil {
		return nil, fmt.Errorf("node at %s: %w", address, err)
	}
	if con.Digest() != claim.Parsed.Digest() || !bytes.Equal(service.RawSubjectPublicKeyInfo, claim.ServiceCertificate.RawSubjectPublicKeyInfo) {
		return nil, fmt.Errorf("%w: the node at %s says another thing once it is verified", coco.ErrVerify, address)
	}
	networkID, err := table.NetworkID(service.Raw)
	if err != nil {
		return nil, err
	}
	peer := Peer{Address: address, Node: proof.Node, Platform: proof.Platform, Measurement: proof.Claims.Measurement, Insecure: proof.Claims.Insecure}
	for _, code := range con.Code {
		if code.Measurement == peer.Measurement {
			peer.Note = code.Note
		}
	}
	return &Identity{
		Network: con.Network.Name, Insecure: con.Network.Insecure, ID: networkID, Ends: service.NotAfter.UTC(), Constitution: con.Digest(),
		Version: con.Version, Page: string(page), Peers: []Peer{peer}, ServiceCertificate: service, Parsed: con,
	}, nil
}

// askUnverified asks for what a node claims of its network. Nothing is verified.
func askUnverified(ctx context.Context, address string) (*Identity, error) {
	page, err := get(ctx, address, "/node/constitution", nil)
	if err != nil {
		return nil, err
	}
	con, err := constitution.Parse(page)
	if err != nil {
		return nil, fmt.Errorf("node at %s: %w", address, err)
	}
	certificate, err := get(ctx, address, "/node/service", nil)
	if err != nil {
		return nil, err
	}
	service, err := client.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("node at %s: its service certificate: %w", address, err)
	}
	return &Identity{ServiceCertificate: service, Parsed: con}, nil
}
