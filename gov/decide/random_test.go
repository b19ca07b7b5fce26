package decide_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// A random life of a network: members propose, vote, change their minds, withdraw and run out of
// time, and come and go. What the policies say is computed a second time, in Go.

// rule is a policy and what it means.
type rule struct {
	expression string
	accepts    func(v votes) bool
}

type votes struct {
	yes, no, members, yesWeight, weight int
	closed                              bool
	long, single                        bool            // voting lasts a week or more; there is one action
	proposer                            bool            // who proposed it votes yes
	said                                map[string]bool // members who vote yes, by name
}

func rules() []rule {
	return []rule{
		{policy.Unanimous, func(v votes) bool { return v.yes == v.members }},
		{policy.Majority, func(v votes) bool { return v.yes > v.members/2 }},
		{policy.MofN(2), func(v votes) bool { return v.yes >= 2 }},
		{policy.OneOfN, func(v votes) bool { return v.yes >= 1 }},
		{policy.Veto, func(v votes) bool { return v.closed && v.no == 0 }},
		{policy.Weighted, func(v votes) bool { return v.yesWeight > v.weight/2 }},
		{strict[0], func(v votes) bool { return v.yes == v.members && v.long }},
		{strict[1], func(v votes) bool { return v.yes == v.members && v.single }},
		{strict[2], func(v votes) bool { return v.closed && v.no == 0 && v.long }},
		{strict[4], func(v votes) bool { return v.closed && v.no == 0 && v.proposer }},
		// Without votes of others it is a majority, as far as the life below goes: of add_node only.
		{constitution.AutomaticAddNode, nil},
		{policy.MofN(99), func(votes) bool { return false }},
	}
}

type life struct {
	*govtest.Network
	t       *testing.T
	rnd     *rand.Rand
	orgs    []*govtest.Org // all who may ever belong
	auditor *audit.Auditor
	audits  int // transactions that the auditor has followed
	count   map[table.ProposalState]int
	kinds   map[string]int // of accepted actions
	log     []string
}

func newLife(t *testing.T, seed uint64) *life {
	l := &life{Network: govtest.New(t), t: t, rnd: rand.New(rand.NewPCG(seed, 1)), auditor: audit.New(audit.Config{Verifiers: govtest.Verifiers}), count: map[table.ProposalState]int{}, kinds: map[string]int{}}
	for i := range 1 {
		l.Members = append(l.Members, govtest.Issue(t, fmt.Sprintf("member %d", i), nil, true, nil))
	}
	l.C = l.Constitution()
	l.C.Shares.Threshold, l.C.Recovery.Owner = 1, constitution.EachMember
	l.C.Policies = map[string]string{}
	for _, kind := range []action.Kind{action.AddCode, action.SetTEE} {
		l.C.Policies[string(kind)] = rules()[l.rnd.IntN(len(rules())-2)].expression
	}
	for i := range l.C.Members {
		l.C.Members[i].Weight = uint64(1 + l.rnd.IntN(3))
	}
	if err := l.C.Complete(); err != nil {
		t.Fatal(err)
	}
	l.orgs = append(slices.Clone(l.Members), l.Guest)
	for i := range 3 {
		l.orgs = append(l.orgs, govtest.Issue(t, fmt.Sprintf("other %d", i), nil, true, nil))
	}
	l.Genesis()
	l.follow()
	return l
}

func (l *life) fatal(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(l.log[max(0, len(l.log)-12):], "\n"))
}

// follow has the auditor follow what was written, and compares all of its tables.
func (l *life) follow() {
	l.t.Helper()
	for ; l.audits < len(l.Records); l.audits++ {
		writes, err := store.DecodeWrites(l.Records[l.audits].Public)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := l.auditor.Follow(uint64(l.audits+1), l.Times[l.audits], true, writes); err != nil {
			l.fatal("the auditor refuses transaction %d: %v", l.audits+1, err)
		}
	}
	l.Read(func(r store.Reader) {
		replayed := l.auditor.Tables()
		for _, table := range table.All() {
			if !table.Ordered {
				continue
			}
			dump := func(r store.Reader) (out []byte) {
				r.Range(table.Name, nil, nil, func(key, value []byte) bool {
					out = fmt.Appendf(out, "%x=%x\n", key, value)
					return true
				})
				return out
			}
			if !bytes.Equal(dump(r), dump(replayed)) {
				l.fatal("the auditor's table %s differs", table.Name)
			}
		}
		digest, err := table.ConstitutionDigest(r)
		if err != nil || digest != l.auditor.Constitution().Digest() {
			l.fatal("the auditor's constitution differs (%v)", err)
		}
	})
}

func (l *life) pick() *govtest.Org { return l.orgs[l.rnd.IntN(len(l.orgs))] }

func (l *life) action() action.Action {
	o, other := l.pick(), l.pick()
	rs := rules()
	kinds := []string{"add_code", "set", "add_member", "remove_member", "set_policy", constitution.PolicyDefault, "remove_code", "set_tee", "add_participant"}
	args := action.Args{}
	kind := action.Kinds()[l.rnd.IntN(len(action.Kinds()))]
	if l.rnd.IntN(7) == 0 {
		kind = action.SetPolicy
	}
	measurement := fmt.Sprintf("virtual:%02x", l.rnd.IntN(4))
	switch kind {
	case action.AddMember:
		args = action.Args{Name: o.Name, Certificate: o.Cert.Raw, EncryptionKey: o.Encryption.Public(), Weight: uint64(l.rnd.IntN(4))}
	case action.OpenNetwork:
		args = action.Args{Service: coco.Digest{1}.String()}
	case action.AddIssuer:
		args = govtest.Issuer(fmt.Sprintf("login-%d", l.rnd.IntN(3)), o.Name, o.Cert)
	case action.RemoveIssuer:
		args = action.Args{Name: fmt.Sprintf("login-%d", l.rnd.IntN(3))}
	case action.AddOrigin, action.RemoveOrigin:
		args = action.Args{Name: fmt.Sprintf("https://app-%d.example", l.rnd.IntN(3))}
	case action.RevokeAccess:
		args = action.Args{Name: fmt.Sprintf("login-%d", l.rnd.IntN(3)), User: fmt.Sprintf("user-%d", l.rnd.IntN(2)), Remove: l.rnd.IntN(2) == 0}
		if l.rnd.IntN(2) == 0 {
			args = action.Args{Actor: o.Name, Before: 1 + uint64(l.rnd.IntN(2_000_000_000))}
		}
	case action.GrantEpochs:
		args = action.Args{Name: o.Name, Certificate: o.Cert.Raw, EncryptionKey: o.Encryption.Public(), Epochs: fmt.Sprint(1 + l.rnd.IntN(3))}
	case action.AddParticipant:
		args = action.Args{Name: o.Name, Certificate: o.Cert.Raw}
	case action.RemoveMember, action.RemoveParticipant:
		args = action.Args{Actor: o.Name}
	case action.AddCertificate, action.RemoveCertificate:
		args = action.Args{Actor: o.Name, Certificate: []*govtest.Org{o, other}[l.rnd.IntN(2)].Cert.Raw}
	case action.AddNode, action.RemoveNode:
		args = action.Args{Owner: o.Name, Address: fmt.Sprintf("host%d:1", l.rnd.IntN(3))}
	case action.AddCode:
		args = action.Args{Measurement: measurement}
	case action.Upgrade:
		args = action.Args{Measurement: measurement, Note: "next", Replaces: string(govtest.TestCode)}
	case action.RemoveCode:
		args = action.Args{Measurement: measurement}
	case action.SetTEE:
		args = action.Args{Platform: "snp", TEEPolicy: []string{"", `{"level":1}`, `{"level":2}`}[l.rnd.IntN(3)], Debug: l.rnd.IntN(4) == 0}
	case action.SetPolicy:
		args = action.Args{Policy: kinds[l.rnd.IntN(len(kinds))], Expression: rs[l.rnd.IntN(len(rs)-2)].expression}
		if l.rnd.IntN(3) == 0 {
			args.Expression = policy.MofN(99) // nobody could change it any more
		}
	case action.RemovePolicy:
		args = action.Args{Policy: kinds[l.rnd.IntN(len(kinds))]}
	case action.Set:
		args = action.Args{Setting: "limits.queue", Value: fmt.Sprint(1 + l.rnd.IntN(3))}
		if l.rnd.IntN(2) == 0 {
			args = action.Args{Setting: "adapters.kv.max", Value: fmt.Sprint(l.rnd.IntN(3))}
		}
	}
	return action.Action{Kind: kind, Args: args}
}

// world is what a proposal can change.
func (l *life) world() (c *constitution.Constitution, text string) {
	c = l.Load()
	text = c.Digest().String()
	l.Read(func(r store.Reader) {
		for _, table := range []string{table.PlacesTable, table.NodesTable, table.EpochsTable, table.VersionsTable, table.GrantsTable} {
			r.Range(table, nil, nil, func(key, value []byte) bool {
				text += fmt.Sprintf("%x=%x\n", key, value)
				return true
			})
		}
	})
	return c, text
}

// tally counts a proposal's ballots as a member would, who reads the envelopes.
func (l *life) tally(c *constitution.Constitution, id coco.Digest, closed bool) votes {
	v := votes{closed: closed, members: len(c.Members), said: map[string]bool{}}
	for _, m := range c.Members {
		v.weight += int(m.Weight)
	}
	l.Read(func(r store.Reader) {
		rec, err := table.Proposal(r, id)
		if err != nil {
			l.t.Fatal(err)
		}
		p, err := envelope.Open(rec.Raw)
		if err != nil {
			l.fatal("a proposal does not open: %v", err)
		}
		v.long, v.single = p.Proposal.Expires-p.Proposal.Time >= uint64(week.Milliseconds()), len(p.Proposal.Actions) == 1
		ballots, err := table.Ballots(r, id)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, b := range ballots {
			s, err := envelope.Open(b.Raw)
			if err != nil || s.Ballot.Proposal != id {
				l.fatal("a ballot does not open: %v", err)
			}
			m, member := c.Member(b.Actor)
			switch {
			case b.Void || !member:
			case s.Ballot.Vote == envelope.Yes:
				v.yes, v.yesWeight, v.said[m.Name] = v.yes+1, v.yesWeight+int(m.Weight), true
				v.proposer = v.proposer || b.Actor == rec.Proposer
			case s.Ballot.Vote == envelope.No:
				v.no++
			}
		}
	})
	return v
}

// accepts says whether a policy does.
func (l *life) accepts(expression string, v votes) bool {
	if expression == constitution.AutomaticAddNode {
		return v.yes > v.members/2 // of actions that add no node of a member
	}
	for _, r := range rules() {
		if r.expression == expression {
			return r.accepts(v)
		}
	}
	l.fatal("a policy %q that was never proposed", expression)
	return false
}

// kept checks that no kind of action is decided by another policy than before, unless the one before accepted that, every
// member did, or it could accept nothing.
func (l *life) kept(before *constitution.Constitution, rec table.ProposalRecord, v votes) {
	l.t.Helper()
	after := l.Load()
	for _, kind := range action.Kinds() {
		_, old := before.PolicyOf(string(kind))
		if _, now := after.PolicyOf(string(kind)); now != old && !l.accepts(old, v) && v.yes < v.members && !l.nothing(old, v) {
			l.fatal("proposal %d: %s is decided by %s, and was by %s, which did not accept that", rec.Number, kind, now, old)
		}
	}
}

// expected says whether the policies of a constitution accept actions with these votes.
func (l *life) expected(c *constitution.Constitution, actions []action.Action, v votes) bool {
	accepts := func(expression string) bool { return l.accepts(expression, v) }
	for _, a := range actions {
		name, expression := c.PolicyOf(string(a.Kind))
		if a.Kind == action.AddNode && expression == constitution.AutomaticAddNode {
			if slices.ContainsFunc(c.Members, func(m constitution.Member) bool { return a.Args.Owner == m.Name || a.Args.Owner == m.Actor().String() }) {
				continue
			}
		}
		if !accepts(expression) {
			return false
		}
		if a.Kind == action.SetPolicy || a.Kind == action.RemovePolicy {
			if old, replaced := c.PolicyOf(a.Args.Policy); old != name {
				if !accepts(replaced) && v.yes < v.members && !l.nothing(replaced, v) {
					return false
				}
			}
		}
	}
	return l.mutedAgree(c, actions, v, accepts)
}

// nothing reports whether a policy accepts nothing that members with these weights could propose and vote, by trying all.
func (l *life) nothing(expression string, of votes) bool {
	if expression == constitution.AutomaticAddNode {
		return false
	}
	i := slices.IndexFunc(rules(), func(r rule) bool { return r.expression == expression })
	for yes := range of.members + 1 {
		for no := range of.members - yes + 1 {
			for bits := range 16 {
				v := votes{yes: yes, no: no, members: of.members, weight: of.weight, closed: bits&1 > 0, long: bits&2 > 0, single: bits&4 > 0, proposer: bits&8 > 0}
				if v.yesWeight = 0; yes == of.members {
					v.yesWeight = of.weight
				}
				if rules()[i].accepts(v) {
					return false
				}
			}
		}
	}
	return true
}

// mutedAgree reports whether the policies that could accept nothing any more after actions agree, or all who stay do.
func (l *life) mutedAgree(c *constitution.Constitution, actions []action.Action, v votes, accepts func(string) bool) bool {
	in, out := 0, map[string]bool{}
	replaced := map[string]bool{}
	for _, a := range actions {
		switch a.Kind {
		case action.AddMember:
			in++
		case action.RemoveMember:
			out[a.Args.Actor] = true
		case action.SetPolicy, action.RemovePolicy:
			replaced[a.Args.Policy] = true
		}
	}
	if in == 0 && len(out) == 0 {
		return true
	}
	after := votes{members: v.members + in - len(out), weight: 1}
	for name, expression := range c.Policies {
		// Weights decide none of these policies for good.
		before := votes{members: v.members, weight: v.weight}
		if !replaced[name] && !l.nothing(expression, before) && l.nothing(expression, after) && !accepts(expression) {
			for _, m := range c.Members {
				if !out[m.Name] && !v.said[m.Name] {
					return false
				}
			}
		}
	}
	return true
}

// judged checks a proposal after a statement about it.
func (l *life) judged(before *constitution.Constitution, world string, out decide.Outcome, closed bool) {
	l.t.Helper()
	_, after := l.world()
	var rec table.ProposalRecord
	l.Read(func(r store.Reader) {
		var err error
		if rec, err = table.Proposal(r, out.ID); err != nil {
			l.t.Fatal(err)
		}
	})
	actions, err := rec.Actions()
	if err != nil {
		l.t.Fatal(err)
	}
	l.count[rec.State]++
	if rec.State == table.Accepted {
		for _, k := range rec.Kinds {
			l.kinds[k]++
		}
		l.kept(before, rec, l.tally(before, out.ID, closed))
	}
	passing := rec.State != table.Withdrawn && l.expected(before, actions, l.talliedBefore(before, out.ID, closed))
	switch {
	case after != world && (rec.State != table.Accepted || !passing):
		l.fatal("proposal %d is %s and its policies say %v, and something changed", rec.Number, rec.State, passing)
	case rec.State == table.Accepted && !passing:
		l.fatal("proposal %d is accepted against its policies", rec.Number)
	case passing && rec.State != table.Accepted && rec.State != table.Failed:
		l.fatal("proposal %d is %s although its policies accept it", rec.Number, rec.State)
	}
	l.path()
}

// talliedBefore counts the votes; the ballots of those whom the proposal itself removes count for it.
func (l *life) talliedBefore(before *constitution.Constitution, id coco.Digest, closed bool) votes {
	return l.tally(before, id, closed)
}

// path checks that the members, all together, can still change the rules.
func (l *life) path() {
	l.t.Helper()
	c := l.Load()
	if err := decide.CheckPath(c, l.Ms()); err != nil {
		l.fatal("locked out: %v", err)
	}
	l.Read(func(r store.Reader) {
		s, err := decide.Simulate(r, []action.Action{{Kind: action.Set, Args: action.Args{Setting: "limits.body_bytes", Value: "123456"}}}, c.Members[0].Actor(), l.Ms())
		if err != nil {
			l.fatal("%v", err)
		}
		_, set := c.PolicyOf(string(action.Set))
		more := len(c.Members) + 1 // policies that want more members than there are accept nothing until one is added
		if beyond := slices.ContainsFunc([]int{more, more + 1, 99}, func(m int) bool { return set == policy.MofN(m) }); !s.Possible && !s.Silent && !beyond {
			l.fatal("no votes are enough for a setting under %+v", s.Policies)
		}
	})
}

func (l *life) step() {
	before, world := l.world()
	l.Now = l.Now.Add(time.Duration(l.rnd.IntN(120)) * time.Minute)
	var open []table.ProposalRecord
	l.Read(func(r store.Reader) {
		var err error
		if open, err = table.OpenProposals(r); err != nil {
			l.t.Fatal(err)
		}
	})
	by := l.pick()
	if l.rnd.IntN(8) > 0 {
		m := before.Members[l.rnd.IntN(len(before.Members))]
		by = l.orgs[slices.IndexFunc(l.orgs, func(o *govtest.Org) bool { return o.Name == m.Name })]
	}
	_, member := before.Member(by.Actor())
	switch n := l.rnd.IntN(20); { // most of the time they vote, about new proposals rather than old ones
	case n < 5 || len(open) == 0:
		actions := []action.Action{l.action()}
		if l.rnd.IntN(4) == 0 {
			actions = append(actions, l.action())
		}
		l.log = append(l.log, fmt.Sprintf("%s proposes %v", by.Name, actions))
		voting := []time.Duration{24 * time.Hour, 24 * time.Hour, week + time.Hour}[l.rnd.IntN(3)]
		out, err := l.Submit(l.SignProposalUntil(by, l.Now.Add(voting), actions...))
		if err != nil {
			l.refused(err, world, member)
			return
		}
		set := map[string]string{} // what the actions, one after the other, set policies to
		for _, a := range actions {
			set[a.Args.Policy] = a.Args.Expression
		}
		if slices.ContainsFunc(policy.Lasting(), func(name string) bool { return set[name] == policy.MofN(99) }) {
			l.fatal("a lock-out was taken in")
		}
		l.judged(before, world, out, false)
	case n < 19:
		slices.SortFunc(open, func(a, b table.ProposalRecord) int { return int(b.Number) - int(a.Number) })
		p := open[l.rnd.IntN(1+l.rnd.IntN(len(open)))]
		vote := envelope.Yes
		switch l.rnd.IntN(10) {
		case 0, 1:
			vote = envelope.No
		case 2:
			vote = envelope.Withdraw
		}
		l.log = append(l.log, fmt.Sprintf("%s votes %s about %d (%v)", by.Name, vote, p.Number, p.Kinds))
		out, err := l.Submit(l.SignBallot(by, p.ID, vote))
		if err != nil {
			l.refused(err, world, member && vote != envelope.Withdraw && l.Ms() < p.Expires)
			return
		}
		l.judged(before, world, out, false)
	default:
		l.Now = l.Now.Add(time.Duration(l.rnd.IntN(30)) * time.Hour)
		for {
			due, ok := uint64(0), false
			l.Read(func(r store.Reader) { due, ok = table.Due(r) })
			before, world = l.world()
			judged := l.Expire()
			l.log = append(l.log, fmt.Sprintf("%d expire", judged))
			if judged == 0 {
				if ok && due <= l.Ms() {
					l.fatal("something is due, and nothing is judged")
				}
				break
			}
			for _, p := range l.decided(open) {
				l.judgedAtExpiry(before, world, p, judged)
			}
			l.follow()
			l.path()
		}
	}
	if l.rnd.IntN(6) == 0 {
		l.node()
	}
}

// decided returns those proposals that the last transaction ended.
func (l *life) decided(open []table.ProposalRecord) (out []table.ProposalRecord) {
	l.Read(func(r store.Reader) {
		for _, p := range open {
			rec, err := table.Proposal(r, p.ID)
			if err != nil {
				l.t.Fatal(err)
			}
			if rec.Decided == uint64(len(l.Records)) {
				out = append(out, rec)
			}
		}
	})
	return out
}

func (l *life) judgedAtExpiry(before *constitution.Constitution, world string, p table.ProposalRecord, judged int) {
	l.count[p.State]++
	actions, err := p.Actions()
	if err != nil {
		l.t.Fatal(err)
	}
	v := l.tally(before, p.ID, true)
	passing := l.expected(before, actions, v)
	if p.State == table.Accepted && judged == 1 {
		l.kept(before, p, v)
	}
	if _, after := l.world(); after != world && p.State != table.Accepted && judged == 1 {
		l.fatal("proposal %d is %s, and something changed", p.Number, p.State)
	}
	if passing != (p.State == table.Accepted || p.State == table.Failed) {
		l.fatal("proposal %d is %s at its end, and its policies say %v", p.Number, p.State, passing)
	}
}

// refused checks that a refusal changes nothing and has a kind.
func (l *life) refused(err error, world string, member bool) {
	l.t.Helper()
	l.log[len(l.log)-1] += ": " + err.Error()
	kinds := []error{coco.ErrInvalid, coco.ErrDenied, coco.ErrBusy}
	if !slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
		l.fatal("error %v, expected one of a kind", err)
	}
	if member && errors.Is(err, coco.ErrDenied) {
		l.fatal("a member is denied: %v", err)
	}
	if _, after := l.world(); after != world {
		l.fatal("a refused statement changed something")
	}
}

// node has somebody start a node.
func (l *life) node() {
	rec := l.Network.Node(l.pick(), fmt.Sprintf("host%d:1", l.rnd.IntN(3)))
	claims := l.Claims(rec)
	err := l.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, rec, claims) })
	var r *members.Refusal
	if errors.As(err, &r) && r.Reason == members.NotVotedIn {
		if err := l.Transact(func(tx *store.Tx) error { return members.PendNode(tx, rec, claims) }); err != nil && !errors.As(err, &r) {
			l.fatal("%v", err)
		}
	}
}

func TestRandomGovernance(t *testing.T) {
	seeds, steps := 8, 180
	if testing.Short() {
		seeds, steps = 2, 60
	}
	total, kinds := map[table.ProposalState]int{}, map[string]int{}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLife(t, seed)
			for range steps {
				l.step()
				l.follow()
			}
			for state, n := range l.count {
				total[state] += n
			}
			for kind, n := range l.kinds {
				kinds[kind] += n
			}
		})
	}
	t.Logf("states after each statement: %v; accepted: %v", total, kinds)
	for _, state := range []table.ProposalState{table.Open, table.Accepted, table.Rejected, table.Withdrawn, table.Expired} {
		if total[state] == 0 && !testing.Short() {
			t.Errorf("no proposal was ever %s: the lives are too dull", state)
		}
	}
	if len(kinds) < 12 && !testing.Short() {
		t.Errorf("actions of %d kinds were accepted: the lives are too dull", len(kinds))
	}
}
