package message

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/gov/envelope"
)

// A sealed request (package sealed) is signed from outside: the message is over POST, SealedTarget and the SHA-256 of the ciphertext, and goes with it in the
// header Authorization of the outer request. A signature over the plain text would let everybody who sees it test guesses at the text.
//
// Inside, the request says who signs it:
//
//	Authorization: Coco-Signer 5f0c…      SHA-256 of the signer's certificate (DER), in hexadecimal digits
//
// Without that, who ends TLS could replace the signature by one of its own, and have another's request done as its own.

const (
	// SignerName is the name of the scheme of what is inside.
	SignerName = "Coco-Signer"
	// SealedTarget is the target of the outer request, as the node sees it.
	SealedTarget = "/sealed"
)

// Signer is caller.Scheme for sealed requests that are signed from outside.
type Signer struct {
	// Messages judges the signatures. A message counts once, whether it is sealed or not.
	Messages *Scheme
}

// Name implements caller.Scheme.
func (*Signer) Name() string { return SignerName }

// Authenticate implements caller.Scheme.
func (s *Signer) Authenticate(r *http.Request, credential string) (caller.Identity, error) {
	o := caller.OuterOf(r.Context())
	if o == nil || len(o.Authorization) != 1 {
		return caller.Identity{}, caller.Refuse("%s: expected a sealed request that is signed from outside, once", SignerName)
	}
	scheme, signed, _ := strings.Cut(o.Authorization[0], " ")
	if scheme != SchemeName || len(signed) > caller.MaxCredential {
		return caller.Identity{}, caller.Refuse("%s: expected a signature of the scheme %s, of up to %d characters", SignerName, SchemeName, caller.MaxCredential)
	}
	outer := &http.Request{Method: http.MethodPost, RequestURI: SealedTarget}
	id, err := s.Messages.judge(outer, signed, func(leaf *x509.Certificate, m *Request) error {
		if m.Body != o.Message {
			return caller.Refuse("the signature is over another sealed message")
		}
		if CertificateID(leaf.Raw) != credential {
			return caller.Refuse("the sealed request names another signer than the one that has signed it")
		}
		return nil
	})
	return caller.Identity{Caller: id.Caller}, err // the body was looked at
}

// CertificateID is how a sealed request names its signer.
func CertificateID(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// SignSealed signs a sealed message for a node, and returns the value of the header Authorization of the outer request.
func SignSealed(ctx context.Context, by envelope.Signer, message []byte, network coco.Digest, node coco.NodeID, now time.Time) (string, error) {
	m := New(http.MethodPost, SealedTarget, nil, message, network, node, now)
	return m.Sign(ctx, by)
}
