// Package receipt makes and verifies receipts: proofs, checked offline without trust in any node, that a
// transaction with certain writes and claims is committed in a network's ledger.
//
// A receipt holds the signed header of the transaction's batch, the parts of the transaction's leaf in
// the Merkle tree, and the path from that leaf to the root that the header names. The network's service
// certificate is all that a verifier must know to follow it:
//
//	service certificate ─ signs → node certificate ─ signs → batch header ─ names → Merkle root
//	                                      write set, salt, claims → leaf ─ path → Merkle root
//
// The salt is known only to enclaves, which give it out once the transaction is committed. So a
// batch that was signed and then lost, because its leader fell before it could commit it, yields no
// receipt.
//
// A Receipt is independent of how it is written down. Encode and Parse take a media type; the JSON form is
// in docs/formats.md.
//
// Trust: either
package receipt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/merkle"
)

// Format names the contents of receipts that this package makes and reads, whatever their media type.
const Format = "coco receipt 1"

// MaxSize is the size in bytes of the largest receipt that Parse reads.
const MaxSize = 16 << 20

// Receipt is a proof about one transaction. In JSON, digests are in hexadecimal, other bytes in
// base64 (RFC 4648, section 4), certificates in DER before that.
type Receipt struct {
	Format             string        `json:"format"`
	TxID               coco.TxID     `json:"transaction_id"`
	Header             []byte        `json:"header"`    // of the batch, as batch.Header encodes it
	Signature          []byte        `json:"signature"` // over the header, by the node's key
	NodeCertificate    []byte        `json:"node_certificate"`
	ServiceCertificate []byte        `json:"service_certificate"`
	WriteSet           coco.Digest   `json:"write_set"` // batch.WriteSetDigest
	Salt               coco.Digest   `json:"salt"`
	Claims             []byte        `json:"claims"`
	Path               []coco.Digest `json:"path"` // from the leaf upwards
}

// New makes the receipt of the i-th transaction of a batch, of which before is the tree as it was
// before the batch. It MUST be called only for committed batches: the receipt reveals the salt.
// Certificates are in DER form.
func New(b *batch.Batch, i int, keys *batch.Keys, before merkle.Frontier, node, service []byte) (*Receipt, error) {
	h := &b.Header
	if i < 0 || uint64(i) >= h.Count {
		return nil, fmt.Errorf("%w: receipt: batch %s has no transaction %d", coco.ErrNotFound, b, i)
	}
	if before.Size()+1 != h.First {
		return nil, fmt.Errorf("%w: receipt: batch %s: the tree before it has %d leaves, expected %d",
			coco.ErrInvalid, b, before.Size(), h.First-1)
	}
	records, err := b.Open(keys)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	id := coco.TxID{View: h.View, Seqno: h.First + uint64(i)}
	return &Receipt{
		Format:             Format,
		TxID:               id,
		Header:             bytes.Clone(b.HeaderBytes),
		Signature:          bytes.Clone(b.Signature),
		NodeCertificate:    node,
		ServiceCertificate: service,
		WriteSet:           batch.WriteSetDigest(records[i].Public, records[i].Private),
		Salt:               keys.Salt(id.View, id.Seqno),
		Claims:             bytes.Clone(records[i].Claims),
		Path:               merkle.Prove(before, b.Leaves(), i),
	}, nil
}

// Options of Verify.
type Options struct {
	// At, unless zero, is a time at which both certificates must be valid. A receipt speaks of the
	// past, by the clock of a host that is not trusted: usually nothing is gained by asking for it.
	At time.Time
}

// Verify checks everything that a receipt says, given the network's service certificate, which the
// verifier must have from elsewhere: from the constitution, or from a node whose evidence it has
// verified. A nil error proves that the network committed the transaction r.TxID, with the writes
// that r.WriteSet is the digest of, and the claims r.Claims. Errors are of kind coco.ErrVerify, or
// coco.ErrInvalid where there is no certificate to verify with.
func (r *Receipt) Verify(service *x509.Certificate, opts Options) error {
	if service == nil {
		return fmt.Errorf("%w: receipt: the network's service certificate is needed to verify one", coco.ErrInvalid)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: receipt of %s: %w", coco.ErrVerify, r.TxID, fmt.Errorf(format, args...))
	}
	if r.Format != Format {
		return fail("format %q, expected %q", r.Format, Format)
	}
	var h batch.Header
	if err := h.UnmarshalBinary(r.Header); err != nil {
		return fail("%w", err)
	}
	node, err := r.endorsed(service, opts)
	if err != nil {
		return fail("%w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(node)
	if err != nil {
		return fail("node certificate: %w", err)
	}
	if id := coco.NodeID(sha256.Sum256(der)); id != h.Node {
		return fail("the node certificate is of node %s, the batch is signed by %s", id.Short(), h.Node.Short())
	}
	if err := batch.VerifySignature(node, r.Header, r.Signature); err != nil {
		return fail("%w", err)
	}
	if r.TxID.View != h.View || r.TxID.Seqno < h.First || r.TxID.Seqno > h.Last() {
		first, last := h.TxIDs()
		return fail("the batch holds the transactions %s to %s", first, last)
	}
	leaf := batch.Leaf(r.TxID.Seqno, r.Salt, r.WriteSet, sha256.Sum256(r.Claims))
	if err := merkle.Verify(r.TxID.Seqno-1, h.Last(), leaf, r.Path, h.Root); err != nil {
		return fail("%w", err)
	}
	return nil
}

// endorsed returns the key of the node certificate, once the service's key is found to have signed it.
func (r *Receipt) endorsed(service *x509.Certificate, opts Options) (*ecdsa.PublicKey, error) {
	trusted, ok := service.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the service certificate given has no ECDSA key")
	}
	own, err := x509.ParseCertificate(r.ServiceCertificate)
	if err != nil {
		return nil, fmt.Errorf("service certificate: %w", err)
	}
	if !trusted.Equal(own.PublicKey) {
		return nil, fmt.Errorf("it is of the service %q, the one expected is %q with another key", own.Subject, service.Subject)
	}
	node, err := x509.ParseCertificate(r.NodeCertificate)
	if err != nil {
		return nil, fmt.Errorf("node certificate: %w", err)
	}
	if err := node.CheckSignatureFrom(service); err != nil {
		return nil, fmt.Errorf("the service's key has not signed the node certificate: %w", err)
	}
	if !opts.At.IsZero() {
		for _, cert := range []*x509.Certificate{service, node} {
			if opts.At.Before(cert.NotBefore) || opts.At.After(cert.NotAfter) {
				return nil, fmt.Errorf("the certificate of %q is valid from %s to %s, not at %s", cert.Subject,
					cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339), opts.At.UTC().Format(time.RFC3339))
			}
		}
	}
	key, ok := node.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the node certificate has no ECDSA key")
	}
	return key, nil
}
