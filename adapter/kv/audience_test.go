package kv

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// as makes a request as a caller, to an audience unless it is empty.
func (c *core) as(caller coco.Caller, audience, method, target, body string, header ...string) *httptest.ResponseRecorder {
	defer func(before coco.Caller) { c.caller = before }(c.caller)
	c.caller = caller
	if audience != "" {
		header = append(header, wire.HeaderAudience, audience)
	}
	return c.do(method, target, body, header...)
}

// answerOf is all that an answer tells.
func answerOf(w *httptest.ResponseRecorder) string { return fmt.Sprint(w.Code, w.Header(), w.Body) }

const deal = "Alpha, Beta"

func TestAnAudienceSharesRowsThatOthersDoNotSee(t *testing.T) {
	c := newCore(t, "")
	if w := c.as(alpha, deal, "PUT", "/app/kv/price", "17", "Content-Type", "text/plain"); w.Code != 201 {
		t.Fatal(w.Code, w.Body)
	}
	for _, audience := range []string{deal, "Beta,Alpha", fmt.Sprintf("%s, Beta", alpha.Actor)} {
		w := c.as(beta, audience, "GET", "/app/kv/price", "")
		if w.Code != 200 || w.Body.String() != "17" || w.Header().Get("Content-Type") != "text/plain" || w.Header().Get("Etag") != `"2"` {
			t.Errorf("%q: %s", audience, answerOf(w))
		}
	}
	if w := c.as(beta, deal, "PUT", "/app/kv/price", "18", "If-Match", `"2"`); w.Code != 204 {
		t.Errorf("the other one of the audience writes: %s", answerOf(w))
	}
	if w := c.as(alpha, deal, "GET", "/app/kv?prefix=p", ""); !strings.Contains(w.Body.String(), `"key_text":"price"`) {
		t.Errorf("a list: %s", answerOf(w))
	}
	if w := c.as(alpha, deal, "GET", "/app/kv/price?at=2", ""); w.Body.String() != "17" || w.Header().Get(wire.HeaderTxID) != "2.2" {
		t.Errorf("the past: %s", answerOf(w))
	}
	if w := c.as(alpha, deal, "GET", "/app/kv/price?history", ""); strings.Count(w.Body.String(), `"value"`) != 2 {
		t.Errorf("the history: %s", answerOf(w))
	}
	if w := c.as(alpha, deal, "POST", "/app/kv", `[{"op":"delete","key":"cHJpY2U="},{"op":"put","key":"bg==","value":""}]`); w.Code != 200 || !strings.Contains(w.Body.String(), `{"previous":"3"}`) {
		t.Errorf("a batch: %s", answerOf(w))
	}
	if w := c.as(alpha, "", "GET", "/app/kv", ""); !strings.Contains(w.Body.String(), `"items":[]`) {
		t.Errorf("rows of an audience are among those that all see: %s", answerOf(w))
	}
}

// reads are targets that would tell of the row "secret", were they answered by it.
var reads = []string{
	"/app/kv/secret", "/app/kv/secret?at=2", "/app/kv/secret?at=3", "/app/kv/secret?history", "/app/kv/secret?proof", "/app/kv/secret?proof&at=2", "/app/kv/secret?history&limit=1&before=4",
	"/app/kv", "/app/kv?keys", "/app/kv?prefix=s", "/app/kv?at=3",
}

// Two networks differ in what Alpha and Beta have told each other. All that anybody else asks is answered by the same bytes.
func TestOutsidersAreAnsweredAlikeWhateverAnAudienceHas(t *testing.T) {
	var cores [2]*core
	for i := range cores {
		c := newCore(t, "")
		key := []string{"secret", "other"}[i]
		if w := c.as(alpha, deal, "PUT", "/app/kv/"+key, "v"); w.Code != 201 {
			t.Fatal(w.Code, w.Body)
		}
		if w := c.as(beta, deal, "PUT", "/app/kv/"+key, "w"); w.Code != 204 {
			t.Fatal(w.Code, w.Body)
		}
		cores[i] = c
	}
	conditions := [][]string{nil, {"If-Match", "*"}, {"If-None-Match", "*"}, {"If-Match", `"3"`}, {"If-None-Match", `"3"`}}
	type ask struct{ method, target, body string }
	asks := []ask{
		{"DELETE", "/app/kv/secret", ""},
		{"PUT", "/app/kv/secret", "mine"},
		{"POST", "/app/kv", `[{"op":"put","key":"c2VjcmV0","value":"YQ==","if_match":"3"}]`},
		{"POST", "/app/kv", `[{"op":"delete","key":"c2VjcmV0","if_none_match":"*"}]`},
	}
	for _, r := range reads {
		asks = append([]ask{{"GET", r, ""}}, asks...)
	}
	for _, who := range []struct {
		caller   coco.Caller
		audience string
	}{{gamma, deal}, {gamma, "Alpha"}, {gamma, ""}, {gamma, "Gamma"}, {gamma, "Alpha,Beta,Gamma"}, {alpha, ""}, {alpha, "Alpha"}} {
		for _, a := range asks {
			for _, header := range conditions {
				var got [2]string
				for i, c := range cores {
					w := c.as(who.caller, who.audience, a.method, a.target, a.body, header...)
					got[i] = answerOf(w)
					outside := who.audience == deal || who.audience == "Alpha" && who.caller.Actor == gamma.Actor
					switch {
					case outside && a.method != "GET" && w.Code != 403:
						t.Errorf("%s of %q to %q: %s", a, who.caller.Name, who.audience, got[i])
					case outside && strings.HasPrefix(a.target, "/app/kv/") && a.method == "GET" && w.Code != 404 && !strings.Contains(a.target, "before"):
						t.Errorf("%s of %q to %q: %s", a, who.caller.Name, who.audience, got[i])
					}
				}
				if got[0] != got[1] {
					t.Errorf("%s %v of %q to %q:\n%s\n%s", a, header, who.caller.Name, who.audience, got[0], got[1])
				}
			}
		}
	}
	for _, c := range cores { // and none of it changed what Alpha and Beta have
		if w := c.as(beta, deal, "GET", "/app/kv?keys", ""); strings.Count(w.Body.String(), `"key"`) != 1 || !strings.Contains(w.Body.String(), `"etag":"3"`) {
			t.Error(w.Body)
		}
	}
}

// What an outsider is told is what one of the audience is told of a row that is not there.
func TestForbiddenIsAbsent(t *testing.T) {
	c := newCore(t, "")
	if w := c.as(alpha, deal, "PUT", "/app/kv/secret", "v"); w.Code != 201 {
		t.Fatal(w.Code, w.Body)
	}
	c.as(alpha, deal, "PUT", "/app/kv/secret", "v")
	for _, target := range reads {
		absent := strings.NewReplacer("/secret", "/none", "prefix=s", "prefix=x", "/app/kv?keys", "/app/kv?keys&from=x", "/app/kv?at=3", "/app/kv?at=3&from=x").Replace(target)
		if absent == "/app/kv" {
			absent = "/app/kv?from=x"
		}
		if got, want := answerOf(c.as(gamma, deal, "GET", target, "")), answerOf(c.as(alpha, deal, "GET", absent, "")); got != want {
			t.Errorf("%s: %s, expected %s", target, got, want)
		}
	}
}

// The leader asks again: a node that is broken, or of another release, forwards what it likes.
func TestTheLeaderWritesToAnAudienceForItsActorsOnly(t *testing.T) {
	c := newCore(t, "")
	audience, err := store.NewAudience(alpha.Actor, beta.Actor)
	if err != nil {
		t.Fatal(err)
	}
	payload := encodeWriteTo(audience, []operation{{kind: opPut, key: []byte("k"), value: []byte("v")}})
	head := c.store.Committed()
	r := c.execute(t.Context(), &adapter.Call{Caller: gamma, Payload: payload})[0]
	if !errors.Is(r.Err, coco.ErrDenied) || c.store.Committed() != head {
		t.Errorf("%+v", r)
	}
	if r := c.execute(t.Context(), &adapter.Call{Caller: beta, Payload: payload})[0]; r.Err != nil {
		t.Error(r.Err)
	}
}

func TestReceiptsOfAnAudienceAreForItsActorsOnly(t *testing.T) {
	c := newCore(t, "")
	c.as(alpha, deal, "PUT", "/app/kv/secret", "v")
	c.as(alpha, "", "PUT", "/app/kv/open", "v")
	limited, open := c.claims[len(c.claims)-2], c.claims[len(c.claims)-1]
	for _, x := range []struct {
		caller coco.Caller
		claims []byte
		denied bool
	}{{alpha, limited, false}, {beta, limited, false}, {gamma, limited, true}, {gamma, open, false}, {gamma, nil, false}, {alpha, limited[:len(claimsAudience)+1], true}} {
		err := c.Authorize(x.caller, adapter.Read{Subject: adapter.Receipt, TxID: coco.TxID{View: 2, Seqno: 2}, Claims: x.claims})
		if x.denied != errors.Is(err, coco.ErrNotFound) || !x.denied && err != nil {
			t.Errorf("%s, %q: %v", x.caller.Name, x.claims, err)
		}
	}
	facts, err := Adapter{}.Explain(limited, []byte("v"))
	text := fmt.Sprint(facts)
	if err != nil || !strings.Contains(text, "{table kv.parties []}") || !strings.Contains(text, "{audience "+beta.Actor.String()) || !strings.Contains(text, "{key secret []}") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAnExportSaysWhoSeesARow(t *testing.T) {
	c := newCore(t, "")
	c.as(alpha, deal, "PUT", "/app/kv/secret", "v")
	c.as(alpha, deal, "DELETE", "/app/kv/secret", "")
	export := Adapter{}.Export()
	var lines []string
	for _, b := range c.writes[len(c.writes)-2:] {
		writes, err := store.DecodeWrites(b)
		if err != nil {
			t.Fatal(err)
		}
		out, err := export(writes)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(out[0].Value))
	}
	both, err := json.Marshal([]coco.ActorID{alpha.Actor, beta.Actor})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"key":"secret","version":2,"content_type":"application/octet-stream","value":"v","audience":` + string(both) + `}`,
		`{"key":"secret","deleted":true,"audience":` + string(both) + `}`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%s\nexpected\n%s", lines, want)
	}
	for _, w := range []store.Write{{Table: parties, Key: []byte("k"), Value: make([]byte, 40)}, {Table: parties, Key: append(store.Audience{alpha.Actor}.Append(nil), 'k'), Value: []byte("short")}} {
		if _, err := export([]store.Write{w}); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestAudiencesThatAreNone(t *testing.T) {
	c := newCore(t, "")
	for _, audience := range []string{",", "Alpha,", "Delta", "Alpha,Alpha", "alpha", strings.Repeat("00", 31)} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if w := c.as(alpha, audience, method, "/app/kv/k", ""); w.Code != 400 {
				t.Errorf("%s to %q: %s", method, audience, answerOf(w))
			}
		}
	}
	if w := c.do("GET", "/app/kv/k", "", wire.HeaderAudience, ""); w.Code != 400 {
		t.Errorf("an empty header: %s", answerOf(w))
	}
}

func TestNoCacheKeepsWhatAnAudienceSees(t *testing.T) {
	c := newCore(t, "")
	if w := c.as(alpha, deal, "PUT", "/app/kv/secret", "17"); w.Code != 201 {
		t.Fatal(answerOf(w))
	}
	for _, target := range reads {
		if w := c.as(beta, deal, "GET", target, ""); w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s", target, answerOf(w))
		}
	}
	if w := c.as(beta, deal, "GET", "/app/kv/secret", "", "If-None-Match", `"2"`); w.Code != 304 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("not modified: %s", answerOf(w))
	}
}

// Who knows an organisation by its id means that one, whatever the others are called.
func TestNobodyIsInAnAudienceByAnothersID(t *testing.T) {
	c := newCore(t, "")
	names := c.env.Actor
	c.env.Actor = func(name string) (coco.ActorID, bool) {
		if name == beta.Actor.String() {
			return gamma.Actor, true
		}
		return names(name)
	}
	audience := fmt.Sprintf("Alpha, %s", beta.Actor)
	if w := c.as(alpha, audience, "PUT", "/app/kv/price", "17"); w.Code != 201 {
		t.Fatal(answerOf(w))
	}
	for _, by := range []string{audience, "Alpha, Gamma"} {
		if w := c.as(gamma, by, "GET", "/app/kv/price", ""); w.Code != 404 {
			t.Errorf("an organisation that is called as the id of another one, by %q: %s", by, answerOf(w))
		}
	}
	if w := c.as(beta, audience, "GET", "/app/kv/price", ""); w.Code != 200 {
		t.Errorf("the organisation that has the id: %s", answerOf(w))
	}
}

// A network of older programs has no writes to audiences until its members vote for them. What was written stays readable when they vote against.
func TestTheSettingAdmitsWritesToAudiences(t *testing.T) {
	const off, on = `{"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`, `{"audiences":true,"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`
	c := newStoredCore(t, []byte(off))
	payload := encodeWriteTo(store.Audience{alpha.Actor}, []operation{{kind: opPut, key: []byte("k")}})
	if _, err := c.Decode(payload); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("off: a call: %v", err)
	}
	if w := c.as(alpha, "Alpha", "PUT", "/app/kv/k", "v"); w.Code != 400 {
		t.Errorf("off: %s", answerOf(w))
	}
	if err := c.Configure([]byte(on)); err != nil {
		t.Fatal(err)
	}
	if w := c.as(alpha, "Alpha", "PUT", "/app/kv/k", "v"); w.Code != 201 {
		t.Errorf("on: %s", answerOf(w))
	}
	if err := c.Configure([]byte(off)); err != nil {
		t.Fatal(err)
	}
	if w := c.as(alpha, "Alpha", "GET", "/app/kv/k", ""); w.Code != 200 {
		t.Errorf("off again: %s", answerOf(w))
	}
}

// Sizes that are measured twice tell how large what an audience wrote in between is. A digest tells nothing of its rows.
func TestMetricsAreTheOwnersWhereRowsHaveAudiences(t *testing.T) {
	c := newStoredCore(t, []byte(`{"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`))
	may := func(what adapter.Subject) error { return c.Authorize(alpha, adapter.Read{Subject: what}) }
	if err := may(adapter.Measures); err != nil {
		t.Errorf("where no row has an audience: %v", err)
	}
	if err := c.Configure([]byte(`{"audiences":true,"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`)); err != nil {
		t.Fatal(err)
	}
	if err := may(adapter.Measures); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("where rows have audiences: %v", err)
	}
	if err := may(adapter.Digest); err != nil {
		t.Errorf("a digest: %v", err)
	}
}

// A page's next is a request for the same audience, with or without the header; what names two audiences is refused.
func TestTheNextPageIsOfTheSameAudience(t *testing.T) {
	c := newCore(t, "")
	for _, key := range []string{"a", "b", "c"} {
		for _, value := range []string{"1", "2"} {
			if w := c.as(alpha, deal, "PUT", "/app/kv/"+key, value); w.Code >= 300 {
				t.Fatal(answerOf(w))
			}
		}
	}
	c.as(alpha, "", "PUT", "/app/kv/open", "1")
	seen := ""
	for next := "/app/kv?limit=1&keys"; next != ""; {
		audience := ""
		if seen == "" {
			audience = deal
		}
		p := pageOf(t, c.as(beta, audience, "GET", next, ""))
		for _, it := range p.Items {
			seen += string(it.Key)
		}
		next = p.Next
	}
	if seen != "abc" {
		t.Errorf("page by page: %q", seen)
	}
	first := pageOf(t, c.as(beta, deal, "GET", "/app/kv?limit=1", ""))
	if w := c.as(beta, "Beta, Alpha", "GET", first.Next, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"key_text":"b"`) {
		t.Errorf("with the header too: %s", answerOf(w))
	}
	for _, other := range []string{"Alpha", "Alpha,Beta,Gamma"} {
		if w := c.as(alpha, other, "GET", first.Next, ""); w.Code != 400 {
			t.Errorf("the next of another audience by %q: %s", other, answerOf(w))
		}
	}
	if w := c.as(gamma, "", "GET", first.Next, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"items":[]`) || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("an outsider: %s", answerOf(w))
	}
	var versions wire.RowVersions
	if err := json.Unmarshal(c.as(beta, deal, "GET", "/app/kv/a?history&limit=1", "").Body.Bytes(), &versions); err != nil || versions.Next == "" {
		t.Fatalf("%+v, %v", versions, err)
	}
	if w := c.as(beta, "", "GET", versions.Next, ""); w.Code != 200 || strings.Count(w.Body.String(), `"value"`) != 1 {
		t.Errorf("earlier versions: %s", answerOf(w))
	}
	for _, target := range []string{"/app/kv?audience=", "/app/kv?audience=nobody", "/app/kv/a?history&audience=", "/app/kv/a?audience=Alpha", "/app/kv?audience=Alpha&audience=Beta"} {
		if w := c.as(alpha, "", "GET", target, ""); w.Code != 400 {
			t.Errorf("%s: %s", target, answerOf(w))
		}
	}
}
