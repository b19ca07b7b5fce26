package keys_test

import (
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
)

// After a change of keys every day for decades an epoch is as small as after a season, and its secret opens all before it, though
// some were announced and never used.
func TestTheNewestOfManyEpochsOpensAllOfThem(t *testing.T) {
	epochs := uint64(10_000)
	if testing.Short() {
		epochs = 1_000
	}
	member, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	to := []keys.Recipient{{Actor: coco.ActorID{1}, Key: member.Public()}}
	ring, sealed, size := keys.NewRing(), map[uint64]*keys.SealedEpoch{}, 0
	var newest keys.Secret
	for epoch := uint64(1); epoch <= epochs; epoch++ {
		secret, s, err := keys.NewEpoch(epoch, to, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SealPrevious(secret, ring.Recent()); err != nil {
			t.Fatalf("epoch %d: %v", epoch, err)
		}
		sealed[epoch] = s
		if epoch%10 == 9 {
			continue // nobody holds its secret
		}
		ring.Add(epoch, secret)
		newest = secret
		b, err := s.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if size = max(size, len(b)); len(b) > 6<<10 {
			t.Fatalf("epoch %d has %d bytes", epoch, len(b))
		}
	}
	opened := map[uint64]keys.Secret{epochs: newest}
	for epoch := epochs; epoch > 0; epoch-- {
		secret, ok := opened[epoch]
		if !ok {
			continue
		}
		previous, err := sealed[epoch].OpenPrevious(secret)
		if err != nil {
			t.Fatal(err)
		}
		for e, s := range previous {
			opened[e] = s
		}
	}
	if want := ring.All(); len(opened) != len(want) {
		t.Errorf("%d epochs open, expected %d", len(opened), len(want))
	}
	t.Logf("an epoch has at most %d bytes", size)
}
