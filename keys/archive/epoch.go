package archive

import (
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/ristretto"
)

// epochVersion is the format of an Epoch. Format 1 is keys.SealedEpoch.
const epochVersion = 2

// epochBox is an epoch's secret, encrypted to an archive.
const epochBox = keys.SecretSize + overhead

// Epoch is the secret of an epoch, sealed to a committee and encrypted to its archive. It is public. Its CBOR form (Marshal) is deterministic.
type Epoch struct {
	Version      uint64           `cbor:"1,keyasint"` // of the format; 2
	Epoch        uint64           `cbor:"2,keyasint"`
	Committee    uint64           `cbor:"3,keyasint"`          // its number
	View         uint64           `cbor:"4,keyasint"`          // of the transaction that announces it
	Constitution coco.Digest      `cbor:"5,keyasint"`          // in force after that transaction
	Sealed       committee.Sealed `cbor:"6,keyasint,omitzero"` // zero in a reduced one
	Box          []byte           `cbor:"7,keyasint"`          // the same secret, encrypted to the committee's archive

	// Of a reduced one: the u of the sealed secret, to which Box is bound, and the SHA-256 of the epoch's form before.
	U     ristretto.Point `cbor:"8,keyasint,omitzero"`
	Whole coco.Digest     `cbor:"9,keyasint,omitzero"`
}

// At is where an epoch is announced.
type At struct {
	Of
	Epoch       uint64
	View, Seqno uint64 // of the transaction
}

// label is what an epoch's secret is sealed for: what an archive's is, with a context of its own, ‖ epoch u64 ‖ view u64 ‖ seqno u64.
func (a At) label() []byte {
	b := a.append(labelEpoch)
	b = binary.BigEndian.AppendUint64(b, a.Epoch)
	b = binary.BigEndian.AppendUint64(b, a.View)
	return binary.BigEndian.AppendUint64(b, a.Seqno)
}

// info is what Epoch.Box is bound to: a context ‖ 0x00 ‖ network ‖ committee u64 ‖ epoch u64 ‖ the u of the sealed secret.
func (e *Epoch) info(of Of) []byte {
	b := of.info(contextEpoch)
	b = binary.BigEndian.AppendUint64(b, e.Epoch)
	u := e.Sealed.Ciphertext.U
	if e.Reduced() {
		u = e.U
	}
	return append(b, u[:]...)
}

// Reduced says whether only the archive of its committee opens the epoch.
func (e *Epoch) Reduced() bool { return e.Whole != coco.Digest{} }

// Reduce returns what is needed of an epoch once its committee is replaced and the archive of the next one opens that committee's: all but the secret that is sealed to the
// committee's seats. Its size does not depend on their number. What it returns shares memory with e, which MUST be whole.
func (e *Epoch) Reduce() (*Epoch, error) {
	b, err := e.Marshal()
	if err != nil {
		return nil, err
	}
	return &Epoch{
		Version: e.Version, Epoch: e.Epoch, Committee: e.Committee, View: e.View, Constitution: e.Constitution, Box: e.Box,
		U: e.Sealed.Ciphertext.U, Whole: sha256.Sum256(b),
	}, nil
}

// DigestOf returns what nodes name an epoch by that is stored: the SHA-256 of its public form, which is that of its whole form still after it was reduced; and whether it was. The
// error is coco.ErrCorrupt.
func DigestOf(stored []byte) (digest coco.Digest, reduced bool, err error) {
	format, err := FormatOf(stored)
	if err != nil || format == 1 {
		return sha256.Sum256(stored), false, err
	}
	whole, reduced, err := canon.Field(stored, 9, limits())
	if err == nil && reduced {
		err = canon.Unmarshal(whole, &digest, limits())
	} else {
		digest = sha256.Sum256(stored)
	}
	if err != nil {
		return coco.Digest{}, false, fmt.Errorf("%w: sealed epoch: %w", coco.ErrCorrupt, err)
	}
	return digest, reduced, nil
}

// NewEpoch makes the secret of an epoch for a committee and the public key of its archive.
func NewEpoch(c *committee.Committee, public []byte, at At) (keys.Secret, *Epoch, error) {
	secret, sealed, err := c.Seal(at.label())
	if err != nil {
		return keys.Secret{}, nil, err
	}
	e := &Epoch{Version: epochVersion, Epoch: at.Epoch, Committee: at.Committee, View: at.View, Constitution: at.Constitution, Sealed: *sealed}
	boxed := secret // on the heap, as what is given to package hpke
	e.Box, err = keys.SealTo(public, e.info(at.Of), boxed[:])
	clear(boxed[:])
	return secret, e, err
}

// Check says whether the epoch has the right shape, and is sealed to a committee for its place. The error is coco.ErrVerify.
func (e *Epoch) Check(c *committee.Committee, at At) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%w: epoch %d: %s", coco.ErrVerify, at.Epoch, fmt.Sprintf(format, args...))
	}
	switch {
	case e.Version != epochVersion:
		return fault("format version %d, expected %d", e.Version, epochVersion)
	case e.Epoch != at.Epoch:
		return fault("it says that it is epoch %d", e.Epoch)
	case e.Committee != at.Committee:
		return fault("it is sealed to committee %d, expected the newest, %d", e.Committee, at.Committee)
	case e.View != at.View:
		return fault("it names view %d, expected %d", e.View, at.View)
	case e.Constitution != at.Constitution:
		return fault("it names the constitution %s, expected %s", e.Constitution.Short(), at.Constitution.Short())
	case e.Reduced():
		return fault("it is reduced: only an epoch of a committee that was replaced is")
	case len(e.Box) != epochBox:
		return fault("its copy for the archive has %d bytes, expected %d", len(e.Box), epochBox)
	}
	return c.Check(&e.Sealed, at.label())
}

// Part makes a seat's part in opening the epoch; see committee.Committee.Open.
func (e *Epoch) Part(c *committee.Committee, at At, p *committee.Package) (committee.Part, error) {
	return c.Open(p, &e.Sealed, at.label())
}

// Combine returns the epoch's secret, given the parts of enough seats; see committee.Committee.Combine.
func (e *Epoch) Combine(c *committee.Committee, at At, parts []committee.Part) (_ keys.Secret, faults []error, err error) {
	return c.Combine(&e.Sealed, at.label(), parts)
}

// Epoch returns the secret of an epoch that was announced to the archive's committee. The error is coco.ErrVerify if it does not decrypt.
func (p *Private) Epoch(e *Epoch) (keys.Secret, error) {
	fault := fmt.Errorf("%w: epoch %d: its copy does not open with the archive of committee %d", coco.ErrVerify, e.Epoch, p.of.Committee)
	if e.Committee != p.of.Committee {
		return keys.Secret{}, fault
	}
	plain, err := hpke.Open(p.key, hpke.HKDFSHA256(), hpke.AES256GCM(), e.info(p.of), e.Box)
	if err != nil || len(plain) != keys.SecretSize {
		return keys.Secret{}, fault
	}
	defer clear(plain)
	return keys.Secret(plain), nil
}

// Marshal encodes the epoch for the ledger.
func (e *Epoch) Marshal() ([]byte, error) { return canon.Marshal(e) }

// ParseEpoch decodes what Epoch.Marshal made. Whether it is right, Check says. The error is coco.ErrCorrupt.
func ParseEpoch(b []byte) (*Epoch, error) {
	e := new(Epoch)
	if err := canon.Unmarshal(b, e, limits()); err != nil {
		return nil, fmt.Errorf("%w: sealed epoch: %w", coco.ErrCorrupt, err)
	}
	if e.Version != epochVersion {
		return nil, fmt.Errorf("%w: sealed epoch %d: format version %d, expected %d", coco.ErrCorrupt, e.Epoch, e.Version, epochVersion)
	}
	if whole := len(e.Sealed.Boxes) > 0; whole == e.Reduced() || whole != (e.U == ristretto.Point{}) {
		return nil, fmt.Errorf("%w: sealed epoch %d: it is neither whole nor reduced", coco.ErrCorrupt, e.Epoch)
	}
	return e, nil
}

// EpochOf decodes an epoch that is stored. It returns nil if that is of format 1, which keys.ParseSealedEpoch decodes. The error is coco.ErrCorrupt.
func EpochOf(b []byte) (*Epoch, error) {
	format, err := FormatOf(b)
	if err != nil || format == 1 {
		return nil, err
	}
	return ParseEpoch(b)
}

// FormatOf returns the version of the format of an epoch that is stored: 1 for a keys.SealedEpoch, 2 for an Epoch. The error is coco.ErrCorrupt.
func FormatOf(b []byte) (uint64, error) {
	field, ok, err := canon.Field(b, 1, limits())
	var version uint64
	if err == nil && ok {
		version, _, err = canon.CutHead(field, canon.Uint)
	}
	if err != nil || version < 1 || version > epochVersion {
		return 0, fmt.Errorf("%w: sealed epoch: expected format version 1 or %d, found %d (%v)", coco.ErrCorrupt, epochVersion, version, err)
	}
	return version, nil
}
