package upgrade_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/upgrade"
)

// What was told by every node that the network trusts decides, and nothing else: not what a removed node tells, and not a guess about one that is silent.
func TestRulesRiseWhenEveryTrustedNodeKnowsThem(t *testing.T) {
	n := govtest.New(t).ByRules2()
	first := n.Genesis()
	var others []table.NodeRecord
	for i, address := range []string{"beta:1", "gamma:1"} {
		rec := n.Node(n.Members[i+1], address)
		n.Admit(rec)
		others = append(others, rec)
	}
	p := upgrade.New(first.ID)
	check := func(before uint64) (err error) {
		n.Read(func(r store.Reader) { err = p.Check(r, before) })
		return err
	}
	if err := check(2); err != nil {
		t.Fatalf("rules that stay: %v", err)
	}
	n.Decide(govtest.Act(action.Set, action.Args{Setting: "rules", Value: "3"}))
	refused := func(when string, naming ...string) {
		t.Helper()
		err := check(2)
		if !errors.Is(err, coco.ErrInvalid) {
			t.Fatalf("%s: %v", when, err)
		}
		for _, address := range []string{"alpha:7000", "beta:1", "gamma:1"} {
			want := false
			for _, name := range naming {
				want = want || name == address
			}
			if strings.Contains(err.Error(), address) != want {
				t.Errorf("%s: whether it names %s, expected %t: %v", when, address, want, err)
			}
		}
	}
	refused("nobody has told anything", "beta:1", "gamma:1")
	p.Hear(others[0].ID, 3)
	p.Hear(others[1].ID, 2)
	refused("one is of an older build", "gamma:1")
	p.Hear(others[1].ID, 9)
	if err := check(2); err != nil {
		t.Errorf("all know them: %v", err)
	}
	p.Follow(map[coco.NodeID]string{first.ID: "alpha:7000", others[0].ID: "beta:1"})
	refused("one was gone in between", "gamma:1")
	if err := check(3); err != nil {
		t.Errorf("rules that are in force already: %v", err)
	}
	p.Hear(first.ID, 1) // nobody speaks for this node
	p.Hear(others[1].ID, 3)
	if err := check(2); err != nil {
		t.Errorf("what another node tells of this one: %v", err)
	}
}
