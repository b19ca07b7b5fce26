package kv

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

func TestClaimsOfAWriteAreExplained(t *testing.T) {
	ops := []operation{
		{kind: opPut, key: []byte("greeting"), digest: sha256.Sum256([]byte("hello"))},
		{kind: opPut, key: []byte{0, 255}, digest: sha256.Sum256([]byte("{}")), media: "application/json"},
		{kind: opDelete, key: []byte("old")},
	}
	claims := newClaims(coco.ActorID{0xab, 31: 1}, &write{ops: ops})
	for i := range ops {
		claims = ops[i].appendClaim(claims, uint64(16*i))
	}
	facts, err := Adapter{}.Explain(claims, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	digest := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	want := []adapter.Fact{
		{Name: "caller", Value: coco.ActorID{0xab, 31: 1}.String()},
		{Name: "table", Value: "kv.data"},
		{Name: "operation", Value: "put", Facts: []adapter.Fact{{Name: "key", Value: "greeting"}, {Name: "previous", Value: "none"}, {Name: "sha256", Value: digest("hello")}}},
		{Name: "operation", Value: "put", Facts: []adapter.Fact{{Name: "key_base64", Value: "AP8="}, {Name: "previous", Value: "16"}, {Name: "sha256", Value: digest("{}")}, {Name: "content_type", Value: "application/json"}}},
		{Name: "operation", Value: "delete", Facts: []adapter.Fact{{Name: "key", Value: "old"}, {Name: "previous", Value: "32"}}},
	}
	if fmt.Sprint(facts) != fmt.Sprint(want) {
		t.Errorf("explained as\n%v\nexpected\n%v", facts, want)
	}
	if _, err := (Adapter{}).Explain(claims, []byte("hullo")); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a value that was not put: %v", err)
	}
	for n := len(claimsContext); n < len(claims); n++ {
		if facts, err := (Adapter{}).Explain(claims[:n], nil); !errors.Is(err, coco.ErrCorrupt) || facts != nil {
			t.Fatalf("the first %d bytes of claims: %v, %v", n, facts, err)
		}
	}
	if facts, err := (Adapter{}).Explain([]byte("of another ledger"), nil); facts != nil || err != nil {
		t.Errorf("claims of another ledger: %v, %v", facts, err)
	}
}

// A write of an organisation's user says so at the end of its claims; that of an organisation has the claims that it always had.
func TestClaimsNameTheUserWhoWrote(t *testing.T) {
	c := newCore(t, "")
	for _, user := range []string{"", "kim"} {
		by := alpha
		by.User = user
		w := newWrite()
		w.ops = []operation{{kind: opPut, key: []byte("k"), value: []byte("v")}}
		out := c.execute(t.Context(), &adapter.Call{Caller: by, Payload: encodeWrite(w.ops), Decoded: w})
		if len(out) != 1 || out[0].Err != nil {
			t.Fatalf("%+v", out)
		}
	}
	own, users := c.claims[1], c.claims[2]
	// Both differ in the version that they met, and in the user at the end.
	if len(users) != len(own)+4 || string(users[len(own):]) != "\x03kim" {
		t.Fatalf("claims %x and %x", own, users)
	}
	facts, err := Adapter{}.Explain(users, []byte("v"))
	if err != nil || facts[1].Name != "user" || facts[1].Value != "kim" {
		t.Errorf("explained as %v, %v", facts, err)
	}
	for name, c := range map[string]struct {
		claims []byte
		user   string
	}{
		"an organisation": {own, ""}, "a user": {users, "kim"}, "another ledger": {[]byte("of another ledger"), ""},
		"a cut name": {users[:len(users)-1], ""}, "an empty name": {append(own[:len(own):len(own)], 0), ""}, "more": {append(users[:len(users):len(users)], 0), ""}, "a control character": {append(own[:len(own):len(own)], 1, 7), ""},
	} {
		actor, user := Adapter{}.By(c.claims, nil)
		if user != c.user || (user != "") != (actor == alpha.Actor) {
			t.Errorf("%s: %v %q", name, actor, user)
		}
	}
}
