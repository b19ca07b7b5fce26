package peer

import (
	"bytes"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
)

// FuzzJoining decodes the messages of the conversation by which a node joins: it must not panic, and what decodes has
// one encoding.
func FuzzJoining(f *testing.F) {
	messages := func() []any {
		return []any{&JoinHello{}, &JoinWelcome{}, &JoinRequest{}, &JoinAnswer{}}
	}
	for _, v := range []any{
		JoinHello{Version: 2},
		JoinWelcome{Evidence: attest.Evidence{Platform: "virtual", Quote: []byte("quote")}, Constitution: []byte("[network]")},
		JoinRequest{Record: canon.Raw{0xa0}, Samples: []Sample{{Index: 3, Digest: coco.Digest{1}}}},
		JoinAnswer{Kind: 1, Reason: "no", Address: "n1:7000", Rule: "not_voted_in"},
		JoinAnswer{Grant: &Grant{
			Secrets: map[uint64]keys.Secret{1: {2}}, Nodes: map[coco.NodeID]string{{3}: "n1:7000"}, Snapshots: []canon.Raw{{0xa0}},
		}},
	} {
		b, err := canon.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range messages() {
			if err := canon.Unmarshal(b, v, limits); err != nil {
				continue
			}
			if again, err := canon.Marshal(v); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%#v encodes to %x (%v), it was %x", v, again, err, b)
			}
		}
	})
}
