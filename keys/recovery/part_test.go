package recovery

import (
	"crypto/hpke"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
)

// A member that means harm encrypts another part than its own, as it must be encrypted. It is named at submission.
func TestAPartThatIsNotTheMembersIsNamed(t *testing.T) {
	key, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	actor := coco.ActorID{1}
	_, e, err := keys.NewEpoch(1, []keys.Recipient{{Actor: actor, Key: key.Public()}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	lock := &Lock{Epoch: e}
	right, err := lock.kind().part(actor, key)
	if err != nil {
		t.Fatal(err)
	}
	other := append([]byte{}, right...)
	other[0] ^= 1
	mine, err := NewReceiver(Point{}, true)
	if err != nil {
		t.Fatal(err)
	}
	to, err := hpke.MLKEM768X25519().NewPublicKey(mine.Request().Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		part []byte
		ok   bool
	}{"its own": {right, true}, "another scalar": {other, false}, "none": {nil, false}, "longer": {append(right, 0), false}} {
		plain, err := canon.Marshal(released{c.part})
		if err != nil {
			t.Fatal(err)
		}
		r := Release{Lock: lock.Digest(), Actor: actor}
		if r.Box, err = hpke.Seal(to, hpke.HKDFSHA256(), hpke.AES256GCM(), r.info(mine.Request().Digest()), plain); err != nil {
			t.Fatal(err)
		}
		round := mine.Round(lock)
		err = round.Submit(r)
		var fault *Fault
		if c.ok != (err == nil) || err != nil && (!errors.As(err, &fault) || fault.Actor != actor) {
			t.Errorf("%s: %v", name, err)
		}
		if !c.ok && round.Missing() != 1 {
			t.Errorf("%s: it counts", name)
		}
	}
}

func FuzzRelease(f *testing.F) {
	key, err := keys.GenerateMemberKey()
	if err != nil {
		f.Fatal(err)
	}
	_, e, err := keys.NewEpoch(1, []keys.Recipient{{Actor: coco.ActorID{1}, Key: key.Public()}}, 1)
	if err != nil {
		f.Fatal(err)
	}
	lock := &Lock{Epoch: e}
	mine, err := NewReceiver(Point{}, true)
	if err != nil {
		f.Fatal(err)
	}
	r, err := New(mine.Request(), lock, coco.ActorID{1}, key)
	if err != nil {
		f.Fatal(err)
	}
	rb, _ := r.Marshal()
	lb, _ := lock.Marshal()
	qb, _ := mine.Request().Marshal()
	for _, b := range [][]byte{rb, lb, qb} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseRelease(b); err == nil {
			if again, err := r.Marshal(); err != nil || string(again) != string(b) {
				t.Errorf("%x is a release, and is written as %x (%v)", b, again, err)
			}
			if err := mine.Round(lock).Submit(r); err == nil && string(b) != string(rb) {
				t.Error("another release is right, too")
			}
		}
		if l, err := ParseLock(b); err == nil {
			if again, err := l.Marshal(); err != nil || string(again) != string(b) {
				t.Errorf("%x is a lock, and is written as %x (%v)", b, again, err)
			}
		}
		if rq, err := ParseRequest(b); err == nil {
			if again, err := rq.Marshal(); err != nil || string(again) != string(b) {
				t.Errorf("%x is a request, and is written as %x (%v)", b, again, err)
			}
		}
	})
}
