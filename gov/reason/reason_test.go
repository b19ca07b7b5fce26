package reason

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// codes returns the codes that this package declares.
func codes(t *testing.T) (out []Code) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, Code(text))
		}
		return true
	})
	return out
}

func TestEveryCodeIsAWordAndHasASentence(t *testing.T) {
	seen := map[string]Code{}
	list := codes(t)
	if len(list) < 30 {
		t.Fatalf("only %d codes", len(list))
	}
	for _, c := range list {
		if strings.Trim(string(c), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("the code %q", c)
		}
		r := New(c, "subject", "other")
		text := r.String()
		if first, ok := seen[text]; ok || strings.Contains(text, string(c)+" (") {
			t.Errorf("%s says %q (as %s)", c, text, first)
		}
		seen[text] = c
	}
}

func TestAReasonOfALaterReleaseIsShownByItsCode(t *testing.T) {
	r := New("too_clever", "x", "y")
	if got := r.String(); !strings.Contains(got, "too_clever") || !strings.Contains(got, "x") {
		t.Errorf("shown as %q", got)
	}
	if got := (*Reason)(nil).String(); got != "" {
		t.Errorf("no reason is %q", got)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	long := strings.Repeat("ä", MaxText)
	r := New(UnknownActor, "x"+long, "\xff"+long)
	if len(r.Subject) > MaxText || len(r.Other) > MaxText || strings.ContainsRune(r.Subject+r.Other, '\ufffd') {
		t.Errorf("%d and %d bytes", len(r.Subject), len(r.Other))
	}
	b, err := canon.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Reason
	if err := canon.Unmarshal(b, &again, canon.Limits{Bytes: 1 << 10}); err != nil || again != r {
		t.Errorf("%+v, %v", again, err)
	}
}

// What the cause of an error says is a library's wording: people see it, and it is no part of the reason.
func TestACausesWordsAreNotPartOfTheReason(t *testing.T) {
	cause := errors.New("x509: words")
	err := error(&Error{Reason: New(BadPolicy, "add_code", ""), Cause: cause, Context: "set policy"})
	if !errors.Is(err, coco.ErrInvalid) || !errors.Is(err, cause) || !strings.Contains(err.Error(), "words") || !strings.HasPrefix(err.Error(), "invalid: set policy: ") {
		t.Errorf("error %v", err)
	}
	if r, ok := Of(err); !ok || r != New(BadPolicy, "add_code", "") {
		t.Errorf("reason %+v", r)
	}
	if _, ok := Of(cause); ok {
		t.Error("an error without a reason has one")
	}
}
