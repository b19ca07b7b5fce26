package peer

import (
	"testing"

	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/growth"
	"github.com/cocoframework/coco/keys"
)

// A network admits nodes up to the number of epochs that the alarm of package growth knows.
func TestAGrantHoldsTheSecretsOfEveryEpoch(t *testing.T) {
	for _, n := range []uint64{1, 1025, 10_000, growth.MaxEpochs} {
		sent := JoinAnswer{Grant: &Grant{Secrets: map[uint64]keys.Secret{}}}
		for epoch := uint64(1); epoch <= n; epoch++ {
			sent.Grant.Secrets[epoch] = keys.Secret{byte(epoch), byte(epoch >> 8)}
		}
		b, err := canon.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		var got JoinAnswer
		if err := canon.Unmarshal(b, &got, limits); err != nil {
			t.Errorf("%d epochs, %d bytes: %v", n, len(b), err)
		} else if uint64(len(got.Grant.Secrets)) != n {
			t.Errorf("%d of %d epochs arrive", len(got.Grant.Secrets), n)
		}
	}
}
