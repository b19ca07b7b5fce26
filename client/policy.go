package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/succession"
	"github.com/cocoframework/coco/wire"
)

// evidencePurpose is the context of the report data that a node's evidence for clients binds.
const evidencePurpose = "coco client"

// maxAsked bounds what is read of a node before it is verified: the largest evidence, in base64,
// with a key and a nonce.
const maxAsked = 2*attest.MaxQuote + 4096

// Policy says what a node must prove before it is sent anything.
type Policy struct {
	// Code is the code manifest: the node's measurement must be in it.
	Code []coco.Measurement
	// Verifiers are the TEE platforms whose evidence is accepted.
	Verifiers attest.Verifiers
	// TEE are what the constitution asks of each platform, as JSON, by the platform's name: evidence that is genuine may be of a TEE whose firmware is
	// broken. Of a platform that is not in it, the driver's defaults are asked.
	TEE map[string]string
	// Service is the network's service certificate, which must have endorsed the node's: its key counts,
	// which a renewed certificate keeps. Nil means that the caller does not know it yet and learns it from
	// the first node.
	Service *x509.Certificate
	// Constitution is the digest of the constitution that the node must say is in force. Its
	// attested code does not lie about it. The zero digest means not to ask.
	Constitution coco.Digest
}

func (p *Policy) validate() error {
	if len(p.Code) == 0 || len(p.Verifiers) == 0 {
		return fmt.Errorf("%w: a policy needs at least one measurement and one TEE platform: without them any node would do", coco.ErrInvalid)
	}
	return nil
}

// Attested is what a node has proven.
type Attested struct {
	Node     coco.NodeID
	Claims   attest.Claims
	Platform string
}

// verified are the node keys that have been verified. A node has one key at a time, so an old one
// is of no more use once a new one appears.
type verified map[coco.NodeID]proof

// proof is what a node has proven, and when.
type proof struct {
	Attested
	at time.Time
}

const maxVerified = 8

// Verify makes sure that the node is verified, over a new connection, and returns what it proved.
func (t *Transport) Verify(ctx context.Context) (Attested, error) {
	if t.sealed != nil {
		return t.sealed.Verify(ctx)
	}
	c, err := t.dial(ctx)
	if err != nil {
		return Attested{}, err
	}
	defer t.put(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[c.peer].Attested, nil
}

// verifyCertificate checks the node's certificate during the handshake.
func (t *Transport) verifyCertificate(cs tls.ConnectionState) error {
	if _, err := leafOf(cs); err != nil {
		return err
	}
	p := t.policy()
	return p.endorsed(cs.PeerCertificates, t.cfg.Now())
}

// attested verifies a node's evidence: that it is good enough, is about the key of the node's certificate and the nonce, and is of code of the policy.
func (p *Policy) attested(ev attest.Evidence, purpose string, leaf *x509.Certificate, nonce []byte, now time.Time) (attest.Claims, error) {
	claims, err := p.Verifiers.Verify(ev, now)
	if err != nil {
		return claims, err
	}
	if err := claims.Satisfy([]byte(p.TEE[claims.Platform])); err != nil {
		return claims, err
	}
	return claims, attest.Check(claims, purpose, leaf.RawSubjectPublicKeyInfo, nonce, p.Code)
}

// endorsed checks a node's certificates: its own, which must be valid, and the service's, if it shows that.
func (p *Policy) endorsed(shown []*x509.Certificate, now time.Time) error {
	leaf := shown[0]
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("%w: the node's certificate is valid from %s to %s, and it is %s", coco.ErrVerify,
			leaf.NotBefore.Format("2006-01-02"), leaf.NotAfter.Format("2006-01-02"), now.Format("2006-01-02"))
	}
	if s := p.Service; s != nil {
		if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) && leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
			return fmt.Errorf("%w: the node shows a certificate of its own, which the network's service has not endorsed: it has not joined its network yet; if that does not change, something else answers at this address",
				coco.ErrUnreachable)
		}
		if err := leaf.CheckSignatureFrom(s); err != nil {
			if next := Successor(s, shown); next != nil {
				return next
			}
			return fmt.Errorf("%w: the node's certificate %q is not endorsed by service %q: the service certificate is another network's, or something else answers at this address", coco.ErrVerify, leaf.Subject, s.Subject)
		}
	}
	return nil
}

// SuccessorError says that a network has another service than the one that is known, and that the new one follows the known one: members have recovered the network. It
// is coco.ErrVerify: nothing is sent to the node before the new service is accepted.
type SuccessorError struct {
	Known, New *x509.Certificate
	Last       coco.TxID // the last transaction of the known service's time that was recovered
}

func (e *SuccessorError) Error() string {
	return fmt.Sprintf("%v: members have recovered the network %q: it has a new service with another key, which the known service's key has endorsed after transaction %s; what was committed after that is lost. "+
		"Check with the members that they did so, and accept the new service: `coco recovery accept`", coco.ErrVerify, e.New.Subject.CommonName, e.Last)
}

// Unwrap returns coco.ErrVerify.
func (e *SuccessorError) Unwrap() error { return coco.ErrVerify }

// Successor returns a *SuccessorError if the service that a node shows, beside its own certificate, follows the known one and has endorsed the node; nil otherwise.
func Successor(known *x509.Certificate, shown []*x509.Certificate) error {
	if len(shown) != 2 || shown[0].CheckSignatureFrom(shown[1]) != nil {
		return nil
	}
	return Follows(known, shown[1])
}

// Follows returns a *SuccessorError if a service follows the known one; nil otherwise.
func Follows(known, service *x509.Certificate) error {
	chain, err := succession.Chain(service)
	if err != nil {
		return nil
	}
	for _, s := range chain[1:] {
		if bytes.Equal(s.Certificate.RawSubjectPublicKeyInfo, known.RawSubjectPublicKeyInfo) {
			return &SuccessorError{Known: known, New: service, Last: s.Until}
		}
	}
	return nil
}

func nodeID(leaf *x509.Certificate) coco.NodeID { return sha256.Sum256(leaf.RawSubjectPublicKeyInfo) }

// ensureVerified verifies the node on this very connection, unless its key is known.
func (t *Transport) ensureVerified(ctx context.Context, c *conn) error {
	t.mu.Lock()
	known, ok := t.known[c.peer]
	t.mu.Unlock()
	now := t.cfg.Now()
	if ok && (t.cfg.Reverify == 0 || now.Sub(known.at) < t.cfg.Reverify) {
		return nil
	}
	a, err := t.verify(ctx, c)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.generation != t.generation {
		return fmt.Errorf("%w: what nodes must prove changed while the node was verified", coco.ErrUnreachable)
	}
	if len(t.known) >= maxVerified {
		clear(t.known)
	}
	t.known[c.peer] = proof{a, now}
	return nil
}

// SetCode replaces the code manifest of the policy, for nodes that are verified from then on.
func (t *Transport) SetCode(code []coco.Measurement) {
	t.mu.Lock()
	t.cfg.Policy.Code = slices.Clone(code)
	p := t.cfg.Policy
	t.mu.Unlock()
	if t.sealed != nil {
		_ = t.sealed.SetPolicy(p) // which was valid
	}
}

// SetPolicy replaces the policy. Every node is verified anew, on a new connection; requests and streams under way are not ended.
func (t *Transport) SetPolicy(p Policy) error {
	if err := p.validate(); err != nil {
		return err
	}
	t.mu.Lock()
	t.cfg.Policy = p
	t.generation++
	clear(t.known)
	t.mu.Unlock()
	t.CloseIdleConnections()
	if t.sealed != nil {
		return t.sealed.SetPolicy(p)
	}
	return nil
}

func (t *Transport) policy() Policy {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg.Policy
}

func (t *Transport) verify(ctx context.Context, c *conn) (Attested, error) {
	leaf, err := leafOf(c.ConnectionState())
	if err != nil {
		return Attested{}, err
	}
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // it never fails
	var answer wire.Evidence
	if err := t.ask(ctx, c, "/node/evidence?nonce="+hex.EncodeToString(nonce), &answer); err != nil {
		return Attested{}, err
	}
	now, policy := t.cfg.Now(), t.policy()
	claims, err := policy.attested(attest.Evidence{Platform: answer.Platform, Quote: answer.Quote}, evidencePurpose, leaf, nonce, now)
	if err != nil {
		return Attested{}, err
	}
	if want := policy.Constitution; want != (coco.Digest{}) {
		var s wire.Status
		if err := t.ask(ctx, c, "/node/status", &s); err != nil {
			return Attested{}, err
		}
		if s.Constitution != want {
			return Attested{}, fmt.Errorf("%w: the node runs under constitution %s, expected %s: it belongs to another network, or a vote has changed the constitution",
				coco.ErrVerify, s.Constitution.Short(), want.Short())
		}
	}
	return Attested{Node: c.peer, Claims: claims, Platform: claims.Platform}, nil
}

// ask makes a request on a connection that is not verified yet and leaves the connection open. The
// deadline is the caller's.
func (t *Transport) ask(ctx context.Context, c *conn, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://node"+path, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	resp, _, err := c.roundTrip(req)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", coco.ErrUnreachable, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", path, readError(resp))
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAsked+1))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s: %w", coco.ErrUnreachable, path, err)
	case len(data) > maxAsked || resp.Close:
		return fmt.Errorf("%w: %s: expected an answer of at most %d bytes on a connection that stays open", coco.ErrVerify, path, maxAsked)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s: %w", coco.ErrVerify, path, err)
	}
	return nil
}
