package dkg

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cloudflare/circl/group"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// Strings that keep what is hashed for one purpose from being taken for another.
const (
	contextSession  = "coco dkg session v1"
	contextDealing  = "coco dkg dealing v1"
	contextReceiver = "coco dkg receiver v1"
	contextDealer   = "coco dkg dealer v1"
	contextDispute  = "coco dkg dispute v1"
	contextBox      = "coco dkg box v1"
)

// maxWindow bounds Session.Window, so that a phase ends some day.
const maxWindow = 1 << 32

// Session is what all parties agree on before a ceremony begins. Everything that they prove or encrypt is bound to its digest.
type Session struct {
	Network   coco.Digest    `cbor:"1,keyasint"`           // SHA-256 of the first service's public key
	Version   uint64         `cbor:"2,keyasint"`           // of the key that the ceremony makes, from 1 on
	Attempt   uint64         `cbor:"3,keyasint"`           // tells the ceremonies for this version apart
	Receivers []coco.ActorID `cbor:"4,keyasint"`           // whose shares are made, in order of their ids; the first has number 1
	Threshold uint32         `cbor:"5,keyasint"`           // how many of them open what is encrypted
	Window    uint64         `cbor:"6,keyasint"`           // transactions from a phase's beginning on, after which a Close ends it
	Old       *Old           `cbor:"7,keyasint,omitempty"` // absent: a new key is made
}

// Old is a key that is shared anew.
type Old struct {
	Holders    []coco.ActorID    `cbor:"1,keyasint"` // the first has number 1
	Commitment []ristretto.Point `cbor:"2,keyasint"`
}

// Check says whether there can be such a session. The error is coco.ErrInvalid.
func (s *Session) Check() error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%w: key generation %d.%d: %s", coco.ErrInvalid, s.Version, s.Attempt, fmt.Sprintf(format, args...))
	}
	if n := len(s.Receivers); n < 1 || n > keys.MaxMembers {
		return fault("expected 1 to %d receivers, found %d", keys.MaxMembers, n)
	}
	if s.Threshold < 1 || int(s.Threshold) > len(s.Receivers) {
		return fault("expected a threshold of 1 to %d, found %d", len(s.Receivers), s.Threshold)
	}
	if s.Window > maxWindow {
		return fault("expected a window of at most %d transactions, found %d", uint64(maxWindow), s.Window)
	}
	if !ordered(s.Receivers) {
		return fault("expected receivers in order of their ids, each once")
	}
	if s.Old == nil {
		return nil
	}
	if !ordered(s.Old.Holders) {
		return fault("expected holders of the old key in order of their ids, each once")
	}
	if _, err := s.Old.key(); err != nil {
		return fault("old key: %v", err)
	}
	return nil
}

// ordered says whether ids are in order, each once.
func ordered(ids []coco.ActorID) bool {
	for i := 1; i < len(ids); i++ {
		if bytes.Compare(ids[i-1][:], ids[i][:]) >= 0 {
			return false
		}
	}
	return true
}

func (o *Old) key() (*tdh2.Key, error) { return tdh2.NewKey(o.Commitment, uint32(len(o.Holders))) }

// Dealers returns who deals, the first with number 1.
func (s *Session) Dealers() []coco.ActorID {
	if s.Old != nil {
		return s.Old.Holders
	}
	return s.Receivers
}

// needed returns how many dealers must deal rightly.
func (s *Session) needed() int {
	if s.Old != nil {
		return len(s.Old.Commitment)
	}
	return int(s.Threshold)
}

// Digest names the session: SHA-256("coco dkg session v1" ‖ 0x00 ‖ the session's CBOR).
func (s *Session) Digest() coco.Digest {
	b, err := canon.Marshal(s)
	if err != nil {
		panic(err) // it holds numbers and digests alone
	}
	return sha256.Sum256(append(append([]byte(contextSession), 0), b...))
}

// context is what a party's proof is bound to, with its number and, for a dispute, the dealer's: SHA-256(session ‖ u32 ‖ u32).
func context(name string, session coco.Digest, numbers ...uint32) ristretto.Context {
	b := slices.Clone(session[:])
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return ristretto.Context{Name: name, Digest: sha256.Sum256(b)}
}

// digest is what a dealer commits to: SHA-256("coco dkg dealing v1" ‖ 0x00 ‖ session ‖ the statement's CBOR). As the dealer's number is in it, a
// dealing that is copied from another dealer does not have the digest that was copied.
func (r *Reveal) digest(session coco.Digest) coco.Digest {
	b, err := canon.Marshal(r)
	if err != nil {
		panic(err) // it holds numbers and points alone
	}
	return sha256.Sum256(slices.Concat([]byte(contextDealing), []byte{0}, session[:], b))
}

// apply encrypts or decrypts a box; see Box.
func (b *Box) apply(shared group.Element, session coco.Digest, dealer, receiver uint32) {
	info := append(append([]byte(contextBox), 0), session[:]...)
	info = binary.BigEndian.AppendUint32(info, dealer)
	info = binary.BigEndian.AppendUint32(info, receiver)
	point := ristretto.Encode(shared)
	defer clear(point[:])
	pad, err := hkdf.Key(sha256.New, point[:], nil, string(info), len(b))
	if err != nil {
		panic(err) // the length is one that HKDF has
	}
	defer clear(pad)
	for i := range b {
		b[i] ^= pad[i]
	}
}

// right says whether a value is that of a commitment's polynomial at a receiver's number, and returns it.
func right(commitment []group.Element, receiver uint32, b Box) (group.Scalar, bool) {
	v, err := ristretto.ParseScalar(b[:])
	if err != nil || !ristretto.Group.NewElement().MulGen(v).IsEqual(ristretto.Committed(commitment, receiver)) {
		return nil, false
	}
	return v, true
}
