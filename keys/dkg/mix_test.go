package dkg

import (
	"errors"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"
	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// Whoever collects some shares before a resharing and some after it has neither key: no set that mixes them and lacks a threshold of either kind gives the private key,
// although both kinds are of one public key.
func TestOldAndNewSharesDoNotMix(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(r, "n")
		threshold := rapid.IntRange(2, n).Draw(r, "threshold")
		first := begin(t, session(n, threshold), nil)
		key, shares := first.done()
		m := rapid.IntRange(2, 5).Draw(r, "new n")
		again := begin(t, reshare(first, key, m, rapid.IntRange(2, m).Draw(r, "new threshold"), rapid.IntRange(0, 3).Draw(r, "from")), shares)
		next, fresh := again.done()
		if next.Public() != key.Public() {
			r.Fatal("the public key has changed")
		}
		old, young := list(shares), list(fresh)
		k := rapid.IntRange(1, min(threshold-1, len(old))).Draw(r, "old shares")
		l := rapid.IntRange(1, next.Threshold()-1).Draw(r, "new shares")
		old, young = drawn(r, old, k), drawn(r, young, l)
		for _, mixed := range [][]tdh2.Share{append(append([]tdh2.Share{}, old...), young...), append(append([]tdh2.Share{}, young...), old...)} {
			if public, ok := interpolated(mixed); ok && public == key.Public() {
				r.Fatalf("%d old and %d new shares of thresholds %d and %d give the private key", k, l, threshold, next.Threshold())
			}
		}
		for _, s := range old {
			if err := next.Check(s); !errors.Is(err, coco.ErrInvalid) {
				r.Fatalf("the new key knows an old share: %v", err)
			}
		}
		for _, s := range young {
			if err := key.Check(s); !errors.Is(err, coco.ErrInvalid) {
				r.Fatalf("the old key knows a new share: %v", err)
			}
		}
	})
}

// drawn returns some of shares.
func drawn(r *rapid.T, shares []tdh2.Share, n int) []tdh2.Share {
	return rapid.Permutation(shares).Draw(r, "order")[:n]
}

// interpolated returns g to the value at 0 of the polynomial through shares. It reports false if two shares have one place.
func interpolated(shares []tdh2.Share) (ristretto.Point, bool) {
	var at, values []group.Scalar
	seen := map[uint32]bool{}
	for _, s := range shares {
		if seen[s.Holder] {
			return ristretto.Point{}, false
		}
		seen[s.Holder] = true
		v, err := ristretto.ParseScalar(s.Value[:])
		if err != nil {
			return ristretto.Point{}, false
		}
		at, values = append(at, ristretto.At(s.Holder)), append(values, v)
	}
	sum := ristretto.Group.NewScalar()
	for i := range at {
		weight := polynomial.LagrangeBase(uint(i), at, ristretto.Group.NewScalar())
		sum.Add(sum, ristretto.Group.NewScalar().Mul(weight, values[i]))
	}
	return ristretto.Encode(ristretto.Group.NewElement().MulGen(sum)), true
}
