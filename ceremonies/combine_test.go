package ceremonies

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
)

// An archive that a dishonest leader has made seals another secret than its key comes from. Nothing of it may be handed on as the secret of the archive before.
func TestASecretThatDoesNotUnlockItsArchiveIsNone(t *testing.T) {
	c, packages, err := committee.Deal([]coco.ActorID{{1}, {2}}, 2)
	if err != nil {
		t.Fatal(err)
	}
	of := archive.Of{Network: coco.Digest{9}, Committee: 1, Key: 1}
	good, secret, err := archive.New(c, of, archive.Past{})
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := archive.New(c, of, archive.Past{})
	if err != nil {
		t.Fatal(err)
	}
	parts := func(a *archive.Archive) (out []committee.Part) {
		for _, p := range packages {
			part, err := a.Part(c, of, p)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, part)
		}
		return out
	}
	if got, faults, err := combine(good, c, of, parts(good)); err != nil || len(faults) > 0 || !got.Equal(secret) {
		t.Errorf("a right archive: %v, %v", faults, err)
	}
	bad := *good
	bad.Public = other.Public
	if err := bad.Check(c, of); err != nil {
		t.Fatalf("an audit sees it, and the test shows nothing: %v", err)
	}
	if _, faults, err := combine(&bad, c, of, parts(&bad)); !errors.Is(err, coco.ErrVerify) || len(faults) != 1 {
		t.Errorf("an archive with another key: %v, %v", faults, err)
	}
	if _, _, err := combine(good, c, of, parts(good)[:1]); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("one part of two: %v", err)
	}
}
