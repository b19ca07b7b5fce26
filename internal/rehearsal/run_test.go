package rehearsal

import (
	"strings"
	"testing"

	"github.com/cocoframework/coco"
)

// A key that is named twice is no second member's.
func TestAKeyThatIsGivenTwiceCountsOnce(t *testing.T) {
	r, opened := newReport(), map[coco.ActorID]string{}
	alpha, bravo := coco.ActorID{1}, coco.ActorID{2}
	if !r.first(opened, alpha, "alpha", "a.key") || !r.first(opened, bravo, "bravo", "b.key") || len(r.Warnings) != 0 {
		t.Errorf("two members: %v, warnings %q", opened, r.Warnings)
	}
	if r.first(opened, alpha, "alpha", "copy.key") || len(opened) != 2 || opened[alpha] != "a.key" {
		t.Errorf("the same member again: %v", opened)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], `copy.key is the key of "alpha", as a.key is`) {
		t.Errorf("warnings %q", r.Warnings)
	}
}
