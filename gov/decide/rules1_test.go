package decide_test

import (
	"fmt"
	"testing"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/govtest"
)

// A decision by rules 1 does not look at the end of voting: what they decided is repeated by audits for ever.
func TestByRules1ALockOutIsJudgedAtTheTimeOfTheDecisionOnly(t *testing.T) {
	for _, rules := range []uint64{1, constitution.CurrentRules} {
		n := govtest.New(t)
		n.C = n.Constitution()
		n.C.Rules = rules
		if err := n.C.Complete(); err != nil {
			t.Fatal(err)
		}
		n.Genesis()
		change := []action.Action{govtest.Act(action.SetPolicy, action.Args{
			Policy: "default", Expression: fmt.Sprintf("votes.yes > votes.no && now < %d", n.Ms()+24*60*60*1000),
		})}
		for _, until := range []uint64{0, n.Ms() + 30*24*60*60*1000} {
			_, _, err := decide.Apply(decide.Present{Constitution: n.Load(), Now: n.Ms(), Until: until}, change)
			if refused := err != nil; refused != (rules >= 2 && until > 0) {
				t.Errorf("rules %d, voting until %d: %v", rules, until, err)
			}
		}
	}
}
