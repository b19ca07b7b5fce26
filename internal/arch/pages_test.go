package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A page that names a file, package, test or target of make that is gone misleads its readers.
func TestPagesNameWhatIsThere(t *testing.T) {
	root := filepath.Join("..", "..")
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	makefile := read(filepath.Join(root, "Makefile"))
	pages := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			pages++
			for _, fault := range missing(t, read(name), makefile, root, filepath.Dir(name)) {
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
	if pages < 20 {
		t.Errorf("the test read %d pages: it looks at the wrong places", pages)
	}
	const wrong = "[x](docs/gone.md) `internal/arch/gone.go` `TestGone` `go test ./gone`\n    make gone\n"
	if got := missing(t, wrong, "there:\n", root, root); len(got) != 5 {
		t.Errorf("of five things that are not there it reports %q", got)
	}
}

// notPaths are words with slashes that are no paths of the repository: media types, files of a network, packages of the
// standard library.
var notPaths = regexp.MustCompile(`^(application|text|bin|delta|crypto|net|testing)/[a-z0-9_.]+$`)

// missing returns what a page names that is not in the repository. Its links are relative to dir.
func missing(t *testing.T, page, makefile, root, dir string) (faults []string) {
	t.Helper()
	exists := func(dir, path string) bool {
		_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(path)))
		return err == nil
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(page, -1) {
		if !exists(dir, m[1]) {
			faults = append(faults, "a link leads to "+m[1]+", which is not there")
		}
	}
	for _, m := range regexp.MustCompile("`((?:[a-z0-9_]+/)+[a-z0-9_.]+)`").FindAllStringSubmatch(page, -1) {
		if !exists(root, m[1]) && !notPaths.MatchString(m[1]) {
			faults = append(faults, m[1]+" is not there")
		}
	}
	for _, m := range regexp.MustCompile(`(?m)(?:^ +|\x60)go (?:test|run|doc|build)[^\x60\n]* (\./[a-z0-9/]+)`).FindAllStringSubmatch(page, -1) {
		if !exists(root, m[1]) {
			faults = append(faults, "a command names "+m[1]+", which is not there")
		}
	}
	for _, m := range regexp.MustCompile("(?m)(?:^ +|`)make ([a-z0-9-]+)").FindAllStringSubmatch(page, -1) {
		if !strings.Contains("\n"+makefile, "\n"+m[1]+":") {
			faults = append(faults, "make has no target "+m[1])
		}
	}
	for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(page, -1) {
		c := exec.CommandContext(t.Context(), "git", "grep", "-q", "--untracked", "func "+name, "--", "*_test.go") // go test -run takes a beginning, too
		c.Dir = root
		if c.Run() != nil {
			faults = append(faults, "there is no test "+name)
		}
	}
	return faults
}
