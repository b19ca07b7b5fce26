package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/cocoframework/coco/internal/localnet"
)

var readmeBlock = regexp.MustCompile("(?s)<!-- run by cmd/coco/readme_test.go -->\n```sh\n(.*?)```")

// What the README tells people to type must work, in the order given.
func TestREADMERuns(t *testing.T) {
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("starts a network of processes from a shell")
	}
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the README uses curl")
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := readmeBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 3 {
		t.Fatalf("found %d blocks", len(blocks))
	}
	dir := t.TempDir()
	defer func() { _, _ = localnet.Down(context.Background(), filepath.Join(dir, localnet.DefaultDir)) }()
	for _, b := range blocks {
		script := b[1]
		if info, err := localnet.Load(filepath.Join(dir, localnet.DefaultDir)); err == nil {
			script = strings.ReplaceAll(script, "http://127.0.0.1:8545", info.Nodes[0].HTTP) // it may have been in use
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", strings.ReplaceAll(script, "curl -s", "curl -sS --fail"))
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
	}
}
