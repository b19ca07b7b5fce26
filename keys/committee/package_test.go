package committee

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
)

func memberKey(t testing.TB, a keys.Algorithm) *keys.MemberKey {
	t.Helper()
	k, err := keys.NewMemberKey(a)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestASealedPackageOpensForItsActorAtItsPlaceOnly(t *testing.T) {
	c, packages := seated(t, 2, 3)
	network := coco.Digest{7}
	for _, a := range []keys.Algorithm{keys.X25519, keys.XWing} {
		key, other := memberKey(t, a), memberKey(t, a)
		at := Place{Of: DealtOf(network, 1), Seat: 2, Actor: c.Seats()[1].Actor}
		sealed, err := SealPackage(packages[1], key.Public(), at)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckSealedPackage(sealed, key.Public(), 2); err != nil {
			t.Error(err)
		}
		if err := CheckSealedPackage(sealed[1:], key.Public(), 2); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: a package that was cut: %v", a, err)
		}
		p, err := OpenPackage(sealed, key, at)
		if err != nil || *p != *packages[1] || c.Holds(p) != nil {
			t.Fatalf("%s: %v, %v", a, err, c.Holds(p))
		}
		if _, err := OpenPackage(sealed, other, at); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: another member's key: %v", a, err)
		}
		for name, change := range map[string]func(*Place){
			"network": func(p *Place) { p.Of = DealtOf(coco.Digest{8}, 1) }, "committee": func(p *Place) { p.Of = DealtOf(network, 2) },
			"seat": func(p *Place) { p.Seat = 3 }, "actor": func(p *Place) { p.Actor[0] ^= 1 },
		} {
			moved := at
			change(&moved)
			if _, err := OpenPackage(sealed, key, moved); !errors.Is(err, coco.ErrVerify) {
				t.Errorf("%s: another %s: %v", a, name, err)
			}
		}
		altered := bytes.Clone(sealed)
		altered[len(altered)-1] ^= 1
		if _, err := OpenPackage(altered, key, at); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: altered: %v", a, err)
		}
	}
}

func TestAPackageOfAnotherCommitteeIsNotHeld(t *testing.T) {
	c, packages := seated(t, 2, 3)
	_, others := seated(t, 2, 3)
	mixed := *packages[0]
	mixed.Decryption = others[0].Decryption
	for name, p := range map[string]*Package{"share": others[0], "key": &mixed} {
		if err := c.Holds(p); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, err := SealPackage(packages[0], memberKey(t, keys.XWing).Public(), Place{Seat: 2}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("the package of another seat is sealed: %v", err)
	}
}
