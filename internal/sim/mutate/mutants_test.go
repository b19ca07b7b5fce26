package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMutantsHaveNamesOfTheirOwn(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("two mutants are called %s", m.name)
		}
		names[m.name] = true
	}
}

// A test that has another name notices nothing.
func TestTheTestsThatMutantsNameAreThere(t *testing.T) {
	for _, m := range mutants {
		if m.test == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join("../../..", m.tests(), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(text), "func "+m.test+"(t *testing.T)")
		}) {
			t.Errorf("mutant %s: there is no test %s in %s", m.name, m.test, m.tests())
		}
	}
}

// TestMutantsApply fails when the code has changed and a mutant has not.
func TestMutantsApply(t *testing.T) {
	c, err := newChecker()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(c.dir)
	if _, err := c.rounds(mutants); err != nil {
		t.Error(err)
	}
}

func TestMutantsCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the larger half of the module; `make test` runs it")
	}
	if err := check(mutants); err != nil {
		t.Error(err)
	}
}

// The check itself must be able to fail, and name the mutant that makes it fail.
func TestCheckNamesTheMutant(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles several times; `make test` runs it")
	}
	good := mutant{name: "good", file: "internal/fair/fair.go", old: "package fair", new: "package fair // mutated"}
	for _, c := range []struct {
		mutant mutant
		want   string
	}{
		{good, ""},
		{mutant{name: "gone", file: "internal/fair/gone.go", old: "x", new: "y"}, "mutant gone: open"},
		{mutant{name: "text", file: "internal/fair/fair.go", old: "no such text", new: "y"}, "mutant text: internal/fair/fair.go holds its text 0 times"},
		{mutant{name: "same", file: "internal/fair/fair.go", old: "package fair", new: "package fair"}, "mutant same changes nothing"},
		{mutant{name: "syntax", file: "internal/fair/fair.go", old: "import \"github.com/cocoframework/coco\"", new: "import \"nothing\""}, "mutants syntax do not compile"},
	} {
		err := check([]mutant{good, c.mutant})
		if c.mutant.name == "good" {
			err = check([]mutant{good, good}) // the same text twice takes two rounds
		}
		if got := ""; err != nil {
			if got = err.Error(); c.want == "" || !strings.Contains(got, c.want) || strings.Contains(got, "good") {
				t.Errorf("%s: found %v, want %q", c.mutant.name, got, c.want)
			}
		} else if c.want != "" {
			t.Errorf("%s passes", c.mutant.name)
		}
	}
}
