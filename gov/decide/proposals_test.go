package decide_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

func TestAMajorityDecidesAtItsDecidingVote(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	before := n.Load()
	out := n.Propose(n.Members[0], govtest.AddCode(govtest.OtherCode))
	if out.State != table.Open || out.Version != 1 || out.Digest != before.Digest() || len(out.Effects) > 0 {
		t.Fatalf("outcome %+v, expected it open and nothing changed", out)
	}
	out = n.Vote(n.Members[0], out.ID, envelope.Yes)
	if out.State != table.Open || n.Load().Digest() != before.Digest() {
		t.Fatalf("outcome %+v after one vote of three", out)
	}
	out = n.Vote(n.Members[2], out.ID, envelope.Yes)
	after := n.Load()
	if out.State != table.Accepted || out.Version != 2 || out.Digest != after.Digest() || after.Version != 2 {
		t.Fatalf("outcome %+v, constitution version %d", out, after.Version)
	}
	if !slices.Contains(after.Measurements(), govtest.OtherCode) || len(out.Effects) != 1 || out.Effects[0].Kind != decide.CodeAdded {
		t.Errorf("effects %+v, code %v", out.Effects, after.Code)
	}
	if _, err := n.Submit(n.SignBallot(n.Members[1], out.ID, envelope.No)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "accepted already") {
		t.Errorf("a vote after the decision: error %v", err)
	}
	n.Read(func(r store.Reader) {
		rec, err := table.Proposal(r, out.ID)
		if err != nil || rec.State != table.Accepted || rec.Number != 1 || rec.Version != 2 || rec.Decided != 4 {
			t.Errorf("record %+v (%v)", rec, err)
		}
		open, err := table.OpenProposals(r)
		if err != nil || len(open) != 0 {
			t.Errorf("open: %v (%v)", open, err)
		}
		ballots, err := table.Ballots(r, out.ID)
		if err != nil || len(ballots) != 2 {
			t.Errorf("ballots %v (%v)", ballots, err)
		}
		var versions []table.VersionRecord
		err = table.Versions(r, 0, func(v table.VersionRecord) bool { versions = append(versions, v); return true })
		if err != nil || len(versions) != 2 || versions[1].Proposal != out.ID || versions[1].Digest != after.Digest() {
			t.Errorf("versions %v (%v)", versions, err)
		}
		old, err := table.ConstitutionAt(r, 1)
		if err != nil || old.Digest() != before.Digest() || !bytes.Equal(old.TOML(), before.TOML()) {
			t.Errorf("version 1 is another one (%v)", err)
		}
		if _, err := table.ConstitutionAt(r, 3); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("version 3: error %v, expected coco.ErrNotFound", err)
		}
	})
	g, err := n.Audited(first).Governance()
	if err != nil || g != (audit.Governance{Version: 2, Proposals: 1, Accepted: 1, Ballots: 2}) {
		t.Errorf("%+v (%v)", g, err)
	}
}

func TestStatementsAreRefusedForTheReasonTheyHave(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	alpha := n.Members[0]
	known := n.SignProposal(alpha, govtest.AddCode(govtest.OtherCode))
	open, err := n.Submit(known)
	if err != nil {
		t.Fatal(err)
	}
	vote := n.SignBallot(n.Members[1], open.ID, envelope.No)
	if _, err := n.Submit(vote); err != nil {
		t.Fatal(err)
	}
	application := under(t, alpha, "payments", nil)
	officer := under(t, alpha, "officer", []string{coco.GovernanceUnit})
	owner, both := under(t, alpha, "owner", []string{coco.NodesUnit}), under(t, alpha, "both", []string{coco.GovernanceUnit, coco.NodesUnit})
	proposal := func(change func(*envelope.Proposal)) envelope.Proposal {
		raw, err := (&action.Action{Kind: action.AddCode, Args: action.Args{Measurement: "virtual:aa"}}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		p := envelope.Proposal{Audience: n.Audience(), Time: n.Ms(), Expires: n.Ms() + 3600_000, Nonce: govtest.Nonce(), Actions: []cbor.RawMessage{raw}}
		change(&p)
		return p
	}
	sign := func(by envelope.Signer, change func(*envelope.Proposal)) []byte {
		raw, err := envelope.SignProposal(t.Context(), by, proposal(change))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	same := func(*envelope.Proposal) {}
	for _, c := range []struct {
		name string
		raw  []byte
		kind error
		text string
	}{
		{"known", known, coco.ErrInvalid, "known already"},
		{"the same ballot", vote, coco.ErrInvalid, "expected a later one"},
		{"another network", sign(alpha, func(p *envelope.Proposal) { p.Audience[0]++ }), coco.ErrInvalid, "for the network"},
		{"a participant", sign(n.Guest, same), coco.ErrDenied, "only members"},
		{"a stranger", sign(govtest.Issue(t, "alpha", nil, true, nil), same), coco.ErrDenied, "belongs to no member"},
		{"an application", sign(application, same), coco.ErrDenied, `organisational unit "governance"`},
		{"for nodes", sign(owner, same), coco.ErrDenied, `organisational unit "governance"`},
		{"for nodes too", sign(both, same), coco.ErrDenied, "for nodes only"},
		{"signed ahead", sign(alpha, func(p *envelope.Proposal) { p.Time += 11 * 60_000 }), coco.ErrInvalid, "10 minutes after"},
		{"signed long ago", sign(alpha, func(p *envelope.Proposal) { p.Time -= 31 * 24 * 3600_000 }), coco.ErrInvalid, "30 days before"},
		{"over already", sign(alpha, func(p *envelope.Proposal) { p.Time -= 7200_000; p.Expires = p.Time + 1 }), coco.ErrInvalid, "voting is to end"},
		{"a long vote", sign(alpha, func(p *envelope.Proposal) { p.Expires += 91 * 24 * 3600_000 }), coco.ErrInvalid, "within 90 days"},
		{"no action", sign(alpha, func(p *envelope.Proposal) { p.Actions[0] = cbor.RawMessage{0xa0} }), coco.ErrInvalid, "action 1"},
		{"unknown proposal", n.SignBallot(alpha, coco.Digest{1}, envelope.Yes), coco.ErrNotFound, "no proposal"},
		{"withdrawn by another", n.SignBallot(n.Members[1], open.ID, envelope.Withdraw), coco.ErrDenied, `only "alpha"`},
		{"altered", append(slices.Clone(known[:len(known)-1]), known[len(known)-1]^1), coco.ErrVerify, "signature"},
		{"no envelope", []byte{1}, coco.ErrInvalid, "COSE_Sign1"},
		{"not possible", n.SignProposal(alpha, govtest.AddCode(govtest.TestCode)), coco.ErrInvalid, "in the code manifest already"},
	} {
		count := len(n.Records)
		if _, err := n.Submit(c.raw); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %v, expected %v about %q", c.name, err, c.kind, c.text)
		}
		if len(n.Records) != count {
			t.Errorf("%s: something was written", c.name)
		}
	}
	if _, err := n.Submit(sign(officer, same)); err != nil {
		t.Errorf("an officer of alpha: %v", err)
	}
}

// leaf is a certificate under an organisation's.
type leaf struct{ *govtest.Org }

func under(t *testing.T, issuer *govtest.Org, name string, units []string) leaf {
	return leaf{govtest.Issue(t, name, issuer, false, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = units })}
}

func TestVotesMayChangeUntilTheDecision(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	p := n.Propose(n.Members[0], govtest.AddCode(govtest.OtherCode))
	n.Vote(n.Members[0], p.ID, envelope.Yes)
	n.Vote(n.Members[0], p.ID, envelope.No)
	if out := n.Vote(n.Members[1], p.ID, envelope.Yes); out.State != table.Open {
		t.Fatalf("%+v with one yes and one no", out)
	}
	if out := n.Vote(n.Members[0], p.ID, envelope.Yes); out.State != table.Accepted {
		t.Fatalf("%+v with two yes", out)
	}
	q := n.Propose(n.Members[1], govtest.AddCode("virtual:aa"))
	n.Vote(n.Members[0], q.ID, envelope.No)
	if out := n.Vote(n.Members[2], q.ID, envelope.No); out.State != table.Rejected || !strings.Contains(out.Reason.String(), "policy default") {
		t.Fatalf("%+v with two no of three", out)
	}
	w := n.Propose(n.Members[1], govtest.AddCode("virtual:aa"))
	if out := n.Vote(n.Members[1], w.ID, envelope.Withdraw); out.State != table.Withdrawn {
		t.Fatalf("%+v", out)
	}
	n.Audited(first)
}

func TestExpiryJudgesOnceMore(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	n.Decide(action.Action{Kind: action.SetPolicy, Args: action.Args{Policy: string(action.AddCode), Expression: policy.Veto}})
	silent, vetoed := n.Propose(n.Members[0], govtest.AddCode(govtest.OtherCode)), n.Propose(n.Members[0], govtest.AddCode("virtual:aa"))
	if out := n.Vote(n.Members[1], vetoed.ID, envelope.No); out.State != table.Rejected {
		t.Fatalf("%+v after a veto", out)
	}
	slow := n.Propose(n.Members[0], action.Action{Kind: action.Set, Args: action.Args{Setting: "limits.queue", Value: "7"}})
	n.Vote(n.Members[0], slow.ID, envelope.Yes)
	n.Read(func(r store.Reader) {
		if due, ok := table.Due(r); !ok || due != n.Ms()+24*3600_000-(5*1000) {
			t.Logf("due %d at %d", due, n.Ms())
		}
	})
	if judged := n.Expire(); judged != 0 {
		t.Fatalf("%d judged before their time", judged)
	}
	n.Now = n.Now.Add(25 * time.Hour)
	if _, err := n.Submit(n.SignBallot(n.Members[1], slow.ID, envelope.Yes)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a late vote: error %v", err)
	}
	if judged := n.Expire(); judged != 1 { // up to the one that is accepted
		t.Fatalf("%d judged", judged)
	}
	if judged := n.Expire(); judged != 1 {
		t.Fatalf("%d judged", judged)
	}
	n.Read(func(r store.Reader) {
		for id, want := range map[coco.Digest]table.ProposalState{silent.ID: table.Accepted, slow.ID: table.Expired, vetoed.ID: table.Rejected} {
			if rec, err := table.Proposal(r, id); err != nil || rec.State != want {
				t.Errorf("proposal %d is %s, expected %s (%v)", rec.Number, rec.State, want, err)
			}
		}
		if _, ok := table.Due(r); ok {
			t.Error("something is due")
		}
	})
	n.Audited(first)
}

func TestARemovedMemberCountsNoLonger(t *testing.T) {
	n := govtest.New(t)
	n.Members = append(n.Members, govtest.Issue(t, "delta", nil, true, nil))
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	b := n.Node(n.Members[1], "b:1")
	n.Admit(b)
	delta := n.Members[3]
	waiting := n.Propose(delta, govtest.AddCode(govtest.OtherCode))
	n.Vote(delta, waiting.ID, envelope.Yes)
	n.Vote(n.Members[1], waiting.ID, envelope.Yes)
	epochs := func() (count int) {
		n.Read(func(r store.Reader) {
			list, err := table.Epochs(r)
			if err != nil {
				t.Fatal(err)
			}
			count = len(list)
		})
		return count
	}
	out := n.Decide(
		action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "delta"}},
		action.Action{Kind: action.Set, Args: action.Args{Setting: "shares.threshold", Value: "2"}},
	)
	if epochs() != 2 {
		t.Error("no new epoch")
	}
	if _, err := n.Submit(n.SignBallot(delta, waiting.ID, envelope.Yes)); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a removed member votes: error %v", err)
	}
	if got := n.Vote(n.Members[2], waiting.ID, envelope.No); got.State != table.Open {
		t.Fatalf("%+v with one yes and one no", got)
	}
	// It comes back; the old ballot does not.
	n.Decide(action.Action{Kind: action.AddMember, Args: action.Args{Name: "delta", Certificate: delta.Cert.Raw, EncryptionKey: delta.Encryption.Public()}})
	n.Vote(n.Members[0], waiting.ID, envelope.Yes)
	n.Read(func(r store.Reader) {
		if rec, err := table.Proposal(r, waiting.ID); err != nil || rec.State != table.Open {
			t.Errorf("%s, expected it open with two of four (%v)", rec.State, err)
		}
	})
	if got := n.Vote(delta, waiting.ID, envelope.Yes); got.State != table.Accepted {
		t.Errorf("%+v with three of four", got)
	}
	if !slices.ContainsFunc(out.Effects, func(e decide.Effect) bool { return e.Kind == decide.ActorRemoved && e.Actor == delta.Actor() }) {
		t.Errorf("effects %+v", out.Effects)
	}
	n.Audited(first)
	// Members come and go with their nodes, the founder too; the last node stays.
	n.Decide(action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: n.Members[0].Actor().String(), Unbalanced: true}})
	if s := n.States(); s[first.ID] != table.Retired || s[b.ID] != table.Trusted {
		t.Errorf("states %v after the founder was removed", s)
	}
	n.Members = n.Members[1:]
	_, err := n.Submit(n.SignProposal(n.Members[0], action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "beta"}}))
	if err == nil || !strings.Contains(err.Error(), "no node would be left") {
		t.Errorf("error %v, expected that a node stays", err)
	}
	if signers := slices.Repeat([]table.NodeRecord{first}, len(n.Records)); true {
		if err := govtest.Audit(audit.New(audit.Config{Verifiers: govtest.Verifiers}), n.Batches(signers...), false); err != nil {
			t.Error(err)
		}
	}
}
