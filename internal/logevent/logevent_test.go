package logevent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// codes are the constants of this package.
func codes(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "logevent.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Type != nil {
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all[code] = spec.Names[0].Name
		}
		return true
	})
	if len(all) < 20 {
		t.Fatalf("found %d codes", len(all))
	}
	return all
}

func TestOperatorsFindEveryEventInTheirManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## Events\n")
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]bool{}
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.SplitN(line, "|", 3)[1], -1) {
			listed[m[1]] = true
		}
	}
	all := codes(t)
	for code, name := range all {
		if !listed[code] {
			t.Errorf("%s (%q) is not in the table", name, code)
		}
	}
	for code := range listed {
		if _, ok := all[code]; !ok {
			t.Errorf("the table has %q, which no node reports", code)
		}
	}
}
