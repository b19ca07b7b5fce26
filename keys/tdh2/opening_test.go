package tdh2

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
)

// A ciphertext's proof is checked once, and partials are added as they come.
func TestAnOpeningTakesPartialsOneByOne(t *testing.T) {
	k, shares := deal(t, 2, 3)
	secret, c := encapsulate(t, k, "l")
	o, err := k.Open(c, []byte("l"))
	if err != nil {
		t.Fatal(err)
	}
	right := decrypt(t, k, shares, c, "l")
	wrong := right[1]
	wrong.Holder = 3
	var fault *PartialError
	for i, step := range []struct {
		p          Partial
		fault, all bool
	}{{right[1], false, false}, {right[1], false, false}, {wrong, true, false}, {right[2], false, true}, {right[0], false, true}, {wrong, true, true}} {
		if err := o.Add(step.p); errors.As(err, &fault) != step.fault {
			t.Errorf("step %d: error %v", i, err)
		}
		got, err := o.Secret()
		if step.all && (err != nil || !got.Equal(secret)) || !step.all && !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("step %d: error %v", i, err)
		}
	}
}

// With a threshold of 1 the polynomial is constant: a share "of holder 0" would match its verification key, which is the public key.
func TestThereIsNoHolder0ThoughItsShareWouldBeThePrivateKey(t *testing.T) {
	k, shares := deal(t, 1, 2)
	_, c := encapsulate(t, k, "l")
	o, err := k.Open(c, []byte("l"))
	if err != nil {
		t.Fatal(err)
	}
	zero := Share{Holder: 0, Value: shares[0].Value}
	if err := k.Check(zero); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("its share: error %v, expected coco.ErrInvalid", err)
	}
	if _, err := o.Partial(zero); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("its partial: error %v, expected coco.ErrInvalid", err)
	}
	if _, err := k.Verification(0); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("its verification key: error %v, expected coco.ErrInvalid", err)
	}
}

// Numbers of holders are below the order by far, so that no two holders have one place, and none has that of the secret.
func TestNoTwoHoldersHaveOnePlace(t *testing.T) {
	places := map[keys.Secret]uint32{ristretto.SecretOf(ristretto.Group.NewScalar()): 0}
	for _, holder := range []uint32{1, 2, 3, MaxHolders, MaxHolders + 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		place := ristretto.SecretOf(ristretto.At(holder))
		if other, ok := places[place]; ok {
			t.Errorf("holders %d and %d have one place", holder, other)
		}
		places[place] = holder
	}
}

// Whoever seals twice with one exponent has two ciphertexts of the same u. A partial of the one must be none of the other, or a holder that opens what it may would
// open what it may not.
func TestAPartialIsOfOneCiphertextThoughTheExponentIsTheSame(t *testing.T) {
	k, shares := deal(t, 1, 1)
	g := ristretto.Group
	r := g.RandomNonZeroScalar(rand.Reader)
	u, v := g.NewElement().MulGen(r), g.NewElement().Mul(second, r)
	sealed := func(label string) *Ciphertext {
		return &Ciphertext{U: ristretto.Encode(u), V: ristretto.Encode(v), Proof: k.context([]byte(label)).Equality(r, ristretto.Pair{Base: g.Generator(), Power: u}, ristretto.Pair{Base: second, Power: v})}
	}
	may, not := sealed("epoch 9"), sealed("epoch 5")
	p := decrypt(t, k, shares, may, "epoch 9")[0]
	if err := verify(t, k, may, "epoch 9", p); err != nil {
		t.Fatal(err)
	}
	var fault *PartialError
	if err := verify(t, k, not, "epoch 5", p); !errors.As(err, &fault) || fault.Holder != 1 {
		t.Errorf("the partial of another label: error %v, expected one that names holder 1", err)
	}
	// Two ciphertexts of one label differ in their proofs, which are random.
	if err := verify(t, k, sealed("epoch 9"), "epoch 9", p); !errors.As(err, &fault) {
		t.Errorf("the partial of another ciphertext of the label: error %v", err)
	}
}

func TestAKeyIsDealtToNoFewerThanAreNeeded(t *testing.T) {
	for _, c := range []struct{ threshold, holders int }{{0, 1}, {2, 1}, {0, 0}, {1, MaxHolders + 1}} {
		if _, _, err := Deal(c.threshold, c.holders); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%d of %d: error %v, expected coco.ErrInvalid", c.threshold, c.holders, err)
		}
	}
}
