//go:build unix

package nodecmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A node that starts again is the program to which the path of its command leads by then, through links, and this one if there is none.
func TestAProcessStartsAgainAsWhatItsPathLeadsTo(t *testing.T) {
	if to := os.Getenv("AGAIN_TO"); to != "" { // the child
		path := invoked()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if to != "nothing" {
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
		}
		os.Setenv("AGAIN_TO", "")
		os.Setenv("AGAIN_DONE", "1")
		t.Fatal(again(path))
	}
	if os.Getenv("AGAIN_DONE") != "" {
		os.Stdout.WriteString("the old program again\n")
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	next, link := filepath.Join(dir, "next"), filepath.Join(dir, "current")
	if err := os.WriteFile(next, []byte("#!/bin/sh\necho the next program\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{next: "the next program", "nothing": "the old program again"} {
		if err := os.Symlink(self, link); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(link, "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "AGAIN_TO="+to)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("a link to %s: %v\n%s", to, err, out)
		}
		_ = os.Remove(link)
	}
}
