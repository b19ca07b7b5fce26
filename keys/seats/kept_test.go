package seats_test

import (
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/seats"
)

func TestPackagesOfAnEarlierLifeCountIfTheirCommitteeIsInForce(t *testing.T) {
	kept := seats.Kept{Committee: 4, Packages: map[uint32]committee.Package{2: {Decryption: keys.Secret{7}}}}
	for number, holds := range map[uint64]bool{3: false, 4: true, 5: false} {
		m := seats.New(coco.NodeID{1})
		m.Restore(kept)
		if n, _ := m.Holds(); n != 0 {
			t.Error("it holds packages before it knows a committee")
		}
		if _, err := m.Step(seats.Committed{}, seats.State{Newest: &seats.Committee{Number: number}}); err != nil {
			t.Fatal(err)
		}
		n, of := m.Holds()
		if (n == 4 && len(of) == 1 && of[0] == 2) != holds {
			t.Errorf("committee %d is in force: it holds seats %v of %d", number, of, n)
		}
		if k := m.Kept(); holds != (k.Committee == 4 && k.Packages[2].Decryption == keys.Secret{7}) {
			t.Errorf("committee %d is in force: it keeps %d packages of %d", number, len(k.Packages), k.Committee)
		}
	}
	if (kept.Packages[2].Decryption != keys.Secret{7}) {
		t.Error("what was given to it is changed")
	}
}
