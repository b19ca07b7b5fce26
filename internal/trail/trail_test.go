package trail

import (
	"testing"

	"github.com/cocoframework/coco"
)

func TestAWriteHasOneNameOnBothSidesOfAForward(t *testing.T) {
	node := coco.NodeID{0x3f, 0xa9, 0xc1, 0xd2, 5}
	s := NewSource(node)
	s.last.Store(1<<idBits - 3)
	seen := map[uint64]bool{}
	for range 5 { // past the last number
		id := s.Next()
		if !id.Named() {
			t.Fatal("a name that names nothing")
		}
		for attempt := range 3 {
			n := id.Forward(attempt)
			if n >= 1<<40 || seen[n] {
				t.Errorf("attempt %d of %s: number %d is too large or taken", attempt, id, n)
			}
			seen[n] = true
			if got := OfForward(node, n); got != id || got.String() != id.String() {
				t.Errorf("the leader names it %s, and the sender %s", got, id)
			}
		}
	}
	if got := (ID{0x3fa9c1d2, 17}).String(); got != "3fa9c1d2-17" {
		t.Error(got)
	}
}

func TestARequestsFirstWriteHasItsName(t *testing.T) {
	s := NewSource(coco.NodeID{1})
	r := s.Next()
	ctx := With(t.Context(), r)
	if id, of := s.Write(ctx); id != r || of.Named() {
		t.Errorf("the first write is %s of %s, want %s", id, of, r)
	}
	if id, of := s.Write(ctx); id == r || of != r {
		t.Errorf("the second write is %s of %s, want another one of %s", id, of, r)
	}
	if id, of := s.Write(t.Context()); !id.Named() || of.Named() {
		t.Errorf("a write of a request that is not followed is %s of %s", id, of)
	}
}

func TestATraceparentIsReadStrictly(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for header, want := range map[string]string{
		"00-" + trace + "-00f067aa0ba902b7-01":                              trace,
		"cc-" + trace + "-00f067aa0ba902b7-01-more":                         trace,
		"00-" + trace + "-00f067aa0ba902b7-01-more":                         "",
		"cc-" + trace + "-00f067aa0ba902b7-01more":                          "",
		"ff-" + trace + "-00f067aa0ba902b7-01":                              "",
		"00-" + trace + "-0000000000000000-01":                              "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":           "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":           "",
		"00-my-iban-is-de02120300000000202051000000000000-00f067aa0ba902b7": "",
		"": "",
	} {
		got, ok := TraceID([]string{header})
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", header, got, ok)
		}
	}
	if _, ok := TraceID(nil); ok {
		t.Error("a trace without a header")
	}
}
