package expr

import (
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Whoever misspells a name is told those that there are, at the place where it stands.
func TestAnUnknownNameIsAnsweredWithTheKnownOnes(t *testing.T) {
	inner := NewType("inner", Field{"deep", types.IntType})
	outer := NewType("outer", Field{"name", types.StringType}, Field{"inner", inner.CEL})
	l := &Language{
		Records:   []*RecordType{inner, outer},
		Variables: []cel.EnvOption{cel.Variable("who", outer.CEL), cel.Variable("what", types.StringType)},
		Example:   `what == "x"`, Means: "true if so",
	}
	for text, says := range map[string]string{
		"true &&\nwho.nme == 'a'":    "2:4: undefined field 'nme': expected one of name, inner",
		"who.inner.dep == 1":         "1:10: undefined field 'dep': expected one of deep",
		"whom == 'a'":                "1:1: undeclared reference to 'whom' (did you mean 'who'?): expected one of what, who",
		"what.matches('a')":          "1:13: undeclared reference to 'matches': expected one of has, all, exists, exists_one, existsOne, filter, size, contains, startsWith, endsWith, int, string",
		"1 == 'a'":                   "found no matching overload for '_==_' applied to '(int, string)'",
		"what.size() == who.inner":   "found no matching overload",
		"[1].all(x, x.name == what)": "type 'int' does not support field selection",
		"what ==":                    "1:8: Syntax error",
	} {
		_, err := l.Compile(text)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, expected %q", text, err, says)
		}
		if err != nil && !strings.Contains(says, "expected one of") && strings.Contains(err.Error(), "expected one of") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
