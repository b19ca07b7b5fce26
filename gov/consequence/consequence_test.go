package consequence_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco/gov/consequence"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/policy"
)

func said(c *constitution.Constitution, list []consequence.Consequence) string {
	var out []string
	for _, x := range list {
		var who []string
		for _, id := range x.Members {
			who = append(who, c.Name(id))
		}
		kinds := fmt.Sprint(x.Kinds)
		if x.All {
			kinds = "all"
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", x.Form, kinds, strings.Join(who, ","))))
	}
	return strings.Join(out, "; ")
}

// Who could do what is found by voting, so it does not matter how a policy is written.
func TestAChangeSaysWhatItGivesAway(t *testing.T) {
	n := govtest.New(t)
	beta := n.Members[1].Actor().String()
	for _, c := range []struct {
		policies map[string]string
		want     string
	}{
		{map[string]string{"remove_member": policy.Unanimous}, ""},
		{map[string]string{"remove_member": policy.OneOfN}, "alone [remove_member remove_certificate] alpha,beta,gamma"},
		{map[string]string{"remove_member": `proposal.proposer == "` + beta + `" && votes.yes > 0`}, "alone [remove_member remove_certificate] beta"},
		{map[string]string{"remove_member": `votes.by.exists(v, v.member == "` + beta + `" && v.vote == "yes")`}, "alone [remove_member remove_certificate] beta"},
		{map[string]string{"remove_member": `members.all(m, m.name != "beta" || votes.by.exists(v, v.member == m.id && v.vote == "yes"))`}, "alone [remove_member remove_certificate] beta"},
		{map[string]string{"remove_member": policy.Veto}, "silent [remove_member remove_certificate] alpha,beta,gamma"},
		{map[string]string{"remove_member": policy.Seconded}, ""},
		{map[string]string{"remove_member": policy.Majority + " || proposal.expires - proposal.time > 1"}, "unvoted [remove_member remove_certificate] alpha,beta,gamma"},
		{map[string]string{"remove_member": `votes.yes > votes.no && votes.yes + votes.no >= 1`}, "alone [remove_member remove_certificate] alpha,beta,gamma"},
		{map[string]string{"add_code": "votes.yes > members.size()"}, "never [add_code upgrade]"},
		{map[string]string{"add_code": "false"}, "never [add_code upgrade]"},
		{map[string]string{"add_code": `proposal.actions[0].measurement == "snp:00" && votes.yes == 3`}, ""},
		{map[string]string{"default": "true", "add_node": "true"}, "unvoted all alpha,beta,gamma"},
		{map[string]string{"default": policy.OneOfN, "set": policy.Unanimous, "add_node": policy.OneOfN}, "alone [add_member remove_member add_participant remove_participant add_certificate remove_certificate remove_node add_code remove_code set_tee set_policy remove_policy upgrade rotate refresh open_network grant_epochs] alpha,beta,gamma"},
		{map[string]string{"default": policy.Weighted}, ""},
	} {
		after := n.Constitution()
		after.Policies = maps.Clone(c.policies)
		if err := after.Complete(); err != nil {
			t.Fatal(err)
		}
		got := said(after, consequence.New(n.C, after))
		want := c.want
		// The order of kinds is that of people, which package action has.
		if fields := func(s string) []string {
			f := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" []", r) })
			slices.Sort(f)
			return f
		}; !slices.Equal(fields(got), fields(want)) {
			t.Errorf("%v: %s, expected %s", c.policies, got, want)
		}
		if back := said(after, consequence.New(after, n.C)); strings.Contains(back, "remove_member") {
			t.Errorf("%v: to take it back gives away %s", c.policies, back)
		}
	}
}

// Members who go leave their power to the others, with the policies as they are.
func TestAMemberThatGoesCanLeaveAnotherAlone(t *testing.T) {
	n := govtest.New(t)
	n.Members = n.Members[:2]
	two := n.Constitution()
	n.Members = n.Members[:1]
	one := n.Constitution()
	for _, c := range []*constitution.Constitution{one, two} {
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
	}
	if got := said(one, consequence.New(two, one)); got != "alone all alpha" {
		t.Errorf("of two members one goes: %s", got)
	}
	if got := said(two, consequence.New(n.C, two)); got != "" {
		t.Errorf("of three members one goes: %s", got)
	}
}
