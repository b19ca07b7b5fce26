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
// That the batch was signed does not prove that it was committed: a leader signs before it knows, and may fall. So the
// node that makes the receipt, which has applied the batch as committed, signs that, too:
//
//	service certificate ─ signs → its certificate ─ signs → this header is of a committed batch
//
// When members have recovered a network, its service has a new key, and its certificate says which service it follows (package succession). With the certificate of the new
// one, receipts of the time before verify, too.
//
// A receipt of format 1, which earlier releases made, lacks that signature. It relies on the salt, which is known only to enclaves
// and is given out once the transaction is committed, and so on the epoch's keys being in enclaves alone. A
// threshold of members can open an epoch; whoever has its keys can make a receipt of format 1 for a batch
// that was signed and lost. Verify refuses that format unless it is told to accept it for what it proves.
//
// A Receipt is independent of how it is written down. Encode and Parse take a media type; the JSON form is
// in docs/formats.md.
//
// Trust: either
package receipt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/succession"
)

// The formats name the contents of receipts, whatever their media type. This package makes receipts of Format, and reads both.
const (
	Format = "coco receipt 2"
	// Older receipts prove that a batch was signed; see the package comment.
	Older = "coco receipt 1"
)

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
	CommitSignature    []byte        `json:"commit_signature,omitempty"`   // over the header, by the key of the node that made the receipt; none in Older
	CommitCertificate  []byte        `json:"commit_certificate,omitempty"` // of that node; none in Older
	ServiceCertificate []byte        `json:"service_certificate"`
	WriteSet           coco.Digest   `json:"write_set"` // batch.WriteSetDigest
	Salt               coco.Digest   `json:"salt"`
	Claims             []byte        `json:"claims"`
	Path               []coco.Digest `json:"path"` // from the leaf upwards
}

// Certificates are those of a receipt, in DER form.
type Certificates struct {
	Node    []byte // of the node that sealed the batch
	Commit  []byte // of the node that makes the receipt
	Service []byte
}

// New makes the receipt of the i-th transaction of a batch, of which before is the tree as it was
// before the batch. It MUST be called only for batches that the signer's node has applied as committed: the receipt
// says so under the signer's key, and reveals the salt.
func New(b *batch.Batch, i int, keys *batch.Keys, before merkle.Frontier, signer crypto.Signer, certs Certificates) (*Receipt, error) {
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
	commit, err := batch.SignCommit(signer, b.HeaderBytes)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	salt, err := keys.Salt(id.View, id.Seqno)
	if err != nil {
		return nil, err
	}
	return &Receipt{
		Format:             Format,
		TxID:               id,
		Header:             bytes.Clone(b.HeaderBytes),
		Signature:          bytes.Clone(b.Signature),
		NodeCertificate:    certs.Node,
		CommitSignature:    commit,
		CommitCertificate:  certs.Commit,
		ServiceCertificate: certs.Service,
		WriteSet:           batch.WriteSetDigest(records[i].Public, records[i].Private),
		Salt:               salt,
		Claims:             bytes.Clone(records[i].Claims),
		Path:               merkle.Prove(before, b.Leaves(), i),
	}, nil
}

// Options of Verify.
type Options struct {
	// Older accepts receipts of the format Older, too, for what they prove; see ProvesCommit.
	Older bool
	// At, unless zero, is a time at which the certificates must be valid. A receipt speaks of the
	// past, by the clock of a host that is not trusted: usually nothing is gained by asking for it.
	At time.Time
}

// Verify checks everything that a receipt says, given the network's service certificate, which the
// verifier must have from elsewhere: from the constitution, or from a node whose evidence it has
// verified. A nil error proves that the network committed the transaction r.TxID, with the writes
// that r.WriteSet is the digest of, and the claims r.Claims; if Options.Older is set, only where
// r.ProvesCommit is true. Errors are of kind coco.ErrVerify, or
// coco.ErrInvalid where there is no certificate to verify with.
func (r *Receipt) Verify(service *x509.Certificate, opts Options) error {
	if service == nil {
		return fmt.Errorf("%w: receipt: the network's service certificate is needed to verify one", coco.ErrInvalid)
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: receipt of %s: %w", coco.ErrVerify, r.TxID, fmt.Errorf(format, args...))
	}
	switch {
	case r.Format == Older && !opts.Older:
		return fail("its format, %q, proves that a node signed the batch, and not that it was committed if the epoch's keys are known outside of enclaves: ask a node for a receipt of format %q, or accept it for what it proves", Older, Format)
	case r.Format != Format && r.Format != Older:
		return fail("format %q, expected %q", r.Format, Format)
	}
	var h batch.Header
	if err := h.UnmarshalBinary(r.Header); err != nil {
		return fail("%w", err)
	}
	services, err := r.ofService(service, opts)
	if err != nil {
		return fail("%w", err)
	}
	node, err := endorsed("node", r.NodeCertificate, services, r.TxID, opts)
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
	if r.Format == Older {
		return nil
	}
	committer, err := endorsed("commit", r.CommitCertificate, services, r.TxID, opts)
	if err != nil {
		return fail("%w", err)
	}
	if err := batch.VerifyCommit(committer, r.Header, r.CommitSignature); err != nil {
		return fail("that the batch is committed: %w", err)
	}
	return nil
}

// ProvesCommit reports whether a receipt that verifies proves that its transaction is committed. One of the format Older proves that a node of
// the network signed its batch, and that it is committed only if nobody outside of enclaves has ever had the keys of the batch's epoch.
func (r *Receipt) ProvesCommit() bool { return r.Format == Format }

// ofService checks that the receipt's service certificate is of the key of the one given, which counts, or of a service that it follows. It returns both that count.
func (r *Receipt) ofService(service *x509.Certificate, opts Options) ([]succession.Service, error) {
	if _, ok := service.PublicKey.(*ecdsa.PublicKey); !ok {
		return nil, errors.New("the service certificate given has no ECDSA key")
	}
	own, err := x509.ParseCertificate(r.ServiceCertificate)
	if err != nil {
		return nil, fmt.Errorf("service certificate: %w", err)
	}
	services, err := succession.Chain(service)
	if err != nil {
		return nil, err
	}
	for _, s := range services {
		if bytes.Equal(s.Certificate.RawSubjectPublicKeyInfo, own.RawSubjectPublicKeyInfo) {
			return services, validAt(service, opts.At)
		}
	}
	if later, err := succession.Leads(service, own); err == nil && later {
		return nil, fmt.Errorf("it is of the service %q with another key, which follows the one given: members have recovered the network. Check the new service's certificate, and verify with it", own.Subject)
	}
	return nil, fmt.Errorf("it is of the service %q, the one expected is %q with another key", own.Subject, service.Subject)
}

// endorsed returns the key of a certificate of a node, once a service's key is found to have signed it. A service that another one follows counts for
// transactions up to the last one that was recovered from its time: what it may have signed later is of a ledger that members did not go on from. The certificate is named as
// the receipt's field is.
func endorsed(name string, der []byte, services []succession.Service, id coco.TxID, opts Options) (*ecdsa.PublicKey, error) {
	node, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s certificate: %w", name, err)
	}
	if err = endorsedBy(node, services, id); err != nil {
		return nil, fmt.Errorf("the service's key has not signed the %s certificate: %w", name, err)
	}
	if err := validAt(node, opts.At); err != nil {
		return nil, err
	}
	key, ok := node.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the %s certificate has no ECDSA key", name)
	}
	return key, nil
}

func endorsedBy(node *x509.Certificate, services []succession.Service, id coco.TxID) (err error) {
	for i := range services {
		s := &services[i]
		e := node.CheckSignatureFrom(s.Certificate)
		switch {
		case e == nil && s.Until != (coco.TxID{}) && (id.Seqno > s.Until.Seqno || id.View > s.Until.View):
			return fmt.Errorf("the service that has, counts up to transaction %s: members have recovered the network from there", s.Until)
		case e == nil:
			return nil
		case i == 0:
			err = e
		}
	}
	return err
}

// validAt checks that a certificate is valid at a time, unless that is zero.
func validAt(cert *x509.Certificate, at time.Time) error {
	if at.IsZero() || !at.Before(cert.NotBefore) && !at.After(cert.NotAfter) {
		return nil
	}
	return fmt.Errorf("the certificate of %q is valid from %s to %s, not at %s", cert.Subject,
		cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
}
