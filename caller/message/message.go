// Package message makes callers of signed requests, for those behind a proxy or balancer that ends TLS: it can neither change a request nor use it
// again, though it sees it.
//
//	Authorization: Coco-Message 0oRZ…      a COSE_Sign1 (RFC 9052) in base64url, with the signer's certificates (x5chain, RFC 9360)
//
// What is signed names everything that the request does: method, target, the headers that change what it does (Covers), and the SHA-256 of the body; for whom: the network, and the node, which is another one
// after a restart; and when: the time, and a nonce. A node remembers the nonces of the time in which a message counts. So a message counts once, at
// one node: another node is not the one that it names, and neither is this one after a restart.
//
// A header of these that a proxy changes, adds or drops is refused. All others, which what stands between may need to change, have no effect on what is done.
//
// Trust: enclave
package message

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
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
	// Headers are all of the request that Covers names, by name.
	Headers []Header `cbor:"8,keyasint,omitempty"`
}

// Header is a header of a request. Several lines of one name are one value, with ", " between them (RFC 9110, section 5.3).
type Header struct {
	Name  string `cbor:"1,keyasint"` // as http.CanonicalHeaderKey has it
	Value string `cbor:"2,keyasint"`
}

// Covers reports whether a header, by its canonical name, changes what a request does: whom a row is for, conditions, how new a state must be, and what the body is.
func Covers(name string) bool {
	switch {
	case name == "Range", strings.HasPrefix(name, "If-"), strings.HasPrefix(name, "X-Coco-"):
		return true
	}
	return strings.HasPrefix(name, "Content-") && name != "Content-Length" // which follows from the body
}

// covered are the headers of a request that are signed.
func covered(h http.Header) (out []Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if Covers(name) {
			out = append(out, Header{name, strings.Join(h[name], ", ")})
		}
	}
	return out
}

// differing is the first name of a header that is not the same in two lists; empty if there is none.
func differing(signed, sent []Header) string {
	for _, lists := range [][2][]Header{{signed, sent}, {sent, signed}} {
		for _, h := range lists[0] {
			if !slices.Contains(lists[1], h) {
				return h.Name
			}
		}
	}
	if len(signed) != len(sent) {
		return signed[0].Name // one is there twice
	}
	return ""
}

// New returns a request to be signed. header is what it is sent with; what Covers does not name may be added afterwards.
func New(method, target string, header http.Header, body []byte, network coco.Digest, node coco.NodeID, now time.Time) Request {
	nonce := make([]byte, nonceBytes)
	_, _ = rand.Read(nonce) // never fails
	return Request{Method: method, Target: target, Body: sha256.Sum256(body), Network: network, Node: node, Time: uint64(now.UnixMilli()), Nonce: nonce, Headers: covered(header)}
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
