package gov

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// Certificates and Sign make an org an envelope.Signer.
func (o *org) Certificates() [][]byte { return [][]byte{o.cert.Raw} }

func (o *org) Sign(_ context.Context, tbs []byte) ([]byte, error) {
	digest := sha256.Sum256(tbs)
	return ecdsa.SignASN1(rand.Reader, o.key, digest[:])
}

var nonces uint64

func nonce() []byte {
	nonces++
	return binary.BigEndian.AppendUint64(make([]byte, 8), nonces)
}

// act announces a new epoch where an outcome asks for one, as a node does.
func (n *network) act(tx *store.Tx, outcomes ...Outcome) error {
	for _, o := range outcomes {
		if o.Rotates() {
			c, err := LoadConstitution(tx)
			if err != nil {
				return err
			}
			return n.rotate(tx, c)
		}
	}
	return nil
}

// rotate announces a new epoch.
func (n *network) rotate(tx *store.Tx, c *Constitution) error {
	epochs, err := Epochs(tx)
	if err != nil {
		return err
	}
	_, sealed, err := keys.NewEpoch(uint64(len(epochs)+1), c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return err
	}
	return WriteEpoch(tx, sealed)
}

func (n *network) audience() coco.Digest {
	id, err := NetworkID(n.service.Certificate().Raw)
	if err != nil {
		n.t.Fatal(err)
	}
	return id
}

func (n *network) ms() uint64 { return uint64(n.now.UnixMilli()) }

// signProposal makes the envelope of a proposal with a day to vote.
func (n *network) signProposal(by envelope.Signer, actions ...action.Action) []byte {
	n.t.Helper()
	p := envelope.Proposal{Audience: n.audience(), Time: n.ms(), Expires: n.ms() + 24*3600*1000, Nonce: nonce()}
	for i := range actions {
		raw, err := actions[i].Encode()
		if err != nil {
			n.t.Fatal(err)
		}
		p.Actions = append(p.Actions, cbor.RawMessage(raw))
	}
	raw, err := envelope.SignProposal(n.t.Context(), by, p)
	if err != nil {
		n.t.Fatal(err)
	}
	return raw
}

func (n *network) signBallot(by envelope.Signer, proposal coco.Digest, vote envelope.Vote) []byte {
	n.t.Helper()
	raw, err := envelope.SignBallot(n.t.Context(), by, envelope.Ballot{Audience: n.audience(), Time: n.ms(), Nonce: nonce(), Proposal: proposal, Vote: vote})
	if err != nil {
		n.t.Fatal(err)
	}
	return raw
}

func (n *network) submit(raw []byte) (Outcome, error) {
	n.t.Helper()
	n.now = n.now.Add(time.Second)
	var out Outcome
	err := n.transact(func(tx *store.Tx) (err error) {
		if out, err = Submit(tx, raw, Env{}); err != nil {
			return err
		}
		return n.act(tx, out)
	})
	return out, err
}

// propose submits a proposal, which MUST be taken in.
func (n *network) propose(by envelope.Signer, actions ...action.Action) Outcome {
	n.t.Helper()
	out, err := n.submit(n.signProposal(by, actions...))
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// vote submits a ballot, which MUST be taken in.
func (n *network) vote(by envelope.Signer, proposal coco.Digest, vote envelope.Vote) Outcome {
	n.t.Helper()
	out, err := n.submit(n.signBallot(by, proposal, vote))
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// decide has the members given propose and vote for actions, which MUST be accepted.
func (n *network) decide(actions ...action.Action) Outcome {
	n.t.Helper()
	out := n.propose(n.members[0], actions...)
	for _, m := range n.members {
		if out.State == Open {
			out = n.vote(m, out.ID, envelope.Yes)
		}
	}
	if out.State != Accepted {
		n.t.Fatalf("outcome %+v, expected it accepted", out)
	}
	return out
}

func (n *network) expire() int {
	n.t.Helper()
	var judged []Outcome
	err := n.transact(func(tx *store.Tx) (err error) {
		if judged, err = Expire(tx, Env{}); err != nil {
			return err
		}
		return n.act(tx, judged...)
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return len(judged)
}

// read runs fn over the committed state.
func (n *network) read(fn func(r store.Reader)) {
	n.t.Helper()
	s := n.store.Snapshot()
	defer s.Release()
	fn(s)
}

func (n *network) load() *Constitution {
	n.t.Helper()
	var c *Constitution
	n.read(func(r store.Reader) {
		var err error
		if c, err = LoadConstitution(r); err != nil {
			n.t.Fatal(err)
		}
	})
	return c
}

// audited checks that an audit of the whole agrees, all batches being signed by one node.
func (n *network) audited(by NodeRecord) *Auditor {
	n.t.Helper()
	signers := make([]NodeRecord, len(n.records))
	for i := range signers {
		signers[i] = by
	}
	a := NewAuditor(AuditorConfig{Verifiers: verifiers})
	if err := audit(a, n.batches(signers...), false); err != nil {
		n.t.Fatal(err)
	}
	if a.Constitution().Digest() != n.load().Digest() {
		n.t.Fatal("the auditor has another constitution")
	}
	return a
}

var otherCode = virtual.Measure([]byte("another program"))

func addCode(m coco.Measurement) action.Action {
	return action.Action{Kind: action.AddCode, Args: action.Args{Measurement: string(m)}}
}

func TestAMajorityDecidesAtItsDecidingVote(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	before := n.load()
	out := n.propose(n.members[0], addCode(otherCode))
	if out.State != Open || out.Version != 1 || out.Digest != before.Digest() || len(out.Effects) > 0 {
		t.Fatalf("outcome %+v, expected it open and nothing changed", out)
	}
	out = n.vote(n.members[0], out.ID, envelope.Yes)
	if out.State != Open || n.load().Digest() != before.Digest() {
		t.Fatalf("outcome %+v after one vote of three", out)
	}
	out = n.vote(n.members[2], out.ID, envelope.Yes)
	after := n.load()
	if out.State != Accepted || out.Version != 2 || out.Digest != after.Digest() || after.Version != 2 {
		t.Fatalf("outcome %+v, constitution version %d", out, after.Version)
	}
	if !slices.Contains(after.Measurements(), otherCode) || len(out.Effects) != 1 || out.Effects[0].Kind != CodeAdded {
		t.Errorf("effects %+v, code %v", out.Effects, after.Code)
	}
	if _, err := n.submit(n.signBallot(n.members[1], out.ID, envelope.No)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "accepted already") {
		t.Errorf("a vote after the decision: error %v", err)
	}
	n.read(func(r store.Reader) {
		rec, err := Proposal(r, out.ID)
		if err != nil || rec.State != Accepted || rec.Number != 1 || rec.Version != 2 || rec.Decided != 4 {
			t.Errorf("record %+v (%v)", rec, err)
		}
		open, err := OpenProposals(r)
		if err != nil || len(open) != 0 {
			t.Errorf("open: %v (%v)", open, err)
		}
		ballots, err := Ballots(r, out.ID)
		if err != nil || len(ballots) != 2 {
			t.Errorf("ballots %v (%v)", ballots, err)
		}
		versions, err := Versions(r)
		if err != nil || len(versions) != 2 || versions[1].Proposal != out.ID || versions[1].Digest != after.Digest() {
			t.Errorf("versions %v (%v)", versions, err)
		}
		old, err := ConstitutionAt(r, 1)
		if err != nil || old.Digest() != before.Digest() || !bytes.Equal(old.TOML(), before.TOML()) {
			t.Errorf("version 1 is another one (%v)", err)
		}
		if _, err := ConstitutionAt(r, 3); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("version 3: error %v, expected coco.ErrNotFound", err)
		}
	})
	g, err := n.audited(first).Governance()
	if err != nil || g != (Governance{Version: 2, Proposals: 1, Accepted: 1, Ballots: 2}) {
		t.Errorf("%+v (%v)", g, err)
	}
}

func TestStatementsAreRefusedForTheReasonTheyHave(t *testing.T) {
	n := newNetwork(t)
	n.genesis()
	alpha := n.members[0]
	known := n.signProposal(alpha, addCode(otherCode))
	open, err := n.submit(known)
	if err != nil {
		t.Fatal(err)
	}
	vote := n.signBallot(n.members[1], open.ID, envelope.No)
	if _, err := n.submit(vote); err != nil {
		t.Fatal(err)
	}
	application := under(t, alpha, "payments", nil)
	officer := under(t, alpha, "officer", []string{coco.GovernanceUnit})
	proposal := func(change func(*envelope.Proposal)) envelope.Proposal {
		raw, err := (&action.Action{Kind: action.AddCode, Args: action.Args{Measurement: "virtual:aa"}}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		p := envelope.Proposal{Audience: n.audience(), Time: n.ms(), Expires: n.ms() + 3600_000, Nonce: nonce(), Actions: []cbor.RawMessage{raw}}
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
		{"a participant", sign(n.guest, same), coco.ErrDenied, "only members"},
		{"a stranger", sign(issue(t, "alpha", nil, true, nil), same), coco.ErrDenied, "belongs to no member"},
		{"an application", sign(application, same), coco.ErrDenied, `organisational unit "governance"`},
		{"signed ahead", sign(alpha, func(p *envelope.Proposal) { p.Time += 11 * 60_000 }), coco.ErrInvalid, "10 minutes after"},
		{"signed long ago", sign(alpha, func(p *envelope.Proposal) { p.Time -= 31 * 24 * 3600_000 }), coco.ErrInvalid, "30 days before"},
		{"over already", sign(alpha, func(p *envelope.Proposal) { p.Time -= 7200_000; p.Expires = p.Time + 1 }), coco.ErrInvalid, "voting is to end"},
		{"a long vote", sign(alpha, func(p *envelope.Proposal) { p.Expires += 91 * 24 * 3600_000 }), coco.ErrInvalid, "within 90 days"},
		{"no action", sign(alpha, func(p *envelope.Proposal) { p.Actions[0] = cbor.RawMessage{0xa0} }), coco.ErrInvalid, "action 1"},
		{"unknown proposal", n.signBallot(alpha, coco.Digest{1}, envelope.Yes), coco.ErrNotFound, "no proposal"},
		{"withdrawn by another", n.signBallot(n.members[1], open.ID, envelope.Withdraw), coco.ErrDenied, `only "alpha"`},
		{"altered", append(slices.Clone(known[:len(known)-1]), known[len(known)-1]^1), coco.ErrVerify, "signature"},
		{"no envelope", []byte{1}, coco.ErrInvalid, "COSE_Sign1"},
		{"not possible", n.signProposal(alpha, addCode(testCode)), coco.ErrInvalid, "in the code manifest already"},
	} {
		count := len(n.records)
		if _, err := n.submit(c.raw); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %v, expected %v about %q", c.name, err, c.kind, c.text)
		}
		if len(n.records) != count {
			t.Errorf("%s: something was written", c.name)
		}
	}
	if _, err := n.submit(sign(officer, same)); err != nil {
		t.Errorf("an officer of alpha: %v", err)
	}
}

// leaf is a certificate under an organisation's.
type leaf struct{ *org }

func under(t *testing.T, issuer *org, name string, units []string) leaf {
	return leaf{issue(t, name, issuer, false, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = units })}
}

func TestVotesMayChangeUntilTheDecision(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	p := n.propose(n.members[0], addCode(otherCode))
	n.vote(n.members[0], p.ID, envelope.Yes)
	n.vote(n.members[0], p.ID, envelope.No)
	if out := n.vote(n.members[1], p.ID, envelope.Yes); out.State != Open {
		t.Fatalf("%+v with one yes and one no", out)
	}
	if out := n.vote(n.members[0], p.ID, envelope.Yes); out.State != Accepted {
		t.Fatalf("%+v with two yes", out)
	}
	q := n.propose(n.members[1], addCode("virtual:aa"))
	n.vote(n.members[0], q.ID, envelope.No)
	if out := n.vote(n.members[2], q.ID, envelope.No); out.State != Rejected || !strings.Contains(out.Reason.String(), "policy default") {
		t.Fatalf("%+v with two no of three", out)
	}
	w := n.propose(n.members[1], addCode("virtual:aa"))
	if out := n.vote(n.members[1], w.ID, envelope.Withdraw); out.State != Withdrawn {
		t.Fatalf("%+v", out)
	}
	n.audited(first)
}

func TestExpiryJudgesOnceMore(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	n.decide(action.Action{Kind: action.SetPolicy, Args: action.Args{Policy: string(action.AddCode), Expression: policy.Veto}})
	silent, vetoed := n.propose(n.members[0], addCode(otherCode)), n.propose(n.members[0], addCode("virtual:aa"))
	if out := n.vote(n.members[1], vetoed.ID, envelope.No); out.State != Rejected {
		t.Fatalf("%+v after a veto", out)
	}
	slow := n.propose(n.members[0], action.Action{Kind: action.Set, Args: action.Args{Setting: "limits.queue", Value: "7"}})
	n.vote(n.members[0], slow.ID, envelope.Yes)
	n.read(func(r store.Reader) {
		if due, ok := Due(r); !ok || due != n.ms()+24*3600_000-(5*1000) {
			t.Logf("due %d at %d", due, n.ms())
		}
	})
	if judged := n.expire(); judged != 0 {
		t.Fatalf("%d judged before their time", judged)
	}
	n.now = n.now.Add(25 * time.Hour)
	if _, err := n.submit(n.signBallot(n.members[1], slow.ID, envelope.Yes)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a late vote: error %v", err)
	}
	if judged := n.expire(); judged != 1 { // up to the one that is accepted
		t.Fatalf("%d judged", judged)
	}
	if judged := n.expire(); judged != 1 {
		t.Fatalf("%d judged", judged)
	}
	n.read(func(r store.Reader) {
		for id, want := range map[coco.Digest]ProposalState{silent.ID: Accepted, slow.ID: Expired, vetoed.ID: Rejected} {
			if rec, err := Proposal(r, id); err != nil || rec.State != want {
				t.Errorf("proposal %d is %s, expected %s (%v)", rec.Number, rec.State, want, err)
			}
		}
		if _, ok := Due(r); ok {
			t.Error("something is due")
		}
	})
	n.audited(first)
}

func TestARemovedMemberCountsNoLonger(t *testing.T) {
	n := newNetwork(t)
	n.members = append(n.members, issue(t, "delta", nil, true, nil))
	n.c = n.constitution()
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.genesis()
	b := n.node(n.members[1], "b:1")
	n.admit(b)
	delta := n.members[3]
	waiting := n.propose(delta, addCode(otherCode))
	n.vote(delta, waiting.ID, envelope.Yes)
	n.vote(n.members[1], waiting.ID, envelope.Yes)
	epochs := func() (count int) {
		n.read(func(r store.Reader) {
			list, err := Epochs(r)
			if err != nil {
				t.Fatal(err)
			}
			count = len(list)
		})
		return count
	}
	out := n.decide(
		action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "delta"}},
		action.Action{Kind: action.Set, Args: action.Args{Setting: "shares.threshold", Value: "2"}},
	)
	if epochs() != 2 {
		t.Error("no new epoch")
	}
	if _, err := n.submit(n.signBallot(delta, waiting.ID, envelope.Yes)); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a removed member votes: error %v", err)
	}
	if got := n.vote(n.members[2], waiting.ID, envelope.No); got.State != Open {
		t.Fatalf("%+v with one yes and one no", got)
	}
	// It comes back; the old ballot does not.
	n.decide(action.Action{Kind: action.AddMember, Args: action.Args{Name: "delta", Certificate: delta.cert.Raw, EncryptionKey: delta.encryption.Public()}})
	n.vote(n.members[0], waiting.ID, envelope.Yes)
	n.read(func(r store.Reader) {
		if rec, err := Proposal(r, waiting.ID); err != nil || rec.State != Open {
			t.Errorf("%s, expected it open with two of four (%v)", rec.State, err)
		}
	})
	if got := n.vote(delta, waiting.ID, envelope.Yes); got.State != Accepted {
		t.Errorf("%+v with three of four", got)
	}
	if !slices.ContainsFunc(out.Effects, func(e Effect) bool { return e.Kind == ActorRemoved && e.Actor == delta.actor() }) {
		t.Errorf("effects %+v", out.Effects)
	}
	n.audited(first)
	// Members come and go with their nodes, the founder too; the last node stays.
	n.decide(action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: n.members[0].actor().String()}})
	if s := n.states(); s[first.ID] != Retired || s[b.ID] != Trusted {
		t.Errorf("states %v after the founder was removed", s)
	}
	n.members = n.members[1:]
	_, err := n.submit(n.signProposal(n.members[0], action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: "beta"}}))
	if err == nil || !strings.Contains(err.Error(), "no node would be left") {
		t.Errorf("error %v, expected that a node stays", err)
	}
	if signers := slices.Repeat([]NodeRecord{first}, len(n.records)); true {
		if err := audit(NewAuditor(AuditorConfig{Verifiers: verifiers}), n.batches(signers...), false); err != nil {
			t.Error(err)
		}
	}
}

func TestPlacesAreVotedIn(t *testing.T) {
	n := newNetwork(t)
	n.c.Policies = map[string]string{PolicyAddNode: policy.Majority}
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.genesis()
	admit := func(rec NodeRecord) error {
		claims := n.claims(rec)
		return n.transact(func(tx *store.Tx) error { return AdmitNode(tx, rec, claims) })
	}
	pend := func(rec NodeRecord) error {
		claims := n.claims(rec)
		return n.transact(func(tx *store.Tx) error { return PendNode(tx, rec, claims) })
	}
	refused := func(err error, reason Reason) {
		t.Helper()
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != reason {
			t.Fatalf("error %v, expected a refusal for %s", err, reason)
		}
	}
	beta := n.members[1]
	old := n.node(beta, "b:1")
	refused(admit(old), NotVotedIn)
	for range 2 {
		if err := pend(old); err != nil {
			t.Fatal(err)
		}
	}
	b := n.node(beta, "b:1") // it was started again meanwhile
	if err := pend(b); err != nil {
		t.Fatal(err)
	}
	if s := n.states(); s[old.ID] != Retired || s[b.ID] != Pending {
		t.Fatalf("states %v", s)
	}
	refused(pend(old), KnownNode)
	n.decide(action.Action{Kind: action.AddNode, Args: action.Args{Node: b.ID.String()}})
	if err := admit(b); err != nil {
		t.Fatal(err)
	}
	// It comes back with another key, and so does the founder's, without a vote.
	again := n.node(beta, "b:1")
	if err := admit(again); err != nil {
		t.Fatal(err)
	}
	if s := n.states(); s[b.ID] != Retired || s[again.ID] != Trusted {
		t.Fatalf("states %v", s)
	}
	n.decide(
		action.Action{Kind: action.AddNode, Args: action.Args{Owner: "guest", Address: "g:1"}},
		action.Action{Kind: action.RemoveNode, Args: action.Args{Owner: "beta", Address: "b:1"}},
	)
	if s := n.states(); s[again.ID] != Retired {
		t.Fatalf("states %v", s)
	}
	refused(admit(n.node(beta, "b:1")), NotVotedIn)
	if err := admit(n.node(n.guest, "g:1")); err != nil {
		t.Errorf("a participant's node that was voted in: %v", err)
	}
	n.audited(first)
	// A place stays removed when nodes are admitted without a vote.
	n.decide(action.Action{Kind: action.SetPolicy, Args: action.Args{Policy: PolicyAddNode, Expression: AutomaticAddNode}})
	refused(admit(n.node(beta, "b:1")), NotVotedIn)
	if err := admit(n.node(beta, "b:2")); err != nil {
		t.Error(err)
	}
	// What only a vote lets in is not admitted in a ledger without one.
	n.audited(first)
	rec := n.node(beta, "b:1")
	err := n.transact(func(tx *store.Tx) error {
		rec.Time, rec.State, rec.Since = tx.Time(), Trusted, tx.Seqno()
		return putNode(tx, rec)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = audit(NewAuditor(AuditorConfig{}), n.batches(slices.Repeat([]NodeRecord{first}, len(n.records))...), false)
	if !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "not_voted_in") {
		t.Errorf("error %v, expected one about a vote", err)
	}
}

func TestARecoveryNeedsNoVote(t *testing.T) {
	n := newNetwork(t)
	n.c.Policies = map[string]string{PolicyAddNode: policy.Unanimous}
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	a := n.genesis()
	takeOver := func(rec NodeRecord, epoch bool) error {
		claims := n.claims(rec)
		return n.transact(func(tx *store.Tx) error {
			if err := RecoverNode(tx, rec, claims); err != nil || !epoch {
				return err
			}
			return n.rotate(tx, n.c)
		})
	}
	if err := takeOver(n.node(n.guest, "g:1"), true); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a participant begins a recovery: error %v", err)
	}
	c := n.node(n.members[2], "c:1")
	if err := takeOver(c, true); err != nil {
		t.Fatal(err)
	}
	if err := audit(NewAuditor(AuditorConfig{}), n.batches(a, c), true); err != nil {
		t.Error(err)
	}
	d := n.node(n.members[1], "d:1")
	if err := takeOver(d, false); err != nil {
		t.Fatal(err)
	}
	if err := audit(NewAuditor(AuditorConfig{}), n.batches(a, c, d), true); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("error %v, expected coco.ErrVerify: this is no recovery", err)
	}
	// Nor is this one, in which the other node stays.
	e := n.node(n.members[0], "e:1")
	n.records, n.times = n.records[:2], n.times[:2]
	if err := n.transact(func(tx *store.Tx) error {
		e.Time, e.State, e.Since = tx.Time(), Trusted, tx.Seqno()
		if err := putNode(tx, e); err != nil {
			return err
		}
		rec, _, err := row[EpochRecord](tx, EpochsTable, epochKey(2), maxRecord)
		if err != nil {
			return err
		}
		sealed, err := keys.ParseSealedEpoch(rec.Sealed)
		if err != nil {
			return err
		}
		sealed.Epoch = 3
		return WriteEpoch(tx, sealed)
	}); err != nil {
		t.Fatal(err)
	}
	// The ledger of a, c and e alone: its third transaction is e's.
	writes, err := store.DecodeWrites(n.records[2].Public)
	if err != nil {
		t.Fatal(err)
	}
	node(n, writes, func(rec *NodeRecord) { rec.Since = 3 })
	forge(t, writes, EpochsTable, func(rec *EpochRecord) { rec.Since = 3 })
	n.records[2].Public = store.EncodeWrites(slices.DeleteFunc(writes, func(w store.Write) bool {
		rec, err := decodeNode(w.Value)
		return w.Table == NodesTable && (err != nil || rec.ID != e.ID)
	}))
	if err := audit(NewAuditor(AuditorConfig{}), n.batches(a, c, e), true); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "begins no recovery") {
		t.Errorf("error %v, expected one about a recovery", err)
	}
}

func TestAnOwnerHasOnlySoManyNodesWaiting(t *testing.T) {
	n := newNetwork(t)
	n.c.Policies = map[string]string{PolicyAddNode: policy.Majority}
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.genesis()
	for i := range maxPending + 1 {
		rec := n.node(n.guest, fmt.Sprintf("g:%d", i+1))
		claims := n.claims(rec)
		err := n.transact(func(tx *store.Tx) error { return PendNode(tx, rec, claims) })
		if (err != nil) != (i == maxPending) {
			t.Errorf("node %d: error %v", i+1, err)
		}
	}
	n.audited(first)
}

func TestTEEsMustBeNewEnough(t *testing.T) {
	n := newNetwork(t)
	n.c.TEE[0].Policy = `{"minimum_security_version":7}`
	n.c.TEE[0].Debug = true
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	rec := n.node(n.members[0], "a:1")
	claims := n.claims(rec)
	for _, c := range []struct {
		change func(*attest.Claims)
		reason Reason
	}{
		{func(c *attest.Claims) { c.Own = virtual.Claims{SecurityVersion: 6} }, OldTEE},
		{func(c *attest.Claims) { c.Own = virtual.Claims{SecurityVersion: 7} }, ""},
		{func(c *attest.Claims) { c.Own, c.Debug = virtual.Claims{SecurityVersion: 8}, true }, ""},
	} {
		changed := claims
		c.change(&changed)
		err := CheckNode(n.c, &rec, changed)
		var r *Refusal
		if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &r) || r.Reason != c.reason) {
			t.Errorf("error %v, expected %q", err, c.reason)
		}
	}
}
