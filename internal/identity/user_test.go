package identity

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

func TestAUsersCertificateThatIsMissingIsMadeAndNothingElseIsReplaced(t *testing.T) {
	now := time.Now()
	dir := Dir(filepath.Join(t.TempDir(), "alpha"))
	if _, err := Make("alpha", dir, now); err != nil {
		t.Fatal(err)
	}
	key, _ := os.ReadFile(dir.UserKey())
	for _, gone := range [][]string{{}, {dir.User()}, {dir.User(), dir.UserKey()}} {
		for _, file := range gone {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		if err := EnsureUser("alpha", dir, now); err != nil {
			t.Fatal(err)
		}
		if _, err := tls.LoadX509KeyPair(dir.User(), dir.UserKey()); err != nil {
			t.Errorf("without %v: %v", gone, err)
		}
		if again, _ := os.ReadFile(dir.UserKey()); len(gone) < 2 && string(again) != string(key) {
			t.Errorf("without %v the key was replaced", gone)
		}
	}
	for file, ensure := range map[string]func(string, Dir, time.Time) error{dir.User(): EnsureUser, dir.Gov(): EnsureGovernance} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("nowhere", file); err != nil {
			t.Skip(err)
		}
		if err := ensure("alpha", dir, now); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s, a link that leads nowhere: %v", file, err)
		}
		if to, err := os.Readlink(file); err != nil || to != "nowhere" {
			t.Errorf("the link was replaced: %v", err)
		}
	}
}
