package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryMutantFindsWhatItBreaks fails when the code has changed and a mutant has not.
func TestEveryMutantFindsWhatItBreaks(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("two mutants are called %s", m.name)
		}
		names[m.name] = true
		in := root
		if m.library != "" {
			out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m.library).Output()
			if err != nil {
				t.Fatal(err)
			}
			in = strings.TrimSpace(string(out))
		}
		whole, err := os.ReadFile(filepath.Join(in, m.file))
		if err != nil {
			t.Fatal(err)
		}
		if broken, err := m.apply(whole); err != nil || string(broken) == string(whole) {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}
