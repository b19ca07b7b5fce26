package constitution_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/reason"
)

func TestAPageListsRevokedCertificatesOnceAndInAnyOrder(t *testing.T) {
	page := string(readTestdata(t, "constitution.toml"))
	a, b := strings.Repeat("0a", 32), strings.Repeat("b0", 32)
	list := func(all ...string) string {
		return page + "\n[revoked]\ncertificates = [\"" + strings.Join(all, "\", \"") + "\"]\n"
	}
	c := govtest.Parse(t, list(b, a))
	if other := govtest.Parse(t, list(a, b)); other.Digest() != c.Digest() || len(c.Revoked) != 2 {
		t.Errorf("%d are revoked, and another order is another constitution: %t", len(c.Revoked), other.Digest() != c.Digest())
	}
	if none := govtest.Parse(t, page+"\n[revoked]\ncertificates = []\n"); none.Digest() != govtest.Parse(t, page).Digest() {
		t.Error("an empty list is another constitution than none")
	}
	for text, want := range map[string]reason.Code{list(a, a): reason.Duplicate, list("0a"): reason.BadForm, list(""): reason.BadForm} {
		_, err := constitution.Parse([]byte(text))
		if why, ok := reason.Of(err); !ok || why.Code != want {
			t.Errorf("%v, expected %s", err, want)
		}
	}
	old := string(readTestdata(t, "constitution.rules1.toml"))
	if _, err := constitution.Parse([]byte(old + "\n[revoked]\ncertificates = [\"" + a + "\"]\n")); err == nil || !strings.Contains(err.Error(), "since version 2") {
		t.Errorf("by rules 1: %v", err)
	}

	// What is stored is in order, and a draft does not change what it was made of.
	var k constitution.Core
	if err := canon.Unmarshal(c.Canonical(), &k, canon.Limits{Bytes: constitution.MaxCore}); err != nil {
		t.Fatal(err)
	}
	k.Since2.Revoked[0], k.Since2.Revoked[1] = k.Since2.Revoked[1], k.Since2.Revoked[0]
	bad, err := canon.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := constitution.Decode(bad); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("out of order: %v", err)
	}
	before := bytes.Clone(c.Canonical())
	d := c.Draft()
	d.Revoked[0] = coco.Digest{1}
	d.Revoked = append(d.Revoked, coco.Digest{2})
	if next, err := d.Succeed(c, nil); err != nil || next.Version != c.Version+1 || len(c.Revoked) != 2 || c.Revoked[0] == (coco.Digest{1}) {
		t.Errorf("the next version: %v; the one before has %x", err, c.Revoked)
	}
	if again, err := constitution.Decode(before); err != nil || again.Digest() != c.Digest() {
		t.Errorf("%v", err)
	}
}
