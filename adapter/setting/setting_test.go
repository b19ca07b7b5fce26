package setting

import (
	"encoding/json"
	"strings"
	"testing"
)

var table = Table{
	{Name: "fixed", Values: Range{1, 9}, Default: "1", Fixed: "the state depends on it"},
	{Name: "number", Values: Range{1, 9}, Default: "2", Takes: "the next call"},
	{Name: "format", Values: Range{1, 3}, Absent: "1", Rises: true, Takes: "the next call"},
	{Name: "later", Values: Switch{}, Rules: 3, Takes: "the next call"},
	{Name: "in.word", Values: Words{"a", "b"}, Default: `"a"`, Takes: "the next call"},
}

func TestAChangeIsJudgedByTheTable(t *testing.T) {
	const old = `{"fixed":1,"number":2,"in":{"word":"a"}}`
	for _, c := range []struct {
		next  string
		rules uint64
		want  string
	}{
		{old, 1, ""},
		{`{"fixed":1,"number":9,"in":{"word":"b"}}`, 2, ""},
		{`{"fixed":1,"number":9,"in":{"word":"a"}}`, 1, "number can be changed by a vote from rules 2 on"},
		{`{"fixed":2,"number":2,"in":{"word":"a"}}`, 2, "no vote can change fixed: the state depends on it"},
		{`{"fixed":1,"number":10,"in":{"word":"a"}}`, 2, "number: expected a whole number from 1 to 9, found 10"},
		{`{"fixed":1,"number":2,"in":{"word":"c"}}`, 2, `in.word: expected one of a, b, found "c"`},
		{`{"fixed":1,"number":2,"in":{"word":"a","x":1}}`, 2, "there is no setting in.x that a vote could change: expected one of format, in.word, later, number"},
		{`{"fixed":1,"number":2,"in":7}`, 2, "in: expected a table, found 7"},
		{`{"fixed":1,"number":2,"in":{}}`, 2, "in.word would be left out"},
		{`{"fixed":1,"in":{"word":"a"},"number":2,"format":2}`, 2, ""},
		// Else one proposal could say what the absent format is, another raise it, and the former be accepted last.
		{`{"fixed":1,"in":{"word":"a"},"number":2,"format":1}`, 2, "may raise format, and not lower it: expected at least 2, found 1"},
		{`{"fixed":1,"in":{"word":"a"},"number":2,"format":0}`, 2, "format: expected a whole number from 1 to 3"},
		{`{"fixed":1,"in":{"word":"a"},"number":2,"later":true}`, 2, "from rules 3 on, and this network has rules 2"},
		{`{"fixed":1,"in":{"word":"a"},"number":2,"later":true}`, 3, ""},
	} {
		err := table.CheckChange(c.rules, []byte(old), []byte(c.next))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("by rules %d, %s: %v, expected %q", c.rules, c.next, err, c.want)
		}
	}
	if err := table.CheckChange(2, []byte(`{"format":2}`), []byte(`{"format":1}`)); err == nil || !strings.Contains(err.Error(), "may raise format, and not lower it: expected at least 2, found 1") {
		t.Errorf("a format that falls: %v", err)
	}
}

func TestTheEndsAreValues(t *testing.T) {
	for _, s := range table {
		if len(s.Values.Ends()) == 0 {
			t.Errorf("%s has no ends", s.Name)
		}
		for _, end := range s.Values.Ends() {
			if err := s.Values.Check([]byte(end)); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
}

// Whatever a section is, it is judged: what passes differs in settings that votes may change, by their values alone.
func FuzzCheckChange(f *testing.F) {
	f.Add([]byte(`{"number":2}`), []byte(`{"number":3,"in":{"word":"a"}}`))
	f.Add([]byte(`{"in":null}`), []byte(`{"in":{}}`))
	f.Add([]byte(`{"in.word":"a"}`), []byte(`{"":{"":1}}`))
	f.Fuzz(func(t *testing.T, old, next []byte) {
		if table.CheckChange(2, old, next) != nil {
			return
		}
		var was, is map[string]json.RawMessage
		if json.Unmarshal(old, &was) != nil || json.Unmarshal(next, &is) != nil {
			t.Fatalf("%s and %s pass", old, next)
		}
		if string(was["fixed"]) != string(is["fixed"]) {
			t.Fatalf("from %s to %s passes", old, next)
		}
	})
}
