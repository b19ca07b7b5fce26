package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAProgramOnAFileSystemWithoutExecutionIsExplained(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "coco")
	for _, c := range []struct {
		mode  os.FileMode
		err   error
		named bool
	}{{0o700, syscall.EACCES, true}, {0o600, syscall.EACCES, false}, {0o700, syscall.ENOMEM, false}} {
		if err := os.WriteFile(exe, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(exe, c.mode); err != nil {
			t.Fatal(err)
		}
		if err := explainStart(exe, c.err); !errors.Is(err, c.err) || strings.Contains(err.Error(), "noexec") != c.named {
			t.Errorf("mode %o, %v: %v", c.mode, c.err, err)
		}
	}
}
