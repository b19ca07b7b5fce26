package policy

import (
	"fmt"
	"testing"
)

func some(n int) (out []MemberFacts) {
	for i := range n {
		out = append(out, MemberFacts{ID: fmt.Sprintf("m%d", i), Name: fmt.Sprintf("member %d", i), Weight: int64(i + 1)})
	}
	return out
}

// Only what accepts nothing, whatever is proposed, may be replaced without being asked.
func TestOnlyWhatCanAcceptNothingIsVacuous(t *testing.T) {
	for _, c := range []struct {
		expression string
		members    int
		want       bool
	}{
		{"false", 3, true},
		{"votes.yes > members.size()", 3, true},
		{"votes.yes > members.size()", 40, true},
		{"votes.yes > members.size()", 200, true},
		{"votes.yes >= 4", 3, true},
		{"votes.yes + votes.no > 3 && closed", 3, true},
		{`votes.by.exists(v, v.member == "gone" && v.vote == "yes")`, 3, true},
		{`members.exists(m, m.id == "gone") && votes.yes == members.size()`, 40, true},
		{"votes.yes_weight > 6", 3, true},
		{"1 / (members.size() - 3) == 0", 3, true}, // no answer is not yes

		{"votes.yes >= 4", 4, false},
		{Unanimous, 3, false},
		{Unanimous, 200, false},
		{Veto, 3, false},
		{"votes.no == 2 && votes.yes == 1", 3, false},
		{"votes.yes == members.size() && proposal.expires - proposal.time >= 604800000", 3, false},
		{"votes.yes == members.size() && proposal.kinds.size() == 1", 3, false},
		{`proposal.kinds.all(k, k == "add_code") && votes.yes == 3`, 3, false},
		{`proposal.proposer == "m1" && votes.yes == 3`, 3, false},
		{`proposal.actions.all(a, a.measurement.startsWith("snp:"))`, 3, false},
		{`node.platform == "snp"`, 3, false},
		{"constitution.settings.limits.queue == 1 && votes.yes == 3", 3, false},
		{"constitution.version > 1000000", 3, false},
		{"now > 4000000000000 && votes.yes >= 1", 3, false},
		{"votes.yes_weight > 6", 4, false},
		{Automatic(2), 3, false},
	} {
		p, err := Compile(c.expression)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.AcceptsNothing(some(c.members)); got != c.want {
			t.Errorf("%s, of %d members: accepts nothing is %v", c.expression, c.members, got)
		}
	}
}
