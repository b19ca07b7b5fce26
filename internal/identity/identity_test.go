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

func TestANewMembersKeysAreNeverOverwritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "zulu")
	if err := New("zulu", dir, time.Now(), Choices{Governs: time.Now().AddDate(1, 0, 0)}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(Dir(dir).OrgKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := New("zulu", dir, time.Now(), Choices{Governs: time.Now().AddDate(1, 0, 0)}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a second time: %v, expected coco.ErrInvalid", err)
	}
	if after, err := os.ReadFile(Dir(dir).OrgKey()); err != nil || string(after) != string(before) {
		t.Errorf("the key has changed (%v)", err)
	}
}

// A crash, or a person, may leave the key for governance without its certificate.
func TestAKeyWithoutItsCertificateGetsOneAndStays(t *testing.T) {
	dir := Dir(filepath.Join(t.TempDir(), "zulu"))
	if err := New("zulu", string(dir), time.Now(), Choices{Governs: time.Now().AddDate(1, 0, 0)}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(dir.GovKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir.Gov()); err != nil {
		t.Fatal(err)
	}
	if err := EnsureGovernance("zulu", dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(dir.GovKey()); err != nil || string(after) != string(before) {
		t.Errorf("the key has changed (%v)", err)
	}
	if _, err := tls.LoadX509KeyPair(dir.Gov(), dir.GovKey()); err != nil {
		t.Errorf("certificate and key: %v", err)
	}
	damaged := before[:20]
	if err := os.WriteFile(dir.GovKey(), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir.Gov()); err != nil {
		t.Fatal(err)
	}
	if err := EnsureGovernance("zulu", dir, time.Now()); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a key that cannot be read: %v, expected coco.ErrInvalid", err)
	}
	if after, err := os.ReadFile(dir.GovKey()); err != nil || string(after) != string(damaged) {
		t.Errorf("the damaged key has changed (%v)", err)
	}
}
