package recovery

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
)

// Drill returns a lock that the same members open with the same keys as this one, and what it locks: a fresh archive that holds nothing, for a network that has no ledger. A part of it
// is of no use for any archive of a ledger: what is sealed to a committee is bound to its network, and a part to what was sealed. nonce is different for each drill. The error is coco.ErrInvalid for a lock of an epoch of
// format 1, of which a part is a share of the epoch itself.
func (l *Lock) Drill(nonce coco.Digest) (*Lock, keys.Secret, error) {
	if l.Committee == nil {
		return nil, keys.Secret{}, fmt.Errorf("%w: %s: by rules 1 and 2 a member's part is a share of the epoch itself, which no drill may collect: members run `coco recovery share check`", coco.ErrInvalid, l)
	}
	c := *l.Committee
	c.Network = drillNetwork(c.Network, nonce)
	opens, err := c.committee()
	if err != nil {
		return nil, keys.Secret{}, err
	}
	of := archive.Of{Network: c.Network, Committee: c.Number, Key: c.Key, Constitution: c.Archive.Constitution}
	var secret keys.Secret
	if c.Archive, secret, err = archive.New(opens, of, archive.Past{}); err != nil {
		return nil, keys.Secret{}, err
	}
	return &Lock{Committee: &c}, secret, nil
}

// drillNetwork is the network that a drill's archive is sealed for: SHA-256("coco recovery drill" ‖ 0x00 ‖ network ‖ nonce). No ledger has it.
func drillNetwork(network, nonce coco.Digest) coco.Digest {
	b := append([]byte("coco recovery drill\x00"), network[:]...)
	return sha256.Sum256(append(b, nonce[:]...))
}

// CheckDrill checks that a lock is a drill of this one, which the member knows from its own copy: the same committee, and an archive of no ledger. A member MUST check it before it makes a part. The error
// is coco.ErrVerify.
func (l *Lock) CheckDrill(drill *Lock, nonce coco.Digest) error {
	fail := func(what string) error {
		return fmt.Errorf("%w: %s: %s: nothing was made for it", coco.ErrVerify, drill, what)
	}
	if l.Committee == nil || drill.Committee == nil {
		return fail("it is not a committee's")
	}
	if drill.Committee.Network != drillNetwork(l.Committee.Network, nonce) {
		return fail("it is for a ledger, or for a drill of another network")
	}
	same := *drill.Committee
	same.Network, same.Archive = l.Committee.Network, l.Committee.Archive
	a, err := (&Lock{Committee: &same}).Marshal()
	if err != nil {
		return err
	}
	b, err := l.Marshal()
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fail("its committee is not the one in this copy of the ledger: one of the copies is older")
	}
	return drill.Committee.check()
}
