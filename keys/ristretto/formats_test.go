package ristretto

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cloudflare/circl/group"

	"github.com/cocoframework/coco"
)

// TestProofsHaveTheDocumentedForm checks proofs as docs/formats.md says.
func TestProofsHaveTheDocumentedForm(t *testing.T) {
	context := Context{"a name", coco.Digest{1, 2}}
	c := append([]byte("a name\x00"), context.Digest[:]...)
	hash := func(b []byte, tag string) group.Scalar {
		return Group.HashToScalar(b, append([]byte(tag), c...))
	}
	raw := func(e group.Element) []byte { p := Encode(e); return p[:] }
	with := func(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }
	power := func(e group.Element, x group.Scalar) group.Element { return Group.NewElement().Mul(e, x) }
	times := func(a, b group.Element) group.Element { return Group.NewElement().Add(a, b) }

	x := Group.RandomNonZeroScalar(rand.Reader)
	a, b := Group.Generator(), Group.HashToElement([]byte("b"), []byte("test"))
	bigA, bigB := power(a, x), power(b, x)
	proof := context.Equality(x, Pair{a, bigA}, Pair{b, bigB})
	challenge, err := ParseScalar(proof[:32])
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseScalar(proof[32:])
	if err != nil {
		t.Fatal(err)
	}
	seed := sha512.Sum512(slices.Concat(with(raw(bigA)), with(append([]byte("Seed-"), c...))))
	d := hash(slices.Concat(with(seed[:]), []byte{0, 0}, with(raw(b)), with(raw(bigB)), []byte("Composite")), "HashToScalar-")
	m, z := power(b, d), power(bigB, d)
	want := hash(slices.Concat(with(raw(a)), with(raw(bigA)), with(raw(m)), with(raw(z)),
		with(raw(times(power(a, s), power(bigA, challenge)))), with(raw(times(power(m, s), power(z, challenge)))), []byte("Challenge")), "HashToScalar-")
	if !want.IsEqual(challenge) {
		t.Error("the challenge of a proof of equality is another one")
	}

	possession := context.Possession(x)
	v, err := Point(possession[:32]).Element()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseScalar(possession[32:])
	if err != nil {
		t.Fatal(err)
	}
	k := hash(slices.Concat(raw(a), raw(v), raw(bigA), binary.BigEndian.AppendUint32(nil, 0), binary.BigEndian.AppendUint32(nil, uint32(len(c))), c), "")
	if !v.IsEqual(times(power(a, r), power(bigA, k))) {
		t.Error("a proof of possession has another form")
	}
}
