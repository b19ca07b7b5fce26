package node

import (
	"testing"

	"github.com/cocoframework/coco/gov/growth"
)

// A change of the constitution writes it twice, and must fit into a batch that can be sent.
func TestAConstitutionIsAlarmedBeforeItDoesNotFitIntoABatch(t *testing.T) {
	if most := 2 * growth.MaxConstitution; most > maxBatch-1<<20 {
		t.Errorf("two of %d bytes do not fit into %d", growth.MaxConstitution, maxBatch)
	}
}
