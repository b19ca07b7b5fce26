package cli_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
)

func TestAFileIsReadUpToItsBound(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		most int64
		want string
		kind error
	}{
		{name, 5, "12345", nil},
		{name, 4, "", coco.ErrInvalid},
		{name + "x", 5, "", coco.ErrNotFound},
		{filepath.Dir(name), 5, "", coco.ErrInvalid},
		{"-", 3, "abc", nil},
		{"-", 2, "", coco.ErrInvalid},
	} {
		b, err := cli.ReadFile(strings.NewReader("abc"), "thing", c.name, c.most)
		if string(b) != c.want || !errors.Is(err, c.kind) || err != nil && !strings.Contains(err.Error(), "thing") {
			t.Errorf("%s up to %d bytes: %q, %v", c.name, c.most, b, err)
		}
	}
}

func TestATimeIsADateOrATimeWithItsZone(t *testing.T) {
	for text, want := range map[string]string{"2026-01-31": "2026-01-31 00:00:00 +0000 UTC", "2026-01-31T12:00:00+02:00": "2026-01-31 10:00:00 +0000 UTC"} {
		if at, err := cli.ParseTime("--at", text); err != nil || at.String() != want {
			t.Errorf("%s: %v, %v", text, at, err)
		}
	}
	if at, err := cli.ParseTime("--at", ""); err != nil || at.IsZero() {
		t.Errorf("no time: %v, %v", at, err)
	}
	if _, err := cli.ParseTime("--at", "tomorrow"); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), `--at "tomorrow"`) {
		t.Errorf("tomorrow: %v", err)
	}
}
