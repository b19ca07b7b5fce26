package committee

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"
	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/ristretto"
)

// Any threshold of seats opens what is sealed, whoever lies among the others; fewer open nothing, whatever they add to their own parts.
func TestAnyThresholdOpensAndFewerForgeNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(r, "n")
		threshold := rapid.IntRange(1, n).Draw(r, "threshold")
		c, packages := seated(t, threshold, n)
		secret, s, err := c.Seal([]byte("l"))
		if err != nil {
			r.Fatal(err)
		}
		_, other, err := c.Seal([]byte("l"))
		if err != nil {
			r.Fatal(err)
		}
		honest := rapid.IntRange(0, n).Draw(r, "honest")
		order := rapid.Permutation(parts(t, c, packages, s, "l")).Draw(r, "order")
		given := slices.Clone(order[:honest])
		// What the others can make: parts of another sealing, and their own from an honest one's.
		alien := parts(t, c, packages, other, "l")
		for _, p := range order[honest:] {
			forged := p
			switch rapid.IntRange(0, 3).Draw(r, "forgery") {
			case 0:
				forged = alien[p.Partial.Holder-1]
			case 1:
				forged.Share = alien[p.Partial.Holder-1].Share
			case 2:
				forged.Partial.Point = alien[p.Partial.Holder-1].Partial.Point
			case 3:
				forged.Partial.Holder = rapid.Uint32().Draw(r, "holder")
				if forged.Partial.Holder == p.Partial.Holder {
					forged.Partial.Holder++
				}
			}
			given = append(given, forged)
		}
		given = rapid.Permutation(append(given, given...)).Draw(r, "given") // each twice
		got, _, err := c.Combine(s, []byte("l"), given)
		if enough := honest >= threshold; enough && (err != nil || !got.Equal(secret)) {
			r.Fatalf("%d honest of %d that are needed: %v", honest, threshold, err)
		} else if !enough && !errors.Is(err, coco.ErrInvalid) {
			r.Fatalf("%d honest of %d that are needed: error %v, expected coco.ErrInvalid", honest, threshold, err)
		}
	})
}

// The shares of one seat fewer than are needed fit every secret: for each there is one polynomial through them, and one share that is missing. So a guess of the
// secret cannot be tested on them. (The commitments to the other shares are hashes of values that nobody can guess.)
func TestOneShareTooFewFitsEverySecret(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		threshold := rapid.IntRange(2, 6).Draw(r, "threshold")
		c, packages := seated(t, threshold, threshold)
		_, s, err := c.Seal([]byte("l"))
		if err != nil {
			r.Fatal(err)
		}
		known := rapid.Permutation(parts(t, c, packages, s, "l")).Draw(r, "known")[:threshold-1]
		at, values := []group.Scalar{ristretto.Group.NewScalar()}, []group.Scalar{ristretto.Group.RandomScalar(rand.Reader)} // a guess, at 0
		for _, p := range known {
			v, err := ristretto.ParseScalar(p.Share[:])
			if err != nil {
				r.Fatal(err)
			}
			at, values = append(at, ristretto.At(p.Partial.Holder)), append(values, v)
		}
		if fits := polynomial.NewLagrangePolynomial(at, values); fits.Degree() > threshold-1 {
			r.Fatalf("a polynomial of degree %d through the guess and the shares, expected at most %d", fits.Degree(), threshold-1)
		} else {
			for i, x := range at {
				if !fits.Evaluate(x).IsEqual(values[i]) {
					r.Fatal("the polynomial leaves out a point")
				}
			}
		}
	})
}

// Whatever is decoded from the ledger or from a seat, nothing panics over it, and what is accepted is written as the same bytes.
func FuzzSealed(f *testing.F) {
	c, packages := seated(f, 2, 3)
	_, s, err := c.Seal([]byte("l"))
	if err != nil {
		f.Fatal(err)
	}
	all := parts(f, c, packages, s, "l")
	add := func(v any) {
		b, err := canon.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(s)
	add(all[0])
	add(packages[0])
	limits := canon.Limits{Bytes: 1 << 16, Elements: keys.MaxMembers, Pairs: 8}
	f.Fuzz(func(t *testing.T, b []byte) {
		var sealed Sealed
		if canon.Unmarshal(b, &sealed, limits) == nil {
			again, err := canon.Marshal(sealed)
			if err != nil || string(again) != string(b) {
				t.Fatalf("%x is written as %x (%v)", b, again, err)
			}
			_, errOpen := c.Open(packages[0], &sealed, []byte("l"))
			_, _, errCombine := c.Combine(&sealed, []byte("l"), all)
			if ok := c.Check(&sealed, []byte("l")) == nil; !ok && (errOpen == nil || errCombine == nil) {
				t.Fatal("what is not right is opened")
			}
		}
		var part Part
		if canon.Unmarshal(b, &part, limits) == nil {
			_, faults, err := c.Combine(s, []byte("l"), []Part{part, all[1]})
			if err == nil && len(faults) > 0 {
				t.Fatalf("a wrong part counts: %v", faults)
			}
		}
		var p Package
		if canon.Unmarshal(b, &p, limits) == nil {
			if part, err := c.Open(&p, s, []byte("l")); err == nil && part.Partial.Holder != p.Share.Holder {
				t.Fatal("a part of another seat")
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	for _, k := range []struct{ threshold, n int }{{2, 3}, {6, 10}, {26, 50}} {
		c, packages := seated(b, k.threshold, k.n)
		_, s, err := c.Seal([]byte("l"))
		if err != nil {
			b.Fatal(err)
		}
		all := parts(b, c, packages[:k.threshold], s, "l")
		b.Run(fmt.Sprintf("part_of_%d", k.n), func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Open(packages[0], s, []byte("l")); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("combine_%d_of_%d", k.threshold, k.n), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := c.Combine(s, []byte("l"), all); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
