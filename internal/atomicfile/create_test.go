package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cocoframework/coco"
)

func TestAFileThatIsThereIsNeverReplaced(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	for name, test := range map[string]struct {
		prepare func(name string) error
		refused bool
	}{
		"nothing is there": {func(string) error { return nil }, false},
		"the same is there": {func(name string) error {
			return os.WriteFile(name, []byte("new"), 0o600)
		}, false},
		"something else is there": {func(name string) error {
			return os.WriteFile(name, []byte("old"), 0o600)
		}, true},
		"an empty file is there": {func(name string) error {
			return os.WriteFile(name, nil, 0o600)
		}, true},
		"a folder is there": {func(name string) error { return os.Mkdir(name, 0o700) }, true},
		"a link to a file is there": {func(name string) error {
			return errors.Join(os.WriteFile(other, []byte("old"), 0o600), os.Symlink(other, name))
		}, true},
		"a dangling link is there": {func(name string) error {
			return os.Symlink(filepath.Join(dir, "gone"), name)
		}, true},
		"a device is there": {func(name string) error { return os.Symlink(os.DevNull, name) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			if err := test.prepare(file); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(file)
			kind, _ := os.Lstat(file)
			err := Create(file, []byte("new"), 0o640)
			if test.refused != errors.Is(err, coco.ErrInvalid) || !test.refused && err != nil {
				t.Fatalf("Create: %v", err)
			}
			after, _ := os.ReadFile(file)
			now, _ := os.Lstat(file)
			if test.refused && (string(after) != string(before) || now.Mode() != kind.Mode()) {
				t.Errorf("it was %q, %v and is %q, %v", before, kind.Mode(), after, now.Mode())
			}
			if kind == nil && (string(after) != "new" || now.Mode() != fs.FileMode(0o640)) {
				t.Errorf("the file holds %q, mode %v", after, now.Mode())
			}
			if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	if _, err := os.Lstat(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link was followed: %v", err)
	}
}
