package arch

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pkg is what `go list` says of one package, with its files parsed. Tests are left out: a test may
// import what it likes.
type pkg struct {
	Dir, ImportPath string
	GoFiles         []string
	CgoFiles        []string
	IgnoredGoFiles  []string // other platforms'
	Standard        bool

	rel   string
	fset  *token.FileSet
	files map[string]*ast.File
}

func load(t *testing.T) []*pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,GoFiles,CgoFiles,IgnoredGoFiles", "./...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []*pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := &pkg{fset: token.NewFileSet(), files: map[string]*ast.File{}}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.rel = strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(p.fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			p.files[name] = f
		}
		if len(p.files) > 0 {
			pkgs = append(pkgs, p)
		}
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list found %d packages: the test looks at the wrong folder", len(pkgs))
	}
	return pkgs
}

func TestNobodyImportsWhatTheHouseForbids(t *testing.T) {
	pkgs := load(t)
	for _, r := range rules {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			for _, p := range pkgs {
				if !among(p.rel, r.in) || among(p.rel, r.except) {
					continue
				}
				for _, found := range r.check(p) {
					t.Errorf("%s\n\tbecause %s", found, r.why)
				}
			}
		})
	}
}

// among reports whether a package's path matches one of the patterns. "x/..." matches what is
// below x, not x itself; "..." matches everything.
func among(rel string, patterns []string) bool {
	for _, pat := range patterns {
		if pat == "..." || rel == pat {
			return true
		}
		if dir, ok := strings.CutSuffix(pat, "/..."); ok && strings.HasPrefix(rel, dir+"/") {
			return true
		}
	}
	return false
}

func (r rule) check(p *pkg) []string {
	var found []string
	for _, f := range p.files {
		for _, imp := range f.Imports {
			to, _ := strconv.Unquote(imp.Path.Value)
			if msg := r.checkImport(to); msg != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", p.at(imp.Pos()), to, msg))
			}
		}
		found = append(found, r.checkBody(p, f)...)
	}
	return found
}

func (r rule) checkImport(to string) string {
	own, isOwn := strings.CutPrefix(to+"/", module+"/")
	own = strings.TrimSuffix(own, "/")
	first, _, _ := strings.Cut(to, "/")
	switch {
	case isOwn && r.only != nil && !slices.Contains(r.only, own):
		return fmt.Sprintf("of this project, only %q may be imported here", r.only)
	case isOwn && among(own, r.none):
		return "it is ruled out here"
	case !isOwn && !strings.Contains(first, ".") && slices.Contains(r.std, to):
		return "it is ruled out here"
	case !isOwn && strings.Contains(first, ".") && r.third != nil && !r.third(to):
		return "this library is ruled out here"
	}
	return ""
}

func (r rule) checkBody(p *pkg, f *ast.File) []string {
	names := localNames(f)
	var found []string
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.GoStmt:
			if r.goes {
				found = append(found, p.at(n.Pos())+" starts a goroutine")
			}
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			if to, ok := names[id.Name]; ok && slices.Contains(r.calls, path.Base(to)+"."+n.Sel.Name) {
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

func (p *pkg) at(pos token.Pos) string {
	at := p.fset.Position(pos)
	return fmt.Sprintf("%s:%d", path.Join(p.rel, filepath.Base(at.Filename)), at.Line)
}

var trustLine = regexp.MustCompile(`(?m)^Trust: (enclave|host|either)$`)

func TestEveryPackageSaysWhomItTrusts(t *testing.T) {
	for _, p := range load(t) {
		var docs []string
		for _, f := range p.files {
			if f.Doc != nil {
				docs = append(docs, f.Doc.Text())
			}
		}
		switch {
		case len(docs) != 1:
			t.Errorf("%s has %d package comments; it needs one", p.ImportPath, len(docs))
		case !trustLine.MatchString(docs[0]) || !trustLine.MatchString(lastLine(docs[0])):
			t.Errorf("%s: the package comment must end in a line `Trust: enclave`, `Trust: host` or `Trust: either`", p.ImportPath)
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// Enclave code may build on enclave and neutral code only: an import of host code would pull the
// host into the measurement.
func TestTrustedPackagesImportNoHostPackages(t *testing.T) {
	pkgs := load(t)
	trust := map[string]string{}
	for _, p := range pkgs {
		for _, f := range p.files {
			if f.Doc != nil {
				trust[p.ImportPath] = strings.TrimPrefix(lastLine(f.Doc.Text()), "Trust: ")
			}
		}
	}
	for _, p := range pkgs {
		if trust[p.ImportPath] != "enclave" {
			continue
		}
		for _, f := range p.files {
			for _, imp := range f.Imports {
				if to, _ := strconv.Unquote(imp.Path.Value); trust[to] == "host" {
					t.Errorf("%s (enclave) imports %s (host)", p.at(imp.Pos()), to)
				}
			}
		}
	}
}

// A file longer than a reader likes is reported, not refused: the question is whether it is one
// room or two.
func TestFilesFitInAHead(t *testing.T) {
	const likes, refuses = 450, 800
	for _, p := range load(t) {
		for name, f := range p.files {
			lines := p.fset.Position(f.FileEnd).Line
			switch at := path.Join(p.rel, name); {
			case ast.IsGenerated(f):
			case lines > refuses:
				t.Errorf("%s has %d lines; split it (a file reads well up to about %d)", at, lines, likes)
			case lines > likes:
				t.Logf("%s has %d lines; a file reads well up to about %d", at, lines, likes)
			}
		}
	}
}

// The rules themselves must be able to fail.
func TestRulesCatchWhatTheyName(t *testing.T) {
	src := `// Package x. 
package x
import (
	"os"
	clock "time"
	"github.com/cocoframework/coco/node"
	"example.org/lib"
)
func f() { go f(); _ = clock.Now(); _ = os.Args; _ = node.X; _ = lib.X; _ = "an Ethereum thing" }
`
	p := &pkg{rel: "x", fset: token.NewFileSet()}
	f, err := parser.ParseFile(p.fset, "x.go", src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	p.files = map[string]*ast.File{"x.go": f}
	for want, r := range map[string]rule{
		"imports os":             {std: []string{"os"}},
		"only":                   {only: []string{"store"}},
		"ruled out":              {none: []string{"node"}},
		"library is ruled out":   {third: never},
		"names time.Now":         {calls: []string{"time.Now"}},
		"starts a goroutine":     {goes: true},
		"names a protocol":       {words: []string{"ethereum"}},
		"coco/node: it is ruled": {none: []string{"..."}},
	} {
		if got := strings.Join(r.check(p), "\n"); !strings.Contains(got, want) {
			t.Errorf("rule %+v found %q, want %q", r, got, want)
		}
	}
	if got := (rule{only: []string{"node"}, none: []string{"store"}, std: []string{"net"}}).check(p); len(got) != 0 {
		t.Errorf("a rule that nothing breaks found %q", got)
	}
}
