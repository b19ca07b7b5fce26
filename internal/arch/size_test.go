package arch

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Sizes that a reader can hold. Lines are those of files outside tests, comments included.
const (
	packageLines = 3000
	fileLines    = 800 // a file reads well up to 450
	structFields = 15  // of a struct with methods
)

// tooLong are the packages that do not fit yet, and what will mend them. The list only shrinks: an
// entry that is no longer needed fails the test.
var tooLong = map[string]string{}

func TestPackagesFitInAHead(t *testing.T) {
	for _, msg := range longPackages(load(t), tooLong) {
		t.Error(msg)
	}
}

func longPackages(pkgs []*pkg, except map[string]string) []string {
	var found []string
	excepted := maps.Clone(except)
	for _, p := range pkgs {
		lines := 0
		for _, f := range p.files {
			if !ast.IsGenerated(f) {
				lines += p.fset.Position(f.FileEnd).Line
			}
		}
		_, ok := excepted[p.rel]
		switch {
		case lines > packageLines && !ok:
			found = append(found, fmt.Sprintf("package %s has %d lines; the limit is %d: cut it where the data changes hands", p.rel, lines, packageLines))
		case lines > packageLines:
			delete(excepted, p.rel)
		}
	}
	for _, rel := range slices.Sorted(maps.Keys(excepted)) {
		found = append(found, fmt.Sprintf("package %s has at most %d lines, or is gone: remove it from tooLong", rel, packageLines))
	}
	return found
}

// A file longer than a reader likes is refused only where it cannot be read: the question is
// whether it is one room or two.
func TestFilesFitInAHead(t *testing.T) {
	for _, p := range load(t) {
		for name, f := range p.files {
			if lines := p.fset.Position(f.FileEnd).Line; lines > fileLines && !ast.IsGenerated(f) {
				t.Errorf("%s has %d lines; split it (a file reads well up to about 450)", path.Join(p.rel, name), lines)
			}
		}
	}
}

// tooWide are the structs with too many fields that are still to be cut, and whose work that is.
// The list only shrinks, as tooLong does. A struct that is wide for good has a line
// `Fields: reason` in its comment instead.
//
// A struct that moves to another package takes its entry along.
var tooWide = map[string]string{}

var fieldsLine = regexp.MustCompile(`(?m)^Fields: \S`)

func TestStructsFitInAHead(t *testing.T) {
	for _, msg := range wideStructs(load(t), tooWide) {
		t.Error(msg)
	}
}

func wideStructs(pkgs []*pkg, except map[string]string) []string {
	var found []string
	excepted := maps.Clone(except)
	for _, p := range pkgs {
		methods := receivers(p)
		for _, name := range slices.Sorted(maps.Keys(p.files)) {
			for _, s := range structs(p.files[name]) {
				who := p.rel + "." + s.name
				if s.fields <= structFields || !methods[s.name] || fieldsLine.MatchString(s.comment) {
					continue
				}
				if _, ok := excepted[who]; ok {
					delete(excepted, who)
					continue
				}
				found = append(found, fmt.Sprintf("%s: %s has %d fields and methods; the limit is %d: cut it, or give the reason in its comment in a line that begins with `Fields: `",
					p.at(s.node.Pos()), who, s.fields, structFields))
			}
		}
	}
	for _, who := range slices.Sorted(maps.Keys(excepted)) {
		found = append(found, fmt.Sprintf("%s has at most %d fields, or is gone: remove it from tooWide", who, structFields))
	}
	return found
}

// receivers are the names of a package's types that have methods.
func receivers(p *pkg) map[string]bool {
	names := map[string]bool{}
	for _, f := range p.files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			of := fn.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			if generic, ok := of.(*ast.IndexExpr); ok {
				of = generic.X
			}
			if generic, ok := of.(*ast.IndexListExpr); ok {
				of = generic.X
			}
			if id, ok := of.(*ast.Ident); ok {
				names[id.Name] = true
			}
		}
	}
	return names
}

type structure struct {
	name, comment string
	fields        int
	node          ast.Node
}

// structs are the struct types that a file declares at its top.
func structs(f *ast.File) []structure {
	var found []structure
	for _, d := range f.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range group.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				continue
			}
			n := 0
			for _, field := range st.Fields.List {
				n += max(1, len(field.Names)) // an embedded field has no name
			}
			found = append(found, structure{ts.Name.Name, group.Doc.Text() + ts.Doc.Text(), n, ts})
		}
	}
	return found
}

func TestSizesAreCounted(t *testing.T) {
	long := source(t, "long", "either", strings.Repeat("\n", packageLines))
	short := source(t, "short", "either")
	for _, c := range []struct {
		except map[string]string
		want   string
	}{
		{nil, "package long has"},
		{map[string]string{"long": "…"}, ""},
		{map[string]string{"long": "…", "short": "…"}, "package short has at most"},
		{map[string]string{"long": "…", "gone": "…"}, "package gone has at most"},
	} {
		got := strings.Join(longPackages([]*pkg{long, short}, c.except), "\n")
		if !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("except %v: found %q, want %q", c.except, got, c.want)
		}
	}

	names := make([]string, structFields)
	for i := range names {
		names[i] = fmt.Sprintf("f%d", i)
	}
	fields := strings.Join(names, ", ") + " int"
	wide := source(t, "x", "either",
		"type fits struct { "+fields+" }", "func (fits) m() {}",
		"type noMethods struct { "+fields+"; more int }",
		"// reasoned is wide.\n//\n// Fields: each is a column of the table.\ntype reasoned struct { "+fields+"; more int }", "func (*reasoned) m() {}",
		"type named struct { "+fields+"; more int }", "func (*named) m() {}",
		"type embeds[T any] struct { "+fields+"; fits }", "func (*embeds[T]) m() {}",
	)
	if got := wideStructs([]*pkg{wide}, nil); len(got) != 2 || !strings.Contains(got[0], "x.named has 16 fields") || !strings.Contains(got[1], "x.embeds has 16 fields") {
		t.Errorf("found %q", got)
	}
	if got := wideStructs([]*pkg{wide}, map[string]string{"x.named": "…", "x.embeds": "…", "x.fits": "…"}); len(got) != 1 || !strings.HasPrefix(got[0], "x.fits has at most") {
		t.Errorf("found %q", got)
	}
}
