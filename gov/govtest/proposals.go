package govtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// Certificates and Sign make an org an envelope.Signer.
func (o *Org) Certificates() [][]byte { return [][]byte{o.Cert.Raw} }

// Sign implements envelope.Signer.
func (o *Org) Sign(_ context.Context, tbs []byte) ([]byte, error) {
	digest := sha256.Sum256(tbs)
	return ecdsa.SignASN1(rand.Reader, o.Key, digest[:])
}

var nonces uint64

// Nonce returns another nonce each time.
func Nonce() []byte {
	nonces++
	return binary.BigEndian.AppendUint64(make([]byte, 8), nonces)
}

// Act announces a new epoch where an outcome asks for one, as a node does.
func (n *Network) Act(tx *store.Tx, outcomes ...decide.Outcome) error {
	for _, o := range outcomes {
		if o.Rotates() {
			c, err := table.LoadConstitution(tx)
			if err != nil {
				return err
			}
			return n.Rotate(tx, c)
		}
	}
	return nil
}

// Rotate announces a new epoch.
func (n *Network) Rotate(tx *store.Tx, c *constitution.Constitution) error {
	if table.LastCommittee(tx) > 0 {
		secret, e, err := ceremony.Announce(tx)
		if err == nil {
			n.Secrets[e.Epoch] = secret
		}
		return err
	}
	_, sealed, err := keys.NewEpoch(table.LastEpoch(tx)+1, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return err
	}
	return members.WriteEpoch(tx, sealed)
}

// Audience returns what statements for this network carry.
func (n *Network) Audience() coco.Digest {
	id, err := table.NetworkID(n.Service.Certificate().Raw)
	if err != nil {
		n.T.Fatal(err)
	}
	return id
}

// Ms returns the time in milliseconds since 1970.
func (n *Network) Ms() uint64 { return uint64(n.Now.UnixMilli()) }

// SignProposal makes the envelope of a proposal with a day to vote.
func (n *Network) SignProposal(by envelope.Signer, actions ...action.Action) []byte {
	n.T.Helper()
	return n.SignProposalUntil(by, n.Now.Add(24*time.Hour), actions...)
}

// SignProposalUntil makes the envelope of a proposal to be voted on until then.
func (n *Network) SignProposalUntil(by envelope.Signer, expires time.Time, actions ...action.Action) []byte {
	n.T.Helper()
	p := envelope.Proposal{Audience: n.Audience(), Time: n.Ms(), Expires: uint64(expires.UnixMilli()), Nonce: Nonce()}
	for i := range actions {
		raw, err := actions[i].Encode()
		if err != nil {
			n.T.Fatal(err)
		}
		p.Actions = append(p.Actions, canon.Raw(raw))
	}
	raw, err := envelope.SignProposal(n.T.Context(), by, p)
	if err != nil {
		n.T.Fatal(err)
	}
	return raw
}

// SignBallot returns a signed ballot.
func (n *Network) SignBallot(by envelope.Signer, proposal coco.Digest, vote envelope.Vote) []byte {
	n.T.Helper()
	raw, err := envelope.SignBallot(n.T.Context(), by, envelope.Ballot{Audience: n.Audience(), Time: n.Ms(), Nonce: Nonce(), Proposal: proposal, Vote: vote})
	if err != nil {
		n.T.Fatal(err)
	}
	return raw
}

// Submit executes a statement in a transaction, and announces the epoch that it asks for.
func (n *Network) Submit(raw []byte) (decide.Outcome, error) {
	n.T.Helper()
	n.Now = n.Now.Add(time.Second)
	var out decide.Outcome
	err := n.Transact(func(tx *store.Tx) (err error) {
		if out, err = decide.Submit(tx, raw, decide.Env{}); err != nil {
			return err
		}
		return n.Act(tx, out)
	})
	return out, err
}

// Propose submits a proposal, which MUST be taken in.
func (n *Network) Propose(by envelope.Signer, actions ...action.Action) decide.Outcome {
	n.T.Helper()
	out, err := n.Submit(n.SignProposal(by, actions...))
	if err != nil {
		n.T.Fatal(err)
	}
	return out
}

// Vote submits a ballot, which MUST be taken in.
func (n *Network) Vote(by envelope.Signer, proposal coco.Digest, vote envelope.Vote) decide.Outcome {
	n.T.Helper()
	out, err := n.Submit(n.SignBallot(by, proposal, vote))
	if err != nil {
		n.T.Fatal(err)
	}
	return out
}

// Decide has the members given propose and vote for actions, which MUST be accepted.
func (n *Network) Decide(actions ...action.Action) decide.Outcome {
	n.T.Helper()
	out := n.Propose(n.Members[0], actions...)
	for _, m := range n.Members {
		if out.State == table.Open {
			out = n.Vote(m, out.ID, envelope.Yes)
		}
	}
	if out.State != table.Accepted {
		n.T.Fatalf("outcome %+v, expected it accepted", out)
	}
	return out
}

// Expire judges what time has decided, and returns how many proposals it was.
func (n *Network) Expire() int {
	n.T.Helper()
	var judged []decide.Outcome
	err := n.Transact(func(tx *store.Tx) (err error) {
		if judged, err = decide.Expire(tx, nil); err != nil {
			return err
		}
		return n.Act(tx, judged...)
	})
	if err != nil {
		n.T.Fatal(err)
	}
	return len(judged)
}

// Read runs fn over the committed state.
func (n *Network) Read(fn func(r store.Reader)) {
	n.T.Helper()
	s := n.Store.Snapshot()
	defer s.Release()
	fn(s)
}

// Load returns the constitution in force.
func (n *Network) Load() *constitution.Constitution {
	n.T.Helper()
	var c *constitution.Constitution
	n.Read(func(r store.Reader) {
		var err error
		if c, err = table.LoadConstitution(r); err != nil {
			n.T.Fatal(err)
		}
	})
	return c
}

// Proposal returns the record of a proposal.
func (n *Network) Proposal(id coco.Digest) (rec table.ProposalRecord) {
	n.T.Helper()
	n.Read(func(r store.Reader) {
		var err error
		if rec, err = table.Proposal(r, id); err != nil {
			n.T.Fatal(err)
		}
	})
	return rec
}

// Simulate simulates actions that a member proposes, which MUST be possible.
func (n *Network) Simulate(by *Org, actions ...action.Action) *decide.Simulation {
	n.T.Helper()
	var s *decide.Simulation
	n.Read(func(r store.Reader) {
		var err error
		if s, err = decide.Simulate(r, actions, by.Actor(), n.Ms()); err != nil {
			n.T.Fatal(err)
		}
	})
	return s
}

// Audited checks that an audit of the whole agrees, all batches being signed by one node.
func (n *Network) Audited(by table.NodeRecord) *audit.Auditor {
	n.T.Helper()
	signers := make([]table.NodeRecord, len(n.Records))
	for i := range signers {
		signers[i] = by
	}
	a := audit.New(audit.Config{Verifiers: Verifiers})
	if err := Audit(a, n.Batches(signers...), false); err != nil {
		n.T.Fatal(err)
	}
	if a.Constitution().Digest() != n.Load().Digest() {
		n.T.Fatal("the auditor has another constitution")
	}
	return a
}

// OtherCode is code that is not listed at first.
var OtherCode = virtual.Measure([]byte("another program"))

// AddCode returns the action that lists code.
func AddCode(m coco.Measurement) action.Action {
	return action.Action{Kind: action.AddCode, Args: action.Args{Measurement: string(m)}}
}
