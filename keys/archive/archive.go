// Package archive seals the epochs of a ledger so that a committee's threshold opens all of them at once.
//
// Each committee has an archive: a key pair whose private part comes from a secret that is sealed to the committee. Each epoch's secret is sealed to the committee of its
// time, and, as a copy, encrypted to that committee's archive. An archive holds the secret of the archive before it, too. So whoever has the secret of the
// newest archive has every epoch so far, by a chain of decryptions:
//
//	committee 3   Sealed ─▶ secret ─▶ private key ─┬─▶ epochs that were announced to committee 3
//	                                               └─▶ Earlier: secret of the archive of committee 2 ─▶ … ─▶ committee 1
//
// A committee is replaced when its members change. The members of today open the past by the newest archive; a member that was removed opens nothing that was announced to
// a committee later than its own. An archive whose predecessor could not be opened holds, instead of its secret, the epochs' secrets that the
// leader had (Carried), as the first one of a network does that had epochs of format 1 before.
//
// An archive whose secret the next one holds is opened through that one. The ledger keeps it as Reduce returns it, without what only its committee's seats open.
//
// Everything here is public but the Private of an archive and the secrets that go in and come out. What a dishonest leader seals wrongly cannot be opened; what it
// seals rightly for another place is refused, by everyone and without keys.
//
// Trust: enclave
package archive

import (
	"crypto/hpke"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/internal/erase"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
)

// Strings that keep what is hashed and encrypted for one purpose from being taken for another.
const (
	labelArchive   = "coco archive v1"
	labelEpoch     = "coco epoch v2"
	contextKey     = "coco archive key v1"
	contextEarlier = "coco archive earlier v1"
	contextCarried = "coco archive carried v1"
	contextEpoch   = "coco archive epoch v1"
)

// Bounds, in bytes but for MaxCarried.
const (
	// PublicSize is an archive's public key: X-Wing's.
	PublicSize = committee.EncryptionSize
	// MaxCarried is how many epochs' secrets an archive may carry. An epoch of format 1 opens earlier ones in turn (keys.Carried).
	MaxCarried = 4096
	// maxEncoding bounds an archive and an epoch: for each of keys.MaxMembers seats they have less than 1,300 bytes.
	maxEncoding = 2 << 20

	overhead    = keys.XWingOverhead
	earlierSize = keys.SecretSize + overhead
	carriedSize = 8 + keys.SecretSize
)

// Of is the committee that something is sealed to.
type Of struct {
	Network      coco.Digest // SHA-256 of the first service's public key
	Committee    uint64      // its number, from 1 on
	Key          uint64      // the version of its key
	Constitution coco.Digest // that is in force in the transaction
}

// label is what an archive's secret is sealed for: a context ‖ 0x00 ‖ network ‖ committee u64 ‖ version of the key u64 ‖ digest of the constitution.
func (o Of) label() []byte { return o.append(labelArchive) }

func (o Of) append(context string) []byte {
	b := append(append([]byte(context), 0), o.Network[:]...)
	b = binary.BigEndian.AppendUint64(b, o.Committee)
	b = binary.BigEndian.AppendUint64(b, o.Key)
	return append(b, o.Constitution[:]...)
}

// info is what a box in an archive is bound to: a context ‖ 0x00 ‖ network ‖ committee u64.
func (o Of) info(context string) []byte {
	b := append(append([]byte(context), 0), o.Network[:]...)
	return binary.BigEndian.AppendUint64(b, o.Committee)
}

// Archive is a committee's archive, as the ledger has it.
type Archive struct {
	Constitution coco.Digest      `cbor:"1,keyasint"`           // see Of
	Sealed       committee.Sealed `cbor:"2,keyasint,omitzero"`  // the archive's secret; zero in a reduced one
	Public       []byte           `cbor:"3,keyasint"`           // X-Wing
	Earlier      []byte           `cbor:"4,keyasint,omitempty"` // the secret of the archive of the committee before, encrypted
	Carried      []byte           `cbor:"5,keyasint,omitempty"` // (epoch u64 ‖ secret), …, in order, encrypted
}

// Past is what a new archive holds of the time before it.
type Past struct {
	// Earlier is the secret of the archive of the committee before; nil if there is none, or it could not be opened.
	Earlier *keys.Secret
	// Epochs are the secrets of epochs that Earlier does not open. The newest MaxCarried of them count.
	Epochs map[uint64]keys.Secret
}

// New makes the archive of a committee, and its secret.
func New(c *committee.Committee, of Of, past Past) (*Archive, keys.Secret, error) {
	secret, sealed, err := c.Seal(of.label())
	if err != nil {
		return nil, keys.Secret{}, err
	}
	private, err := privateOf(secret, of)
	if err != nil {
		return nil, keys.Secret{}, err
	}
	a := &Archive{Constitution: of.Constitution, Sealed: *sealed, Public: private.PublicKey().Bytes()}
	if past.Earlier != nil {
		if a.Earlier, err = keys.SealTo(a.Public, of.info(contextEarlier), past.Earlier[:]); err != nil {
			return nil, keys.Secret{}, err
		}
	}
	epochs := slices.Sorted(maps.Keys(past.Epochs))
	var plain []byte
	for _, epoch := range epochs[max(0, len(epochs)-MaxCarried):] {
		s := past.Epochs[epoch]
		plain = append(binary.BigEndian.AppendUint64(plain, epoch), s[:]...)
	}
	defer clear(plain)
	if len(plain) > 0 {
		a.Carried, err = keys.SealTo(a.Public, of.info(contextCarried), plain)
	}
	return a, secret, err
}

// Check says whether the archive has the right shape, and its secret is sealed to a committee for its place. The error is coco.ErrVerify.
func (a *Archive) Check(c *committee.Committee, of Of) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%w: archive of committee %d: %s", coco.ErrVerify, of.Committee, fmt.Sprintf(format, args...))
	}
	if a.Constitution != of.Constitution {
		return fault("it names the constitution %s, expected %s", a.Constitution.Short(), of.Constitution.Short())
	}
	if err := committee.CheckEncryption(a.Public); err != nil {
		return fault("%v", err)
	}
	if n := len(a.Earlier); n != 0 && n != earlierSize {
		return fault("the secret of the archive before has %d bytes, expected %d", n, earlierSize)
	}
	if n := len(a.Carried); n != 0 && (n < overhead+carriedSize || n > overhead+MaxCarried*carriedSize || (n-overhead)%carriedSize != 0) {
		return fault("the epochs that it carries have %d bytes, expected %d for each of 1 to %d, and %d", n, carriedSize, MaxCarried, overhead)
	}
	return c.Check(&a.Sealed, of.label())
}

// Reduce returns what is needed of an archive once the one after it holds its secret: all but the secret that is sealed to the committee. Its size does not
// depend on the number of seats. What it returns shares memory with a.
func (a *Archive) Reduce() *Archive {
	return &Archive{Constitution: a.Constitution, Public: a.Public, Earlier: a.Earlier, Carried: a.Carried}
}

// Part makes a seat's part in opening the archive; see committee.Committee.Open.
func (a *Archive) Part(c *committee.Committee, of Of, p *committee.Package) (committee.Part, error) {
	return c.Open(p, &a.Sealed, of.label())
}

// CheckPart says whether a seat's part in opening the archive is right; see committee.Committee.CheckPart.
func (a *Archive) CheckPart(c *committee.Committee, of Of, p committee.Part) error {
	return c.CheckPart(&a.Sealed, of.label(), p)
}

// Combine returns the archive's secret, given the parts of enough seats; see committee.Committee.Combine.
func (a *Archive) Combine(c *committee.Committee, of Of, parts []committee.Part) (_ keys.Secret, faults []error, err error) {
	return c.Combine(&a.Sealed, of.label(), parts)
}

// Private opens what was encrypted to an archive. It never prints.
type Private struct {
	archive *Archive
	of      Of
	key     hpke.PrivateKey
}

// Format writes a placeholder, whatever the verb.
func (*Private) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[key of an archive]") }

// Unlock returns what opens the archive's contents, given its secret. The error is coco.ErrVerify if the secret is another one's.
func (a *Archive) Unlock(secret keys.Secret, of Of) (*Private, error) {
	key, err := privateOf(secret, of)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(key.PublicKey().Bytes(), a.Public) {
		return nil, fmt.Errorf("%w: archive of committee %d: its secret gives another key than it names: the secret is of another archive, or who made the archive was dishonest", coco.ErrVerify, of.Committee)
	}
	return &Private{a, of, key}, nil
}

// Earlier returns the secret of the archive of the committee before; ok is false if the archive does not hold it. The error is coco.ErrVerify if it does not decrypt.
func (p *Private) Earlier() (secret keys.Secret, ok bool, err error) {
	if len(p.archive.Earlier) == 0 {
		return keys.Secret{}, false, nil
	}
	plain, err := p.open(contextEarlier, p.archive.Earlier)
	if err != nil || len(plain) != keys.SecretSize {
		return keys.Secret{}, false, fmt.Errorf("%w: archive of committee %d: the secret of the archive before does not decrypt", coco.ErrVerify, p.of.Committee)
	}
	defer clear(plain)
	return keys.Secret(plain), true, nil
}

// Carried returns the secrets of epochs that the archive carries. The error is coco.ErrVerify if they do not decrypt.
func (p *Private) Carried() (map[uint64]keys.Secret, error) {
	out := map[uint64]keys.Secret{}
	if len(p.archive.Carried) == 0 {
		return out, nil
	}
	plain, err := p.open(contextCarried, p.archive.Carried)
	if err != nil || len(plain)%carriedSize != 0 {
		return nil, fmt.Errorf("%w: archive of committee %d: the epochs that it carries do not decrypt", coco.ErrVerify, p.of.Committee)
	}
	defer clear(plain)
	for rest := plain; len(rest) > 0; rest = rest[carriedSize:] {
		out[binary.BigEndian.Uint64(rest)] = keys.Secret(rest[8:carriedSize])
	}
	return out, nil
}

func (p *Private) open(context string, box []byte) ([]byte, error) {
	return hpke.Open(p.key, hpke.HKDFSHA256(), hpke.AES256GCM(), p.of.info(context), box)
}

// privateOf derives an archive's private key from its secret, the seed of an X-Wing key:
//
//	HKDF-SHA256(secret, no salt, "coco archive key v1" ‖ 0x00 ‖ network ‖ committee u64, 32 bytes)
func privateOf(secret keys.Secret, of Of) (hpke.PrivateKey, error) {
	seed := erase.HKDF(secret[:], nil, string(of.info(contextKey)))
	defer clear(seed[:])
	key, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("archive of committee %d: %w", of.Committee, err)
	}
	return key, nil
}

// Marshal encodes an archive for the ledger.
func (a *Archive) Marshal() ([]byte, error) { return canon.Marshal(a) }

// Parse decodes what Marshal made. Whether it is right, Check says. The error is coco.ErrCorrupt.
func Parse(b []byte) (*Archive, error) {
	a := new(Archive)
	if err := canon.Unmarshal(b, a, limits()); err != nil {
		return nil, fmt.Errorf("%w: archive: %w", coco.ErrCorrupt, err)
	}
	return a, nil
}

func limits() canon.Limits {
	return canon.Limits{Bytes: maxEncoding, Elements: keys.MaxMembers, Pairs: 8}
}
