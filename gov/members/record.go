package members

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
)

// SignNode fills in OwnerSignature with the owner's key, which belongs to the first certificate of
// OwnerCertificates.
func SignNode(rec *table.NodeRecord, owner crypto.Signer) error {
	digest := sha256.Sum256(table.NodeTuple(rec.Owner, rec.Address, rec.ClientAddress, rec.Key))
	sig, err := owner.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return fmt.Errorf("signing the node as its owner: %w", err)
	}
	rec.OwnerSignature = sig
	return nil
}

// Reason says why a node is refused, in a form that programs can tell apart.
type Reason string

// The reasons to refuse a node.
const (
	BadRecord        Reason = "bad_record"           // the record's form
	UnlistedOwner    Reason = "unlisted_owner"       // the owner is not in the constitution
	BadOwner         Reason = "bad_owner"            // the owner's certificates do not lead to it
	BadSignature     Reason = "bad_owner_signature"  // the owner did not sign this tuple
	UnlistedPlatform Reason = "unlisted_platform"    // not in the TEE manifest
	UnlistedCode     Reason = "unlisted_code"        // not in the code manifest
	DebugTEE         Reason = "debug_tee"            // its owner can look inside
	InsecureTEE      Reason = "insecure_tee"         // simulated, and the network is not insecure
	BadEvidence      Reason = "bad_evidence"         // for another key, nonce or purpose
	KnownNode        Reason = "known_node"           // its key was used before, or its name in consensus is another node's
	BadCertificate   Reason = "bad_node_certificate" // not what the service endorsed
	NotVotedIn       Reason = "not_voted_in"         // too early: the policy wants a vote first
	NotOpen          Reason = "not_open"             // too early: members have recovered the network, and not opened it yet
	StaleEvidence    Reason = "stale_evidence"       // made too long ago, or for another connection
	OldTEE           Reason = "old_tee"              // older than the platform's policy in the TEE manifest allows
	TEEPolicy        Reason = "tee_policy"           // not what the platform's policy in the TEE manifest asks for
)

// Refusal is why a node is not admitted. It is coco.ErrDenied.
type Refusal struct {
	Node   coco.NodeID
	Reason Reason
	Detail string
	Cause  error // of attest; may be nil
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%v: node %s refused (%s): %s", coco.ErrDenied, r.Node.Short(), r.Reason, r.Detail)
}

// Unwrap returns coco.ErrDenied and the cause.
func (r *Refusal) Unwrap() []error {
	if r.Cause == nil {
		return []error{coco.ErrDenied}
	}
	return []error{coco.ErrDenied, r.Cause}
}

func refuse(rec *table.NodeRecord, reason Reason, format string, args ...any) error {
	return &Refusal{Node: rec.ID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// CheckForm looks at the record's form, its certificate apart.
func CheckForm(rec *table.NodeRecord) error {
	if len(rec.Key) > table.MaxNodeKey {
		return refuse(rec, BadRecord, "the node key has %d bytes, expected at most %d", len(rec.Key), table.MaxNodeKey)
	}
	if id := coco.NodeID(sha256.Sum256(rec.Key)); rec.ID != id {
		return refuse(rec, BadRecord, "the id is %s, expected %s, the SHA-256 of the node key", rec.ID, id)
	}
	if _, err := rec.PublicKey(); err != nil {
		return refuse(rec, BadRecord, "%v", err)
	}
	if err := table.CheckAddress(rec.Address); err != nil {
		return refuse(rec, BadRecord, "the address %q: %v", rec.Address, err)
	}
	if rec.ClientAddress != "" {
		if err := table.CheckAddress(rec.ClientAddress); err != nil {
			return refuse(rec, BadRecord, "the client address %q: %v", rec.ClientAddress, err)
		}
	}
	if n := len(rec.Nonce); n < table.MinNonce || n > table.MaxNonce {
		return refuse(rec, BadRecord, "the nonce has %d bytes, expected %d to %d", n, table.MinNonce, table.MaxNonce)
	}
	if n := len(rec.Evidence.Quote); n == 0 || n > attest.MaxQuote {
		return refuse(rec, BadRecord, "the evidence has %d bytes, expected 1 to %d", n, attest.MaxQuote)
	}
	if n := len(rec.OwnerSignature); n == 0 || n > table.MaxSignature {
		return refuse(rec, BadRecord, "the owner's signature has %d bytes, expected 1 to %d", n, table.MaxSignature)
	}
	if n := len(rec.OwnerCertificates); n == 0 || n > constitution.MaxChain {
		return refuse(rec, BadRecord, "there are %d owner's certificates, expected 1 to %d", n, constitution.MaxChain)
	}
	for _, der := range rec.OwnerCertificates {
		if len(der) == 0 || len(der) > constitution.MaxCertificate {
			return refuse(rec, BadRecord, "an owner's certificate has %d bytes, expected 1 to %d", len(der), constitution.MaxCertificate)
		}
	}
	if rec.Time == 0 || rec.Time > table.MaxUnixMilli {
		return refuse(rec, BadRecord, "the time is %d, expected the batch's in milliseconds since 1970", rec.Time)
	}
	return nil
}

// VerifyOwner checks that a member or participant owns the node: the owner's certificates lead to its
// organisation's and are valid at the record's time, and the first one's key has signed the
// tuple. By rules 2 the first one is the organisation's own or has the unit coco.NodesUnit; by rules 1 any may sign. The error is
// a *Refusal.
func VerifyOwner(c *constitution.Constitution, rec *table.NodeRecord) error {
	if _, ok := c.Role(rec.Owner); !ok {
		return refuse(rec, UnlistedOwner, "its owner %s is not in the constitution", rec.Owner.Short())
	}
	var certs []*x509.Certificate
	for i, der := range rec.OwnerCertificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return refuse(rec, BadOwner, "certificate %d of its owner is not X.509: %v", i, err)
		}
		certs = append(certs, cert)
	}
	org, own, err := c.Signer(certs, time.UnixMilli(int64(rec.Time)))
	if err != nil {
		return refuse(rec, BadOwner, "its owner's certificate: %v", err)
	}
	if org.Actor != rec.Owner {
		return refuse(rec, BadOwner, "its owner's certificate is %q's, expected %q's", org.Name, c.Name(rec.Owner))
	}
	if subject := certs[0].Subject; c.Rules >= 2 && !own && !slices.Contains(subject.OrganizationalUnit, coco.NodesUnit) {
		return refuse(rec, BadOwner, "its owner's certificate %q is not for nodes: expected the certificate of %q itself, or one under it with the organisational unit (OU) %q, which `coco member keygen --for nodes` makes",
			subject, org.Name, coco.NodesUnit)
	}
	key, ok := certs[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return refuse(rec, BadOwner, "its owner's key is %T, expected ECDSA on P-256", certs[0].PublicKey)
	}
	digest := sha256.Sum256(table.NodeTuple(rec.Owner, rec.Address, rec.ClientAddress, rec.Key))
	if !ecdsa.VerifyASN1(key, digest[:], rec.OwnerSignature) {
		return refuse(rec, BadSignature, "%q has not signed this owner, address, client address and node key", org.Name)
	}
	return nil
}
