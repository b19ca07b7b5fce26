package members_test

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
)

// A measurement's prefix is text that the members wrote; the platform is that of the driver which
// verified the evidence.
func TestPlatformIsThatOfTheClaims(t *testing.T) {
	n := govtest.New(t)
	rec := n.Node(n.Members[0], "alpha:7000")
	claims := n.Claims(rec)
	c := n.Constitution()
	c.TEE = append(c.TEE, constitution.TEE{Platform: "other"})
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckEvidence(claims, rec.Key, rec.Nonce); err != nil {
		t.Fatal(err)
	}
	claims.Platform = "other" // listed, and asks for nothing, but the record names another one
	var refusal *members.Refusal
	if err := members.CheckNode(c, &rec, claims); !errors.As(err, &refusal) || refusal.Reason != members.BadEvidence {
		t.Errorf("found %v, expected %s", err, members.BadEvidence)
	}
	claims.Platform = "unlisted"
	if err := c.CheckEvidence(claims, rec.Key, rec.Nonce); !errors.Is(err, attest.ErrPlatform) {
		t.Errorf("found %v, expected %v", err, attest.ErrPlatform)
	}
	claims.Platform = "" // no driver has verified them
	if err := c.CheckEvidence(claims, rec.Key, rec.Nonce); !errors.Is(err, attest.ErrPlatform) {
		t.Errorf("found %v, expected %v", err, attest.ErrPlatform)
	}
}
