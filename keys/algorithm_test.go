package keys

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"testing"

	"github.com/cocoframework/coco"
)

func TestXWingKeysHaveTheFormOfTheDraft(t *testing.T) {
	// The examples of draft-connolly-cfrg-xwing-kem, appendix D; their seed is the bytes 0 to 31.
	private, err := os.ReadFile("testdata/xwing/draft.priv")
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile("testdata/xwing/draft.pub")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseMemberKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if key.Algorithm() != XWing {
		t.Errorf("the key is for %s, expected %s", key.Algorithm(), XWing)
	}
	again, err := key.PEM()
	if err != nil || !bytes.Equal(again, private) {
		t.Errorf("the private key is written as %q, expected %q (%v)", again, private, err)
	}
	again, err = MarshalPublicKey(key.Public())
	if err != nil || !bytes.Equal(again, public) {
		t.Errorf("the public key is written as %q, expected %q (%v)", again, public, err)
	}
	parsed, err := ParsePublicKey(public)
	if err != nil || !bytes.Equal(parsed, key.Public()) || len(parsed) != XWingPublicKeySize {
		t.Errorf("the public key is read as %x (%v)", parsed, err)
	}
}

func TestWhatIsSealedToAMemberOpensWithItsKeyForItsPurposeOnly(t *testing.T) {
	for _, a := range []Algorithm{X25519, XWing} {
		t.Run(string(a), func(t *testing.T) {
			key, other := newKey(t, a), newKey(t, a)
			if got, err := AlgorithmOf(key.Public()); err != nil || got != a || key.Algorithm() != a {
				t.Errorf("a key for %s says %s and %s (%v)", a, key.Algorithm(), got, err)
			}
			plain := []byte("what a seat holds")
			box, err := SealTo(key.Public(), []byte("for this"), plain)
			if err != nil {
				t.Fatal(err)
			}
			if size, err := SealedSize(key.Public(), len(plain)); err != nil || size != len(box) {
				t.Errorf("a box of %d bytes, SealedSize says %d (%v)", len(box), size, err)
			}
			if got, err := key.Open([]byte("for this"), box); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("opened %q (%v)", got, err)
			}
			if again, _ := SealTo(key.Public(), []byte("for this"), plain); bytes.Equal(again, box) {
				t.Error("two boxes are equal")
			}
			for i := range box {
				changed := bytes.Clone(box)
				changed[i] ^= 1
				if _, err := key.Open([]byte("for this"), changed); !errors.Is(err, coco.ErrVerify) {
					t.Fatalf("byte %d changed: error %v, expected coco.ErrVerify", i, err)
				}
			}
			for name, try := range map[string]func() error{
				"another purpose":  func() error { _, err := key.Open([]byte("for that"), box); return err },
				"another key":      func() error { _, err := other.Open([]byte("for this"), box); return err },
				"a shorter box":    func() error { _, err := key.Open([]byte("for this"), box[:len(box)-1]); return err },
				"hardly a box":     func() error { _, err := key.Open([]byte("for this"), box[:20]); return err },
				"nothing":          func() error { _, err := key.Open([]byte("for this"), nil); return err },
				"a key as its box": func() error { _, err := key.Open([]byte("for this"), key.Public()); return err },
			} {
				if err := try(); !errors.Is(err, coco.ErrVerify) {
					t.Errorf("%s: error %v, expected coco.ErrVerify", name, err)
				}
			}
		})
	}
}

func TestAKeyOfOneAlgorithmOpensNothingOfAnother(t *testing.T) {
	hybrid, classic := newKey(t, XWing), newKey(t, X25519)
	for _, c := range []struct{ to, with *MemberKey }{{hybrid, classic}, {classic, hybrid}} {
		box, err := SealTo(c.to.Public(), nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.with.Open(nil, box); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("a box for %s and a key for %s: error %v, expected coco.ErrVerify", c.to.Algorithm(), c.with.Algorithm(), err)
		}
	}
}

func TestAWeakOrAlienXWingKeyIsRefused(t *testing.T) {
	right := newKey(t, XWing).Public()
	with := func(at int, part []byte) []byte {
		out := bytes.Clone(right)
		copy(out[at:], part)
		return out
	}
	cases := map[string][]byte{
		"too short":                       right[1:],
		"too long":                        append(bytes.Clone(right), 0),
		"nothing":                         nil,
		"a coefficient above the modulus": with(0, []byte{0xff, 0xff, 0xff}), // FIPS 203, section 7.2
	}
	for i, u := range smallOrder {
		cases["X25519 of small order, "+string(rune('0'+i))] = with(XWingPublicKeySize-PublicKeySize, []byte(u))
	}
	for name, public := range cases {
		if err := CheckPublicKey(public); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
		if _, err := SealTo(public, nil, []byte("x")); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: sealing: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	if err := CheckPublicKey(right); err != nil {
		t.Error(err)
	}
	if _, err := NewMemberKey("RSA"); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a key for RSA: error %v, expected coco.ErrInvalid", err)
	}
}

func TestAnXWingKeyThatIsNotOfTheDraftIsRefused(t *testing.T) {
	key := newKey(t, XWing)
	private, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	public, err := MarshalPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	of := func(text []byte) []byte { b, _ := pem.Decode(text); return b.Bytes }
	armour := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	// A DER value of the same fields, with the parameters NULL, or with a longer seed.
	null := bytes.Replace(of(private), []byte{0x30, 0x0d, 0x06, 0x0b}, []byte{0x30, 0x0f, 0x06, 0x0b}, 1)
	null = bytes.Replace(null, []byte{0xc8, 0x7a}, []byte{0xc8, 0x7a, 0x05, 0x00}, 1)
	null[1] += 2
	short := bytes.Replace(of(private), []byte{0x04, 0x20}, []byte{0x04, 0x1f}, 1)
	short = short[:len(short)-1]
	short[1]--
	for name, text := range map[string][]byte{
		"parameters":      armour(privateBlock, null),
		"a short seed":    armour(privateBlock, short),
		"bytes behind it": armour(privateBlock, append(bytes.Clone(of(private)), 0)),
		"a public key":    armour(privateBlock, of(public)),
	} {
		if _, err := ParseMemberKey(text); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("private key with %s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	for name, text := range map[string][]byte{
		"bytes behind it": armour(publicBlock, append(bytes.Clone(of(public)), 0)),
		"a private key":   armour(publicBlock, of(private)),
		"a changed size":  armour(publicBlock, of(public)[:len(of(public))-1]),
	} {
		if _, err := ParsePublicKey(text); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("public key with %s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
}

func newKey(t testing.TB, a Algorithm) *MemberKey {
	t.Helper()
	k, err := NewMemberKey(a)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func FuzzParseMemberKey(f *testing.F) {
	for _, a := range []Algorithm{X25519, XWing} {
		text, err := newKey(f, a).PEM()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParseMemberKey(text)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatalf("error %v, expected coco.ErrInvalid", err)
			}
			return
		}
		again, err := key.PEM()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := ParseMemberKey(again); err != nil || !bytes.Equal(same.Public(), key.Public()) {
			t.Fatalf("another key came back: %v", err)
		}
	})
}

func BenchmarkCheckPublicKey(b *testing.B) {
	for _, a := range []Algorithm{X25519, XWing} {
		public := newKey(b, a).Public()
		b.Run(string(a), func(b *testing.B) {
			for b.Loop() {
				if err := CheckPublicKey(public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
