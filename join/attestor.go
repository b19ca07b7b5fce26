package join

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
)

// Owner is the organisation that runs a node. Its key stays outside the enclave.
type Owner interface {
	// Certificates returns the chain from the signing certificate to the organisation's, DER.
	Certificates() [][]byte
	// Sign signs table.NodeTuple's bytes.
	Sign(ctx context.Context, tuple []byte) ([]byte, error)
}

// Attestor proves what this node is: its code, by evidence, and whose it is, by its owner's signature.
type Attestor struct {
	Identity                   *channel.Identity
	Owner                      Owner
	Quoter                     host.Quoter
	PeerAddress, ClientAddress string
	Measurement                coco.Measurement // of this node's code
}

// Evidence proves this node's code. The nonce is a connection's binding, where there is one.
func (a *Attestor) Evidence(ctx context.Context, nonce []byte) (attest.Evidence, error) {
	return attest.Quote(ctx, a.Quoter, constitution.EvidenceContext, a.Identity.PublicKey(), nonce)
}

// ActorIn returns the id that a constitution gives to the owner.
func (a *Attestor) ActorIn(c *constitution.Constitution) coco.ActorID {
	chain := a.Owner.Certificates()
	return c.Holder(chain[len(chain)-1])
}

// Record makes this node's entry for the list of nodes of a network, signed by its owner, with evidence over the nonce.
func (a *Attestor) Record(ctx context.Context, c *constitution.Constitution, nonce []byte) (table.NodeRecord, error) {
	ev, err := a.Evidence(ctx, nonce)
	if err != nil {
		return table.NodeRecord{}, err
	}
	rec := table.NodeRecord{
		ID: a.Identity.ID(), Owner: a.ActorIn(c), Address: a.PeerAddress, ClientAddress: a.ClientAddress,
		Key: a.Identity.PublicKey(), OwnerCertificates: a.Owner.Certificates(), Evidence: ev, Nonce: nonce,
		Measurement: a.Measurement,
	}
	sig, err := a.Owner.Sign(ctx, table.NodeTuple(rec.Owner, rec.Address, rec.ClientAddress, rec.Key))
	if err != nil {
		return rec, fmt.Errorf("the owner's signature on this node: %w", err)
	}
	rec.OwnerSignature = sig
	return rec, nil
}

// nonceSize is the size of the nonce in evidence that no connection binds.
const nonceSize = 32

// NewNonce returns a nonce for evidence that no connection binds.
func NewNonce() []byte {
	b := make([]byte, nonceSize)
	_, _ = rand.Read(b) // never fails
	return b
}
