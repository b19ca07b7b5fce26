package members_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// An operator whose node is refused looks the reason up in docs/operations.md.
func TestOperatorsFindEveryReasonInTheirManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "record.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
			reasons++
			code := strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)
			if !strings.Contains(string(manual), "`"+code+"`") {
				t.Errorf("docs/operations.md does not say what to do about %q", code)
			}
		}
		return true
	})
	if reasons < 10 {
		t.Errorf("the test found %d reasons", reasons)
	}
}
