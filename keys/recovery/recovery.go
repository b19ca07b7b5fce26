// Package recovery opens the epochs of a ledger with the shares of its members, when no node is left that holds the secrets.
//
//	node                                              a member, beside its own safe
//	   Point: where the ledger ends                       shows it, and compares it with what the member knows
//	   Receiver: a key for this one purpose
//	   ── Request {Point, key} ──────────────────────▶    Release: its share, for this Point alone
//	   ◀── Release ───────────────────────────────────
//	   Combine: the secret, and whose release is wrong
//
// A member that releases its share consents to going on from one end of the ledger. So the release is encrypted to the node's key and bound
// to the Point's digest: a node that shows one end and goes on from another opens nothing.
//
// Any threshold of the members is enough. Releases that are wrong do not count, and Combine names them whether or not it succeeds.
//
// Trust: enclave
package recovery

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
)

// Point is where a ledger ends from which a network is to go on. Its batches' signatures and its decisions were checked before.
type Point struct {
	Network coco.Digest `cbor:"1,keyasint"` // SHA-256 of the service's public key
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
func (p Point) Digest() coco.Digest {
	b, err := canon.Marshal(p)
	if err != nil {
		panic(err) // it holds numbers and digests alone
	}
	return sha256.Sum256(append([]byte("coco recovery\x00"), b...))
}

// Request asks members for their shares.
type Request struct {
	Point Point
	Key   []byte // X25519: what releases are encrypted to; the Receiver's
}

// Release is one member's share of one epoch, for one Request. It is encrypted by HPKE (RFC 9180: base mode, X25519, HKDF-SHA256,
// AES-256-GCM), without associated data. The info parameter is
//
//	"coco share release" ‖ 0x00 ‖ the Point's digest ‖ epoch u64be ‖ actor
//
// and the plain text is deterministic CBOR, to which later versions may add keys.
type Release struct {
	Epoch uint64
	Actor coco.ActorID
	Box   []byte // encapsulated key ‖ ciphertext
}

// released is what a release holds.
type released struct {
	Value keys.Secret `cbor:"1,keyasint"` // the share's
}

// maxReleased bounds the plain text of a release.
const maxReleased = 1 << 10

// New returns a member's release for a request, which the member has read. The errors are those of keys.SealedEpoch.OpenShare.
func New(rq Request, e *keys.SealedEpoch, actor coco.ActorID, key *keys.MemberKey) (Release, error) {
	share, err := e.OpenShare(actor, key)
	if err != nil {
		return Release{}, err
	}
	plain, err := canon.Marshal(released{share.Value})
	if err != nil {
		return Release{}, fmt.Errorf("epoch %d: release of a share: %w", e.Epoch, err)
	}
	defer clear(plain)
	public, err := ecdh.X25519().NewPublicKey(rq.Key)
	if err != nil {
		return Release{}, fmt.Errorf("%w: the key to release shares to: expected %d bytes of X25519, found %d", coco.ErrInvalid, keys.PublicKeySize, len(rq.Key))
	}
	to, err := hpke.NewDHKEMPublicKey(public)
	if err != nil {
		return Release{}, fmt.Errorf("the key to release shares to: %w", err)
	}
	r := Release{Epoch: e.Epoch, Actor: actor}
	r.Box, err = hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), r.info(rq.Point.Digest()), plain)
	return r, err
}

func (r *Release) info(point coco.Digest) []byte {
	info := append([]byte("coco share release\x00"), point[:]...)
	info = binary.BigEndian.AppendUint64(info, r.Epoch)
	return append(info, r.Actor[:]...)
}

// Receiver opens what members release for one Point. Its key lives as long as it does. It never prints.
type Receiver struct {
	point Point
	key   hpke.PrivateKey
	rq    Request
}

// NewReceiver makes the key for a recovery that goes on from a point.
func NewReceiver(p Point) (*Receiver, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key for a recovery: %w", err)
	}
	private, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("key for a recovery: %w", err)
	}
	return &Receiver{point: p, key: private, rq: Request{Point: p, Key: key.PublicKey().Bytes()}}, nil
}

// Format keeps the key out of every text.
func (*Receiver) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[receiver of shares]")) }

// Request returns what members are asked.
func (r *Receiver) Request() Request { return r.rq }

// Open returns a released share. The error is a *keys.ShareError if it was released for another request, or is not the member's share.
func (r *Receiver) Open(e *keys.SealedEpoch, in Release) (keys.Share, error) {
	plain, err := hpke.Open(r.key, hpke.HKDFSHA256(), hpke.AES256GCM(), in.info(r.point.Digest()), in.Box)
	if err != nil {
		return keys.Share{}, &keys.ShareError{Epoch: in.Epoch, Actor: in.Actor, Reason: "it was released for another end of the ledger or to another node, or was altered"}
	}
	defer clear(plain)
	var out released
	if err := canon.Unmarshal(plain, &out, canon.Limits{Bytes: maxReleased}); err != nil {
		return keys.Share{}, &keys.ShareError{Epoch: in.Epoch, Actor: in.Actor, Reason: "its release does not decode"}
	}
	share := keys.Share{Epoch: in.Epoch, Actor: in.Actor, Value: out.Value}
	return share, e.Verify(share)
}

// Combine returns an epoch's secret, given releases of enough members. Faults name each release that is wrong, also if there are enough
// others; so does the error, which is coco.ErrInvalid if there are not.
func (r *Receiver) Combine(e *keys.SealedEpoch, releases []Release) (secret keys.Secret, faults []error, err error) {
	var shares []keys.Share
	for _, in := range releases {
		share, err := r.Open(e, in)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		shares = append(shares, share)
	}
	secret, more, err := keys.Combine(e, shares)
	return secret, append(faults, more...), err
}
