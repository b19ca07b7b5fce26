package prefixes

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

var (
	alpha = &coco.Caller{Actor: coco.ActorID{0xa1}, Name: "alpha", Role: coco.Member}
	beta  = &coco.Caller{Actor: coco.ActorID{0xb2}, Name: "beta", Role: coco.Participant}
)

func parse(t testing.TB, text string) *Rules {
	t.Helper()
	r, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAListAdmitsWhomItNames(t *testing.T) {
	for _, c := range []struct {
		list        string
		alpha, beta bool
	}{
		{`[]`, false, false},
		{`["alpha"]`, true, false},
		{fmt.Sprintf(`["%s"]`, beta.Actor), false, true},
		{`["role:member"]`, true, false},
		{`["role:participant","alpha"]`, true, true},
		{`["ALPHA"," alpha"]`, false, false},
	} {
		for _, name := range []string{"read", "write"} {
			r := parse(t, fmt.Sprintf(`{"a/":{%q:%s}}`, name, c.list))
			ask := map[string]func(*coco.Caller, []byte) bool{"read": r.MayRead, "write": r.MayWrite}[name]
			if ask(alpha, []byte("a/x")) != c.alpha || ask(beta, []byte("a/x")) != c.beta {
				t.Errorf("%s %s: alpha %v, beta %v", name, c.list, ask(alpha, []byte("a/x")), ask(beta, []byte("a/x")))
			}
			if !ask(alpha, []byte("a")) || !ask(beta, []byte("b/a/x")) {
				t.Errorf("%s %s is about other keys, too", name, c.list)
			}
		}
	}
	// An organisation that is called like the id of another one is not that one.
	called := &coco.Caller{Actor: coco.ActorID{0xc3}, Name: alpha.Actor.String(), Role: coco.Participant}
	if parse(t, fmt.Sprintf(`{"":{"read":["%s"]}}`, alpha.Actor)).MayRead(called, []byte("k")) {
		t.Error("an organisation is admitted by its name, which is another one's id")
	}
}

func TestAKeyObeysEveryRuleThatItBeginsWith(t *testing.T) {
	r := parse(t, `{"":{"write":["role:member"]},"a/":{"read":["alpha"]},"a/b/":{"read":["alpha","beta"]},"c/":{"read":["beta"]},"c/d/":{"read":[]}}`)
	for key, may := range map[string][4]bool{ // alpha reads, writes, beta reads, writes
		"x":     {true, true, true, false},
		"a/":    {true, true, false, false},
		"a/b/c": {true, true, false, false},
		"c/x":   {false, false, true, false},
		"c/d/x": {false, false, false, false},
	} {
		k := []byte(key)
		if got := [4]bool{r.MayRead(alpha, k), r.MayWrite(alpha, k), r.MayRead(beta, k), r.MayWrite(beta, k)}; got != may {
			t.Errorf("%q: %v, expected %v", key, got, may)
		}
	}
}

// An answer to a write tells what was there: who may not read writes nothing, whatever the list of writers says.
func TestWhoMayNotReadMayNotWrite(t *testing.T) {
	r := parse(t, `{"a/":{"read":["role:member"],"write":["beta","alpha"]}}`)
	if r.MayWrite(beta, []byte("a/x")) || !r.MayWrite(alpha, []byte("a/x")) {
		t.Error("a participant writes what members alone read")
	}
	if _, err := Parse([]byte(`{"a/":{"read":["alpha"],"write":["alpha","beta"]}}`)); err == nil || !strings.Contains(err.Error(), `write lists "beta", and read does not`) {
		t.Error(err)
	}
}

func TestNoRulesAdmitEverybody(t *testing.T) {
	for _, r := range []*Rules{nil, parse(t, `{}`)} {
		if !r.MayRead(beta, []byte("k")) || !r.MayWrite(beta, []byte("k")) || r.Hide() || !r.MayReadAll(beta) {
			t.Errorf("%v", r)
		}
	}
	if r := parse(t, `{"a/":{"write":[]}}`); r.Hide() || !r.MayReadAll(beta) {
		t.Error("a rule about writes hides something")
	}
	if r := parse(t, `{"a/":{"read":["alpha"]}}`); !r.Hide() || r.MayReadAll(beta) || !r.MayReadAll(alpha) {
		t.Error("a rule about reads")
	}
}

func TestOnlyWholeRulesAreParsed(t *testing.T) {
	many := func(n int, entry string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(entry, i))
		}
		return strings.Join(all, ",")
	}
	for text, want := range map[string]string{
		``: "expected {", `null`: "expected {", `[]`: "expected {", `{"a":1}`: "expected {", `{"a":null}`: "found neither", `{"a":{}}`: "found neither",
		`{"a":{"read":null}}`:                                         `found "read"`,
		`{"a":{"READ":[]}}`:                                           `found "READ"`,
		`{"a":{"read":[],"delete":[]}}`:                               `found "delete"`,
		`{"a":{"read":["x","x"]}}`:                                    "listed twice",
		`{"a":{"read":[""]}}`:                                         "expected the name",
		`{"a":{"read":["role:auditor"]}}`:                             "role:member",
		`{"a":{"read":["role:member"],"write":["role:participant"]}}`: "write lists role:participant",
		`{"a":{"read":[]},"a":{"read":["x"]}}`:                        "expected {",
		`{"a":{"read":[` + many(maxListed+1, `"o%d"`) + `]}}`:         "at most 64 entries",
		`{` + many(maxRules+1, `"p%d":{"read":[]}`) + `}`:             "at most 64 prefixes",
		`{"` + strings.Repeat("p", maxPrefix+1) + `":{"read":[]}}`:    "at most 1024 bytes",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, expected %q", text, err, want)
		}
	}
	for _, text := range (Values{}).Ends() {
		if err := (Values{}).Check([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNamesBecomeIDs(t *testing.T) {
	actor := func(name string) (coco.ActorID, bool) {
		for _, c := range []*coco.Caller{alpha, beta} {
			if c.Name == name {
				return c.Actor, true
			}
		}
		return coco.ActorID{}, false
	}
	got, err := Named([]byte(`{"b/":{"write":["role:member","beta"]},"a/":{"read":["alpha"]}}`), actor)
	want := fmt.Sprintf(`{"a/":{"read":["%s"]},"b/":{"write":["role:member","%s"]}}`, alpha.Actor, beta.Actor)
	if err != nil || string(got) != want {
		t.Errorf("%s, %v, expected %s", got, err, want)
	}
	if again, err := Named(got, actor); err != nil || string(again) != want {
		t.Errorf("%s, %v", again, err)
	}
	for text, wrong := range map[string]bool{
		`{"a/":{"read":["alpha"]},"a/b/":{"write":["beta"]}}`:                       true,
		`{"":{"read":[]},"a/":{"write":["beta"]}}`:                                  true,
		`{"a/":{"read":["role:member"]},"a/b/":{"write":["beta"]}}`:                 false, // beta may be a member
		`{"a/":{"read":["alpha"]},"a/b/":{"write":["role:member"]}}`:                false, // alpha may be one
		`{"a/b/":{"read":["alpha"]},"a/":{"write":["beta"]}}`:                       false, // it writes other keys
		`{"a/":{"read":["alpha"]},"ab/":{"write":["beta"]},"b":{"write":["beta"]}}`: false,
	} {
		if _, err := Named([]byte(text), actor); (err != nil) != wrong || wrong && (!errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), `write lists "beta"`)) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{`{"a/":{"read":["nobody"]}}`, `{"a/":1}`, fmt.Sprintf(`{"a/":{"read":["alpha","%s"]}}`, alpha.Actor)} {
		if _, err := Named([]byte(text), actor); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// table is rows in memory, which count what is looked at.
type table struct {
	rows   map[string]string
	looked int
}

func (r *table) Get(_ string, key []byte) ([]byte, bool) {
	r.looked++
	v, ok := r.rows[string(key)]
	return []byte(v), ok
}

func (r *table) Range(_ string, from, to []byte, fn func(key, value []byte) bool) {
	for _, k := range slices.Sorted(maps.Keys(r.rows)) {
		if k >= string(from) && (to == nil || k < string(to)) {
			if r.looked++; !fn([]byte(k), []byte(r.rows[k])) {
				return
			}
		}
	}
}

// A view has the rows of the table that the caller may read, in order, from any key to any other, and looks at no others.
func TestAViewHasWhatTheCallerMayRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[ab/\xc3\xbf]{0,4}`)
		r := new(Rules)
		for _, prefix := range rapid.SliceOfNDistinct(key, 0, 6, rapid.ID).Draw(t, "prefixes") {
			one := rule{prefix: []byte(prefix)}
			if rapid.IntRange(0, 3).Draw(t, "open") > 0 {
				one.read = &list{}
			}
			r.all = append(r.all, one)
		}
		slices.SortFunc(r.all, func(a, b rule) int { return bytes.Compare(a.prefix, b.prefix) })
		rows := &table{rows: map[string]string{}}
		for _, k := range rapid.SliceOfN(key, 0, 20).Draw(t, "keys") {
			rows.rows[k] = "v" + k
		}
		from, to := []byte(key.Draw(t, "from")), []byte(key.Draw(t, "to"))
		if len(to) == 0 {
			to = nil
		}
		most := rapid.IntRange(1, 5).Draw(t, "most")
		var want []string
		for _, k := range slices.Sorted(maps.Keys(rows.rows)) {
			if k >= string(from) && (to == nil || k < string(to)) && r.MayRead(alpha, []byte(k)) && len(want) < most {
				want = append(want, k)
			}
		}
		view := r.View(alpha, rows)
		var got []string
		view.Range("t", from, to, func(k, v []byte) bool {
			if string(v) != "v"+string(k) {
				t.Fatalf("%q has %q", k, v)
			}
			got = append(got, string(k))
			return len(got) < most
		})
		if !slices.Equal(got, want) || rows.looked != len(want) {
			t.Fatalf("%v from %q to %q: %q, expected %q; %d looked at", r.all, from, to, got, want, rows.looked)
		}
		for k := range rows.rows {
			if _, ok := view.Get("t", []byte(k)); ok != r.MayRead(alpha, []byte(k)) {
				t.Fatalf("get %q: %v", k, ok)
			}
		}
	})
}

var _ store.Reader = (*table)(nil)

// Whatever is parsed is parsed again from what Named makes of it, to the same rules.
func FuzzParse(f *testing.F) {
	for _, text := range (Values{}).Ends() {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"a/":{"read":["alpha","role:member"],"write":["alpha"]},"":{"write":[]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		out, err := Named(text, func(name string) (coco.ActorID, bool) { return coco.Digest{1}, true })
		if err != nil { // two names may have one id
			return
		}
		again, err := Parse(out)
		if err != nil || len(again.all) != len(r.all) {
			t.Fatalf("%s: %v", out, err)
		}
		for i := range r.all {
			if !bytes.Equal(r.all[i].prefix, again.all[i].prefix) {
				t.Fatalf("prefix %q became %q", r.all[i].prefix, again.all[i].prefix)
			}
			for _, l := range [][2]*list{{r.all[i].read, again.all[i].read}, {r.all[i].write, again.all[i].write}} {
				if (l[0] == nil) != (l[1] == nil) || l[0] != nil && (!slices.Equal(l[0].roles, l[1].roles) || len(l[0].names)+len(l[0].ids) != len(l[1].ids)) {
					t.Fatalf("%s became %s", text, out)
				}
			}
		}
	})
}
