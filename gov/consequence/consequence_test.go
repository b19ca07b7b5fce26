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
	"github.com/cocoframework/coco/keys"
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
		{map[string]string{"default": policy.OneOfN, "set": policy.Unanimous, "add_node": policy.OneOfN}, "alone [add_member remove_member add_participant remove_participant add_certificate remove_certificate remove_node add_code remove_code set_tee set_policy remove_policy upgrade rotate refresh open_network grant_epochs add_issuer remove_issuer revoke_access add_origin remove_origin] alpha,beta,gamma"},
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

// opened makes constitutions by whose threshold so many of the members open the ledger.
func opened(t *testing.T) func(threshold, members int) *constitution.Constitution {
	org := govtest.New(t).Constitution().Members[0]
	return func(threshold, members int) *constitution.Constitution {
		return &constitution.Constitution{Members: slices.Repeat([]constitution.Member{org}, members), Shares: constitution.Shares{Threshold: threshold}}
	}
}

// A threshold stays as it is when members come: whoever votes for them reads that fewer than a majority open the ledger from then on.
func TestAChangeSaysThatFewerThanAMajorityOpenTheLedger(t *testing.T) {
	with := opened(t)
	for _, c := range []struct {
		name          string
		before, after *constitution.Constitution
		lacking       int // 0: nothing is said
	}{
		{"a member comes, and two are a majority", with(2, 2), with(2, 3), 0},
		{"a member comes, and two are half", with(2, 3), with(2, 4), 1},
		{"many come", with(2, 3), with(2, 50), 24},
		{"another one comes", with(2, 50), with(2, 51), 24},
		{"a member goes, and two are few still", with(2, 50), with(2, 49), 0},
		{"nothing changes", with(2, 50), with(2, 50), 0},
		{"a higher threshold, and few still", with(2, 50), with(25, 50), 1},
		{"a majority", with(2, 50), with(26, 50), 0},
		{"a lower threshold", with(3, 5), with(2, 5), 1},
		{"each alone has words of its own", with(1, 2), with(1, 3), 0},
	} {
		list := slices.DeleteFunc(consequence.New(c.before, c.after), func(x consequence.Consequence) bool { return x.Form != consequence.Minority })
		if got := len(list) > 0; got != (c.lacking > 0) || got && list[0].Lacking != c.lacking {
			t.Errorf("%s: %+v, expected lacking %d", c.name, list, c.lacking)
		}
	}
}

// Where all members are needed to open the ledger, one that loses its key stops a recovery: whoever votes for that reads it.
func TestAChangeSaysThatAllMembersAreNeededToOpenTheLedger(t *testing.T) {
	with := opened(t)
	for _, c := range []struct {
		name          string
		before, after *constitution.Constitution
		said          bool
	}{
		{"a higher threshold", with(2, 3), with(3, 3), true},
		{"a member goes", with(3, 4), with(3, 3), true},
		{"it was so before", with(3, 3), with(4, 4), false},
		{"one may be missing", with(3, 5), with(4, 5), false},
		{"of two members both are the majority", with(2, 3), with(2, 2), false},
	} {
		if got := slices.ContainsFunc(consequence.New(c.before, c.after), func(x consequence.Consequence) bool { return x.Form == consequence.Everyone }); got != c.said {
			t.Errorf("%s: said %t, expected %t", c.name, got, c.said)
		}
	}
}

// What a vote does to what is recorded of the ledger is said when it makes it worse: as many members with keys for X25519 as open the ledger, or one more on the way there.
func TestAChangeSaysWhatAQuantumComputerCouldOpen(t *testing.T) {
	n := govtest.New(t)
	with := func(rules uint64, threshold int, algorithms ...keys.Algorithm) *constitution.Constitution {
		t.Helper()
		for i, a := range algorithms {
			key, err := keys.NewMemberKey(a)
			if err != nil {
				t.Fatal(err)
			}
			n.Members[i].Encryption = key
		}
		c := n.Constitution()
		c.Rules, c.Shares.Threshold = rules, threshold
		if threshold == 1 {
			c.Recovery.Owner = constitution.EachMember
		}
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	const weak, strong = keys.X25519, keys.XWing
	byRules2 := with(2, 2, weak, weak, weak)
	none, one, two := with(3, 2, strong, strong, strong), with(3, 2, weak, strong, strong), with(3, 2, weak, weak, strong)
	for _, c := range []struct {
		name          string
		before, after *constitution.Constitution
		want          string
		lacking       int
	}{
		{"nothing changes", two, two, "", 0},
		{"keys get better", two, one, "", 0},
		{"the first such member", none, one, "recorded [] alpha", 1},
		{"as many as open the ledger", one, two, "recorded [] alpha,beta", 0},
		{"more than that", two, with(3, 2, weak, weak, weak), "", 0},
		{"a lower threshold", one, with(3, 1, weak, strong, strong), "recorded [] alpha", 0},
		{"a higher threshold", one, with(3, 3, weak, strong, strong), "", 0},
		{"rules 3 with the keys of rules 2", byRules2, with(3, 2, weak, weak, weak), "recorded [] alpha,beta,gamma", 0},
		{"rules 3 with other keys", byRules2, none, "", 0},
		{"rules 2 stay", byRules2, byRules2, "", 0},
	} {
		list := slices.DeleteFunc(consequence.New(c.before, c.after), func(x consequence.Consequence) bool { return x.Form != consequence.Recorded })
		if got := said(c.after, list); got != c.want || len(list) > 0 && list[0].Lacking != c.lacking {
			t.Errorf("%s: %q (%+v), expected %q lacking %d", c.name, got, list, c.want, c.lacking)
		}
	}
}
