package tdh2

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
)

// Opening is a ciphertext whose proof was checked for a key and a label, and the partials of it that were found right. What a holder does with its
// share, and each partial's check, rest on that one check. It is not safe for concurrent use.
type Opening struct {
	key        *Key
	ciphertext Ciphertext
	digest     coco.Digest   // of the key and the label
	u          group.Element // the ciphertext's
	at         []group.Scalar
	points     []group.Element
	holders    map[uint32]bool // whose partials are kept
}

// Open checks that a ciphertext was made for this key and a label by someone who knew its secret. A holder MUST NOT use its share on
// anything else. The error is coco.ErrVerify.
func (k *Key) Open(c *Ciphertext, label []byte) (*Opening, error) {
	u, err := c.U.Element()
	if err != nil {
		return nil, fmt.Errorf("%w: ciphertext: its first point is no element of the group, or the identity", coco.ErrVerify)
	}
	v, err := c.V.Element()
	if err != nil {
		return nil, fmt.Errorf("%w: ciphertext: its second point is no element of the group, or the identity", coco.ErrVerify)
	}
	if !k.context(label).Equal(c.Proof, ristretto.Pair{Base: ristretto.Group.Generator(), Power: u}, ristretto.Pair{Base: second, Power: v}) {
		return nil, fmt.Errorf("%w: ciphertext: its proof is wrong: it was altered, or made for another key or label", coco.ErrVerify)
	}
	return &Opening{key: k, ciphertext: *c, digest: k.digest(label), u: u, holders: map[uint32]bool{}}, nil
}

// Partial makes a holder's partial. The error is coco.ErrInvalid if the share is not of the key.
func (o *Opening) Partial(s Share) (Partial, error) {
	x, err := o.key.scalar(s)
	if err != nil {
		return Partial{}, err
	}
	g := ristretto.Group
	point := g.NewElement().Mul(o.u, x)
	proof := o.context(s.Holder).Equality(x, ristretto.Pair{Base: g.Generator(), Power: g.NewElement().MulGen(x)}, ristretto.Pair{Base: o.u, Power: point})
	return Partial{Holder: s.Holder, Point: ristretto.Encode(point), Proof: proof}, nil
}

// Add checks a holder's partial, and keeps it if more are needed. A holder counts once. The error is a *PartialError.
func (o *Opening) Add(p Partial) error {
	public, err := o.key.verification(p.Holder)
	if err != nil {
		return &PartialError{p.Holder, fmt.Sprintf("the key has holders 1 to %d", o.key.holders)}
	}
	point, err := p.Point.Element()
	if err != nil {
		return &PartialError{p.Holder, "it is no element of the group, or the identity"}
	}
	if !o.context(p.Holder).Equal(p.Proof, ristretto.Pair{Base: ristretto.Group.Generator(), Power: public}, ristretto.Pair{Base: o.u, Power: point}) {
		return &PartialError{p.Holder, "its proof is wrong: it was altered, or made of another ciphertext or with another share"}
	}
	if !o.holders[p.Holder] && len(o.points) < o.key.Threshold() {
		o.holders[p.Holder] = true
		o.at, o.points = append(o.at, ristretto.At(p.Holder)), append(o.points, point)
	}
	return nil
}

// Secret returns the ciphertext's secret. The error is coco.ErrInvalid while fewer partials than a threshold were right.
func (o *Opening) Secret() (keys.Secret, error) {
	if len(o.points) < o.key.Threshold() {
		return keys.Secret{}, fmt.Errorf("%w: expected partial decryptions of %d holders, found %d that are right: ask more holders for theirs",
			coco.ErrInvalid, o.key.Threshold(), len(o.points))
	}
	g := ristretto.Group
	sum := g.Identity()
	for i, point := range o.points {
		sum.Add(sum, g.NewElement().Mul(point, polynomial.LagrangeBase(uint(i), o.at, g.NewScalar())))
	}
	return derive(&o.ciphertext, o.digest, sum), nil
}

// context is that of a partial's proof. Its digest is SHA-256(SHA-256(h ‖ label) ‖ the ciphertext ‖ holder u32).
func (o *Opening) context(holder uint32) ristretto.Context {
	return ristretto.Context{Name: contextPartial, Digest: sha256.Sum256(binary.BigEndian.AppendUint32(o.ciphertext.append(o.digest[:]), holder))}
}
