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
	"github.com/cocoframework/coco/keys"
)

// Programs of rules 1 and 2 refuse an action with such a key as malformed, whatever becomes of it.
func TestMembersHaveKeysForXWingFromRules3On(t *testing.T) {
	key, err := keys.NewMemberKey(keys.XWing)
	if err != nil {
		t.Fatal(err)
	}
	delta := govtest.Issue(t, "delta", nil, true, nil)
	add := govtest.Act(action.AddMember, action.Args{Name: "delta", Certificate: delta.Cert.Raw, EncryptionKey: key.Public()})
	remove := govtest.Act(action.RemoveMember, action.Args{Actor: "delta"})
	for rules := uint64(1); rules <= constitution.CurrentRules; rules++ {
		n := govtest.New(t)
		n.C = n.Constitution()
		n.C.Rules = rules
		if err := n.C.Complete(); err != nil {
			t.Fatal(err)
		}
		n.Genesis()
		for name, actions := range map[string][]action.Action{"added": {add}, "added and removed": {add, remove}} {
			next, _, err := decide.Apply(decide.Present{Constitution: n.Load(), Now: n.Ms()}, actions)
			if rules < 3 {
				if reasonOf(err) != reason.LaterKey {
					t.Errorf("rules %d, %s: error %v, expected %s", rules, name, err, reason.LaterKey)
				}
				continue
			}
			if err != nil {
				t.Errorf("rules %d, %s: %v", rules, name, err)
				continue
			}
			if name == "added" {
				m, _ := next.Member(delta.Actor())
				again := govtest.Parse(t, string(next.TOML()))
				if string(m.EncryptionKey) != string(key.Public()) || again.Digest() != next.Digest() {
					t.Errorf("the page does not keep the key: %v", m)
				}
			}
		}
		c := n.Constitution()
		c.Rules = rules
		c.Members[1].EncryptionKey = key.Public()
		err := c.Complete()
		if refused := err != nil; refused != (rules < 3) || refused && (!errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "members[1].encryption_key")) {
			t.Errorf("rules %d: a constitution with such a member: %v", rules, err)
		}
	}
}
