package committee

import (
	"testing"

	"github.com/cloudflare/circl/secretsharing"

	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
)

// A secret is of two halves: one rests on discrete logarithms and the other on X-Wing. Whoever has one of them, as by a quantum computer, has nothing of the secret.
func TestWhoeverHasOneHalfOfASecretHasNothing(t *testing.T) {
	c, packages := seated(t, 2, 3)
	label := []byte("epoch 5")
	secret, s, err := c.Seal(label)
	if err != nil {
		t.Fatal(err)
	}
	opening, err := c.opening(s, label)
	if err != nil {
		t.Fatal(err)
	}
	var shares []secretsharing.Share
	for _, p := range parts(t, c, packages, s, string(label))[:2] {
		if err := opening.Add(p.Partial); err != nil {
			t.Fatal(err)
		}
		value, err := ristretto.ParseScalar(p.Share[:])
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, secretsharing.Share{ID: ristretto.At(p.Partial.Holder), Value: value})
	}
	first, err := opening.Secret()
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := secretsharing.Recover(uint(c.Threshold()-1), shares)
	if err != nil {
		t.Fatal(err)
	}
	second, bound := ristretto.SecretOf(scalar), c.bound(&s.Ciphertext, label)
	with := func(first, second keys.Secret) keys.Secret {
		t.Helper()
		return derive(bound, first, second)
	}
	if got := with(first, second); !got.Equal(secret) {
		t.Fatal("both halves give another secret")
	}
	for name, got := range map[string]keys.Secret{
		"without the first half": with(keys.Secret{}, second), "without the second half": with(first, keys.Secret{}), "the halves exchanged": with(second, first),
	} {
		if got.Equal(secret) {
			t.Errorf("%s the secret is the same", name)
		}
	}
	if first.Equal(secret) || second.Equal(secret) || first.Equal(second) {
		t.Error("one half is the secret")
	}
}

// Each epoch has a secret of its own, also if everything that it is sealed for is the same.
func TestEachSecretIsFresh(t *testing.T) {
	c, _ := seated(t, 2, 3)
	seen := map[keys.Secret]bool{}
	for range 20 {
		secret, _, err := c.Seal([]byte("epoch 5"))
		if err != nil {
			t.Fatal(err)
		}
		if len(secret) != 32 || seen[secret] || secret.Equal(keys.Secret{}) {
			t.Fatalf("a secret of %d bytes, known before: %t", len(secret), seen[secret])
		}
		seen[secret] = true
	}
}
