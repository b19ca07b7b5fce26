package keys

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

func TestAGrantIsOfOneEpochForOneAuditor(t *testing.T) {
	for _, a := range []Algorithm{XWing, X25519} {
		auditor, other := newKey(t, a), newKey(t, a)
		network, secret := coco.Digest{1}, Secret{2}
		box, err := GrantEpoch(network, 5, secret, auditor.Public())
		if err != nil {
			t.Fatal(err)
		}
		k, err := auditor.OpenGrant(network, 5, box)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Salt(1, 1)
		want, _ := batch.NewKeys(5, secret).Salt(1, 1)
		if err != nil || k.Epoch() != 5 || got != want {
			t.Fatalf("%s: %v, %v", a, k, err)
		}
		for name, try := range map[string]func() error{
			"another epoch":   func() error { _, err := auditor.OpenGrant(network, 6, box); return err },
			"another network": func() error { _, err := auditor.OpenGrant(coco.Digest{9}, 5, box); return err },
			"another auditor": func() error { _, err := other.OpenGrant(network, 5, box); return err },
			"a shorter box":   func() error { _, err := auditor.OpenGrant(network, 5, box[:len(box)-1]); return err },
		} {
			if err := try(); !errors.Is(err, coco.ErrVerify) {
				t.Errorf("%s, %s: error %v, expected coco.ErrVerify", a, name, err)
			}
		}
		if _, err := GrantEpoch(network, 5, secret, auditor.Public()[1:]); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: a grant to half a key: error %v, expected coco.ErrInvalid", a, err)
		}
	}
}
