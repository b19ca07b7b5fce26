package identity

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

func TestANewMembersKeysAreNeverOverwritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "zulu")
	if err := New("zulu", dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(Dir(dir).OrgKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := New("zulu", dir, time.Now()); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a second time: %v, expected coco.ErrInvalid", err)
	}
	if after, err := os.ReadFile(Dir(dir).OrgKey()); err != nil || string(after) != string(before) {
		t.Errorf("the key has changed (%v)", err)
	}
}
