package constitution_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
)

// As many members open the ledger together as the constitution says, from one to all; a majority if it says nothing.
func TestAMajorityOpensTheLedgerUnlessTheConstitutionSaysOtherwise(t *testing.T) {
	n := govtest.New(t)
	n.Members = nil
	for members := 1; members <= 7; members++ {
		n.Members = append(n.Members, govtest.Issue(t, fmt.Sprintf("member%d", members), nil, true, nil))
		c := n.Constitution()
		if err := c.Complete(); err != nil || c.Shares.Threshold != members/2+1 {
			t.Errorf("%d members: %d open the ledger, %v", members, c.Shares.Threshold, err)
		}
		for threshold := -1; threshold <= members+1; threshold++ {
			if threshold == 0 {
				continue // the default
			}
			c := n.Constitution()
			c.Shares.Threshold = threshold
			if threshold == 1 && members > 1 {
				c.Recovery.Owner = constitution.EachMember // a threshold of 1 is named
			}
			err := c.Complete()
			if possible := threshold >= 1 && threshold <= members; possible != (err == nil) || err != nil && !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("%d of %d members: %v", threshold, members, err)
			}
		}
	}
}
