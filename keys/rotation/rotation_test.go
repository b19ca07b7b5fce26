package rotation_test

import (
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
		_, err := m.Step(rotation.Received{From: from, Message: rotation.Secret{Sealed: coco.Digest{7}, Epoch: 2, Secret: keys.Secret{byte(from[0])}}}, s)
		if (err == nil) != (from == other) {
			t.Errorf("a secret from node %s: %v", from.Short(), err)
		}
	}
	if secret, err := ring.Secret(2); err != nil || secret != (keys.Secret{2}) {
		t.Errorf("the secret is not the trusted node's (%v)", err)
	}
}
