package recovery

import (
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
)

// Lock is what must be opened. Exactly one of its fields is set. It is public.
type Lock struct {
	Epoch     *keys.SealedEpoch `cbor:"1,keyasint,omitempty"` // of format 1: shares of its secret are the members'
	Committee *Committee        `cbor:"2,keyasint,omitempty"` // whose archive has the secrets of epochs
}

// maxLock bounds an encoded lock, in bytes.
const maxLock = 8 << 20

// kind is what differs between locks.
type kind interface {
	name() string
	threshold() int
	// holders are the members that have a part, in order.
	holders() []coco.ActorID
	// actorOf returns the member whose part a public encryption key belongs to.
	actorOf(public []byte) (coco.ActorID, bool)
	// part is a member's, encoded. It is secret.
	part(actor coco.ActorID, key *keys.MemberKey) ([]byte, error)
	// check says what is wrong with a part.
	check(actor coco.ActorID, part []byte) error
	// combine makes the secret of parts that are right, of a threshold of members at least.
	combine(parts map[coco.ActorID][]byte) (keys.Secret, error)
}

func (l *Lock) kind() kind {
	if l.Committee != nil {
		return archiveLock{l.Committee}
	}
	return epochLock{l.Epoch}
}

// Marshal encodes the lock.
func (l *Lock) Marshal() ([]byte, error) { return canon.Marshal(l) }

// ParseLock decodes what Marshal made, and checks it. The error is coco.ErrInvalid.
func ParseLock(b []byte) (*Lock, error) {
	l := new(Lock)
	err := canon.Unmarshal(b, l, canon.Limits{Bytes: maxLock, Elements: 2 * keys.MaxMembers, Pairs: 16})
	switch {
	case err != nil:
	case (l.Epoch == nil) == (l.Committee == nil):
		err = errors.New("expected an epoch or a committee")
	case l.Committee != nil:
		err = l.Committee.check()
	default:
		err = l.Epoch.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: lock: %w", coco.ErrInvalid, err)
	}
	return l, nil
}

// Digest names the lock: SHA-256("coco recovery lock" ‖ 0x00 ‖ the lock's CBOR).
func (l *Lock) Digest() coco.Digest { return digest("coco recovery lock", l) }

// String names the lock for people.
func (l *Lock) String() string { return l.kind().name() }

// Threshold returns how many members open it.
func (l *Lock) Threshold() int { return l.kind().threshold() }

// Holders returns the members that have a part of it, in order.
func (l *Lock) Holders() []coco.ActorID { return l.kind().holders() }

// ActorOf returns the member whose part a public encryption key opens.
func (l *Lock) ActorOf(public []byte) (coco.ActorID, bool) { return l.kind().actorOf(public) }

// Check says whether a member's key opens its part of the lock. Nothing of the part leaves it. The errors are those of New.
func (l *Lock) Check(actor coco.ActorID, key *keys.MemberKey) error {
	part, err := l.kind().part(actor, key)
	clear(part)
	return err
}

// epochLock is the lock of an epoch of format 1.
type epochLock struct{ e *keys.SealedEpoch }

func (l epochLock) name() string   { return fmt.Sprintf("epoch %d", l.e.Epoch) }
func (l epochLock) threshold() int { return l.e.Threshold() }

func (l epochLock) holders() (out []coco.ActorID) {
	for i := range l.e.Shares {
		out = append(out, l.e.Shares[i].Actor)
	}
	return out
}

func (l epochLock) actorOf(public []byte) (coco.ActorID, bool) { return l.e.ActorOf(public) }

func (l epochLock) part(actor coco.ActorID, key *keys.MemberKey) ([]byte, error) {
	share, err := l.e.OpenShare(actor, key)
	if err != nil {
		return nil, err
	}
	return share.Value[:], nil
}

// share is the share that a part is.
func (l epochLock) share(actor coco.ActorID, part []byte) (keys.Share, error) {
	if len(part) != keys.SecretSize {
		return keys.Share{}, &keys.ShareError{Epoch: l.e.Epoch, Actor: actor, Reason: "it is no scalar"}
	}
	return keys.Share{Epoch: l.e.Epoch, Actor: actor, Value: keys.Secret(part)}, nil
}

func (l epochLock) check(actor coco.ActorID, part []byte) error {
	share, err := l.share(actor, part)
	if err != nil {
		return err
	}
	return l.e.Verify(share)
}

func (l epochLock) combine(parts map[coco.ActorID][]byte) (keys.Secret, error) {
	var shares []keys.Share
	for actor, part := range parts {
		share, err := l.share(actor, part)
		if err != nil {
			return keys.Secret{}, err
		}
		shares = append(shares, share)
	}
	secret, _, err := keys.Combine(l.e, shares)
	return secret, err
}
