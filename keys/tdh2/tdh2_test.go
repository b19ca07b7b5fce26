package tdh2

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
)

var update = flag.Bool("update", false, "write the golden files")

func deal(t testing.TB, threshold, holders int) (*Key, []Share) {
	t.Helper()
	k, shares, err := Deal(threshold, holders)
	if err != nil {
		t.Fatal(err)
	}
	return k, shares
}

func encapsulate(t testing.TB, k *Key, label string) (keys.Secret, *Ciphertext) {
	t.Helper()
	secret, c, err := k.Encapsulate([]byte(label))
	if err != nil {
		t.Fatal(err)
	}
	return secret, &c
}

func decrypt(t testing.TB, k *Key, shares []Share, c *Ciphertext, label string) []Partial {
	t.Helper()
	out := make([]Partial, len(shares))
	for i, s := range shares {
		var err error
		if out[i], err = k.Decrypt(s, c, []byte(label)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// verify checks a partial of a ciphertext that is right.
func verify(t testing.TB, k *Key, c *Ciphertext, label string, p Partial) error {
	t.Helper()
	o, err := k.Open(c, []byte(label))
	if err != nil {
		t.Fatal(err)
	}
	return o.Add(p)
}

func TestAnyThresholdOfHoldersOpensACiphertextAndFewerDoNot(t *testing.T) {
	for _, c := range []struct{ threshold, holders int }{{1, 1}, {1, 2}, {2, 2}, {2, 3}, {4, 4}, {3, 5}} {
		t.Run(fmt.Sprintf("%d of %d", c.threshold, c.holders), func(t *testing.T) {
			k, shares := deal(t, c.threshold, c.holders)
			secret, ciphertext := encapsulate(t, k, "epoch 5")
			partials := decrypt(t, k, shares, ciphertext, "epoch 5")
			for set := range 1 << c.holders {
				var some []Partial
				for i := c.holders - 1; i >= 0; i-- { // in any order
					if set>>i&1 == 1 {
						some = append(some, partials[i])
					}
				}
				if len(some) > 0 {
					some = append(some, some[0], some[0]) // a holder that speaks again counts once
				}
				got, faults, err := k.Combine(ciphertext, []byte("epoch 5"), some)
				switch enough := len(some)-2 >= c.threshold; {
				case len(faults) != 0:
					t.Fatalf("holders %b: faults %v of partials that are right", set, faults)
				case enough && (err != nil || !got.Equal(secret)):
					t.Fatalf("holders %b: another secret, error %v", set, err)
				case !enough && !errors.Is(err, coco.ErrInvalid):
					t.Fatalf("holders %b are too few: error %v, expected coco.ErrInvalid", set, err)
				}
			}
		})
	}
}

func TestEachCiphertextHasASecretOfItsOwn(t *testing.T) {
	k, _ := deal(t, 1, 1)
	a, ca := encapsulate(t, k, "a")
	b, cb := encapsulate(t, k, "a")
	if a.Equal(b) || *ca == *cb {
		t.Fatal("two encapsulations are equal")
	}
}

func TestACiphertextOpensUnderItsKeyAndLabelOnly(t *testing.T) {
	k, shares := deal(t, 2, 3)
	other, otherShares := deal(t, 2, 3)
	_, c := encapsulate(t, k, "epoch 5")
	for name, try := range map[string]func() error{
		"another label":  func() error { _, err := k.Decrypt(shares[0], c, []byte("epoch 9")); return err },
		"no label":       func() error { _, err := k.Decrypt(shares[0], c, nil); return err },
		"a longer label": func() error { _, err := k.Decrypt(shares[0], c, []byte("epoch 5\x00")); return err },
		"another key":    func() error { _, err := other.Decrypt(otherShares[0], c, []byte("epoch 5")); return err },
		"verifying":      func() error { return k.Verify(c, []byte("epoch 9")) },
		"combining":      func() error { _, _, err := k.Combine(c, []byte("epoch 9"), nil); return err },
	} {
		if err := try(); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: error %v, expected coco.ErrVerify", name, err)
		}
	}
}

// An auditor who may have epoch 9 opened makes a ciphertext for epoch 9 out of that of epoch 5, as ElGamal's scheme would let it: by the
// same exponent, by a shifted one, and with proofs that are taken over.
func TestNoCiphertextIsMadeOutOfAnother(t *testing.T) {
	k, shares := deal(t, 2, 3)
	_, c5 := encapsulate(t, k, "epoch 5")
	_, c9 := encapsulate(t, k, "epoch 9")
	g := ristretto.Group
	u, _ := c5.U.Element()
	v, _ := c5.V.Element()
	shift := g.RandomNonZeroScalar(rand.Reader)
	shifted := Ciphertext{
		U:     ristretto.Encode(g.NewElement().Add(u, g.NewElement().MulGen(shift))),
		V:     ristretto.Encode(g.NewElement().Add(v, g.NewElement().Mul(second, shift))),
		Proof: c5.Proof,
	}
	blinded := Ciphertext{U: ristretto.Encode(g.NewElement().Mul(u, shift)), V: ristretto.Encode(g.NewElement().Mul(v, shift)), Proof: c5.Proof}
	for name, c := range map[string]Ciphertext{
		"the same":             *c5,
		"shifted":              shifted,
		"blinded":              blinded,
		"another one's proof":  {U: c5.U, V: c5.V, Proof: c9.Proof},
		"exponents that part":  {U: c9.U, V: c5.V, Proof: c9.Proof},
		"generators exchanged": {U: c9.V, V: c9.U, Proof: c9.Proof},
	} {
		if _, err := k.Decrypt(shares[0], &c, []byte("epoch 9")); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: error %v, expected coco.ErrVerify", name, err)
		}
	}
}

func TestNoByteOfACiphertextOrPartialCanBeChanged(t *testing.T) {
	k, shares := deal(t, 1, 1)
	_, c := encapsulate(t, k, "l")
	p := decrypt(t, k, shares, c, "l")[0]
	for i := range 128 {
		changed := *c
		for j, part := range [][]byte{changed.U[:], changed.V[:], changed.Proof[:32], changed.Proof[32:]} {
			if i/32 == j {
				part[i%32] ^= 1 << (i % 8)
			}
		}
		if err := k.Verify(&changed, []byte("l")); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("ciphertext with byte %d changed: error %v, expected coco.ErrVerify", i, err)
		}
	}
	for i := range 96 {
		changed := p
		for j, part := range [][]byte{changed.Point[:], changed.Proof[:32], changed.Proof[32:]} {
			if i/32 == j {
				part[i%32] ^= 1 << (i % 8)
			}
		}
		var fault *PartialError
		if err := verify(t, k, c, "l", changed); !errors.As(err, &fault) || fault.Holder != 1 {
			t.Errorf("partial with byte %d changed: error %v, expected one that names holder 1", i, err)
		}
	}
}

func TestAWrongPartialIsNamedAndDoesNotCount(t *testing.T) {
	k, shares := deal(t, 2, 4)
	secret, c := encapsulate(t, k, "l")
	_, c2 := encapsulate(t, k, "l")
	right := decrypt(t, k, shares, c, "l")
	ofAnother := decrypt(t, k, shares, c2, "l") // each with a valid proof
	identity := right[0]
	identity.Point = ristretto.Point{} // the identity's encoding
	moved := right[1]
	moved.Holder = 3
	for name, wrong := range map[string]Partial{
		"of another ciphertext":    ofAnother[0],
		"the identity":             identity,
		"another holder's":         moved,
		"holder 0":                 {Holder: 0, Point: right[0].Point, Proof: right[0].Proof},
		"a holder beyond the last": {Holder: 5, Point: right[0].Point, Proof: right[0].Proof},
	} {
		got, faults, err := k.Combine(c, []byte("l"), []Partial{wrong, right[3], right[1]})
		if err != nil || !got.Equal(secret) {
			t.Errorf("%s: the others are enough, error %v", name, err)
		}
		var fault *PartialError
		if len(faults) != 1 || !errors.As(faults[0], &fault) || fault.Holder != wrong.Holder {
			t.Errorf("%s: faults %v, expected one of holder %d", name, faults, wrong.Holder)
		}
		if _, faults, err := k.Combine(c, []byte("l"), []Partial{wrong, right[3]}); !errors.Is(err, coco.ErrInvalid) || len(faults) != 1 {
			t.Errorf("%s: error %v, faults %v; expected too few", name, err, faults)
		}
	}
}

// A proof that did not hash the whole statement could be made for a point chosen afterwards. Here the prover chooses its proof first and solves
// for one element of the statement at a time.
func TestNoProofIsMadeBeforeItsStatement(t *testing.T) {
	k, shares := deal(t, 1, 1)
	_, c := encapsulate(t, k, "l")
	honest := decrypt(t, k, shares, c, "l")[0]
	g := ristretto.Group
	u, _ := c.U.Element()
	challenge, response := g.NewScalar(), g.NewScalar()
	if challenge.UnmarshalBinary(honest.Proof[:32]) != nil || response.UnmarshalBinary(honest.Proof[32:]) != nil {
		t.Fatal("the proof is no pair of scalars")
	}
	// With the honest challenge and another response, the point that satisfies u^s·p^c = u^k for the honest k.
	other := g.RandomNonZeroScalar(rand.Reader)
	p, _ := honest.Point.Element()
	commit := g.NewElement().Add(g.NewElement().Mul(u, response), g.NewElement().Mul(p, challenge))
	forged := g.NewElement().Add(commit, g.NewElement().Neg(g.NewElement().Mul(u, other)))
	forged.Mul(forged, g.NewScalar().Inv(challenge))
	encoded, err := other.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	proof := honest.Proof
	copy(proof[32:], encoded)
	if err := verify(t, k, c, "l", Partial{Holder: 1, Point: ristretto.Encode(forged), Proof: proof}); err == nil {
		t.Fatal("a point that was solved for after the challenge is accepted")
	}
}

func TestAShareOfAnotherKeyOrHolderDecryptsNothing(t *testing.T) {
	k, shares := deal(t, 2, 3)
	_, others := deal(t, 2, 3)
	_, c := encapsulate(t, k, "l")
	order, _ := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010") // RFC 9496, section 4.4
	for name, s := range map[string]Share{
		"another key's":    others[0],
		"another holder's": {Holder: 2, Value: shares[0].Value},
		"holder 0":         {Holder: 0, Value: shares[0].Value},
		"beyond the last":  {Holder: 4, Value: shares[0].Value},
		"zero":             {Holder: 1},
		"the order":        {Holder: 1, Value: keys.Secret(order)},
	} {
		if _, err := k.Decrypt(s, c, []byte("l")); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
		if err := k.Check(s); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: Check: error %v, expected coco.ErrInvalid", name, err)
		}
	}
}

func TestAKeyThatCannotBeIsRefused(t *testing.T) {
	k, _ := deal(t, 2, 3)
	right := k.Commitment()
	// An encoding of RFC 9496, appendix A.3, that is of no element: its field element is not canonical.
	alien := ristretto.Point(bytes.Repeat([]byte{0xff}, ristretto.PointSize))
	for name, c := range map[string]struct {
		commitment []ristretto.Point
		holders    uint32
	}{
		"no commitment":                    {nil, 3},
		"a threshold above the holders":    {right, 1},
		"no holders":                       {right, 0},
		"too many holders":                 {right, MaxHolders + 1},
		"the identity first":               {[]ristretto.Point{{}, right[1]}, 3},
		"the identity last":                {[]ristretto.Point{right[0], {}}, 3},
		"an encoding that is no element's": {[]ristretto.Point{alien, right[1]}, 3},
	} {
		if _, err := NewKey(c.commitment, c.holders); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	again, err := NewKey(right, 3)
	if err != nil || again.Public() != k.Public() || again.Threshold() != 2 || again.Holders() != 3 {
		t.Fatalf("the key's own commitment: %v", err)
	}
}

// vector is a ciphertext and what opens it, so that a second implementation can be checked against this one.
type vector struct {
	Label      string
	Commitment []string
	Holders    uint32
	Shares     []string
	Ciphertext string
	Partials   []string // point and proof, of holders 1 to threshold
	Secret     string
}

func TestVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	if *update {
		k, shares := deal(t, 2, 3)
		secret, c := encapsulate(t, k, "coco")
		v := vector{Label: "coco", Holders: 3, Ciphertext: hex.EncodeToString(c.append(nil)), Secret: hex.EncodeToString(secret[:])}
		for _, p := range k.Commitment() {
			v.Commitment = append(v.Commitment, hex.EncodeToString(p[:]))
		}
		for _, s := range shares {
			v.Shares = append(v.Shares, hex.EncodeToString(s.Value[:]))
		}
		for _, p := range decrypt(t, k, shares[:2], c, "coco") {
			v.Partials = append(v.Partials, hex.EncodeToString(append(p.Point[:], p.Proof[:]...)))
		}
		b, err := json.MarshalIndent(v, "", "  ")
		if err == nil {
			err = os.WriteFile(file, append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var commitment []ristretto.Point
	for _, s := range v.Commitment {
		commitment = append(commitment, ristretto.Point(unhex(s)))
	}
	k, err := NewKey(commitment, v.Holders)
	if err != nil {
		t.Fatal(err)
	}
	raw := unhex(v.Ciphertext)
	c := &Ciphertext{U: ristretto.Point(raw[:32]), V: ristretto.Point(raw[32:64]), Proof: ristretto.Proof(raw[64:])}
	var recorded, made []Partial
	for i, s := range v.Partials {
		b := unhex(s)
		recorded = append(recorded, Partial{Holder: uint32(i + 1), Point: ristretto.Point(b[:32]), Proof: ristretto.Proof(b[32:])})
	}
	for i, s := range v.Shares {
		p, err := k.Decrypt(Share{Holder: uint32(i + 1), Value: keys.Secret(unhex(s))}, c, []byte(v.Label))
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, p)
	}
	for name, partials := range map[string][]Partial{"recorded": recorded, "made now": made[1:]} {
		secret, faults, err := k.Combine(c, []byte(v.Label), partials)
		if err != nil || len(faults) > 0 || hex.EncodeToString(secret[:]) != v.Secret {
			t.Errorf("partials %s: another secret, faults %v, error %v", name, faults, err)
		}
	}
}

func BenchmarkEncapsulate(b *testing.B) {
	k, _ := deal(b, 2, 3)
	for b.Loop() {
		encapsulate(b, k, "l")
	}
}

func BenchmarkCombine(b *testing.B) {
	for _, c := range []struct{ threshold, holders int }{{2, 3}, {6, 10}, {26, 50}} {
		b.Run(fmt.Sprintf("%d_of_%d", c.threshold, c.holders), func(b *testing.B) {
			k, shares := deal(b, c.threshold, c.holders)
			_, ciphertext := encapsulate(b, k, "l")
			partials := decrypt(b, k, shares[:c.threshold], ciphertext, "l")
			for b.Loop() {
				if _, _, err := k.Combine(ciphertext, []byte("l"), partials); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
