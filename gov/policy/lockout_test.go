package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cocoframework/coco"
)

func TestLockOut(t *testing.T) {
	ok := map[string]string{Default: Majority}
	for _, c := range []struct {
		name     string
		policies map[string]string
		members  int
		want     string // in the error; nothing if the members can act
	}{
		{"the default", ok, 3, ""},
		{"the default, alone", ok, 1, ""},
		{"the default, with 50 members", ok, 50, ""},
		{"every shipped one", map[string]string{Default: Veto, SetPolicy: Unanimous, AddMember: Weighted, RemoveMember: MofN(3)}, 3, ""},
		{"one for nodes does not count", map[string]string{Default: Majority, "add_node": "false"}, 3, ""},
		{"the founder alone", map[string]string{Default: `proposal.proposer == "id0"`}, 3, ""},
		{"the last member alone", map[string]string{Default: `proposal.proposer == "id49"`}, 50, ""},
		{"after a day", map[string]string{Default: `votes.yes > 1 && now - proposal.time > 86400000`}, 3, ""},
		{"by the kind", map[string]string{Default: `proposal.kinds.all(k, k in ["set", "set_policy", "add_member", "remove_member"])`}, 3, ""},

		{"no default", map[string]string{SetPolicy: Majority}, 3, `no policy "add_member"`},
		{"false", map[string]string{Default: "false"}, 3, `"set_policy"`},
		{"too many", map[string]string{Default: MofN(4)}, 3, "every member's yes"},
		{"policies for ever", map[string]string{Default: Majority, SetPolicy: "votes.yes > members.size()"}, 3, `"set_policy"`},
		{"members for ever", map[string]string{Default: Majority, AddMember: "votes.no > votes.yes"}, 3, `"add_member"`},
		{"nobody goes", map[string]string{Default: Majority, RemoveMember: "closed && !closed"}, 3, `"remove_member"`},
		{"the rest for ever", map[string]string{Default: "votes.no > 0", SetPolicy: Majority, AddMember: Majority, RemoveMember: Majority}, 3, `"default"`},
		{"one who left", map[string]string{Default: `proposal.proposer == "id7"`}, 3, "set_policy"},
		{"an error", map[string]string{Default: `constitution.settings.nothing == 1`}, 3, "no such key: nothing"},
		{"too dear", map[string]string{Default: `members.all(a, members.all(b, members.all(c, a.id + b.id + c.id != "")))`}, 60, "200000 steps"},
		{"no members", ok, 0, "set_policy"},
	} {
		policies := map[string]*Policy{}
		for kind, expr := range c.policies {
			policies[kind] = mustCompile(t, expr)
		}
		in := network(c.members, 0, 0)
		before := fmt.Sprint(in)
		err := CanPass(policies, in)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (!errors.Is(err, ErrLockOut) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v; want a lock-out that says %q", c.name, err, c.want)
		case fmt.Sprint(in) != before:
			t.Errorf("%s: the input changed", c.name)
		}
	}
}

// A change of members can lock out as well as one of policies.
func TestMembersWhoLeaveCanLockTheOthersOut(t *testing.T) {
	policies := map[string]*Policy{Default: mustCompile(t, MofN(3))}
	if err := CanPass(policies, network(3, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if err := CanPass(policies, network(2, 0, 0)); !errors.Is(err, ErrLockOut) {
		t.Errorf("two members, three needed: %v", err)
	}
}

func TestAKindWithoutAPolicyHasTheDefault(t *testing.T) {
	d, s := mustCompile(t, Majority), mustCompile(t, Unanimous)
	policies := map[string]*Policy{Default: d, "set": s}
	if Of(policies, "set") != s || Of(policies, "add_code") != d || Of(nil, "set") != nil {
		t.Error("the wrong policy")
	}
}

// FuzzPolicy looks for a text that does harm: a panic, an answer that differs, an error of another
// kind, a cost above the bound. What hangs is found by the fuzzer itself.
func FuzzPolicy(f *testing.F) {
	for _, expr := range []string{
		Unanimous, Majority, MofN(3), OneOfN, Veto, Weighted, Automatic(2),
		`members.all(a, members.all(b, members.all(c, a.id + b.id == c.id)))`,
		`constitution.settings.filter(k, k.startsWith("a"))[0] == string(now)`,
		`has(constitution.settings.x) ? proposal.actions[0].kind in ["a", "b"] : votes.by.exists_one(v, v.weight % 2 == 1)`,
		`[1, 2, 3].exists(x, [x].exists(y, y * 2 > -x)) && !("a" + "b" == "c")`, `b"\xff" == b"" || 1.5 < 0.1 || null == null`,
	} {
		f.Add(expr)
	}
	in := network(4, 2, 1)
	f.Fuzz(func(t *testing.T, expr string) {
		p, err := Compile(expr)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if len(expr) > MaxBytes || !utf8.ValidString(expr) {
			t.Fatal("it compiles and must not")
		}
		ok, cost, err := p.decide(in.variables())
		if err != nil && (!errors.Is(err, coco.ErrInvalid) || ok) {
			t.Fatalf("%v and an error of another kind: %v", ok, err)
		}
		if strings.Contains(fmt.Sprint(err), "internal error") {
			t.Fatalf("CEL panicked: %v", err)
		}
		again, err := Compile(p.String())
		if err != nil {
			t.Fatal(err)
		}
		ok2, cost2, err2 := again.decide(in.variables())
		if ok2 != ok || cost2 != cost {
			t.Fatalf("%v at %d the first time, %v at %d the second (%v, %v)", ok, cost, ok2, cost2, err, err2)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	in := network(50, 30, 20)
	for name, expr := range map[string]string{
		"majority": Majority, "automatic": Automatic(2) + " || " + Majority, "weighted": Weighted,
		"pairs": `members.all(m, votes.by.exists(v, v.member == m.id))`,
	} {
		p := mustCompile(b, expr)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Decide(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	p := mustCompile(b, `members.all(a, members.all(b, members.all(c, a.id + b.id + c.id != "")))`)
	b.Run("limit", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Decide(in); err == nil {
				b.Fatal("it ended")
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(Majority); err != nil {
			b.Fatal(err)
		}
	}
}
