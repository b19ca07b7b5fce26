package policy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/expr"
)

// network is an input with n members of weight 1 to n, of whom the first yes have voted for and the
// next no against.
func network(n, yes, no int) Input {
	in := Input{
		Proposal: ProposalFacts{
			ID: "p1", Proposer: "id0", Kinds: []string{"add_node"}, Time: 1000, Expires: 9000,
			Actions: []map[string]any{{"kind": "add_node", "address": "10.0.0.1:7000"}},
		},
		Node: NodeFacts{"id0", "member 0", "10.0.0.1:7000", "virtual:aa", "virtual"},
		Constitution: map[string]any{
			"version": uint64(3), "code": []string{"virtual:aa"}, "tee": []string{"virtual"},
			"nodes":        []map[string]any{{"owner": "id0", "address": "10.0.0.9:7000"}, {"owner": "id1"}},
			"members":      []map[string]any{{"id": "id0"}},
			"participants": []map[string]any{},
			"settings":     map[string]any{"limits.queue": 7, "b": 1, "c": 2, "a": 3, "share": 0.5, "deep": map[string]any{"x": []any{1, "two"}}},
		},
		Now: 2000,
	}
	var votes []VoteFacts
	for i := range n {
		m := MemberFacts{fmt.Sprintf("id%d", i), fmt.Sprintf("member %d", i), int64(i + 1)}
		in.Members = append(in.Members, m)
		switch {
		case i < yes:
			votes = append(votes, VoteFacts{Member: m.ID, Vote: Yes})
		case i < yes+no:
			votes = append(votes, VoteFacts{Member: m.ID, Vote: No})
		}
	}
	in.Votes = Tally(in.Members, votes)
	return in
}

func closed(in Input) Input {
	in.Closed = true
	return in
}

func mustCompile(t testing.TB, expr string) *Policy {
	t.Helper()
	p, err := Compile(expr)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func proposedBy(id string, in Input) Input {
	in.Proposal.Proposer = id
	return in
}

func TestShippedPolicies(t *testing.T) {
	three := func(n NodeFacts, proposer string, owned int) Input {
		in := network(3, 0, 0)
		in.Node, in.Proposal.Proposer = n, proposer
		var nodes []map[string]any
		for range owned {
			nodes = append(nodes, map[string]any{"owner": n.Owner})
		}
		in.Constitution["nodes"] = nodes
		return in
	}
	own := NodeFacts{Owner: "id0"}
	for _, c := range []struct {
		name, expr string
		in         Input
		want       bool
	}{
		{"unanimous: all", Unanimous, network(3, 3, 0), true},
		{"unanimous: one is missing", Unanimous, network(3, 2, 0), false},
		{"unanimous: one is against", Unanimous, network(3, 2, 1), false},
		{"unanimous: alone", Unanimous, network(1, 1, 0), true},
		{"unanimous: 50 of 50", Unanimous, network(50, 50, 0), true},
		{"unanimous: 49 of 50", Unanimous, network(50, 49, 1), false},
		{"unanimous: closing does not help", Unanimous, closed(network(50, 49, 0)), false},

		{"majority: 1 of 1", Majority, network(1, 1, 0), true},
		{"majority: 1 of 2 is half", Majority, network(2, 1, 0), false},
		{"majority: 2 of 3", Majority, network(3, 2, 1), true},
		{"majority: 2 of 4 is half", Majority, network(4, 2, 2), false},
		{"majority: 3 of 5", Majority, network(5, 3, 0), true},
		{"majority: 25 of 50 is half", Majority, network(50, 25, 0), false},
		{"majority: 26 of 50", Majority, network(50, 26, 24), true},
		{"majority: 25 of 49", Majority, network(49, 25, 24), true},
		{"majority: nobody votes", Majority, closed(network(50, 0, 0)), false},

		{"2 of n: one", MofN(2), network(3, 1, 2), false},
		{"2 of n: two", MofN(2), network(3, 2, 1), true},
		{"30 of 50", MofN(30), network(50, 30, 20), true},
		{"29 of 50", MofN(30), network(50, 29, 0), false},

		{"one of n", OneOfN, network(50, 1, 49), true},
		{"one of n: none", OneOfN, network(50, 0, 49), false},

		{"veto: while it is open", Veto, network(3, 3, 0), false},
		{"veto: silence is consent", Veto, closed(network(3, 0, 0)), true},
		{"veto: one objects", Veto, closed(network(3, 2, 1)), false},
		{"veto: one of 50 objects", Veto, closed(network(50, 49, 1)), false},
		{"veto: none of 50", Veto, closed(network(50, 7, 0)), true},

		{"seconded: silence is no consent", Seconded, closed(network(3, 0, 0)), false},
		{"seconded: by another", Seconded, proposedBy("id2", closed(network(3, 1, 0))), true},
		{"seconded: by its proposer", Seconded, proposedBy("id0", closed(network(3, 1, 0))), false},
		{"seconded: one objects", Seconded, proposedBy("id2", closed(network(3, 1, 1))), false},
		{"seconded: while it is open", Seconded, proposedBy("id2", network(3, 3, 0)), false},

		// weights 1, 2, 3, 4: together 10
		{"weighted: half", Weighted, func() Input {
			in := network(4, 0, 0)
			in.Votes = Tally(in.Members, []VoteFacts{{Member: "id0", Vote: Yes}, {Member: "id3", Vote: Yes}})
			return in
		}(), false},
		{"weighted: more than half", Weighted, func() Input {
			in := network(4, 0, 0)
			in.Votes = Tally(in.Members, []VoteFacts{{Member: "id1", Vote: Yes}, {Member: "id3", Vote: Yes}})
			return in
		}(), true},
		// weights 1, 2: together 3, half of which is not whole
		{"weighted: 1 of 3", Weighted, network(2, 1, 1), false},
		{"weighted: 2 of 3", Weighted, func() Input {
			in := network(2, 0, 0)
			in.Votes = Tally(in.Members, []VoteFacts{{Member: "id1", Vote: Yes}})
			return in
		}(), true},
		// 1 to 35 are 630 of 1275, 1 to 36 are 666
		{"weighted: 35 of 50", Weighted, network(50, 35, 15), false},
		{"weighted: 36 of 50", Weighted, network(50, 36, 14), true},

		{"automatic: the first node", Automatic(1), three(own, "id0", 0), true},
		{"automatic: the second of one", Automatic(1), three(own, "id0", 1), false},
		{"automatic: the second of two", Automatic(2), three(own, "id0", 1), true},
		{"automatic: the third of two", Automatic(2), three(own, "id0", 2), false},
		{"automatic: for somebody else", Automatic(2), three(own, "id1", 0), false},
		{"automatic: among others' nodes", Automatic(2), network(50, 0, 0), true},
		{"automatic or by vote", Automatic(1) + " || " + Majority, network(50, 26, 0), true},
		{"automatic or by vote: too few", Automatic(1) + " || " + Majority, network(50, 25, 0), false},
	} {
		got, err := mustCompile(t, c.expr).Decide(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %s says %v, %v; want %v", c.name, c.expr, got, err, c.want)
		}
	}
}

// Each field that the package comment names can be used, with the type that it has there.
func TestVariables(t *testing.T) {
	in := network(3, 1, 1)
	for _, expr := range []string{
		`proposal.id == "p1" && proposal.proposer == "id0" && "add_node" in proposal.kinds`,
		`proposal.actions.exists(a, a.kind == "add_node" && a.address.startsWith("10."))`,
		`proposal.time == 1000 && proposal.expires - proposal.time == 8000 && now == 2000 && !closed`,
		`votes.yes == 1 && votes.no == 1 && votes.yes_weight == 1 && votes.no_weight == 2 && votes.total_weight == 6`,
		`votes.by.size() == 2 && votes.by[0].member == "id0" && votes.by[1].vote == "no" && votes.by[1].weight == 2`,
		`votes.by.exists(v, v.member == "id0" && v.vote == "yes")`,
		`members.size() == 3 && members[2].id == "id2" && members[2].name == "member 2" && members[2].weight == 3`,
		`node.owner == "id0" && node.owner_name == "member 0" && node.address.endsWith(":7000") && node.measurement == "virtual:aa" && node.platform == "virtual"`,
		`constitution.version == 3 && node.measurement in constitution.code && node.platform in constitution.tee`,
		`constitution.nodes.size() == 2 && constitution.members[0].id == "id0" && size(constitution.participants) == 0`,
		`constitution.settings["limits.queue"] == 7 && constitution.settings.share == 0.5 && constitution.settings.deep.x[1] == "two"`,
		`has(constitution.settings.a) && !has(constitution.settings.nothing) && "b" in constitution.settings`,
		`["id0", "id2"].exists_one(m, votes.by.exists(v, v.member == m && v.vote == "yes"))`,
		`int("7") + 1 == 8 && string(7) == "7" && "abc".contains("b") && (closed ? 1 : 2) == 2 && 7 % 4 == 3`,
		`members.filter(m, m.weight > 1).all(m, m.id != "id0")`,
		`constitution.nodes.exists(n, string(n.owner) == string(constitution.members[0].id))`,
	} {
		p, err := Compile(expr)
		if err != nil {
			t.Error(err)
			continue
		}
		if ok, err := p.Decide(in); !ok || err != nil {
			t.Errorf("%s is %v, %v", expr, ok, err)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ expr, at, want string }{
		{"", "", "expected an expression"},
		{" \n\t", "", "expected an expression"},
		{"votes.yes > ", "1:13", "Syntax error"},
		{"votes.yes >\n  members.sise() / 2", "2:15", "undeclared reference to 'sise'"},
		{"votes.yess > 1", "1:6", "undefined field 'yess'"},
		{"members.all(m, m.nome == '')", "1:17", "undefined field 'nome'"},
		{"votes.yes > members.size() / 2.0", "1:28", "no matching overload"},
		{"votes.yes > '1'", "1:11", "no matching overload"},
		{"vote.yes > 1", "1:1", "undeclared reference to 'vote'"},
		{"votes.yes", "1:1", "of type int, expected bool"},
		{"constitution.settings.a", "1:1", "of type dyn, expected bool"},
		{"members", "1:1", "of type list(coco.member), expected bool"},
		{"closed && constitution == constitution", "1:24", "cannot be compared"},
		{"members[0] == members[1]", "1:12", "coco.member and coco.member cannot be compared"},
		{"members.filter(m, true) != members", "1:25", "cannot be compared"},
		{"constitution.nodes == constitution.code", "1:20", "dyn and dyn cannot be compared"},
		{"members[0] in members", "1:12", "cannot be searched for"},
		{"constitution.code in [constitution.tee]", "1:19", "cannot be searched for"},
		{"(members + members).size() == 6", "1:10", "cannot be added"},
		{"(constitution.code + constitution.tee).size() == 2", "1:20", "cannot be added"},
		{"[[1]].size() == 1", "1:1", "consists of literals"},
		{"[votes.yes, votes.no].size() == 2", "1:1", "consists of literals"},
		{"{'a': 1}.size() == 1", "1:1", "cannot be written"},
		{"coco.votes{yes: 1}.yes == 1", "1:11", "cannot be written"},
		{"members.map(m, m.id).size() == 1", "1:12", "undeclared reference to 'map'"},
	} {
		_, err := Compile(c.expr)
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "policy: "+c.at) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v; want %q at %s", c.expr, err, c.want, c.at)
		}
	}
	if _, err := Compile("true && '\xff' == ''"); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("bytes that are no text: %v", err)
	}
	if _, err := Compile(strings.Repeat(" ", MaxBytes) + "true"); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "at most 4096") {
		t.Errorf("a long text: %v", err)
	}
	if _, err := Compile("true" + strings.Repeat(" ", MaxBytes-4)); err != nil {
		t.Errorf("a text of the greatest length: %v", err)
	}
	if _, err := Compile(strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a deep expression: %v", err)
	}
}

// What depends on a clock, a time zone, an order that Go shuffles or a library's regular expressions
// does not exist.
func TestNothingThatNodesCouldDisagreeAbout(t *testing.T) {
	for _, expr := range []string{
		`timestamp("2026-01-01T00:00:00Z") < timestamp("2027-01-01T00:00:00Z")`, `duration("1h") > duration("1m")`,
		`timestamp(now).getHours("Europe/Berlin") > 8`, `"a".matches("a+")`, `matches("a", "a")`,
		`bytes("a") == b"a"`, `double(1) > 0.5`, `uint(1) == 1u`, `type(1) == int`, `dyn(1) == 1`, `bool("true")`,
		`{"a": true}["a"]`, `cel.bind(x, 1, x == 1)`, `"%d".format([1]) == "1"`, `math.greatest(1, 2) == 2`,
		`optional.of(1).hasValue()`, `members[?0].hasValue()`, `constitution.all(k, v, true)`, `"a".split(",").size() == 1`,
		`google.protobuf.Int32Value{value: 1} == 1`, `google.protobuf.NullValue.NULL_VALUE == 0`, `__result__ == 1`, `@result == 1`,
	} {
		if p, err := Compile(expr); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s compiles: %v, %v", expr, p, err)
		}
	}
}

func TestMapsAreInOrder(t *testing.T) {
	settings := map[string]any{}
	for i := range 40 {
		settings[fmt.Sprintf("k%02d", i)] = i
	}
	p := mustCompile(t, `constitution.settings.filter(k, k >= "k07")[0] == "k07" && constitution.settings.exists(k, k == "k20")`)
	var first uint64
	for i := range 200 {
		in := network(3, 0, 0)
		in.Constitution["settings"] = settings
		ok, cost, err := p.decide(in.variables())
		if i == 0 {
			first = cost
		}
		if !ok || err != nil || cost != first {
			t.Fatalf("round %d: %v, %v, at the cost of %d; it was %d at first", i, ok, err, cost, first)
		}
	}
}

func TestNoAnswerIsNotYes(t *testing.T) {
	in := network(3, 3, 0)
	in.Constitution["odd"] = struct{}{}
	in.Constitution["large"] = uint64(math.MaxInt64 + 1)
	in.Constitution["long"] = strings.Repeat("x", expr.MaxText+1)
	for expr, want := range map[string]string{
		`constitution.nothing == 1`:                         "no such key: nothing",
		`proposal.actions[0].member == "a"`:                 "no such key: member",
		`members[3].id == ""`:                               "index out of bounds",
		`1 / (votes.yes - 3) == 0`:                          "division by zero",
		`9223372036854775807 + votes.yes > 0`:               "overflow",
		`constitution.version.size() == 1`:                  "no such overload",
		`constitution.version && true`:                      "no such overload",
		`constitution.settings.a.b == 1`:                    "no such key",
		`int(node.address) == 1`:                            "conversion",
		`constitution.odd == 1`:                             "has no form in a policy",
		`constitution.large == 1`:                           "larger than an int",
		`constitution.long == "x"`:                          "a text of 1025 bytes",
		`members.all(m, constitution.nodes[0][m.id] == "")`: "no such key",
		`constitution[constitution.version] == 1`:           "no such key: 3",
	} {
		ok, err := mustCompile(t, expr).Decide(in)
		if ok || !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %v, %v; want an error that says %q", expr, ok, err, want)
		}
	}
	// As in every language with short circuits, an error counts only where it decides.
	for expr, want := range map[string]bool{
		`votes.yes == 3 || constitution.nothing == 1`: true,
		`constitution.nothing == 1 || votes.yes == 3`: true,
		`constitution.nothing == 1 && votes.yes == 0`: false,
	} {
		if got, err := mustCompile(t, expr).Decide(in); got != want || err != nil {
			t.Errorf("%s is %v, %v", expr, got, err)
		}
	}
}

func TestCostIsBounded(t *testing.T) {
	in := network(50, 50, 0)
	for _, expr := range []string{
		`members.all(a, members.all(b, members.all(c, members.all(d, a.weight + b.weight + c.weight + d.weight > 0))))`,
		`members.filter(a, members.filter(b, members.filter(c, c.weight > 0).size() > 0).size() > 0).size() > 0`,
		`members.exists(a, members.exists(b, members.exists(c, a.id + b.id + c.id == "")))`,
	} {
		for range 2 {
			ok, cost, err := mustCompile(t, expr).decide(in.variables())
			if ok || !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "more than 200000 steps") {
				t.Errorf("%s is %v, %v", expr, ok, err)
			}
			if cost > MaxCost+MaxCost/100 {
				t.Errorf("%s stopped at %d only", expr, cost)
			}
		}
	}
	// A list costs what it holds, a map's keys are sorted once, and a list of literals is built once.
	in.Constitution["texts"] = make([]string, 1000)
	in.Constitution["map"] = map[string]any{"a": 1, "b": 2}
	for expr, want := range map[string]uint64{
		`"x" in constitution.texts`:                                        1000,
		`constitution.texts.exists(x, x == "x")`:                           5000,
		`"x" in constitution.map`:                                          2,
		`constitution.map.all(k, k == "a")`:                                10,
		`members.exists(m, m.id in ["x", "y", "z"])`:                       150,
		`members[0].name.contains("x") || node.owner == proposal.proposer`: 4,
	} {
		_, cost, err := mustCompile(t, expr).decide(in.variables())
		if err != nil || cost < want || cost > 3*want {
			t.Errorf("%s costs %d, %v; want about %d", expr, cost, err, want)
		}
	}
	// What somebody may want to write for 100 members is within the bound.
	in = network(100, 100, 0)
	if ok, err := mustCompile(t, `members.all(m, votes.by.exists(v, v.member == m.id && v.vote == "yes"))`).Decide(in); !ok || err != nil {
		t.Errorf("each pair of 100 members: %v, %v", ok, err)
	}
}

func TestTallyCountsMembersOnce(t *testing.T) {
	members := []MemberFacts{{"a", "A", 5}, {"b", "B", math.MaxInt64}, {"c", "C", 1}, {"d", "D", 1}}
	got := Tally(members, []VoteFacts{
		{Member: "c", Vote: No, Weight: 99},
		{Member: "removed", Vote: No},
		{Member: "a", Vote: No},
		{Member: "a", Vote: Yes},
		{Member: "b", Vote: Yes},
		{Member: "d", Vote: "perhaps"},
	})
	want := VotesFacts{
		Yes: 2, No: 1, YesWeight: math.MaxInt64, NoWeight: 1, TotalWeight: math.MaxInt64,
		By: []VoteFacts{{"a", Yes, 5}, {"b", Yes, math.MaxInt64}, {"c", No, 1}},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAllYesKeepsVotes(t *testing.T) {
	in := network(5, 1, 2)
	best := in.AllYes()
	if best.Votes.Yes != 3 || best.Votes.No != 2 || len(in.Votes.By) != 3 {
		t.Errorf("got %+v from %+v", best.Votes, in.Votes)
	}
}

func TestPoliciesAreUsedByManyAtOnce(t *testing.T) {
	p := mustCompile(t, Majority)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				yes := (i + j) % 6
				if ok, err := p.Decide(network(5, yes, 0)); ok != (yes > 2) || err != nil {
					t.Errorf("%d of 5: %v, %v", yes, ok, err)
				}
			}
			if _, err := Compile(fmt.Sprintf("votes.yes > %d && members.exists(m, m.weight == %d)", i, i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
