// Package message makes callers of signed requests, for those behind a proxy or balancer that ends TLS: it can neither change a request nor use it
// again, though it sees it.
//
//	Authorization: Coco-Message 0oRZ…      a COSE_Sign1 (RFC 9052) in base64url, with the signer's certificates (x5chain, RFC 9360)
//
// What is signed names everything that the request does: method, target and the SHA-256 of the body; for whom: the network, and the node, which is another one
// after a restart; and when: the time, and a nonce. A node remembers the nonces of the time in which a message counts. So a message counts once, at
// one node: another node is not the one that it names, and neither is this one after a restart.
//
// Headers are not signed: a proxy can change or drop Content-Type, If-Match, If-None-Match, X-Coco-Audience and X-Coco-At-Least.
//
// Trust: enclave
package message

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/envelope"
)

// ContentType is that of the COSE_Sign1 (header parameter 3).
const ContentType = "application/coco-message+cbor"

// Window is how far a message's time may be from the ledger's.
const Window = time.Minute

// nonceBytes is how long a nonce is.
const nonceBytes = 16

// Request is what is signed, in deterministic CBOR.
type Request struct {
	Method  string      `cbor:"1,keyasint"`
	Target  string      `cbor:"2,keyasint"` // path and query as they stand in the request line
	Body    coco.Digest `cbor:"3,keyasint"` // SHA-256, of nothing if there is no body
	Network coco.Digest `cbor:"4,keyasint"` // the network's id
	Node    coco.NodeID `cbor:"5,keyasint"`
	Time    uint64      `cbor:"6,keyasint"` // milliseconds since 1970
	Nonce   []byte      `cbor:"7,keyasint"` // 16 random bytes
}

// New returns a request to be signed.
func New(method, target string, body []byte, network coco.Digest, node coco.NodeID, now time.Time) Request {
	nonce := make([]byte, nonceBytes)
	_, _ = rand.Read(nonce) // never fails
	return Request{Method: method, Target: target, Body: sha256.Sum256(body), Network: network, Node: node, Time: uint64(now.UnixMilli()), Nonce: nonce}
}

// Sign returns the value of the header Authorization.
func (r *Request) Sign(ctx context.Context, signer envelope.Signer) (string, error) {
	payload, err := canon.Marshal(r)
	if err != nil {
		return "", err
	}
	raw, err := envelope.SignOther(ctx, signer, ContentType, payload)
	if err != nil {
		return "", fmt.Errorf("a signed request: %w", err)
	}
	return SchemeName + " " + base64.RawURLEncoding.EncodeToString(raw), nil
}
