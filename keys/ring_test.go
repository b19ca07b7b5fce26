package keys_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
)

func TestARingKeepsTheEpochInUseAndForgetsThoseBeforeInTime(t *testing.T) {
	r := keys.NewRing()
	at := func(seconds int64) time.Time { return time.Unix(1000+seconds, 0) }
	for epoch := range uint64(5) {
		r.Add(epoch+1, keys.Secret{byte(epoch + 1)})
	}
	r.Use(4)                                                                                  // 5 is announced, and not in use
	ended := func(epoch uint64) (time.Time, bool) { return at(10 * int64(epoch)), epoch < 5 } // as the ledger has it: 4 has ended
	held, err := r.Of(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now     int64
		expired []uint64
	}{{99, nil}, {110, []uint64{1}}, {119, nil}, {125, []uint64{2}}, {1000, []uint64{3}}, {2000, nil}} {
		if got := r.Expire(at(c.now), 100*time.Second, ended); !slices.Equal(got, c.expired) {
			t.Errorf("at %d: epochs %v expire, expected %v", c.now, got, c.expired)
		}
	}
	if got := r.Epochs(); !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("it holds %v", got)
	}
	if _, err := held.Salt(1, 1); !errors.Is(err, coco.ErrPending) {
		t.Errorf("keys that somebody has are in use still: %v", err)
	}
	if _, err := r.Of(2); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("an epoch that has expired: %v", err)
	}

	r.Open(2, keys.Secret{2}, at(2000))
	if k, a := r.Kept(), r.All(); len(k) != 2 || len(a) != 3 || !a[2].Equal(keys.Secret{2}) {
		t.Errorf("an epoch that was opened again: %d are for others, of %d", len(k), len(a))
	}
	if got := r.Expire(at(2099), 100*time.Second, ended); got != nil {
		t.Errorf("%v expire too soon after they were opened again", got)
	}
	if got := r.Expire(at(2100), 100*time.Second, ended); !slices.Equal(got, []uint64{2}) {
		t.Errorf("%v expire, expected the one that was opened again", got)
	}
}

// A secret that comes twice leaves those who use the keys at work; another secret of the same epoch replaces them.
func TestASecretThatComesAgainChangesNothing(t *testing.T) {
	r := keys.NewRing()
	r.Add(1, keys.Secret{1})
	k, _ := r.Of(1)
	changes := r.Changes()
	r.Add(1, keys.Secret{1})
	if again, _ := r.Of(1); again != k || r.Changes() != changes {
		t.Error("it was replaced")
	}
	r.Add(1, keys.Secret{2})
	if _, err := k.Salt(1, 1); !errors.Is(err, coco.ErrPending) || r.Changes() == changes {
		t.Errorf("the keys of a secret that was replaced: %v", err)
	}
	r.Forget(1)
	if r.Holds(1) {
		t.Error("it is held")
	}
}

func TestWipedSecretsAreGone(t *testing.T) {
	m := map[uint64]keys.Secret{1: {1}}
	keys.Wipe(m)
	if len(m) != 0 {
		t.Error("it holds something")
	}
}
