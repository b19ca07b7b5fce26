package ristretto

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/zk/dleq"

	"github.com/cocoframework/coco"
)

func point(t *testing.T, s string) Point {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != PointSize {
		t.Fatalf("%q: %v", s, err)
	}
	return Point(b)
}

// Encodings of RFC 9496, appendix A.3, that are of no element, one of each kind.
func TestWhatIsNoElementIsRefused(t *testing.T) {
	for name, s := range map[string]string{
		"identity":               "0000000000000000000000000000000000000000000000000000000000000000",
		"not canonical":          "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"not canonical, p + 1":   "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"negative":               "0100000000000000000000000000000000000000000000000000000000000000",
		"no square":              "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
		"negative xy":            "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
		"s = -1, which is y = 0": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		if _, err := point(t, s).Element(); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	// Appendix A.1: the generator and its double.
	g := Group.Generator()
	if got := Encode(g); got != point(t, "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76") {
		t.Errorf("the generator is %x", got)
	}
	if got := Encode(Group.NewElement().Dbl(g)); got != point(t, "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919") {
		t.Errorf("its double is %x", got)
	}
}

func TestAScalarHasOneEncoding(t *testing.T) {
	order := point(t, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010") // RFC 9496, section 4.4
	for name, b := range map[string][]byte{"the order": order[:], "all ones": bytes.Repeat([]byte{0xff}, 32), "short": make([]byte, 31), "long": make([]byte, 33)} {
		if _, err := ParseScalar(b); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	s := Group.RandomNonZeroScalar(rand.Reader)
	secret := SecretOf(s)
	if again, err := ParseScalar(secret[:]); err != nil || !again.IsEqual(s) {
		t.Errorf("a scalar read back: %v", err)
	}
}

func TestCommittedIsTheValueInTheExponent(t *testing.T) {
	a, b, c := Group.RandomNonZeroScalar(rand.Reader), Group.RandomNonZeroScalar(rand.Reader), Group.RandomNonZeroScalar(rand.Reader)
	commitment := []group.Element{Group.NewElement().MulGen(a), Group.NewElement().MulGen(b), Group.NewElement().MulGen(c)}
	// a + 7b + 49c
	value := Group.NewScalar().Add(a, Group.NewScalar().Mul(b, At(7)))
	value.Add(value, Group.NewScalar().Mul(c, At(49)))
	if !Committed(commitment, 7).IsEqual(Group.NewElement().MulGen(value)) {
		t.Fatal("the value at 7 is another one")
	}
}

// Each change of what a proof is about, and of the proof, must make it wrong: otherwise its challenge would not hash the whole statement.
func TestAProofIsOfOneStatementAndContext(t *testing.T) {
	x, y := Group.RandomNonZeroScalar(rand.Reader), Group.RandomNonZeroScalar(rand.Reader)
	base := func(s string) group.Element { return Group.HashToElement([]byte(s), []byte("test")) }
	pair := func(b group.Element, x group.Scalar) Pair { return Pair{b, Group.NewElement().Mul(b, x)} }
	a, b, other := pair(base("a"), x), pair(base("b"), x), pair(base("c"), x)
	c := Context{"test v1", coco.Digest{1}}
	proof := c.Equality(x, a, b)
	if !c.Equal(proof, a, b) {
		t.Fatal("an honest proof of equality is refused")
	}
	for name, right := range map[string]bool{
		"another digest":         Context{"test v1", coco.Digest{2}}.Equal(proof, a, b),
		"another name":           Context{"test v2", coco.Digest{1}}.Equal(proof, a, b),
		"another first pair":     c.Equal(proof, other, b),
		"another second pair":    c.Equal(proof, a, other),
		"exchanged pairs":        c.Equal(proof, b, a),
		"another first power":    c.Equal(proof, Pair{a.Base, other.Power}, b),
		"another second power":   c.Equal(proof, a, Pair{b.Base, other.Power}),
		"powers of another base": c.Equal(proof, Pair{other.Base, a.Power}, b),
		"unequal exponents":      c.Equal(c.Equality(x, a, pair(b.Base, y)), a, pair(b.Base, y)),
	} {
		if right {
			t.Errorf("equality: %s: accepted", name)
		}
	}

	power := Group.NewElement().MulGen(x)
	possession := c.Possession(x)
	if !c.Possessed(possession, power) {
		t.Fatal("an honest proof of possession is refused")
	}
	for name, right := range map[string]bool{
		"another digest": Context{"test v1", coco.Digest{2}}.Possessed(possession, power),
		"another name":   Context{"test v2", coco.Digest{1}}.Possessed(possession, power),
		"another power":  c.Possessed(possession, Group.NewElement().MulGen(y)),
		"of equality":    c.Possessed(proof, power),
	} {
		if right {
			t.Errorf("possession: %s: accepted", name)
		}
	}
	for i := range ProofSize {
		e, p := proof, possession
		e[i] ^= 1 << (i % 8)
		p[i] ^= 1 << (i % 8)
		if c.Equal(e, a, b) || c.Possessed(p, power) {
			t.Errorf("a proof with byte %d changed is accepted", i)
		}
	}
}

// A prover that may choose a base after the challenge proves anything: it solves for the base. circl has the transcript without the first base, too, which
// RFC 9497 uses where that base is fixed.
func TestAProofThatDoesNotHashItsBaseIsRefused(t *testing.T) {
	x := Group.RandomNonZeroScalar(rand.Reader)
	g, u := Group.Generator(), Group.HashToElement([]byte("u"), []byte("test"))
	a, b := Pair{g, Group.NewElement().MulGen(x)}, Pair{u, Group.NewElement().Mul(u, x)}
	c := Context{"test v1", coco.Digest{1}}
	p, err := dleq.Prover{Params: c.params()}.ProveBatchRFC9497(x, a.Power, []group.Element{b.Base}, []group.Element{b.Power}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if c.Equal(Proof(encoded), a, b) {
		t.Fatal("a proof whose challenge leaves the base out is accepted")
	}
}

// What is read as a point is written as the same bytes.
func FuzzAPointHasOneEncoding(f *testing.F) {
	g := Encode(Group.Generator())
	f.Add(g[:])
	f.Add(make([]byte, PointSize))
	f.Add(bytes.Repeat([]byte{0xff}, PointSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != PointSize {
			return
		}
		p := Point(b)
		if e, err := p.Element(); err == nil && Encode(e) != p {
			t.Fatalf("%x is written as %x", p, Encode(e))
		}
	})
}
