package peer

import (
	"bytes"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
)

// messages are one of each kind, and those whose later fields are there as well.
var messages = []Message{
	Consensus("opaque"),
	&Forward{ID: 1, Ledger: "kv", Calls: []Call{{Caller: coco.Caller{Name: "alpha"}, Payload: []byte("p")}}},
	&Reply{ID: 1, Results: []Result{{View: 1, Seqno: 2, Reply: []byte("r")}, {Kind: 4, Reason: "busy"}}},
	&FetchRequest{What: FetchEntries, Index: 7, To: 9},
	Behind{},
	&Secret{Epoch: 2},
	&SecretHeld{Sealed: coco.Digest{1}},
	&SecretWanted{Epoch: 3},
	&PartWanted{Committee: 2},
	&Parts{Committee: 2, Parts: []committee.Part{{Share: keys.Secret{7}}}},
	&PartRefused{Committee: 2, Reason: 1},
	&Payload{Payload: []byte("payload")},
	&PayloadWord{Commitment: coco.Digest{7}, Word: PayloadWanted},
	&FetchRequest{What: FetchSnapshot, Index: 7, Offset: 1 << 33},
	&PartWanted{Committee: 2, Epoch: 3},
	&PartWanted{Committee: 2, Epoch: 3, Archive: true},
	&Parts{Committee: 2, Parts: []committee.Part{{Share: keys.Secret{7}}, {Share: keys.Secret{8}}}, Epoch: 3, Archive: true},
	&PartRefused{Committee: 2, Reason: 3, Epoch: 3, Archive: true},
	&Program{Rules: 3},
	&ResumeAsk{
		Stage: ResumeBegin, ID: coco.Digest{1}, View: 70000, Members: []ResumeMember{{Node: coco.NodeID{1}, Certificate: coco.Digest{2}}}, Floor: ResumeEnd{View: 1, Index: 2, Seqno: 3},
		Nodes: map[coco.NodeID]string{{1}: "n1:7000"}, Secrets: map[uint64]keys.Secret{1: {2}}, Offers: []Secret{{Epoch: 2}},
	},
	&ResumeTold{Refused: "busy", Leads: true, All: true, Secrets: map[uint64]keys.Secret{1: {2}}, Offers: []Secret{{Epoch: 2}}},
	&ResumeTold{Waits: true, View: 3, End: ResumeEnd{View: 1, Index: 2, Seqno: 3}, Nodes: map[coco.NodeID]string{{1}: "n1:7000"}, Begun: &ResumeAsk{Stage: ResumeMeet}},
}

func TestEveryFrameDecodesToItsMessage(t *testing.T) {
	for _, m := range messages {
		frame, err := encode(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		got, err := decode(frame)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		again, err := encode(got)
		if err != nil || !bytes.Equal(again, frame) || got.kind() != m.kind() {
			t.Errorf("%#v became %#v (%v)", m, got, err)
		}
	}
}

// The frame of a secret is written without the library that others are written with. Once it is sent, or decoded, nothing of it is left.
func TestTheFrameOfASecretIsTheSame(t *testing.T) {
	for _, epoch := range []uint64{0, 1, 23, 24, 300, 1 << 40} {
		m := &Secret{Sealed: coco.Digest{1, 2}, Epoch: epoch, Secret: keys.Secret{3, 4}}
		frame, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		body, err := canon.Marshal(m)
		if err != nil || !bytes.Equal(frame, append([]byte{byte(kindSecret)}, body...)) {
			t.Errorf("epoch %d: %x, expected %x, %v", epoch, frame, body, err)
		}
		other, _ := encode(&SecretWanted{Epoch: epoch})
		eraseSecrets(frame, other)
		if !bytes.Equal(frame, make([]byte, len(frame))) || bytes.Equal(other, make([]byte, len(other))) {
			t.Errorf("epoch %d: %x and %x are left", epoch, frame, other)
		}
	}
}

func TestAFrameOfTheWrongFormIsRefused(t *testing.T) {
	for name, frame := range map[string]string{
		"no kind":               "",
		"an unknown kind":       "\x7f",
		"kind 0":                "\x00",
		"behind with a body":    "\x05\x00",
		"a forward of no calls": "\x02\x83\x01\x62kv\x80",
		"a reply of no results": "\x03\x82\x01\x80",
		"a long integer":        "\x08\xa1\x01\x18\x03",
		"an unknown field":      "\x08\xa1\x02\x03",
		"more after the body":   "\x08\xa1\x01\x03\x00",
		"a promised gigabyte":   "\x03\x82\x01\x9a\x40\x00\x00\x00",
	} {
		if m, err := decode([]byte(frame)); err == nil {
			t.Errorf("%s: decodes to %#v", name, m)
		}
	}
}

// FuzzFrames decodes what other nodes send: it must not panic or allocate without bound, and what decodes
// must encode to the same bytes.
func FuzzFrames(f *testing.F) {
	for _, m := range messages {
		frame, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	piece, err := EncodeEntries([]batch.Entry{{Index: 3, View: 2, Kind: batch.KindBatch, Data: []byte("data")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(piece)
	f.Add([]byte{0xf6}) // null
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decode(b); err == nil {
			if again, err := encode(m); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%#v encodes to %x (%v), it was %x", m, again, err, b)
			}
		}
		if entries, err := decodeEntries(b, 3); err == nil {
			if again, err := EncodeEntries(entries); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%d entries encode to %x (%v), they were %x", len(entries), again, err, b)
			}
		}
	})
}
