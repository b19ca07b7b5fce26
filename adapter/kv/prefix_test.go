package kv

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// ruled puts rules of prefixes in force.
func (c *core) ruled(t T, rules string) {
	t.Helper()
	section, err := Adapter{}.CompleteSettings([]byte(`{"prefixes":` + rules + `}`))
	if err == nil {
		err = c.Configure(section)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const settlement = `{"settlement/":{"read":["Alpha","Beta"],"write":["Alpha"]}}`

func TestRulesOfPrefixesKeepKeysFromOthers(t *testing.T) {
	c := newCore(t, "")
	c.ruled(t, settlement)
	for _, w := range []struct {
		caller coco.Caller
		method string
		status int
	}{{alpha, "PUT", 201}, {beta, "PUT", 403}, {gamma, "PUT", 403}, {beta, "DELETE", 403}, {gamma, "DELETE", 403}, {alpha, "PUT", 204}} {
		if got := c.as(w.caller, "", w.method, "/app/kv/settlement/1", "17"); got.Code != w.status {
			t.Errorf("%s of %s: %s", w.method, w.caller.Name, answerOf(got))
		}
	}
	batch := `[{"op":"put","key":"dQ==","value":""},{"op":"put","key":"` + base64.StdEncoding.EncodeToString([]byte("settlement/2")) + `","value":""}]`
	if w := c.as(beta, "", "POST", "/app/kv", batch); w.Code != 403 || !strings.Contains(w.Body.String(), "operation 1") {
		t.Errorf("a batch: %s", answerOf(w))
	}
	if w := c.as(gamma, "", "PUT", "/app/kv/settlement", "another key"); w.Code != 201 {
		t.Errorf("a key that does not begin with the prefix: %s", answerOf(w))
	}
	if w := c.as(beta, "", "GET", "/app/kv/settlement/1", ""); w.Code != 200 || w.Body.String() != "17" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("a reader: %s", answerOf(w))
	}
	if w := c.as(gamma, "", "GET", "/app/kv/settlement/1", ""); w.Code != 404 || answerOf(w) != answerOf(c.as(gamma, "", "GET", "/app/kv/none", "")) {
		t.Errorf("another one: %s", answerOf(w))
	}
	if w := c.as(gamma, "", "GET", "/app/kv?keys", ""); strings.Contains(w.Body.String(), "settlement/") || !strings.Contains(w.Body.String(), `"settlement"`) {
		t.Errorf("a list: %s", answerOf(w))
	}
}

// Rows of an audience obey the rules of their keys: whoever is kept out by one of both is out.
func TestTheStricterOfAudienceAndPrefixCounts(t *testing.T) {
	c := newCore(t, "")
	c.ruled(t, settlement)
	if w := c.as(alpha, "Alpha,Gamma", "PUT", "/app/kv/settlement/1", "17"); w.Code != 201 {
		t.Fatal(answerOf(w))
	}
	for caller, status := range map[*coco.Caller]int{&alpha: 200, &beta: 404, &gamma: 404} {
		for _, target := range []string{"/app/kv/settlement/1", "/app/kv/settlement/1?history", "/app/kv/settlement/1?at=2", "/app/kv/settlement/1?proof"} {
			if w := c.as(*caller, "Alpha,Gamma", "GET", target, ""); w.Code != status {
				t.Errorf("%s of %s: %s", target, caller.Name, answerOf(w))
			}
		}
	}
	if w := c.as(gamma, "Alpha,Gamma", "PUT", "/app/kv/settlement/1", "18"); w.Code != 403 {
		t.Errorf("one of the audience that the rule does not name: %s", answerOf(w))
	}
}

// A call that was sent by the rules before is judged again by the leader.
func TestTheLeaderJudgesWritesByTheRulesInForce(t *testing.T) {
	c := newCore(t, "")
	c.submit = func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
		c.ruled(t, settlement)
		return c.execute(ctx, calls...)
	}
	head := c.store.Committed()
	if w := c.as(beta, "", "PUT", "/app/kv/settlement/1", "17"); w.Code != 403 || c.store.Committed() != head {
		t.Errorf("beta: %s", answerOf(w))
	}
	c.ruled(t, `{}`)
	if w := c.as(alpha, "", "PUT", "/app/kv/settlement/1", "17"); w.Code != 201 {
		t.Errorf("alpha: %s", answerOf(w))
	}
}

func TestAWriteThatTheRulesRefuseIsNotSent(t *testing.T) {
	c := newCore(t, "")
	c.ruled(t, settlement)
	c.submit = func(context.Context, ...*adapter.Call) []adapter.Result {
		t.Error("a node sends on what the rules do not admit")
		return []adapter.Result{{Err: coco.ErrDenied}}
	}
	for _, method := range []string{"PUT", "DELETE"} {
		if w := c.as(beta, "", method, "/app/kv/settlement/1", ""); w.Code != 403 {
			t.Errorf("%s: %s", method, answerOf(w))
		}
	}
}

// A request that comes before a vote, and waits, reads no rows that were written after it by the rules before it.
func TestARowIsReadByTheRulesThatItWasWrittenUnder(t *testing.T) {
	for _, target := range []string{"/app/kv/settlement/1", "/app/kv/settlement/1?history", "/app/kv/settlement/1?proof", "/app/kv?prefix=settlement/"} {
		c := newCore(t, "")
		c.fresh = func(context.Context, adapter.Reading) (adapter.Age, error) {
			c.fresh = nil
			c.ruled(t, settlement)
			if w := c.as(alpha, "", "PUT", "/app/kv/settlement/1", "17"); w.Code != 201 {
				t.Fatal(answerOf(w))
			}
			return adapter.Age{}, nil
		}
		if w := c.as(gamma, "", "GET", target, ""); strings.Contains(answerOf(w), "17") || strings.Contains(w.Body.String(), "MTc=") || w.Code == 200 && !strings.Contains(w.Body.String(), `"items":[]`) {
			t.Errorf("%s: %s", target, answerOf(w))
		}
	}
}

func TestDigestsAreForThoseWhoMayReadEveryKey(t *testing.T) {
	c := newCore(t, "")
	read := adapter.Read{Subject: adapter.Digest}
	for _, caller := range []coco.Caller{alpha, beta, gamma} {
		if err := c.Authorize(caller, read); err != nil {
			t.Errorf("no rules, %s: %v", caller.Name, err)
		}
	}
	c.ruled(t, settlement)
	for _, caller := range []coco.Caller{alpha, beta} {
		if err := c.Authorize(caller, read); err != nil {
			t.Errorf("%s: %v", caller.Name, err)
		}
	}
	if err := c.Authorize(gamma, read); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("gamma: %v", err)
	}
}

func TestReceiptsAreForThoseWhoMayReadWhatTheyName(t *testing.T) {
	c := newCore(t, "")
	batch := `[{"op":"put","key":"dQ==","value":""},{"op":"put","content_type":"text/plain","key":"` + base64.StdEncoding.EncodeToString([]byte("settlement/2")) + `","value":"YQ=="},{"op":"delete","key":"dQ=="}]`
	if w := c.as(alpha, "", "POST", "/app/kv", batch); w.Code != 200 {
		t.Fatal(answerOf(w))
	}
	c.caller.User = "kim"
	c.do("PUT", "/app/kv/u", "1")
	c.ruled(t, settlement)
	for i, may := range []map[*coco.Caller]bool{1: {&alpha: true, &beta: true, &gamma: false}, 2: {&alpha: true, &beta: true, &gamma: true}} {
		for caller, ok := range may {
			err := c.Authorize(*caller, adapter.Read{Subject: adapter.Receipt, Claims: c.claims[i]})
			if ok && err != nil || !ok && !errors.Is(err, coco.ErrNotFound) {
				t.Errorf("transaction %d, %s: %v", i+1, caller.Name, err)
			}
		}
	}
	for _, claims := range [][]byte{nil, []byte("coco ethereum block"), []byte("x")} { // of others, and before they are known
		if err := c.Authorize(gamma, adapter.Read{Subject: adapter.Receipt, Claims: claims}); err != nil {
			t.Errorf("%q: %v", claims, err)
		}
	}
	for n := len(claimsContext); n < len(c.claims[2])-4; n++ { // damaged ones are nobody's
		if err := c.Authorize(gamma, adapter.Read{Subject: adapter.Receipt, Claims: c.claims[2][:n]}); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("%d bytes of claims: %v", n, err)
		}
	}
}

// world is rules, and rows of which some are hidden from a caller.
type world struct {
	caller   *coco.Caller
	audience string // of the caller's requests
	rules    map[string]map[string][]string
}

// may is what the rules say, by the words of the documentation and without package prefixes.
func (w *world) may(what, key string) bool {
	for prefix, rule := range w.rules {
		list, limited := rule[what]
		if !strings.HasPrefix(key, prefix) || !limited {
			continue
		}
		if !slices.Contains(list, w.caller.Name) && !slices.Contains(list, w.caller.Actor.String()) && !slices.Contains(list, "role:"+string(w.caller.Role)) {
			return false
		}
	}
	return what == "read" || w.may("read", key)
}

// sees reports whether the caller may know of a row of an audience.
func (w *world) sees(audience, key string) bool {
	return w.may("read", key) && (audience == "" || slices.Contains(strings.Split(audience, ","), w.caller.Name))
}

var (
	ruledKeys      = []string{"s", "s/1", "s/a1", "s/a/2", "t/1", "u", "u/\x00"}
	ruledAudiences = []string{"", "Alpha,Beta", "Beta,Gamma"}
)

func drawWorld(t *rapid.T) (w *world, text string) {
	w = &world{rules: map[string]map[string][]string{}}
	w.caller = rapid.SampledFrom([]*coco.Caller{&alpha, &beta, &gamma}).Draw(t, "caller")
	w.audience = rapid.SampledFrom(ruledAudiences).Draw(t, "audience")
	entries := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Alpha", "Beta", gamma.Actor.String(), "role:member", "role:participant"}), 0, 3, rapid.ID)
	for _, prefix := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"", "s", "s/", "s/a", "t/", "u"}), 0, 4, rapid.ID).Draw(t, "prefixes") {
		rule := map[string][]string{}
		for _, what := range []string{"read", "write"} {
			if rapid.Bool().Draw(t, "has "+what) {
				rule[what] = append([]string{}, entries.Draw(t, what)...)
			}
		}
		w.rules[prefix] = rule
		if one, err := json.Marshal(map[string]any{prefix: rule}); err != nil {
			t.Fatal(err)
		} else if _, err := (Adapter{}).CompleteSettings([]byte(`{"prefixes":` + string(one) + `}`)); err != nil { // writers that read nothing
			delete(w.rules, prefix)
		}
	}
	b, err := json.Marshal(w.rules)
	if err != nil {
		t.Fatal(err)
	}
	return w, string(b)
}

// Two networks differ in the rows that a caller may not see, by the rules of prefixes or by their audience, and in nothing else. By no route is the caller answered
// otherwise by one than by the other, and it is answered by what it may see.
func TestRoutesTellNothingOfRowsThatACallerMayNotSee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, rules := drawWorld(t)
		type row struct{ audience, key string }
		var cores [2]*core
		for i := range cores {
			cores[i] = newCore(t, "")
		}
		stored := map[row]string{} // as the first one has it
		for n := range rapid.IntRange(0, 12).Draw(t, "writes") {
			audience, value := rapid.SampledFrom(ruledAudiences).Draw(t, "to"), fmt.Sprintf("v%d", n)
			keys := rapid.SliceOfNDistinct(rapid.SampledFrom(ruledKeys), 1, 2, rapid.ID).Draw(t, "keys")
			remove := rapid.IntRange(0, 4).Draw(t, "remove") == 0
			for i, c := range cores {
				ops := make([]batchText, len(keys))
				for k, key := range keys {
					ops[k] = batchText{"put", []byte(key), []byte(value)}
					if remove {
						ops[k] = batchText{"delete", []byte(key), nil}
					}
					if i == 1 && !w.sees(audience, key) { // another row that is hidden, too
						ops[k].Key = []byte(key + "~")
						if !remove {
							ops[k].Value = []byte("w" + value)
						}
					}
				}
				text, err := json.Marshal(ops)
				if err != nil {
					t.Fatal(err)
				}
				if got := c.as(beta, audience, "POST", "/app/kv", string(text)); got.Code != 200 {
					t.Fatal(answerOf(got))
				}
			}
			for _, key := range keys {
				if stored[row{audience, key}] = value; remove {
					delete(stored, row{audience, key})
				}
			}
		}
		for _, c := range cores {
			c.ruled(t, rules)
		}
		both := func(method, target, body string, header ...string) *httptest.ResponseRecorder {
			a, b := cores[0].as(*w.caller, w.audience, method, target, body, header...), cores[1].as(*w.caller, w.audience, method, target, body, header...)
			if answerOf(a) != answerOf(b) {
				t.Fatalf("rules %s: %s %s %v of %s to %q:\n%s\n%s", rules, method, target, header, w.caller.Name, w.audience, answerOf(a), answerOf(b))
			}
			return a
		}
		head := cores[0].store.Committed()
		conditions := [][]string{nil, {"If-Match", "*"}, {"If-None-Match", "*"}, {"If-Match", `"3"`}, {"If-None-Match", `"3"`}}
		for _, key := range append(slices.Clone(ruledKeys), "s/none", "none") {
			path := "/app/kv/" + url.PathEscape(key)
			value, exists := stored[row{w.audience, key}]
			seen := exists && w.sees(w.audience, key)
			if got := both("GET", path, ""); (got.Code == 200) != seen || seen && got.Body.String() != value {
				t.Fatalf("rules %s: %s of %s to %q: %s, expected %q %v", rules, path, w.caller.Name, w.audience, answerOf(got), value, seen)
			}
			for _, query := range []string{"?history", "?history&limit=1&before=4", "?proof", "?at=2", "?proof&at=3", fmt.Sprintf("?at=%d", head)} {
				both("GET", path+query, "")
			}
			for _, h := range conditions[1:] {
				both("GET", path, "", h...)
			}
		}
		var want []string
		for r := range stored {
			if r.audience == w.audience && w.sees(r.audience, r.key) {
				want = append(want, r.key)
			}
		}
		slices.Sort(want)
		var got []string
		for next := "/app/kv?limit=2&keys"; next != ""; {
			page := pageOf(t, both("GET", next, ""))
			for _, it := range page.Items {
				got = append(got, string(it.Key))
			}
			next = page.Next
		}
		if !slices.Equal(got, want) {
			t.Fatalf("rules %s: a list of %s to %q: %q, expected %q", rules, w.caller.Name, w.audience, got, want)
		}
		for _, query := range []string{"?prefix=s", "?prefix=s/", "?prefix=s/a", "?from=s/1&to=t/1", "?limit=1", "?from=s/a", "?at=3", fmt.Sprintf("?at=%d", head)} {
			both("GET", "/app/kv"+query, "")
		}
		for seqno := uint64(2); seqno <= head; seqno++ {
			var ok [2]bool
			for i, c := range cores {
				ok[i] = c.Authorize(*w.caller, adapter.Read{Subject: adapter.Receipt, Claims: c.claims[seqno-1]}) == nil
			}
			if ok[0] != ok[1] {
				t.Fatalf("rules %s: the receipt of %d for %s: %v", rules, seqno, w.caller.Name, ok)
			}
		}
		outside := w.audience != "" && !slices.Contains(strings.Split(w.audience, ","), w.caller.Name)
		for _, key := range slices.Sorted(maps.Keys(map[string]bool{rapid.SampledFrom(ruledKeys).Draw(t, "put"): true, "s/none": true})) {
			path := "/app/kv/" + url.PathEscape(key)
			for _, h := range conditions {
				for _, method := range []string{"PUT", "DELETE"} {
					if got := both(method, path, "mine", h...); (got.Code == 403) != (outside || !w.may("write", key)) {
						t.Fatalf("rules %s: %s %s of %s to %q: %s", rules, method, path, w.caller.Name, w.audience, answerOf(got))
					}
				}
			}
		}
	})
}

// batchText is one operation of a POST.
type batchText struct {
	Op    string `json:"op"`
	Key   []byte `json:"key"`
	Value []byte `json:"value,omitempty"`
}
