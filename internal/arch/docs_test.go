package arch

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/architecture.md leads a reader from file to file, so every file and package that it names must be there.
func TestArchitecturePageNamesWhatExists(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z]+(?:/[a-z0-9_]+)*(?:/[a-z0-9_]+\\.go)?)`").FindAllStringSubmatch(string(page), -1) {
		named[m[1]] = true
	}
	trusts := map[string]string{} // what a package's row says, by package
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*`.*?) \\| .* \\| (.*) \\|$").FindAllStringSubmatch(string(page), -1) {
		for _, m := range regexp.MustCompile("`([a-z/]+)`").FindAllStringSubmatch(row[1], -1) {
			trusts[strings.TrimPrefix(m[1], "coco")] = row[2]
		}
	}
	packages := 0
	for _, p := range load(t) {
		if says, ok := trusts[p.rel]; ok && !strings.Contains(says, trustOf(p)) {
			t.Errorf("docs/architecture.md says of %s %q; its comment says %s", p.rel, says, trustOf(p))
		}
		if p.rel == "" || strings.HasPrefix(p.rel, "test/") || strings.HasSuffix(p.rel, "test") {
			continue
		}
		packages++
		covered := named[p.rel]
		for dir := path.Dir(p.rel); dir != "."; dir = path.Dir(dir) {
			covered = covered || strings.Contains(string(page), "`"+dir+"` and below")
		}
		if !covered {
			t.Errorf("docs/architecture.md does not name package %s", p.rel)
		}
	}
	files := 0
	for name := range named {
		if !strings.Contains(name, "/") {
			continue
		}
		if strings.HasSuffix(name, ".go") {
			files++
		}
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			t.Errorf("docs/architecture.md names %s, which is not there", name)
		}
	}
	if packages < 30 || files < 20 || len(trusts) < 30 {
		t.Errorf("the test read %d packages and %d names of files: it looks at the wrong places", packages, files)
	}
}

// Two changes to one entry of the changelog that are merged by line leave both versions of it.
func TestTheChangelogSaysEverythingOnce(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	const beginning = 60 // bytes by which two lines are the same one
	seen := map[string]int{}
	for i, line := range strings.Split(string(page), "\n") {
		if len(line) < beginning {
			continue
		}
		if first, ok := seen[line[:beginning]]; ok {
			t.Errorf("CHANGELOG.md: lines %d and %d begin alike: %s…", first, i+1, line[:beginning])
		}
		seen[line[:beginning]] = i + 1
	}
	if len(seen) < 50 {
		t.Errorf("the test read %d lines: it looks at the wrong place", len(seen))
	}
}

// trustOf returns the last word of a package's comment.
func trustOf(p *pkg) (trust string) {
	for _, f := range p.files {
		if f.Doc != nil {
			trust = strings.TrimPrefix(lastLine(f.Doc.Text()), "Trust: ")
		}
	}
	return trust
}
