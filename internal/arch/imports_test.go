package arch

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// modules are the packages of this module by their path relative to it.
type modules map[string]*pkg

func index(pkgs []*pkg) modules {
	m := modules{}
	for _, p := range pkgs {
		m[p.rel] = p
	}
	return m
}

// imports lists the packages of this module that p imports, in order of their paths, and where.
func (p *pkg) imports() []edge {
	first := map[string]edge{}
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		for _, imp := range p.files[name].Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			to, own := relative(path)
			if _, known := first[to]; own && !known {
				first[to] = edge{to: to, at: p.at(imp.Pos())}
			}
		}
	}
	return slices.SortedFunc(maps.Values(first), func(a, b edge) int { return strings.Compare(a.to, b.to) })
}

type edge struct{ to, at string }

// relative returns an import path relative to this module, and false for a path outside of it.
func relative(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// A link is a package that another one links, with the shortest way to it.
type link struct {
	at  string   // the position of the first import on the way
	way []string // from the package that links to the package linked
}

func (l link) to() string { return l.way[len(l.way)-1] }

func (l link) String() string {
	names := slices.Clone(l.way)
	for i, n := range names {
		if n == "" {
			names[i] = "coco"
		}
	}
	return strings.Join(names, " → ")
}

// links lists what p links of this module, nearest first. It reports every package that it meets,
// and goes on behind those for which through answers yes.
func (m modules) links(p *pkg, through func(rel string) bool) []link {
	var found []link
	seen := map[string]bool{p.rel: true}
	for queue := []link{{way: []string{p.rel}}}; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		at := m[from.to()]
		if at == nil {
			continue // a package of another platform
		}
		for _, e := range at.imports() {
			if seen[e.to] {
				continue
			}
			seen[e.to] = true
			next := link{at: from.at, way: append(slices.Clone(from.way), e.to)}
			if next.at == "" {
				next.at = e.at
			}
			found = append(found, next)
			if through(e.to) {
				queue = append(queue, next)
			}
		}
	}
	return found
}

func TestImportsKeepTheRules(t *testing.T) {
	pkgs := load(t)
	all := index(pkgs)
	for _, r := range rules {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			for _, p := range pkgs {
				for _, found := range r.check(p, all) {
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

func (r rule) about(rel string) bool { return among(rel, r.in) && !among(rel, r.except) }

// check returns what the rule has against a package. Its `only` and `none` hold for everything
// that the package links of this module; the way there ends at packages that the rule is itself
// about, because what these link is reported of them.
func (r rule) check(p *pkg, all modules) []string {
	if !r.about(p.rel) {
		return nil
	}
	var found []string
	if r.only != nil || r.none != nil {
		allowed := func(rel string) bool { return r.checkLink(rel) == "" && !r.about(rel) }
		for _, l := range all.links(p, allowed) {
			if msg := r.checkLink(l.to()); msg != "" {
				found = append(found, fmt.Sprintf("%s: %s: %s", l.at, l, msg))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		f := p.files[name]
		for _, imp := range f.Imports {
			to, _ := strconv.Unquote(imp.Path.Value)
			if msg := r.checkForeign(to); msg != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", p.at(imp.Pos()), to, msg))
			}
		}
		found = append(found, r.checkBody(p, f)...)
	}
	return found
}

// checkLink says what the rule has against a package of this module.
func (r rule) checkLink(rel string) string {
	switch {
	case r.only != nil && !among(rel, r.only):
		return fmt.Sprintf("of this project, only %q may be linked here", r.only)
	case among(rel, r.none):
		return "it is ruled out here"
	}
	return ""
}

// checkForeign says what the rule has against a package of the standard library or a third party.
func (r rule) checkForeign(to string) string {
	first, _, _ := strings.Cut(to, "/")
	_, own := relative(to)
	switch standard := !strings.Contains(first, "."); {
	case own:
	case standard && (slices.Contains(r.std, to) || r.pure && slices.Contains(impure, to)):
		return "it is ruled out here"
	case !standard && r.third != nil && !r.third(to):
		return "this library is ruled out here"
	}
	return ""
}

// Enclave code may build on enclave and neutral code only: to link host code would pull the host
// into the measurement.
func TestTrustedPackagesLinkNoHostPackages(t *testing.T) {
	for _, msg := range hostCode(load(t)) {
		t.Error(msg)
	}
}

func hostCode(pkgs []*pkg) []string {
	var found []string
	trust := map[string]string{}
	for _, p := range pkgs {
		for _, f := range p.files {
			if f.Doc != nil {
				trust[p.rel] = strings.TrimPrefix(lastLine(f.Doc.Text()), "Trust: ")
			}
		}
	}
	all := index(pkgs)
	for _, p := range pkgs {
		if trust[p.rel] != "enclave" {
			continue
		}
		for _, l := range all.links(p, func(rel string) bool { return trust[rel] == "either" }) {
			if trust[l.to()] == "host" {
				found = append(found, fmt.Sprintf("%s: %s: the first is enclave code, the last host code", l.at, l))
			}
		}
	}
	return found
}

// A package that no row names could link whatever it likes.
func TestEveryPackageHasARule(t *testing.T) {
	for _, p := range load(t) {
		if among(p.rel, free) {
			continue
		}
		if !slices.ContainsFunc(rules, func(r rule) bool {
			return r.about(p.rel) && !slices.Contains(r.in, "...") && (r.only != nil || r.none != nil)
		}) {
			t.Errorf("no row with only or none is about package %s: say what it may link", p.rel)
		}
	}
}

// free are the packages that may link what they like: compositions, and what only runs in tests.
var free = []string{"cmd/...", "internal/cli", "internal/cli/...", "internal/sandbox", "internal/nettest", "internal/openapitest", "internal/sim", "internal/sim/...", "internal/arch", "test/..."}

func TestFailuresShowTheWay(t *testing.T) {
	pkgs := []*pkg{
		source(t, "a", "enclave", `import "`+module+`/b"`),
		source(t, "b", "either", `import "`+module+`/c"`, `import "`+module+`"`),
		source(t, "c", "host", `import "`+module+`/d"`),
		source(t, "d", "host"),
		source(t, "", "either"),
	}
	all := index(pkgs)
	for _, c := range []struct {
		name string
		rule rule
		want []string
	}{
		{"none", rule{in: []string{"a"}, none: []string{"c"}}, []string{"a/x.go:5: a → b → c: it is ruled out here"}},
		{"none, farther", rule{in: []string{"a"}, none: []string{"d"}}, []string{"a/x.go:5: a → b → c → d: it is ruled out here"}},
		{"none, nothing", rule{in: []string{"b"}, none: []string{"a"}}, nil},
		{
			"only, and nothing behind what is reported",
			rule{in: []string{"a"}, only: []string{"", "b"}},
			[]string{`a/x.go:5: a → b → c: of this project, only ["" "b"] may be linked here`},
		},
		{
			"reported of the nearest package that the rule is about",
			rule{in: []string{"..."}, except: []string{"c"}, none: []string{"d"}},
			[]string{"b/x.go:5: b → c → d: it is ruled out here"},
		},
		{
			"the root package has a name",
			rule{in: []string{"a"}, none: []string{""}},
			[]string{"a/x.go:5: a → b → coco: it is ruled out here"},
		},
	} {
		var got []string
		for _, p := range pkgs {
			got = append(got, c.rule.check(p, all)...)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: found %q, want %q", c.name, got, c.want)
		}
	}
	if got, want := hostCode(pkgs), []string{"a/x.go:5: a → b → c: the first is enclave code, the last host code"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A verifier that links a server through a third package is found: receipt linked host through ledger.
func TestAVerifierMustNotLinkTheHostThroughAnotherPackage(t *testing.T) {
	pkgs := slices.DeleteFunc(load(t), func(p *pkg) bool { return p.rel == "receipt" })
	receipt := source(t, "receipt", "either", `import "`+module+`/ledger"`)
	all := index(append(pkgs, receipt))
	var found []string
	for _, r := range rules {
		found = append(found, r.check(receipt, all)...)
	}
	if want := "receipt/x.go:5: receipt → ledger → host: it is ruled out here"; !slices.Contains(found, want) {
		t.Errorf("found %q, want %q", found, want)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		rel, pattern string
		want         bool
	}{
		{"gov", "gov", true},
		{"gov/policy", "gov", false},
		{"gov/policy", "gov/...", true},
		{"gov", "gov/...", false},
		{"governor", "gov/...", false},
		{"", "", true},
		{"gov", "", false},
		{"", "...", true},
		{path.Join("a", "b"), "...", true},
	} {
		if got := among(c.rel, []string{c.pattern}); got != c.want {
			t.Errorf("%q among %q: %t", c.rel, c.pattern, got)
		}
	}
}
