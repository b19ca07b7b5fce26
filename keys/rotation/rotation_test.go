package rotation_test

import (
	"crypto/sha256"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/rotation"
)

// A node that has handed nothing out must bear any answer, the one about the zero digest too.
func TestAnAnswerThatNothingWasAskedForIsIgnored(t *testing.T) {
	m := rotation.New(id(1), keys.NewRing())
	for _, sealed := range []coco.Digest{{}, {1}} {
		out, err := m.Step(rotation.Received{From: id(2), Message: rotation.Held{Sealed: sealed}}, rotation.State{Leading: true, Nodes: []coco.NodeID{id(1), id(2)}})
		if err != nil || len(out.Messages)+len(out.Statements) > 0 || out.Begin != 0 {
			t.Errorf("%x: %+v (%v)", sealed, out, err)
		}
	}
}

func TestANodeThatIsNotTrustedTeachesNoSecret(t *testing.T) {
	removed, other := coco.NodeID{1}, coco.NodeID{2}
	ring := keys.NewRing()
	m := rotation.New(coco.NodeID{3}, ring)
	s := rotation.State{Leader: removed, Nodes: []coco.NodeID{other, {3}}, Epochs: []rotation.Announced{{Epoch: 2, Sealed: coco.Digest{7}}}}
	for _, from := range []coco.NodeID{removed, other} {
		s.Leader = from
		_, err := m.Step(rotation.Received{From: from, Message: &rotation.Secret{Sealed: coco.Digest{7}, Epoch: 2, Secret: keys.Secret{byte(from[0])}}}, s)
		if (err == nil) != (from == other) {
			t.Errorf("a secret from node %s: %v", from.Short(), err)
		}
	}
	if secret, err := ring.Secret(2); err != nil || secret != (keys.Secret{2}) {
		t.Errorf("the secret is not the trusted node's (%v)", err)
	}
}

// The announcement that opens a network is sealed under its own epoch: its secret is handed out before, and which of several counts, the announcement says.
func TestTheSecretOfAnOpeningIsTheOneThatIsAnnounced(t *testing.T) {
	leader, ring := rotation.New(id(1), keys.NewRing()), keys.NewRing()
	other := rotation.New(id(2), ring)
	member, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	s := rotation.State{Leading: true, Leader: id(1), Nodes: []coco.NodeID{id(1), id(2), id(3)}}
	var digests []coco.Digest
	var secrets []keys.Secret
	for range 2 { // the first announcement is lost
		sealed, err := leader.Propose(4, []keys.Recipient{{Actor: coco.ActorID{1}, Key: member.Public()}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		public, err := sealed.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		digest := coco.Digest(sha256.Sum256(public))
		secret, ok := leader.Proposed(digest)
		if !ok {
			t.Fatal("the leader does not know the secret that it has proposed")
		}
		digests, secrets = append(digests, digest), append(secrets, secret)
		messages, held := leader.HandOut(digest, s)
		if held || len(messages) != 2 {
			t.Fatalf("%d messages, held: %v", len(messages), held)
		}
		out, err := other.Step(rotation.Received{From: id(1), Message: messages[0].Message}, rotation.State{Leader: id(1), Nodes: s.Nodes})
		if err != nil || len(out.Messages) != 1 {
			t.Fatalf("%+v, %v", out, err)
		}
		if _, err := leader.Step(rotation.Received{From: id(2), Message: out.Messages[0].Message}, s); err != nil {
			t.Fatal(err)
		}
		if messages, held = leader.HandOut(digest, s); !held || len(messages) != 1 {
			t.Errorf("%d messages, held: %v", len(messages), held)
		}
	}
	if _, err := ring.Secret(5); err == nil {
		t.Error("a secret is used before its announcement")
	}
	ring.Add(5, secrets[0]) // as on a node that has sealed an announcement that was lost
	other.Opened(rotation.Announced{Epoch: 5, Sealed: digests[1]})
	if got, err := ring.Secret(5); err != nil || got != secrets[1] {
		t.Errorf("the secret is not that of the announcement (%v)", err)
	}
	other.Opened(rotation.Announced{Epoch: 6, Sealed: coco.Digest{1}})
	if _, err := ring.Secret(6); err == nil {
		t.Error("a secret that nobody has handed out")
	}
}
