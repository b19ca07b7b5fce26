// Package recovery opens a ledger with what its members release, when no node is left that holds the secrets.
//
//	node                                              a member, beside its own safe
//	   Point: where the ledger ends                       shows it, and compares it with what the member knows
//	   Receiver: a key for this one purpose
//	   ── Request {Point, key}, Lock ────────────────▶    Release: the member's part of the Lock, for this Request alone
//	   ◀── Release ───────────────────────────────────
//	   Round: who has released, and whose release is wrong
//	   Opening: what is open, and which Lock is next
//
// A Lock is what must be opened: an epoch whose secret the members share, or the archive of a committee (package keys/committee). It is public, and on
// the ledger. What a member keeps opens its part of every lock that the member had a hand in.
//
// A member that releases its part consents to going on from one end of the ledger. So the release is encrypted to the node's key and bound
// to the Request's digest: a node that shows one end and goes on from another opens nothing.
//
// Any threshold of the members is enough. Releases that are wrong do not count. A Round names each when it is submitted, and the others stay.
//
// Trust: enclave
package recovery

import (
	"crypto/sha256"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// Point is where a ledger ends from which a network is to go on. Its batches' signatures and its decisions were checked before.
type Point struct {
	Network coco.Digest `cbor:"1,keyasint"` // SHA-256 of the first service's public key
	View    uint64      `cbor:"2,keyasint"` // of the last transaction
	Seqno   uint64      `cbor:"3,keyasint"` // of the last transaction
	Index   uint64      `cbor:"4,keyasint"` // of its batch
	Time    uint64      `cbor:"5,keyasint"` // of its batch, in milliseconds since 1970
	Root    coco.Digest `cbor:"6,keyasint"` // of the Merkle tree over all transactions
}

// Last returns the last transaction.
func (p Point) Last() coco.TxID { return coco.TxID{View: p.View, Seqno: p.Seqno} }

// Digest names the point:
//
//	SHA-256("coco recovery" ‖ 0x00 ‖ the point's CBOR)
func (p Point) Digest() coco.Digest { return digest("coco recovery", p) }

// Request asks members for their parts.
type Request struct {
	Point Point  `cbor:"1,keyasint"`
	Key   []byte `cbor:"2,keyasint"` // X-Wing: what releases are encrypted to; the Receiver's
	// Resume says that the network goes on at once and under the same service. Otherwise members vote to open it under a new one.
	Resume bool `cbor:"3,keyasint,omitempty"`
}

// Digest names the request. The evidence of the node that asks is bound to it, and each release.
//
//	SHA-256("coco recovery request" ‖ 0x00 ‖ the request's CBOR)
func (rq Request) Digest() coco.Digest { return digest("coco recovery request", rq) }

// Purpose is the context of the evidence that the Receiver's key is an enclave's; see attest.ReportData. The nonce is the Request's digest. What is
// released to an enclave that has ended opens nothing, so the evidence need not be fresh, and may cross an air gap.
const Purpose = "coco recovery"

// maxRequest bounds an encoded request, in bytes.
const maxRequest = 4 << 10

// Marshal encodes the request.
func (rq Request) Marshal() ([]byte, error) { return canon.Marshal(rq) }

// ParseRequest decodes what Marshal made. The error is coco.ErrInvalid.
func ParseRequest(b []byte) (rq Request, err error) {
	if err := canon.Unmarshal(b, &rq, canon.Limits{Bytes: maxRequest}); err != nil {
		return rq, fmt.Errorf("%w: the request for parts: %w", coco.ErrInvalid, err)
	}
	return rq, nil
}

// digest is SHA-256(context ‖ 0x00 ‖ the value's CBOR).
func digest(context string, v any) coco.Digest {
	b, err := canon.Marshal(v)
	if err != nil {
		panic(err) // numbers, digests and bytes alone
	}
	return sha256.Sum256(append(append([]byte(context), 0), b...))
}
