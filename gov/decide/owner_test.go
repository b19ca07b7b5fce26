package decide_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/reason"
)

func set(setting, value string) action.Action {
	return govtest.Act(action.Set, action.Args{Setting: setting, Value: value})
}

// By rules 3 each member opens the ledger alone only if members vote for that by name; by earlier rules the threshold is enough.
func TestARecoveryOwnerExistsByAVoteThatNamesIt(t *testing.T) {
	named := func(rules uint64, threshold int, owner string) *constitution.Constitution {
		c := govtest.New(t).Constitution()
		c.Rules, c.Shares.Threshold, c.Recovery.Owner = rules, threshold, owner
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, each, none := set("shares.threshold", "1"), set("recovery.owner", `"each_member"`), set("recovery.owner", `"none"`)
	two, third := set("shares.threshold", "2"), set("rules", "3")
	for name, c := range map[string]struct {
		before  *constitution.Constitution
		actions []action.Action
		refused reason.Code // none: accepted
	}{
		"the threshold alone":             {named(3, 2, ""), []action.Action{one}, reason.OwnerUnnamed},
		"the name alone":                  {named(3, 2, ""), []action.Action{each}, reason.NoOwner},
		"both":                            {named(3, 2, ""), []action.Action{one, each}, ""},
		"both, in the other order":        {named(3, 2, ""), []action.Action{each, one}, ""},
		"a higher threshold, still named": {named(3, 1, constitution.EachMember), []action.Action{two}, reason.NoOwner},
		"the name goes, and no more":      {named(3, 1, constitution.EachMember), []action.Action{none}, reason.OwnerUnnamed},
		"a higher threshold":              {named(3, 1, constitution.EachMember), []action.Action{two, none}, ""},
		"the threshold, by rules 2":       {named(2, 2, ""), []action.Action{one}, ""},
		"the name, by rules 2":            {named(2, 2, ""), []action.Action{each}, reason.UnknownSetting},
		"rules 3 with a threshold of 1":   {named(2, 1, ""), []action.Action{third}, reason.OwnerUnnamed},
		"rules 3, named":                  {named(2, 1, ""), []action.Action{third, each}, ""},
		"rules 3 with a higher threshold": {named(2, 1, ""), []action.Action{third, two}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			next, _, err := decide.Apply(decide.Present{Constitution: c.before, Now: uint64(govtest.Start.UnixMilli())}, c.actions)
			if e := (*reason.Error)(nil); c.refused != "" {
				if !errors.As(err, &e) || e.Reason.Code != c.refused || !errors.Is(err, coco.ErrInvalid) {
					t.Errorf("%v, expected %s", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if again, err := constitution.Parse(next.TOML()); err != nil || again.Digest() != next.Digest() {
				t.Errorf("its page does not come back: %v", err)
			}
		})
	}
}

// Whoever begins alone says at the second member who opens the ledger.
func TestASecondMemberComesWithAThresholdOrAnOwner(t *testing.T) {
	n := govtest.New(t)
	c := n.Constitution()
	c.Members, c.Shares.Threshold = c.Members[:1], 0
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	if c.RecoveryOwner() || c.Shares.Threshold != 1 {
		t.Errorf("one member: owner %v, threshold %d", c.RecoveryOwner(), c.Shares.Threshold)
	}
	beta := n.Members[1]
	add := govtest.Act(action.AddMember, action.Args{Name: "beta", Certificate: beta.Cert.Raw, EncryptionKey: beta.Encryption.Public()})
	for _, with := range [][]action.Action{{set("shares.threshold", "2")}, {set("recovery.owner", `"each_member"`)}} {
		if _, _, err := decide.Apply(decide.Present{Constitution: c, Now: uint64(govtest.Start.UnixMilli())}, append(with, add)); err != nil {
			t.Error(err)
		}
	}
	_, _, err := decide.Apply(decide.Present{Constitution: c, Now: uint64(govtest.Start.UnixMilli())}, []action.Action{add})
	if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "set shares.threshold 2") || !strings.Contains(err.Error(), "set recovery.owner each_member") {
		t.Errorf("alone: %v", err)
	}
}
