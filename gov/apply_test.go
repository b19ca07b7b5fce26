package gov

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/store"
)

func act(kind action.Kind, args action.Args) action.Action {
	return action.Action{Kind: kind, Args: args}
}

// TestEveryAction applies each kind of action: what it changes, what is refused, and that it cannot be applied
// twice. The constitution is that of newNetwork with a second node, of beta.
func TestEveryAction(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	b := n.node(n.members[1], "b:1")
	n.admit(b)
	delta, renewed := issue(t, "delta", nil, true, nil), issue(t, "alpha again", nil, true, nil)
	alpha, guest := n.members[0], n.guest
	member := action.Args{Name: "delta", Certificate: delta.cert.Raw, EncryptionKey: delta.encryption.Public()}
	var present Present
	n.read(func(r store.Reader) {
		present.Now = n.ms()
		var err error
		if present.Constitution, err = LoadConstitution(r); err != nil {
			t.Fatal(err)
		}
		if present.Nodes, err = TrustedNodes(r); err != nil {
			t.Fatal(err)
		}
	})
	for _, c := range []struct {
		name    string
		actions []action.Action
		refused string // the error, or
		effects []EffectKind
		twice   string // the error when it is applied again
	}{
		{"a member", []action.Action{act(action.AddMember, member)}, "", []EffectKind{ActorAdded, EpochRotated}, "is a member already"},
		{"a member of another's name", []action.Action{act(action.AddMember, action.Args{Name: "beta", Certificate: delta.cert.Raw, EncryptionKey: delta.encryption.Public()})}, "is the name of", nil, ""},
		{"a member of another's key", []action.Action{act(action.AddMember, action.Args{Name: "delta", Certificate: again(t, alpha).Raw, EncryptionKey: delta.encryption.Public()})}, "the same key", nil, ""},
		{"a member of another's encryption key", []action.Action{act(action.AddMember, action.Args{Name: "delta", Certificate: delta.cert.Raw, EncryptionKey: alpha.encryption.Public()})}, "needs a key of its own", nil, ""},
		{"a member that is there", []action.Action{act(action.AddMember, action.Args{Name: "x", Certificate: alpha.cert.Raw, EncryptionKey: delta.encryption.Public()})}, "is a member already", nil, ""},
		{"a member that is a participant", []action.Action{act(action.AddMember, action.Args{Name: "guest", Certificate: guest.cert.Raw, EncryptionKey: guest.encryption.Public()})}, "is a participant already", nil, ""},
		{"a participant becomes a member", []action.Action{act(action.RemoveParticipant, action.Args{Actor: "guest"}), act(action.AddMember, action.Args{Name: "guest", Certificate: guest.cert.Raw, EncryptionKey: guest.encryption.Public()})}, "", []EffectKind{ActorRemoved, ActorAdded, EpochRotated}, "action 1"},
		{"a member goes", []action.Action{act(action.RemoveMember, action.Args{Actor: b.Owner.String()})}, "", []EffectKind{ActorRemoved, NodeRetired, EpochRotated}, "neither a member"},
		{"a stranger goes", []action.Action{act(action.RemoveMember, action.Args{Actor: "delta"})}, "neither a member", nil, ""},
		{"a participant goes as a member", []action.Action{act(action.RemoveMember, action.Args{Actor: "guest"})}, "is a participant", nil, ""},
		{"all shares are needed", []action.Action{act(action.RemoveMember, action.Args{Actor: "gamma"}), act(action.RemoveMember, action.Args{Actor: "beta"})}, "shares.threshold", nil, ""},
		{"with another threshold", []action.Action{act(action.RemoveMember, action.Args{Actor: "gamma"}), act(action.RemoveMember, action.Args{Actor: "beta"}), act(action.Set, action.Args{Setting: "shares.threshold", Value: "1"})}, "", []EffectKind{ActorRemoved, ActorRemoved, SettingChanged, NodeRetired, EpochRotated}, "neither a member"},
		{"a participant", []action.Action{act(action.AddParticipant, action.Args{Name: "delta", Certificate: delta.cert.Raw})}, "", []EffectKind{ActorAdded}, "is a participant already"},
		{"a participant and its node", []action.Action{act(action.AddParticipant, action.Args{Name: "delta", Certificate: delta.cert.Raw}), act(action.AddNode, action.Args{Owner: "delta", Address: "d:1"})}, "", []EffectKind{ActorAdded, PlaceAdmitted}, "action 1"},
		{"a participant goes", []action.Action{act(action.RemoveParticipant, action.Args{Actor: "guest"})}, "", []EffectKind{ActorRemoved}, "neither a member"},
		{"a member goes as a participant", []action.Action{act(action.RemoveParticipant, action.Args{Actor: "beta"})}, "is a member", nil, ""},
		{"a certificate", []action.Action{act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: renewed.cert.Raw})}, "", []EffectKind{ActorChanged}, "has this certificate already"},
		{"a certificate of another", []action.Action{act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: guest.cert.Raw})}, "the same as", nil, ""},
		{"a stranger's certificate", []action.Action{act(action.AddCertificate, action.Args{Actor: "delta", Certificate: delta.cert.Raw})}, "neither a member", nil, ""},
		{"the last certificate goes", []action.Action{act(action.RemoveCertificate, action.Args{Actor: "alpha", Certificate: alpha.cert.Raw})}, "only certificate", nil, ""},
		{"a certificate that is not there", []action.Action{act(action.RemoveCertificate, action.Args{Actor: "alpha", Certificate: renewed.cert.Raw})}, "does not have this certificate", nil, ""},
		{"a certificate is exchanged", []action.Action{act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: renewed.cert.Raw}), act(action.RemoveCertificate, action.Args{Actor: "alpha", Certificate: alpha.cert.Raw})}, "", []EffectKind{ActorChanged, ActorChanged}, "already"},
		{"a place", []action.Action{act(action.AddNode, action.Args{Owner: "guest", Address: "g:1"})}, "", []EffectKind{PlaceAdmitted}, "is admitted already"},
		{"a place of a node", []action.Action{act(action.AddNode, action.Args{Node: b.ID.String()})}, "", []EffectKind{PlaceAdmitted}, "is admitted already"},
		{"a stranger's place", []action.Action{act(action.AddNode, action.Args{Owner: "delta", Address: "g:1"})}, "neither a member", nil, ""},
		{"no address", []action.Action{act(action.AddNode, action.Args{Owner: "guest", Address: "g"})}, "host:port", nil, ""},
		{"an unknown node", []action.Action{act(action.AddNode, action.Args{Node: coco.NodeID{1}.String()})}, "not in the node list", nil, ""},
		{"a node goes", []action.Action{act(action.RemoveNode, action.Args{Node: b.ID.String()})}, "", []EffectKind{PlaceRemoved, NodeRetired}, "nor is one admitted"},
		{"a node that is not there", []action.Action{act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:2"})}, "nor is one admitted", nil, ""},
		{"all nodes go", []action.Action{act(action.RemoveNode, action.Args{Node: b.ID.String()}), act(action.RemoveNode, action.Args{Node: first.ID.String()})}, "no node would be left", nil, ""},
		{"code", []action.Action{addCode(otherCode)}, "", []EffectKind{CodeAdded}, "in the code manifest already"},
		{"code of no platform", []action.Action{addCode("snp:00")}, "not in the TEE manifest", nil, ""},
		{"no measurement", []action.Action{addCode("virtual:XY")}, "hexadecimal", nil, ""},
		{"an upgrade", []action.Action{act(action.Upgrade, action.Args{Measurement: string(otherCode), Note: "2", Replaces: string(testCode)})}, "", []EffectKind{CodeAdded}, "in the code manifest already"},
		{"an upgrade of nothing", []action.Action{act(action.Upgrade, action.Args{Measurement: string(otherCode), Note: "2", Replaces: "virtual:00"})}, "not in the code manifest", nil, ""},
		{"unlisted code goes", []action.Action{act(action.RemoveCode, action.Args{Measurement: string(otherCode)})}, "not in the code manifest", nil, ""},
		{"the code of all nodes goes", []action.Action{addCode(otherCode), act(action.RemoveCode, action.Args{Measurement: string(testCode)})}, "no node would be left", nil, ""},
		{"a platform", []action.Action{act(action.SetTEE, action.Args{Platform: "snp", TEEPolicy: `{"minimum_security_version":3}`})}, "", []EffectKind{TEESet}, "it is so already"},
		{"a platform changes", []action.Action{act(action.SetTEE, action.Args{Platform: virtual.Platform, Debug: true})}, "", []EffectKind{TEESet}, "it is so already"},
		{"an unlisted platform goes", []action.Action{act(action.SetTEE, action.Args{Platform: "snp", Remove: true})}, "not in the TEE manifest", nil, ""},
		{"the platform of code goes", []action.Action{act(action.SetTEE, action.Args{Platform: "snp"}), act(action.SetTEE, action.Args{Platform: virtual.Platform, Remove: true})}, "not in the TEE manifest", nil, ""},
		{"a policy", []action.Action{act(action.SetPolicy, action.Args{Policy: "add_code", Expression: policy.Unanimous})}, "", []EffectKind{PolicySet}, "it is so already"},
		{"a policy that says nothing", []action.Action{act(action.SetPolicy, action.Args{Policy: "add_code", Expression: "votes"})}, "bool", nil, ""},
		{"a policy that locks out", []action.Action{act(action.SetPolicy, action.Args{Policy: "default", Expression: "votes.yes > 3"})}, action.ForceSentence, nil, ""},
		{"a policy that locks out all the same", []action.Action{act(action.SetPolicy, action.Args{Policy: "default", Expression: "votes.yes > 3", Force: true})}, "", []EffectKind{PolicySet}, "it is so already"},
		{"members too few for a policy", []action.Action{act(action.SetPolicy, action.Args{Policy: "default", Expression: "votes.yes > 2"}), act(action.RemoveMember, action.Args{Actor: "gamma"})}, action.ForceSentence, nil, ""},
		{"a policy that is not there goes", []action.Action{act(action.RemovePolicy, action.Args{Policy: "add_code"})}, "there is no policy", nil, ""},
		{"the default goes", []action.Action{act(action.RemovePolicy, action.Args{Policy: "default"})}, "every constitution has", nil, ""},
		{"a policy comes and goes", []action.Action{act(action.SetPolicy, action.Args{Policy: "upgrade", Expression: policy.OneOfN}), act(action.RemovePolicy, action.Args{Policy: "upgrade"})}, "", []EffectKind{PolicySet, PolicyRemoved}, ""},
		{"a limit", []action.Action{act(action.Set, action.Args{Setting: "limits.queue", Value: "7"})}, "", []EffectKind{SettingChanged}, "it is so already"},
		{"a limit of nothing", []action.Action{act(action.Set, action.Args{Setting: "limits.queue", Value: "0"})}, "expected 1 to", nil, ""},
		{"a limit in words", []action.Action{act(action.Set, action.Args{Setting: "limits.queue", Value: `"7"`})}, "whole number", nil, ""},
		{"an unknown limit", []action.Action{act(action.Set, action.Args{Setting: "limits.cue", Value: "7"})}, "unknown setting", nil, ""},
		{"no snapshots", []action.Action{act(action.Set, action.Args{Setting: "snapshots.seconds", Value: "0"})}, "", []EffectKind{SettingChanged}, "it is so already"},
		{"snapshots all the time", []action.Action{act(action.Set, action.Args{Setting: "snapshots.bytes", Value: "1"})}, "0 for never", nil, ""},
		{"the threshold", []action.Action{act(action.Set, action.Args{Setting: "shares.threshold", Value: "3"})}, "", []EffectKind{SettingChanged, EpochRotated}, "it is so already"},
		{"too high a threshold", []action.Action{act(action.Set, action.Args{Setting: "shares.threshold", Value: "4"})}, "1 to 3", nil, ""},
		{"rules that are not known", []action.Action{act(action.Set, action.Args{Setting: "rules", Value: "2"})}, "expected 1 to 1", nil, ""},
		{"the same rules", []action.Action{act(action.Set, action.Args{Setting: "rules", Value: "1"})}, "it is so already", nil, ""},
		{"what cannot change", []action.Action{act(action.Set, action.Args{Setting: "network.insecure", Value: "false"})}, "cannot change", nil, ""},
		{"chunks", []action.Action{act(action.Set, action.Args{Setting: "ledger.chunk_bytes", Value: "65536"})}, "cannot change", nil, ""},
		{"members by set", []action.Action{act(action.Set, action.Args{Setting: "members.alpha.weight", Value: "9"})}, "there are actions for it", nil, ""},
		{"an unknown section", []action.Action{act(action.Set, action.Args{Setting: "weather", Value: "9"})}, "unknown setting", nil, ""},
		{"an adapter's setting", []action.Action{act(action.Set, action.Args{Setting: "adapters.kv.max", Value: "6"})}, "", []EffectKind{SettingChanged}, "it is so already"},
		{"an adapter's new setting", []action.Action{act(action.Set, action.Args{Setting: "adapters.kv.a.b", Value: `{"c":[1,"x"]}`})}, "", []EffectKind{SettingChanged}, "it is so already"},
		{"below what is no table", []action.Action{act(action.Set, action.Args{Setting: "adapters.kv.max.x", Value: "6"})}, "not a table", nil, ""},
		{"what one adapter would not change", []action.Action{act(action.Set, action.Args{Setting: "adapters.kv.chain_id", Value: "6"})}, "", []EffectKind{SettingChanged}, "it is so already"},
		{"another adapter", []action.Action{act(action.Set, action.Args{Setting: "adapters.other.max", Value: "6"})}, "began without", nil, ""},
		{"a whole adapter", []action.Action{act(action.Set, action.Args{Setting: "adapters.kv", Value: "{}"})}, "name of a setting", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := present.Constitution.Digest()
			next, effects, err := Apply(present, c.actions)
			if present.Constitution.Digest() != old || present.Constitution.Version != 1 {
				t.Fatal("the old constitution has changed")
			}
			if c.refused != "" {
				if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("error %v, expected %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var kinds []EffectKind
			for _, e := range effects {
				kinds = append(kinds, e.Kind)
			}
			if !slices.Equal(kinds, c.effects) {
				t.Errorf("effects %v, expected %v", kinds, c.effects)
			}
			again, err := ParseConstitution(next.TOML())
			if err != nil || again.Digest() != next.Digest() {
				t.Errorf("the page does not come back: %v\n%s", err, next.TOML())
			}
			if c.twice == "" {
				return
			}
			// Once more, on what has come of it.
			then := Present{Constitution: next, Now: present.Now}
			for _, rec := range present.Nodes {
				if !slices.ContainsFunc(effects, func(e Effect) bool { return e.Kind == NodeRetired && e.Node == rec.ID }) {
					then.Nodes = append(then.Nodes, rec)
				}
			}
			for _, e := range effects {
				if e.Kind == PlaceAdmitted || e.Kind == PlaceRemoved {
					then.Places = append(then.Places, PlaceRecord{Owner: e.Actor, Address: e.Address, Removed: e.Kind == PlaceRemoved})
				}
			}
			if strings.Contains(c.twice, "nor is one") { // its record tells where it was
				for _, rec := range present.Nodes {
					rec.State = Retired
					then.Nodes = append(then.Nodes, rec)
				}
			}
			if _, _, err := Apply(then, c.actions); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.twice) {
				t.Errorf("twice: error %v, expected %q", err, c.twice)
			}
		})
	}
}

// TestAnActorKeepsItsIdentity: other certificates, the same actor.
func TestAnActorKeepsItsIdentity(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	alpha, renewed := n.members[0], issue(t, "alpha", nil, true, nil)
	n.decide(
		act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: renewed.cert.Raw}),
		act(action.RemoveCertificate, action.Args{Actor: "alpha", Certificate: alpha.cert.Raw}),
	)
	c := n.load()
	m, ok := c.Member(alpha.actor())
	if !ok || m.Name != "alpha" || string(m.Certificate) != string(renewed.cert.Raw) {
		t.Fatalf("member %+v", m)
	}
	if s := n.states(); s[first.ID] != Trusted {
		t.Error("its node was retired")
	}
	if _, err := n.submit(n.signProposal(alpha, addCode(otherCode))); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("by the old certificate: error %v, expected coco.ErrDenied", err)
	}
	out, err := n.submit(n.signProposal(renewed, addCode(otherCode)))
	if err != nil {
		t.Fatal(err)
	}
	n.read(func(r store.Reader) {
		if rec, err := Proposal(r, out.ID); err != nil || rec.Proposer != alpha.actor() {
			t.Errorf("proposer %s, expected alpha (%v)", rec.Proposer.Short(), err)
		}
	})
	n.audited(first)
}

// TestAnActionFailsIfItsTimeHasPassed: it was possible when proposed, and is not when decided.
func TestAnActionFailsIfItsTimeHasPassed(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	one, two := n.propose(n.members[0], addCode(otherCode)), n.propose(n.members[1], addCode(otherCode))
	n.vote(n.members[0], one.ID, "yes")
	n.vote(n.members[1], one.ID, "yes")
	n.vote(n.members[0], two.ID, "yes")
	out := n.vote(n.members[1], two.ID, "yes")
	if out.State != Failed || !strings.Contains(out.Reason.String(), "in the code manifest already") || out.Version != 2 {
		t.Errorf("outcome %+v", out)
	}
	n.audited(first)
}

func TestPoliciesDecideOnTheirOwnReplacement(t *testing.T) {
	n := newNetwork(t)
	n.c.Policies = map[string]string{"add_code": policy.Unanimous, "remove_code": "votes.yes > 99"}
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.genesis()
	weaker := n.propose(n.members[0], act(action.SetPolicy, action.Args{Policy: "add_code", Expression: policy.OneOfN}))
	upgrade := n.propose(n.members[0], act(action.Upgrade, action.Args{Measurement: string(otherCode), Note: "2"}))
	never := n.propose(n.members[0], act(action.SetPolicy, action.Args{Policy: "remove_code", Expression: policy.Majority}))
	for i, m := range n.members {
		for _, p := range []Outcome{weaker, upgrade} {
			want := Open
			if i == 2 {
				want = Accepted
			}
			if out := n.vote(m, p.ID, "yes"); out.State != want {
				t.Errorf("%s with %d of three votes, expected %s", out.State, i+1, want)
			}
		}
		if i < 2 {
			if out := n.vote(m, never.ID, "yes"); i == 1 && out.State != Accepted {
				t.Errorf("%+v: a policy that nobody can meet stays for ever", out)
			}
		}
	}
	n.audited(first)
}

func TestASimulationSaysWhoIsNeeded(t *testing.T) {
	n := newNetwork(t)
	n.c.Members[2].Weight = 5
	n.c.Policies = map[string]string{"add_code": policy.Weighted, "remove_node": policy.Veto}
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	n.genesis()
	n.admit(n.node(n.members[1], "b:1"))
	simulate := func(a action.Action) (s *Simulation) {
		t.Helper()
		n.read(func(r store.Reader) {
			var err error
			if s, err = Simulate(r, []action.Action{a}, n.members[1].actor(), n.ms()); err != nil {
				t.Fatal(err)
			}
		})
		return s
	}
	s := simulate(addCode(otherCode))
	if s.Automatic || s.Silent || !s.Possible || !slices.Equal(s.Enough, []string{"gamma"}) || !slices.Equal(s.ByYes, []bool{false, false, false, true}) {
		t.Errorf("%+v", s)
	}
	if s.Policies[0] != (PolicyUse{"add_code", "add_code", policy.Weighted}) || s.After.Version != 2 || s.Before.Version != 1 {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		yes, no []string
		want    ProposalState
	}{
		{nil, nil, Open}, {[]string{"gamma"}, []string{"alpha"}, Accepted}, {[]string{"alpha"}, []string{"gamma"}, Rejected},
	} {
		if state, err := s.With(c.yes, c.no, false); err != nil || state != c.want {
			t.Errorf("%v and %v: %s, expected %s (%v)", c.yes, c.no, state, c.want, err)
		}
	}
	if _, err := s.With([]string{"guest"}, nil, false); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a participant's vote: error %v", err)
	}
	s = simulate(act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1"}))
	if s.Automatic || !s.Silent || !s.Possible || s.ByYes[3] || len(s.Enough) > 0 {
		t.Errorf("a veto: %+v", s)
	}
	if s := simulate(act(action.AddNode, action.Args{Owner: "alpha", Address: "a:9"})); !s.Automatic {
		t.Errorf("a member's node: %+v", s)
	}
	n.read(func(r store.Reader) {
		if _, err := Simulate(r, []action.Action{addCode(testCode)}, n.members[0].actor(), n.ms()); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("error %v, expected coco.ErrInvalid", err)
		}
	})
}

func TestEveryVersionIsKept(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	versions := []*Constitution{n.load()}
	for _, a := range []action.Action{
		act(action.Set, action.Args{Setting: "adapters.kv.max", Value: "6"}),
		addCode(otherCode),
		act(action.Set, action.Args{Setting: "adapters.kv.max", Value: "7"}),
		act(action.RemoveParticipant, action.Args{Actor: "guest"}),
	} {
		n.decide(a)
		versions = append(versions, n.load())
	}
	n.read(func(r store.Reader) {
		for i, want := range versions {
			got, err := ConstitutionAt(r, uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			if got.Version != uint64(i+1) || got.Digest() != want.Digest() || string(got.TOML()) != string(want.TOML()) {
				t.Errorf("version %d is\n%s\nexpected\n%s", i+1, got.TOML(), want.TOML())
			}
		}
	})
	if got := string(n.load().Settings("kv")); !strings.Contains(got, `"max":7`) {
		t.Errorf("settings %s", got)
	}
	n.audited(first)
}

func TestAnAdapterRefusesSettingsWhenTheyAreProposed(t *testing.T) {
	n := newNetwork(t)
	n.genesis()
	asked := ""
	submit := func(value string) error {
		raw := n.signProposal(n.members[0], act(action.Set, action.Args{Setting: "adapters.kv.max", Value: value}))
		return n.transact(func(tx *store.Tx) error {
			_, err := Submit(tx, raw, Env{CheckSettings: func(adapter string, old, settings []byte) error {
				asked = adapter + string(old) + string(settings)
				if strings.Contains(asked, "many") {
					return errors.New("max: expected a number")
				}
				return nil
			}})
			return err
		})
	}
	if err := submit(`"many"`); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "max: expected a number") {
		t.Errorf("error %v", err)
	}
	if err := submit("9"); err != nil || asked != `kv{"max":5,"names":["x","y"]}{"max":9,"names":["x","y"]}` {
		t.Errorf("asked about %s (%v)", asked, err)
	}
}
