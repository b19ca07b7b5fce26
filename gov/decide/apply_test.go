package decide_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// TestEveryAction applies each kind of action: what it changes, what is refused, and that it cannot be applied
// twice. The constitution is that of newNetwork with a second node, of beta.
func TestEveryAction(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	b := n.Node(n.Members[1], "b:1")
	n.Admit(b)
	delta, renewed := govtest.Issue(t, "delta", nil, true, nil), govtest.Issue(t, "alpha again", nil, true, nil)
	alpha, guest := n.Members[0], n.Guest
	member := action.Args{Name: "delta", Certificate: delta.Cert.Raw, EncryptionKey: delta.Encryption.Public()}
	var present decide.Present
	n.Read(func(r store.Reader) {
		present.Now = n.Ms()
		var err error
		if present.Constitution, err = table.LoadConstitution(r); err != nil {
			t.Fatal(err)
		}
		if present.Nodes, err = table.TrustedNodes(r); err != nil {
			t.Fatal(err)
		}
	})
	for _, c := range []struct {
		name    string
		actions []action.Action
		refused string // the error, or
		effects []decide.EffectKind
		twice   string // the error when it is applied again
	}{
		{"a member", []action.Action{govtest.Act(action.AddMember, member)}, "", []decide.EffectKind{decide.ActorAdded, decide.EpochRotated}, "is a member already"},
		{"a member of another's name", []action.Action{govtest.Act(action.AddMember, action.Args{Name: "beta", Certificate: delta.Cert.Raw, EncryptionKey: delta.Encryption.Public()})}, "is the name of", nil, ""},
		{"a member of another's key", []action.Action{govtest.Act(action.AddMember, action.Args{Name: "delta", Certificate: govtest.Again(t, alpha).Raw, EncryptionKey: delta.Encryption.Public()})}, "the same key", nil, ""},
		{"a member of another's encryption key", []action.Action{govtest.Act(action.AddMember, action.Args{Name: "delta", Certificate: delta.Cert.Raw, EncryptionKey: alpha.Encryption.Public()})}, "needs a key of its own", nil, ""},
		{"a member that is there", []action.Action{govtest.Act(action.AddMember, action.Args{Name: "x", Certificate: alpha.Cert.Raw, EncryptionKey: delta.Encryption.Public()})}, "is a member already", nil, ""},
		{"a member that is a participant", []action.Action{govtest.Act(action.AddMember, action.Args{Name: "guest", Certificate: guest.Cert.Raw, EncryptionKey: guest.Encryption.Public()})}, "is a participant already", nil, ""},
		{"a participant becomes a member", []action.Action{govtest.Act(action.RemoveParticipant, action.Args{Actor: "guest"}), govtest.Act(action.AddMember, action.Args{Name: "guest", Certificate: guest.Cert.Raw, EncryptionKey: guest.Encryption.Public()})}, "", []decide.EffectKind{decide.ActorRemoved, decide.ActorAdded, decide.EpochRotated}, "action 1"},
		{"a member goes", []action.Action{govtest.Act(action.RemoveMember, action.Args{Actor: b.Owner.String(), Unbalanced: true})}, "", []decide.EffectKind{decide.ActorRemoved, decide.NodeRetired, decide.EpochRotated}, "neither a member"},
		{"a stranger goes", []action.Action{govtest.Act(action.RemoveMember, action.Args{Actor: "delta"})}, "neither a member", nil, ""},
		{"a participant goes as a member", []action.Action{govtest.Act(action.RemoveMember, action.Args{Actor: "guest"})}, "is a participant", nil, ""},
		{"all shares are needed", []action.Action{govtest.Act(action.RemoveMember, action.Args{Actor: "gamma"}), govtest.Act(action.RemoveMember, action.Args{Actor: "beta"})}, "shares.threshold", nil, ""},
		{"with another threshold", []action.Action{govtest.Act(action.RemoveMember, action.Args{Actor: "gamma"}), govtest.Act(action.RemoveMember, action.Args{Actor: "beta"}), govtest.Act(action.Set, action.Args{Setting: "shares.threshold", Value: "1"})}, "", []decide.EffectKind{decide.ActorRemoved, decide.ActorRemoved, decide.SettingChanged, decide.NodeRetired, decide.EpochRotated}, "neither a member"},
		{"a participant", []action.Action{govtest.Act(action.AddParticipant, action.Args{Name: "delta", Certificate: delta.Cert.Raw})}, "", []decide.EffectKind{decide.ActorAdded}, "is a participant already"},
		{"a participant and its node", []action.Action{govtest.Act(action.AddParticipant, action.Args{Name: "delta", Certificate: delta.Cert.Raw}), govtest.Act(action.AddNode, action.Args{Owner: "delta", Address: "d:1"})}, "", []decide.EffectKind{decide.ActorAdded, decide.PlaceAdmitted}, "action 1"},
		{"a participant goes", []action.Action{govtest.Act(action.RemoveParticipant, action.Args{Actor: "guest"})}, "", []decide.EffectKind{decide.ActorRemoved}, "neither a member"},
		{"a member goes as a participant", []action.Action{govtest.Act(action.RemoveParticipant, action.Args{Actor: "beta"})}, "is a member", nil, ""},
		{"a certificate", []action.Action{govtest.Act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: renewed.Cert.Raw})}, "", []decide.EffectKind{decide.ActorChanged}, "has this certificate already"},
		{"a certificate of another", []action.Action{govtest.Act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: guest.Cert.Raw})}, "the same as", nil, ""},
		{"a stranger's certificate", []action.Action{govtest.Act(action.AddCertificate, action.Args{Actor: "delta", Certificate: delta.Cert.Raw})}, "neither a member", nil, ""},
		{"the last certificate goes", []action.Action{govtest.Act(action.RemoveCertificate, action.Args{Actor: "alpha", Certificate: alpha.Cert.Raw})}, "only certificate", nil, ""},
		{"a certificate that is not there", []action.Action{govtest.Act(action.RemoveCertificate, action.Args{Actor: "alpha", Certificate: renewed.Cert.Raw})}, "does not have this certificate", nil, ""},
		{"a certificate is exchanged", []action.Action{govtest.Act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: renewed.Cert.Raw}), govtest.Act(action.RemoveCertificate, action.Args{Actor: "alpha", Certificate: alpha.Cert.Raw})}, "", []decide.EffectKind{decide.ActorChanged, decide.ActorChanged}, "already"},
		{"a place", []action.Action{govtest.Act(action.AddNode, action.Args{Owner: "guest", Address: "g:1"})}, "", []decide.EffectKind{decide.PlaceAdmitted}, "is admitted already"},
		{"a place of a node", []action.Action{govtest.Act(action.AddNode, action.Args{Node: b.ID.String()})}, "", []decide.EffectKind{decide.PlaceAdmitted}, "is admitted already"},
		{"a stranger's place", []action.Action{govtest.Act(action.AddNode, action.Args{Owner: "delta", Address: "g:1"})}, "neither a member", nil, ""},
		{"no address", []action.Action{govtest.Act(action.AddNode, action.Args{Owner: "guest", Address: "g"})}, "host:port", nil, ""},
		{"an unknown node", []action.Action{govtest.Act(action.AddNode, action.Args{Node: coco.NodeID{1}.String()})}, "not in the node list", nil, ""},
		{"a node goes", []action.Action{govtest.Act(action.RemoveNode, action.Args{Node: b.ID.String(), Unbalanced: true})}, "", []decide.EffectKind{decide.PlaceRemoved, decide.NodeRetired}, "nor is one admitted"},
		{"a node that is not there", []action.Action{govtest.Act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:2"})}, "nor is one admitted", nil, ""},
		{"all nodes go", []action.Action{govtest.Act(action.RemoveNode, action.Args{Node: b.ID.String()}), govtest.Act(action.RemoveNode, action.Args{Node: first.ID.String()})}, "no node would be left", nil, ""},
		{"code", []action.Action{govtest.AddCode(govtest.OtherCode)}, "", []decide.EffectKind{decide.CodeAdded}, "in the code manifest already"},
		{"code of no platform", []action.Action{govtest.AddCode("snp:00")}, "not in the TEE manifest", nil, ""},
		{"no measurement", []action.Action{govtest.AddCode("virtual:XY")}, "hexadecimal", nil, ""},
		{"an upgrade", []action.Action{govtest.Act(action.Upgrade, action.Args{Measurement: string(govtest.OtherCode), Note: "2", Replaces: string(govtest.TestCode)})}, "", []decide.EffectKind{decide.CodeAdded}, "in the code manifest already"},
		{"an upgrade of nothing", []action.Action{govtest.Act(action.Upgrade, action.Args{Measurement: string(govtest.OtherCode), Note: "2", Replaces: "virtual:00"})}, "not in the code manifest", nil, ""},
		{"unlisted code goes", []action.Action{govtest.Act(action.RemoveCode, action.Args{Measurement: string(govtest.OtherCode)})}, "not in the code manifest", nil, ""},
		{"the code of all nodes goes", []action.Action{govtest.AddCode(govtest.OtherCode), govtest.Act(action.RemoveCode, action.Args{Measurement: string(govtest.TestCode)})}, "no node would be left", nil, ""},
		{"a platform", []action.Action{govtest.Act(action.SetTEE, action.Args{Platform: "snp", TEEPolicy: `{"minimum_security_version":3}`})}, "", []decide.EffectKind{decide.TEESet}, "it is so already"},
		{"a platform changes", []action.Action{govtest.Act(action.SetTEE, action.Args{Platform: virtual.Platform, Debug: true})}, "", []decide.EffectKind{decide.TEESet}, "it is so already"},
		{"an unlisted platform goes", []action.Action{govtest.Act(action.SetTEE, action.Args{Platform: "snp", Remove: true})}, "not in the TEE manifest", nil, ""},
		{"the platform of code goes", []action.Action{govtest.Act(action.SetTEE, action.Args{Platform: "snp"}), govtest.Act(action.SetTEE, action.Args{Platform: virtual.Platform, Remove: true})}, "not in the TEE manifest", nil, ""},
		{"a policy", []action.Action{govtest.Act(action.SetPolicy, action.Args{Policy: "add_code", Expression: policy.Unanimous})}, "", []decide.EffectKind{decide.PolicySet}, "it is so already"},
		{"a policy that says nothing", []action.Action{govtest.Act(action.SetPolicy, action.Args{Policy: "add_code", Expression: "votes"})}, "bool", nil, ""},
		{"a policy that locks out", []action.Action{govtest.Act(action.SetPolicy, action.Args{Policy: "default", Expression: "votes.yes > 3"})}, action.ForceSentence, nil, ""},
		{"a policy that locks out all the same", []action.Action{govtest.Act(action.SetPolicy, action.Args{Policy: "default", Expression: "votes.yes > 3", Force: true})}, "", []decide.EffectKind{decide.PolicySet}, "it is so already"},
		{"members too few for a policy", []action.Action{govtest.Act(action.SetPolicy, action.Args{Policy: "default", Expression: "votes.yes > 2"}), govtest.Act(action.RemoveMember, action.Args{Actor: "gamma"})}, action.ForceSentence, nil, ""},
		{"a policy that is not there goes", []action.Action{govtest.Act(action.RemovePolicy, action.Args{Policy: "add_code"})}, "there is no policy", nil, ""},
		{"the default goes", []action.Action{govtest.Act(action.RemovePolicy, action.Args{Policy: "default"})}, "every constitution has", nil, ""},
		{"a policy comes and goes", []action.Action{govtest.Act(action.SetPolicy, action.Args{Policy: "upgrade", Expression: policy.OneOfN}), govtest.Act(action.RemovePolicy, action.Args{Policy: "upgrade"})}, "", []decide.EffectKind{decide.PolicySet, decide.PolicyRemoved}, ""},
		{"a limit", []action.Action{govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "7"})}, "", []decide.EffectKind{decide.SettingChanged}, "it is so already"},
		{"a limit of nothing", []action.Action{govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "0"})}, "expected 1 to", nil, ""},
		{"a limit in words", []action.Action{govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: `"7"`})}, "whole number", nil, ""},
		{"an unknown limit", []action.Action{govtest.Act(action.Set, action.Args{Setting: "limits.cue", Value: "7"})}, "unknown setting", nil, ""},
		{"no snapshots", []action.Action{govtest.Act(action.Set, action.Args{Setting: "snapshots.seconds", Value: "0"})}, "", []decide.EffectKind{decide.SettingChanged}, "it is so already"},
		{"snapshots all the time", []action.Action{govtest.Act(action.Set, action.Args{Setting: "snapshots.bytes", Value: "1"})}, "0 for never", nil, ""},
		{"secrets that hardly last", []action.Action{govtest.Act(action.Set, action.Args{Setting: "keys.retention_seconds", Value: "1"})}, "expected 60 to 315360000, or 0 for ever, found 1", nil, ""},
		{"reads that hardly last", []action.Action{govtest.Act(action.Set, action.Args{Setting: "reads.stale_seconds", Value: "1"})}, "expected 5 to 2592000, or 0 for none, found 1", nil, ""},
		{"the threshold", []action.Action{govtest.Act(action.Set, action.Args{Setting: "shares.threshold", Value: "3"})}, "", []decide.EffectKind{decide.SettingChanged, decide.EpochRotated}, "it is so already"},
		{"too high a threshold", []action.Action{govtest.Act(action.Set, action.Args{Setting: "shares.threshold", Value: "4"})}, "1 to 3", nil, ""},
		{"rules that are not known", []action.Action{govtest.Act(action.Set, action.Args{Setting: "rules", Value: "4"})}, "expected 3, the newest rules of this program, found 4", nil, ""},
		{"the same rules", []action.Action{govtest.Act(action.Set, action.Args{Setting: "rules", Value: "3"})}, "it is so already", nil, ""},
		{"what cannot change", []action.Action{govtest.Act(action.Set, action.Args{Setting: "network.insecure", Value: "false"})}, "cannot change", nil, ""},
		{"chunks", []action.Action{govtest.Act(action.Set, action.Args{Setting: "ledger.chunk_bytes", Value: "65536"})}, "cannot change", nil, ""},
		{"members by set", []action.Action{govtest.Act(action.Set, action.Args{Setting: "members.alpha.weight", Value: "9"})}, "there are actions for it", nil, ""},
		{"an unknown section", []action.Action{govtest.Act(action.Set, action.Args{Setting: "weather", Value: "9"})}, "voting.*", nil, ""},
		{"an adapter's setting", []action.Action{govtest.Act(action.Set, action.Args{Setting: "adapters.kv.max", Value: "6"})}, "", []decide.EffectKind{decide.SettingChanged}, "it is so already"},
		{"an adapter's new setting", []action.Action{govtest.Act(action.Set, action.Args{Setting: "adapters.kv.a.b", Value: `{"c":[1,"x"]}`})}, "", []decide.EffectKind{decide.SettingChanged}, "it is so already"},
		{"below what is no table", []action.Action{govtest.Act(action.Set, action.Args{Setting: "adapters.kv.max.x", Value: "6"})}, "not a table", nil, ""},
		{"what one adapter would not change", []action.Action{govtest.Act(action.Set, action.Args{Setting: "adapters.kv.chain_id", Value: "6"})}, "", []decide.EffectKind{decide.SettingChanged}, "it is so already"},
		{"another adapter", []action.Action{govtest.Act(action.Set, action.Args{Setting: "adapters.other.max", Value: "6"})}, "began without", nil, ""},
		{"a whole adapter", []action.Action{govtest.Act(action.Set, action.Args{Setting: "adapters.kv", Value: "{}"})}, "name of a setting", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := present.Constitution.Digest()
			next, effects, err := decide.Apply(present, c.actions)
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
			var kinds []decide.EffectKind
			for _, e := range effects {
				kinds = append(kinds, e.Kind)
			}
			if !slices.Equal(kinds, c.effects) {
				t.Errorf("effects %v, expected %v", kinds, c.effects)
			}
			again, err := constitution.Parse(next.TOML())
			if err != nil || again.Digest() != next.Digest() {
				t.Errorf("the page does not come back: %v\n%s", err, next.TOML())
			}
			if c.twice == "" {
				return
			}
			// Once more, on what has come of it.
			then := decide.Present{Constitution: next, Now: present.Now}
			for _, rec := range present.Nodes {
				if !slices.ContainsFunc(effects, func(e decide.Effect) bool { return e.Kind == decide.NodeRetired && e.Node == rec.ID }) {
					then.Nodes = append(then.Nodes, rec)
				}
			}
			for _, e := range effects {
				if e.Kind == decide.PlaceAdmitted || e.Kind == decide.PlaceRemoved {
					then.Places = append(then.Places, table.PlaceRecord{Owner: e.Actor, Address: e.Address, Removed: e.Kind == decide.PlaceRemoved})
				}
			}
			if strings.Contains(c.twice, "nor is one") { // its record tells where it was
				for _, rec := range present.Nodes {
					rec.State = table.Retired
					then.Nodes = append(then.Nodes, rec)
				}
			}
			if _, _, err := decide.Apply(then, c.actions); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.twice) {
				t.Errorf("twice: error %v, expected %q", err, c.twice)
			}
		})
	}
}

// TestAnActorKeepsItsIdentity: other certificates, the same actor.
func TestAnActorKeepsItsIdentity(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	alpha, renewed := n.Members[0], govtest.Issue(t, "alpha", nil, true, nil)
	n.Decide(
		govtest.Act(action.AddCertificate, action.Args{Actor: "alpha", Certificate: renewed.Cert.Raw}),
		govtest.Act(action.RemoveCertificate, action.Args{Actor: "alpha", Certificate: alpha.Cert.Raw}),
	)
	c := n.Load()
	m, ok := c.Member(alpha.Actor())
	if !ok || m.Name != "alpha" || string(m.Certificate) != string(renewed.Cert.Raw) {
		t.Fatalf("member %+v", m)
	}
	if s := n.States(); s[first.ID] != table.Trusted {
		t.Error("its node was retired")
	}
	if _, err := n.Submit(n.SignProposal(alpha, govtest.AddCode(govtest.OtherCode))); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("by the old certificate: error %v, expected coco.ErrDenied", err)
	}
	out, err := n.Submit(n.SignProposal(renewed, govtest.AddCode(govtest.OtherCode)))
	if err != nil {
		t.Fatal(err)
	}
	n.Read(func(r store.Reader) {
		if rec, err := table.Proposal(r, out.ID); err != nil || rec.Proposer != alpha.Actor() {
			t.Errorf("proposer %s, expected alpha (%v)", rec.Proposer.Short(), err)
		}
	})
	n.Audited(first)
}

// TestAnActionFailsIfItsTimeHasPassed: it was possible when proposed, and is not when decided.
func TestAnActionFailsIfItsTimeHasPassed(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	one, two := n.Propose(n.Members[0], govtest.AddCode(govtest.OtherCode)), n.Propose(n.Members[1], govtest.AddCode(govtest.OtherCode))
	n.Vote(n.Members[0], one.ID, "yes")
	n.Vote(n.Members[1], one.ID, "yes")
	n.Vote(n.Members[0], two.ID, "yes")
	out := n.Vote(n.Members[1], two.ID, "yes")
	if out.State != table.Failed || !strings.Contains(out.Reason.String(), "in the code manifest already") || out.Version != 2 {
		t.Errorf("outcome %+v", out)
	}
	n.Audited(first)
}

func TestPoliciesDecideOnTheirOwnReplacement(t *testing.T) {
	n := govtest.New(t)
	n.C.Policies = map[string]string{"add_code": policy.Unanimous, "remove_code": "votes.yes > 99"}
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	weaker := n.Propose(n.Members[0], govtest.Act(action.SetPolicy, action.Args{Policy: "add_code", Expression: policy.OneOfN}))
	upgrade := n.Propose(n.Members[0], govtest.Act(action.Upgrade, action.Args{Measurement: string(govtest.OtherCode), Note: "2"}))
	never := n.Propose(n.Members[0], govtest.Act(action.SetPolicy, action.Args{Policy: "remove_code", Expression: policy.Majority}))
	for i, m := range n.Members {
		for _, p := range []decide.Outcome{weaker, upgrade} {
			want := table.Open
			if i == 2 {
				want = table.Accepted
			}
			if out := n.Vote(m, p.ID, "yes"); out.State != want {
				t.Errorf("%s with %d of three votes, expected %s", out.State, i+1, want)
			}
		}
		if i < 2 {
			if out := n.Vote(m, never.ID, "yes"); i == 1 && out.State != table.Accepted {
				t.Errorf("%+v: a policy that nobody can meet stays for ever", out)
			}
		}
	}
	n.Audited(first)
}

func TestASimulationSaysWhoIsNeeded(t *testing.T) {
	n := govtest.New(t)
	n.C.Members[2].Weight = 5
	n.C.Policies = map[string]string{"add_code": policy.Weighted, "remove_node": policy.Veto}
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	n.Genesis()
	n.Admit(n.Node(n.Members[1], "b:1"))
	simulate := func(a action.Action) (s *decide.Simulation) {
		t.Helper()
		n.Read(func(r store.Reader) {
			var err error
			if s, err = decide.Simulate(r, []action.Action{a}, n.Members[1].Actor(), n.Ms()); err != nil {
				t.Fatal(err)
			}
		})
		return s
	}
	s := simulate(govtest.AddCode(govtest.OtherCode))
	if s.Automatic || s.Silent || !s.Possible || !slices.Equal(s.Enough, []string{"gamma"}) || !slices.Equal(s.ByYes, []bool{false, false, false, true}) {
		t.Errorf("%+v", s)
	}
	if s.Policies[0] != (decide.PolicyUse{Kind: "add_code", Policy: "add_code", Expression: policy.Weighted}) || s.After.Version != 2 || s.Before.Version != 1 {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		yes, no []string
		want    table.ProposalState
	}{
		{nil, nil, table.Open}, {[]string{"gamma"}, []string{"alpha"}, table.Accepted}, {[]string{"alpha"}, []string{"gamma"}, table.Rejected},
	} {
		if state, err := s.With(c.yes, c.no, false); err != nil || state != c.want {
			t.Errorf("%v and %v: %s, expected %s (%v)", c.yes, c.no, state, c.want, err)
		}
	}
	if _, err := s.With([]string{"guest"}, nil, false); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a participant's vote: error %v", err)
	}
	s = simulate(govtest.Act(action.RemoveNode, action.Args{Owner: "beta", Address: "b:1", Unbalanced: true}))
	if s.Automatic || !s.Silent || !s.Possible || s.ByYes[3] || len(s.Enough) > 0 {
		t.Errorf("a veto: %+v", s)
	}
	if s := simulate(govtest.Act(action.AddNode, action.Args{Owner: "alpha", Address: "a:9"})); !s.Automatic {
		t.Errorf("a member's node: %+v", s)
	}
	n.Read(func(r store.Reader) {
		if _, err := decide.Simulate(r, []action.Action{govtest.AddCode(govtest.TestCode)}, n.Members[0].Actor(), n.Ms()); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("error %v, expected coco.ErrInvalid", err)
		}
	})
}

func TestEveryVersionIsKept(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	versions := []*constitution.Constitution{n.Load()}
	for _, a := range []action.Action{
		govtest.Act(action.Set, action.Args{Setting: "adapters.kv.max", Value: "6"}),
		govtest.AddCode(govtest.OtherCode),
		govtest.Act(action.Set, action.Args{Setting: "adapters.kv.max", Value: "7"}),
		govtest.Act(action.RemoveParticipant, action.Args{Actor: "guest"}),
	} {
		n.Decide(a)
		versions = append(versions, n.Load())
	}
	n.Read(func(r store.Reader) {
		for i, want := range versions {
			got, err := table.ConstitutionAt(r, uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			if got.Version != uint64(i+1) || got.Digest() != want.Digest() || string(got.TOML()) != string(want.TOML()) {
				t.Errorf("version %d is\n%s\nexpected\n%s", i+1, got.TOML(), want.TOML())
			}
		}
	})
	if got := string(n.Load().Settings("kv")); !strings.Contains(got, `"max":7`) {
		t.Errorf("settings %s", got)
	}
	n.Audited(first)
}

func TestAnAdapterRefusesSettingsWhenTheyAreProposed(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	asked := ""
	submit := func(value string) error {
		raw := n.SignProposal(n.Members[0], govtest.Act(action.Set, action.Args{Setting: "adapters.kv.max", Value: value}))
		return n.Transact(func(tx *store.Tx) error {
			_, err := decide.Submit(tx, raw, decide.Env{CheckSettings: func(_ uint64, adapter string, old, settings []byte, _ uint64) error {
				asked = adapter + string(old) + string(settings)
				if strings.Contains(asked, "many") {
					return fmt.Errorf("%w: max: expected a number", coco.ErrInvalid)
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
