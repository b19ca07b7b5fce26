package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"strconv"
	"strings"
	"testing"
)

func (r rule) checkBody(p *pkg, f *ast.File) []string {
	names := localNames(f)
	var found []string
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.GoStmt:
			if r.goes || r.pure {
				found = append(found, p.at(n.Pos())+" starts a goroutine")
			}
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			if to, ok := names[id.Name]; ok && r.forbids(path.Base(to)+"."+n.Sel.Name) {
				found = append(found, fmt.Sprintf("%s names %s.%s", p.at(n.Pos()), to, n.Sel.Name))
			}
		case *ast.Ident:
			found = append(found, r.checkWord(p, n.Pos(), n.Name)...)
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				found = append(found, r.checkWord(p, n.Pos(), n.Value)...)
			}
		}
		return true
	})
	return found
}

func (r rule) checkWord(p *pkg, at token.Pos, text string) []string {
	var found []string
	for _, w := range r.words {
		if strings.Contains(strings.ToLower(text), w) {
			found = append(found, fmt.Sprintf("%s: %s names a protocol", p.at(at), text))
		}
	}
	return found
}

// localNames maps the names under which a file sees the standard library's packages.
func localNames(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, imp := range f.Imports {
		to, _ := strconv.Unquote(imp.Path.Value)
		if first, _, _ := strings.Cut(to, "/"); strings.Contains(first, ".") {
			continue
		}
		name := path.Base(to)
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[name] = to
	}
	return names
}

// The rules themselves must be able to fail.
func TestRulesCatchWhatTheyName(t *testing.T) {
	p := source(t, "x", "either", `import (
	"os"
	clock "time"
	"github.com/cocoframework/coco/node"
	"example.org/lib"
)
func f() { go f(); _ = clock.Now(); _ = os.Args; _ = node.X; _ = lib.X; _ = "an Ethereum thing" }
`)
	all := index([]*pkg{p})
	for _, c := range []struct {
		want string
		rule rule
	}{
		{"imports os", rule{std: []string{"os"}}},
		{"imports os", rule{pure: true}},
		{"names time.Now", rule{pure: true}},
		{"starts a goroutine", rule{pure: true}},
		{"only", rule{only: []string{"store"}}},
		{"ruled out", rule{none: []string{"node"}}},
		{"library is ruled out", rule{third: never}},
		{"names time.Now", rule{calls: []string{"time.Now"}}},
		{"starts a goroutine", rule{goes: true}},
		{"names a protocol", rule{words: []string{"ethereum"}}},
		{"x → node: it is ruled", rule{none: []string{"..."}}},
	} {
		c.rule.in = []string{"x"}
		if got := strings.Join(c.rule.check(p, all), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("rule %+v found %q, want %q", c.rule, got, c.want)
		}
	}
	if got := (rule{in: []string{"x"}, only: []string{"node"}, none: []string{"store"}, std: []string{"net"}}).check(p, all); len(got) != 0 {
		t.Errorf("a rule that nothing breaks found %q", got)
	}
}
