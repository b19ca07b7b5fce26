package keys_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
)

func TestAnEpochOpensThoseBeforeItAndNoneAfter(t *testing.T) {
	member, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	to := []keys.Recipient{{Actor: coco.ActorID{1}, Key: member.Public()}}
	first, _, err := keys.NewEpoch(1, to, 1)
	if err != nil {
		t.Fatal(err)
	}
	secret, sealed, err := keys.NewEpoch(3, to, 1)
	if err != nil {
		t.Fatal(err)
	}
	before := map[uint64]keys.Secret{1: first, 2: {2}}
	if err := sealed.SealPrevious(secret, map[uint64]keys.Secret{1: first, 2: {2}, 3: secret, 4: {4}}); err != nil {
		t.Fatal(err)
	}
	b, err := sealed.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := keys.ParseSealedEpoch(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.OpenPrevious(secret); err != nil || !maps.Equal(got, before) {
		t.Errorf("%d epochs open, %v; expected those before", len(got), err)
	}
	if _, err := again.OpenPrevious(first); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("another epoch's secret: %v", err)
	}
	again.Previous[0] ^= 1
	if _, err := again.OpenPrevious(secret); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("an altered box: %v", err)
	}
}
