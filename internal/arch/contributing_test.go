package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A page for newcomers that names what is gone is worse than none.
func TestContributingNamesWhatIsThere(t *testing.T) {
	root := filepath.Join("..", "..")
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, fault := range missing(t, read("CONTRIBUTING.md"), read("Makefile"), root) {
		t.Error(fault)
	}
	if got := missing(t, "[x](docs/gone.md) `internal/arch/gone.go` `TestGone` `go test ./gone`\n    make gone\n", "there:\n", root); len(got) != 5 {
		t.Errorf("of five things that are not there it reports %q", got)
	}
}

func missing(t *testing.T, page, makefile, root string) (faults []string) {
	t.Helper()
	exists := func(path string) bool {
		_, err := os.Stat(filepath.Join(root, path))
		return err == nil
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(page, -1) {
		if !exists(m[1]) {
			faults = append(faults, "a link leads to "+m[1]+", which is not there")
		}
	}
	for _, m := range regexp.MustCompile("`((?:[a-z0-9_]+/)+[a-z0-9_.]+)`").FindAllStringSubmatch(page, -1) {
		if !exists(m[1]) {
			faults = append(faults, m[1]+" is not there")
		}
	}
	for _, m := range regexp.MustCompile(`(?m)(?:^ +|\x60)go (?:test|run|doc|build)[^\x60\n]* (\./[a-z0-9/]+)`).FindAllStringSubmatch(page, -1) {
		if !exists(m[1]) {
			faults = append(faults, "a command names "+m[1]+", which is not there")
		}
	}
	for _, m := range regexp.MustCompile("(?m)(?:^ +|`)make ([a-z0-9-]+)").FindAllStringSubmatch(page, -1) {
		if !strings.Contains("\n"+makefile, "\n"+m[1]+":") {
			faults = append(faults, "make has no target "+m[1])
		}
	}
	for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(page, -1) {
		c := exec.CommandContext(t.Context(), "git", "grep", "-q", "func "+name+"(", "--", "*_test.go")
		c.Dir = root
		if c.Run() != nil {
			faults = append(faults, "there is no test "+name)
		}
	}
	return faults
}
