package tdh2

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
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

func TestAKeyIsDealtToNoFewerThanAreNeeded(t *testing.T) {
	for _, c := range []struct{ threshold, holders int }{{0, 1}, {2, 1}, {0, 0}, {1, MaxHolders + 1}} {
		if _, _, err := Deal(c.threshold, c.holders); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%d of %d: error %v, expected coco.ErrInvalid", c.threshold, c.holders, err)
		}
	}
}
