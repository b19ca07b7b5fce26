package seats_test

import (
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/keys/seats"
)

func TestPackagesOfAnEarlierLifeCountIfTheirCommitteeIsInForce(t *testing.T) {
	kept := seats.Kept{Committee: 4, Packages: map[uint32]committee.Package{2: {Decryption: keys.Secret{7}}}}
	for number, holds := range map[uint64]bool{4: true, 5: false} {
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
	m := seats.New(coco.NodeID{1})
	m.Restore(kept)
	session := dkg.Session{Version: 1, Attempt: 7, Threshold: 1, Receivers: []coco.ActorID{{1}, {2}}}
	made, err := dkg.Begin(session, 10)
	if err != nil {
		t.Fatal(err)
	}
	for number := range uint64(4) { // a node that starts passes by what was before
		passed := &seats.Committee{Number: number + 1}
		if number == 3 {
			ceremony := &seats.Running{Number: 7, Ceremony: made, Seats: []seats.Seat{{}, {Node: coco.NodeID{1}, Own: true}}}
			if _, err := m.Step(seats.Tick{}, seats.State{Newest: &seats.Committee{Number: 3}, Running: ceremony}); err != nil {
				t.Fatal(err)
			}
			passed.Session = made.Digest()
		}
		if k := m.Kept(); k.Committee != 4 || (k.Packages[2].Decryption != keys.Secret{7}) {
			t.Errorf("before committee %d is known, it keeps %d packages of %d", number+1, len(k.Packages), k.Committee)
		}
		if _, err := m.Step(seats.Committed{}, seats.State{Newest: passed}); err != nil {
			t.Fatal(err)
		}
	}
	if n, of := m.Holds(); n != 4 || len(of) != 1 {
		t.Errorf("committee 4 is in force after those before: it holds seats %v of %d", of, n)
	}
	if (kept.Packages[2].Decryption != keys.Secret{7}) {
		t.Error("what was given to it is changed")
	}
}
