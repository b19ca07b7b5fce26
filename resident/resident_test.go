package resident

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

var alpha, beta, gamma, delta = coco.ActorID{1}, coco.ActorID{2}, coco.ActorID{3}, coco.ActorID{4}

func audience(t testing.TB, actors ...coco.ActorID) store.Audience {
	t.Helper()
	a, err := store.NewAudience(actors...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestEnoughAreMoreThanHalfOfThoseLeftAndTheWriter(t *testing.T) {
	for name, c := range map[string]struct {
		audience, have []coco.ActorID
		gone           coco.ActorID
		enough         bool
	}{
		"one alone":                     {[]coco.ActorID{alpha}, []coco.ActorID{alpha}, coco.ActorID{}, true},
		"one of two":                    {[]coco.ActorID{alpha, beta}, []coco.ActorID{alpha}, coco.ActorID{}, false},
		"two of two":                    {[]coco.ActorID{alpha, beta}, []coco.ActorID{beta, alpha}, coco.ActorID{}, true},
		"two of three":                  {[]coco.ActorID{alpha, beta, gamma}, []coco.ActorID{alpha, gamma}, coco.ActorID{}, true},
		"without the writer":            {[]coco.ActorID{alpha, beta, gamma}, []coco.ActorID{beta, gamma}, coco.ActorID{}, false},
		"two of four":                   {[]coco.ActorID{alpha, beta, gamma, delta}, []coco.ActorID{alpha, gamma}, coco.ActorID{}, false},
		"an outsider counts nothing":    {[]coco.ActorID{alpha, beta}, []coco.ActorID{alpha, gamma}, coco.ActorID{}, false},
		"one node twice counts once":    {[]coco.ActorID{alpha, beta}, []coco.ActorID{alpha, alpha}, coco.ActorID{}, false},
		"of two, the other was removed": {[]coco.ActorID{alpha, beta}, []coco.ActorID{alpha}, beta, true},
		"a removed one counts nothing":  {[]coco.ActorID{alpha, beta, gamma}, []coco.ActorID{alpha, gamma}, gamma, false},
	} {
		a := audience(t, c.audience...)
		left := func(id coco.ActorID) bool { return id != c.gone }
		if got := Enough(a, SetOf(a, c.have), alpha, left); got != c.enough {
			t.Errorf("%s: %v", name, got)
		}
	}
	a := audience(t, alpha, beta, gamma)
	if got := SetOf(a, []coco.ActorID{gamma, alpha, delta}).Of(a); !slices.Equal(got, []coco.ActorID{alpha, gamma}) {
		t.Errorf("a set names %v", got)
	}
}

func TestAPayloadAndARowHaveOneEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		p := Payload{Audience: store.Audience{alpha, beta}, Key: b, Media: string(b[:min(len(b), 255)]), Value: slices.Clone(b)}
		p.Salt[0] = 7
		encoded := p.Append(nil)
		q, err := Parse(encoded)
		if err != nil || !bytes.Equal(q.Append(nil), encoded) || !bytes.Equal(q.Key, p.Key) || q.Media != p.Media || !bytes.Equal(q.Value, p.Value) || q.Salt != p.Salt {
			t.Fatal(err, q)
		}
		r := Row{rapid.Uint64().Draw(t, "version"), Commit(encoded), Set(rapid.Uint16().Draw(t, "set"))}
		if back, err := ParseRow(r.Append(nil)); err != nil || back != r {
			t.Fatal(err, back)
		}
	})
	for _, b := range [][]byte{nil, {1}, make([]byte, 40), make([]byte, 51)} {
		if _, err := ParseRow(b); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("a row of %d bytes: %v", len(b), err)
		}
	}
}

// The vector is for other implementations: docs/formats.md.
func TestTheCommitmentIsTheDocumentsOne(t *testing.T) {
	p := Payload{Audience: store.Audience{alpha, beta}, Key: []byte("price"), Media: "text/plain", Value: []byte("17")}
	for i := range p.Salt {
		p.Salt[i] = byte(i)
	}
	c, n := Commit(p.Append(nil)), NameOf([KeySize]byte(p.Salt), p.Key)
	if hex.EncodeToString(c[:]) != "dfc53e7cf9efd9db9882b4db3f1e0a3b4f12961d92b5b331be3ffb5f0a1024f4" || hex.EncodeToString(n[:]) != "7a62f9fe0f19d8f6a724c5569fd4cbddee6cc3c9feb249bc7a6c593b088e85ea" {
		t.Errorf("commitment %s, name %x", c, n)
	}
	q := p
	for what, change := range map[string]func(){
		"audience": func() { q.Audience = store.Audience{alpha, gamma} }, "salt": func() { q.Salt[31]++ }, "key": func() { q.Key = []byte("pric") },
		"media type": func() { q.Media = "" }, "value": func() { q.Value = []byte("18") },
	} {
		q = p
		if change(); Commit(q.Append(nil)) == c {
			t.Errorf("the commitment does not depend on the %s", what)
		}
	}
}

func FuzzParse(f *testing.F) {
	p := Payload{Audience: store.Audience{alpha, beta}, Key: []byte("price"), Media: "text/plain", Value: []byte("17")}
	f.Add(p.Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(p.Append(nil), b) {
			t.Fatalf("%x is encoded as %x", b, p.Append(nil))
		}
	})
}

func TestAPlanFetchesTheNewestFirstAndDropsWhatNoRowNamesAfterAnHour(t *testing.T) {
	a := audience(t, alpha, beta)
	ref := func(version uint64) Ref { return Ref{a, Row{version, coco.Digest{byte(version)}, 3}} }
	rows := []Ref{ref(3), ref(9), ref(5), ref(7)}
	files := Files{{5}: {}, {1}: {}, {2}: {}}
	at := time.UnixMilli(1e12)

	p := NewPlan(rows, files, time.Time{})
	if got := versions(p.Lacks); !slices.Equal(got, []uint64{9, 7, 3}) || p.Rows != 4 || len(p.Drop) != 0 || !files[coco.Digest{1}].IsZero() {
		t.Errorf("lacks %v, %d rows, drops %v, files %v", got, p.Rows, p.Drop, files)
	}
	if p := NewPlan(rows, files, at); len(p.Drop) != 0 {
		t.Errorf("a payload is dropped at once: %v", p.Drop)
	}
	if p := NewPlan(append(rows, ref(2)), files, at.Add(Grace-1)); len(p.Drop) != 0 {
		t.Errorf("a payload is dropped early: %v", p.Drop)
	}
	if p := NewPlan(rows, files, time.Time{}); len(p.Drop) != 0 {
		t.Errorf("a payload is dropped by a state that may be old: %v", p.Drop)
	}
	p = NewPlan(rows, files, at.Add(Grace))
	if !slices.Equal(p.Drop, []coco.Digest{{1}}) {
		t.Errorf("dropped %v: expected what no row has named for an hour, and not what one named meanwhile", p.Drop)
	}
}

func versions(refs []Ref) (v []uint64) {
	for _, r := range refs {
		v = append(v, r.Row.Version)
	}
	return v
}

func TestOnlyNodesOfTheAudienceAreAsked(t *testing.T) {
	nodes := map[coco.NodeID]coco.ActorID{{1}: alpha, {2}: beta, {3}: gamma, {4}: delta, {5}: beta, {6}: alpha}
	a := audience(t, alpha, beta, delta)
	r := Ref{a, Row{Holders: SetOf(a, []coco.ActorID{beta, delta})}}
	for range 20 {
		want := []coco.NodeID{{2}, {4}, {5}, {6}}
		if got := Ask(r, coco.NodeID{1}, nodes); !slices.Equal(got, want) {
			t.Fatalf("asked %v, expected %v: those that had it first", got, want)
		}
	}
}
