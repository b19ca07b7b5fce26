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
