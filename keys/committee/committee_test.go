package committee

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/tdh2"
)

// seated makes a committee and its packages in one place, as a key generation does in many.
func seated(t testing.TB, threshold, n int) (*Committee, []*Package) {
	t.Helper()
	actors := make([]coco.ActorID, n)
	for i := range actors {
		actors[i] = sha256.Sum256([]byte{byte(i)})
	}
	c, packages, err := Deal(actors, threshold)
	if err != nil {
		t.Fatal(err)
	}
	return c, packages
}

func parts(t testing.TB, c *Committee, packages []*Package, s *Sealed, label string) []Part {
	t.Helper()
	out := make([]Part, len(packages))
	for i, p := range packages {
		var err error
		if out[i], err = c.Open(p, s, []byte(label)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestAnyThresholdOfSeatsOpensASecretAndFewerDoNot(t *testing.T) {
	for _, k := range []struct{ threshold, n int }{{1, 1}, {1, 3}, {2, 3}, {4, 4}} {
		c, packages := seated(t, k.threshold, k.n)
		secret, s, err := c.Seal([]byte("epoch 5"))
		if err != nil {
			t.Fatal(err)
		}
		all := parts(t, c, packages, s, "epoch 5")
		for set := range 1 << k.n {
			var some []Part
			for i := range k.n {
				if set>>i&1 == 1 {
					some = append(some, all[i], all[i]) // a seat that speaks twice counts once
				}
			}
			got, faults, err := c.Combine(s, []byte("epoch 5"), some)
			switch enough := len(some)/2 >= k.threshold; {
			case len(faults) > 0:
				t.Fatalf("%d of %d, seats %b: faults %v", k.threshold, k.n, set, faults)
			case enough && (err != nil || !got.Equal(secret)):
				t.Fatalf("%d of %d, seats %b: another secret, error %v", k.threshold, k.n, set, err)
			case !enough && !errors.Is(err, coco.ErrInvalid):
				t.Fatalf("%d of %d, seats %b: error %v, expected coco.ErrInvalid", k.threshold, k.n, set, err)
			}
		}
	}
}

func TestAWrongPartIsNamedAndDoesNotCount(t *testing.T) {
	c, packages := seated(t, 2, 3)
	secret, s, err := c.Seal([]byte("l"))
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := c.Seal([]byte("l"))
	if err != nil {
		t.Fatal(err)
	}
	right, alien := parts(t, c, packages, s, "l"), parts(t, c, packages, other, "l")
	for name, wrong := range map[string]Part{
		"another secret's":       alien[0],
		"another secret's share": {right[0].Partial, alien[0].Share},
		"another seat's share":   {right[0].Partial, right[1].Share},
		"no share":               {Partial: right[0].Partial},
		"another seat's partial": {tdh2.Partial{Holder: 1, Point: right[1].Partial.Point, Proof: right[1].Partial.Proof}, right[0].Share},
	} {
		got, faults, err := c.Combine(s, []byte("l"), []Part{wrong, right[1], right[2]})
		if err != nil || !got.Equal(secret) {
			t.Errorf("%s: the others are enough, error %v", name, err)
		}
		var fault *PartError
		if len(faults) != 1 || !errors.As(faults[0], &fault) || fault.Seat != 1 || fault.Actor != c.Seats()[0].Actor {
			t.Errorf("%s: faults %v, expected one of the first seat", name, faults)
		}
		// The right part of a seat counts although a wrong one came first.
		if got, _, err := c.Combine(s, []byte("l"), []Part{wrong, right[0], right[1]}); err != nil || !got.Equal(secret) {
			t.Errorf("%s: the seat's right part does not count: %v", name, err)
		}
	}
	for _, seat := range []uint32{0, 4} {
		wrong := right[0]
		wrong.Partial.Holder = seat
		if _, faults, err := c.Combine(s, []byte("l"), []Part{wrong, right[1]}); !errors.Is(err, coco.ErrInvalid) || len(faults) != 1 {
			t.Errorf("seat %d: error %v, faults %v", seat, err, faults)
		}
	}
}

func TestWhatIsSealedIsForOneCommitteeAndLabel(t *testing.T) {
	c, packages := seated(t, 2, 3)
	other, others := seated(t, 2, 3)
	_, s, err := c.Seal([]byte("epoch 5"))
	if err != nil {
		t.Fatal(err)
	}
	_, s2, err := c.Seal([]byte("epoch 5"))
	if err != nil {
		t.Fatal(err)
	}
	exchanged := *s
	exchanged.Boxes = [][]byte{s.Boxes[1], s.Boxes[0], s.Boxes[2]}
	moved := *s
	moved.Boxes, moved.Shares = s2.Boxes, s2.Shares // of another sealing, with its commitments
	short := *s
	short.Boxes = s.Boxes[:2]
	for name, try := range map[string]func() error{
		"another label":           func() error { _, err := c.Open(packages[0], s, []byte("epoch 9")); return err },
		"another committee":       func() error { _, err := other.Open(others[0], s, []byte("epoch 5")); return err },
		"exchanged boxes":         func() error { _, err := c.Open(packages[0], &exchanged, []byte("epoch 5")); return err },
		"another sealing's boxes": func() error { _, err := c.Open(packages[0], &moved, []byte("epoch 5")); return err },
		"a box too few":           func() error { _, err := c.Open(packages[0], &short, []byte("epoch 5")); return err },
		"combined under another":  func() error { _, _, err := c.Combine(s, []byte("epoch 9"), nil); return err },
		"another seat's key": func() error {
			_, err := c.Open(&Package{packages[0].Share, packages[1].Decryption}, s, []byte("epoch 5"))
			return err
		},
	} {
		if err := try(); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: error %v, expected coco.ErrVerify", name, err)
		}
	}
	if _, err := c.Open(others[0], s, []byte("epoch 5")); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a package of another committee: error %v, expected coco.ErrInvalid", err)
	}
}

func TestACommitteeHasASeatForEachHolder(t *testing.T) {
	c, _ := seated(t, 2, 3)
	for name, seats := range map[string][]Seat{
		"too few":       c.Seats()[:2],
		"an alien key":  {c.Seats()[0], c.Seats()[1], {Encryption: make([]byte, 32)}},
		"a missing key": {c.Seats()[0], c.Seats()[1], {}},
	} {
		if _, err := New(c.Key(), seats); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
}

func TestNoSecretOfASeatPrints(t *testing.T) {
	c, packages := seated(t, 1, 1)
	_, s, err := c.Seal(nil)
	if err != nil {
		t.Fatal(err)
	}
	part := parts(t, c, packages, s, "")[0]
	for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(f, packages[0]) + fmt.Sprintf(f, part); got != "[package of a seat][part of a seat]" {
			t.Errorf("%s prints %q", f, got)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, k := range []struct{ threshold, n int }{{2, 3}, {6, 10}, {26, 50}} {
		b.Run(fmt.Sprintf("%d_of_%d", k.threshold, k.n), func(b *testing.B) {
			c, _ := seated(b, k.threshold, k.n)
			for b.Loop() {
				if _, _, err := c.Seal([]byte("l")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
