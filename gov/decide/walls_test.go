package decide

import (
	"testing"

	"github.com/cocoframework/coco/gov/growth"
)

func TestOpenProposalsAreAlarmedBeforeTheyAreRefused(t *testing.T) {
	for version := uint64(1); ; version++ {
		r, err := rulesOf(version)
		if err != nil {
			return
		}
		if r.maxOpen < growth.MaxOpen {
			t.Errorf("rules %d refuse the proposal %d, and the alarm takes the limit for %d", version, r.maxOpen+1, growth.MaxOpen)
		}
	}
}
