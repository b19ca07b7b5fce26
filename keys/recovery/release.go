package recovery

import (
	"crypto/hpke"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
)

// Release is one member's part of one lock, for one Request. It is encrypted by HPKE (RFC 9180: base mode, X-Wing, HKDF-SHA256,
// AES-256-GCM), without associated data. The info parameter is
//
//	"coco release v2" ‖ 0x00 ‖ the Request's digest ‖ the Lock's digest ‖ actor
//
// and the plain text is deterministic CBOR, to which later versions may add keys.
type Release struct {
	Lock  coco.Digest  `cbor:"1,keyasint"`
	Actor coco.ActorID `cbor:"2,keyasint"`
	Box   []byte       `cbor:"3,keyasint"` // encapsulated key ‖ ciphertext
}

// released is what a release holds.
type released struct {
	Part []byte `cbor:"1,keyasint"`
}

// maxReleased bounds the plain text of a release, and MaxBox its cipher text.
const (
	maxReleased = 4 << 10
	MaxBox      = 8 << 10
)

// Fault says in whose name a release is wrong. Anybody can make one in anybody's name, so it says nothing about the member.
type Fault struct {
	Actor  coco.ActorID
	Name   string // of the member, for people; empty if it is not known
	Lock   string // for people
	Reason string
}

// Error implements error.
func (f *Fault) Error() string {
	who := "actor " + f.Actor.Short()
	if f.Name != "" {
		who = fmt.Sprintf("%q (%s)", f.Name, who)
	}
	return fmt.Sprintf("%v: %s: the release in the name of %s: %s", coco.ErrVerify, f.Lock, who, f.Reason)
}

// Unwrap returns coco.ErrVerify.
func (f *Fault) Unwrap() error { return coco.ErrVerify }

// New returns a member's release for a request, which the member has read. The error is coco.ErrNotFound if the member has no part of
// the lock, and coco.ErrInvalid if the key is not the one that the part is encrypted to.
func New(rq Request, l *Lock, actor coco.ActorID, key *keys.MemberKey) (Release, error) {
	part, err := l.kind().part(actor, key)
	if err != nil {
		return Release{}, err
	}
	defer clear(part)
	plain, err := canon.MarshalSecret(released{part})
	if err != nil {
		return Release{}, fmt.Errorf("%s: release: %w", l, err)
	}
	defer clear(plain)
	to, err := hpke.MLKEM768X25519().NewPublicKey(rq.Key)
	if err != nil {
		return Release{}, fmt.Errorf("%w: the key to release to is no X-Wing key: %w", coco.ErrInvalid, err)
	}
	r := Release{Lock: l.Digest(), Actor: actor}
	r.Box, err = hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), r.info(rq.Digest()), plain)
	return r, err
}

func (r *Release) info(request coco.Digest) []byte {
	info := append([]byte("coco release v2\x00"), request[:]...)
	info = append(info, r.Lock[:]...)
	return append(info, r.Actor[:]...)
}

// Marshal encodes the release.
func (r *Release) Marshal() ([]byte, error) { return canon.Marshal(r) }

// ParseRelease decodes what Marshal made. The error is coco.ErrInvalid.
func ParseRelease(b []byte) (Release, error) {
	var r Release
	if err := canon.Unmarshal(b, &r, canon.Limits{Bytes: MaxBox + 128}); err != nil {
		return Release{}, fmt.Errorf("%w: release: %w", coco.ErrInvalid, err)
	}
	return r, nil
}

// Receiver opens what members release for one Request. Its key lives as long as it does. It never prints.
type Receiver struct {
	rq  Request
	key hpke.PrivateKey
}

// NewReceiver makes the key for a recovery that goes on from a point; for resume see Request.
func NewReceiver(p Point, resume bool) (*Receiver, error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("key for a recovery: %w", err)
	}
	return &Receiver{Request{Point: p, Key: key.PublicKey().Bytes(), Resume: resume}, key}, nil
}

// kept is a receiver as a node keeps it in its sealed memory.
type kept struct {
	Request Request     `cbor:"1,keyasint"`
	Seed    keys.Secret `cbor:"2,keyasint"`
}

// Marshal encodes the receiver with its private key, for sealed memory alone.
func (r *Receiver) Marshal() (keys.SecretBytes, error) {
	seed, err := r.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("key for a recovery: %w", err)
	}
	defer clear(seed)
	return canon.MarshalSecret(kept{r.rq, keys.Secret(seed)})
}

// ParseReceiver returns the receiver that Marshal encoded. The error is coco.ErrCorrupt.
func ParseReceiver(b keys.SecretBytes) (*Receiver, error) {
	var k kept
	if err := canon.UnmarshalSecret(b, &k, canon.Limits{Bytes: maxRequest + 128}); err != nil {
		return nil, fmt.Errorf("%w: the key of a recovery does not decode", coco.ErrCorrupt)
	}
	key, err := hpke.MLKEM768X25519().NewPrivateKey(k.Seed[:])
	clear(k.Seed[:])
	if err != nil {
		return nil, fmt.Errorf("%w: the key of a recovery does not parse", coco.ErrCorrupt)
	}
	k.Request.Key = key.PublicKey().Bytes()
	return &Receiver{k.Request, key}, nil
}

// Format keeps the key out of every text.
func (*Receiver) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[receiver of releases]")) }

// Request returns what members are asked.
func (r *Receiver) Request() Request { return r.rq }

// open returns the part that a release holds. The error is a *Fault if it was released for another request or lock, or is not the member's.
func (r *Receiver) open(l *Lock, lock coco.Digest, in Release) ([]byte, error) {
	fault := func(reason string) error { return &Fault{Actor: in.Actor, Lock: l.String(), Reason: reason} }
	if in.Lock != lock {
		return nil, fault("it opens something else: of another network, epoch or committee, as at another end of the ledger")
	}
	plain, err := hpke.Open(r.key, hpke.HKDFSHA256(), hpke.AES256GCM(), in.info(r.rq.Digest()), in.Box)
	if err != nil {
		return nil, fault("it was released for another end of the ledger or to another node, or was altered")
	}
	defer clear(plain)
	var out released
	if err := canon.UnmarshalSecret(plain, &out, canon.Limits{Bytes: maxReleased}); err != nil {
		return nil, fault("it does not decode")
	}
	if err := l.kind().check(in.Actor, out.Part); err != nil {
		clear(out.Part)
		return nil, fmt.Errorf("%w: %w", fault("it is not the member's part"), err)
	}
	return out.Part, nil
}
