package node

import (
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco/gov"
)

// FuzzMessages decodes what other nodes send: whatever comes must not panic or allocate without bound,
// and what decodes must encode again.
func FuzzMessages(f *testing.F) {
	for _, v := range []any{
		forwarded{ID: 1, Ledger: "kv", Calls: []forwardedCall{{Payload: []byte("p")}}},
		replied{ID: 1, Results: []repliedResult{{View: 1, Seqno: 2, Reply: []byte("r")}, {Kind: 4, Reason: "busy"}}},
		joinHello{Version: 1},
		joinWelcome{Constitution: []byte("[network]")},
		joinAnswer{Kind: 1, Reason: "no"},
		joinAnswer{Grant: &joinGrant{}},
		gov.NodeRecord{},
	} {
		b, err := cbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&forwarded{}, &replied{}, &joinHello{}, &joinWelcome{}, &joinAnswer{}, &gov.NodeRecord{}} {
			if err := frameDecoding.Unmarshal(b, v); err != nil {
				continue
			}
			if _, err := cbor.Marshal(v); err != nil {
				t.Fatalf("%T decodes and does not encode: %v", v, err)
			}
		}
	})
}
