package gov

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// governed is a network in whose transaction 2 alpha proposes to remove gamma, in 3 alpha and in 4 beta
// vote for it, which decides; in 5 beta proposes other code, in 6 alpha votes for it, and in 7 it expires.
func governed(t testing.TB) (*network, NodeRecord) {
	n := newNetwork(t)
	a := n.genesis()
	p := n.propose(n.members[0], act(action.RemoveMember, action.Args{Actor: "gamma"}), act(action.AddNode, action.Args{Owner: "guest", Address: "g:1"}))
	n.vote(n.members[0], p.ID, envelope.Yes)
	n.vote(n.members[1], p.ID, envelope.Yes)
	q := n.propose(n.members[1], addCode(otherCode))
	n.vote(n.members[0], q.ID, envelope.Yes)
	n.now = n.now.Add(48 * time.Hour)
	n.expire()
	return n, a
}

// forge changes a row of a table in writes, or of all rows of which want says so.
func forge[T any](t testing.TB, writes []store.Write, table string, change func(*T)) []store.Write {
	t.Helper()
	found := false
	for i := range writes {
		w := &writes[i]
		if w.Table != table || string(w.Key) == openKey {
			continue
		}
		var v T
		if err := canon.Unmarshal(w.Value, &v, canon.Limits{Bytes: maxVersionRecord}); err != nil {
			t.Fatal(err)
		}
		change(&v)
		w.Value = []byte(encodedT(t, v))
		found = true
	}
	if !found {
		t.Fatalf("no row of %s to forge", table)
	}
	return writes
}

func encodedT(t testing.TB, v any) string {
	t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAnAuditRefusesWhatMembersDidNotDecide forges what a network of lying nodes could write and sign.
func TestAnAuditRefusesWhatMembersDidNotDecide(t *testing.T) {
	n, a := governed(t)
	pristine, times := slices.Clone(n.records), slices.Clone(n.times)
	signers := slices.Repeat([]NodeRecord{a}, len(n.records))
	check := func() error {
		return audit(NewAuditor(AuditorConfig{Verifiers: verifiers}), n.batches(signers[:len(n.records)]...), false)
	}
	if err := check(); err != nil {
		t.Fatal(err)
	}
	ballotOf := func(tx int) (b BallotRecord) {
		writes, err := store.DecodeWrites(pristine[tx].Public)
		if err != nil {
			t.Fatal(err)
		}
		forge(t, writes, BallotsTable, func(r *BallotRecord) { b = *r })
		return b
	}
	proposal := ballotOf(2).Proposal
	late := n.signBallot(n.members[1], proposal, envelope.Yes) // signed at the end of all
	for _, c := range []struct {
		name, text string
		tx         int
		change     func(w []store.Write) []store.Write
	}{
		{"a ballot of a stranger", "belongs to no member", 2, func(w []store.Write) []store.Write {
			return forge(t, w, BallotsTable, func(b *BallotRecord) {
				b.Raw = n.signBallot(issue(t, "beta", nil, true, nil), proposal, envelope.Yes)
			})
		}},
		{"a ballot of a participant", "only members", 2, func(w []store.Write) []store.Write {
			return forge(t, w, BallotsTable, func(b *BallotRecord) { b.Raw = n.signBallot(n.guest, proposal, envelope.Yes) })
		}},
		{"an altered ballot", "signature", 2, func(w []store.Write) []store.Write {
			return forge(t, w, BallotsTable, func(b *BallotRecord) { b.Raw[len(b.Raw)-1] ^= 1 })
		}},
		{"a ballot that says another thing", "not what the members' decision", 2, func(w []store.Write) []store.Write {
			return forge(t, w, BallotsTable, func(b *BallotRecord) { b.Vote = envelope.No })
		}},
		{"a ballot in another's name", "without a decision", 2, func(w []store.Write) []store.Write {
			for i := range w {
				if w[i].Table == BallotsTable {
					w[i].Key = ballotKey(proposal, n.members[1].actor())
				}
			}
			return w
		}},
		{"a ballot again", "expected a later one", 3, func([]store.Write) []store.Write {
			writes, err := store.DecodeWrites(pristine[2].Public)
			if err != nil {
				t.Fatal(err)
			}
			return forge(t, writes, BallotsTable, func(b *BallotRecord) { b.Since = 4 })
		}},
		{"a ballot from the future", "10 minutes after", 3, func(w []store.Write) []store.Write {
			return forge(t, w, BallotsTable, func(b *BallotRecord) { b.Raw = late })
		}},
		{"a decision one vote short", "not what the members' decision", 2, func(w []store.Write) []store.Write {
			return forge(t, w, ProposalsTable, func(p *ProposalRecord) { p.State = Accepted })
		}},
		{"effects one vote short", "without a decision", 2, func(w []store.Write) []store.Write {
			decided, err := store.DecodeWrites(pristine[3].Public)
			if err != nil {
				t.Fatal(err)
			}
			return append(w, slices.DeleteFunc(decided, func(d store.Write) bool { return d.Table != ConstitutionTable })...)
		}},
		{"no effects", "leaves out", 3, func(w []store.Write) []store.Write { return without(w, ConstitutionTable) }},
		{"no version", "leaves out", 3, func(w []store.Write) []store.Write { return without(w, VersionsTable) }},
		{"no place", "leaves out", 3, func(w []store.Write) []store.Write { return without(w, PlacesTable) }},
		{"no epoch", "no epoch is announced", 3, func(w []store.Write) []store.Write { return without(w, EpochsTable) }},
		{"another version", "not what the members' decision", 3, func(w []store.Write) []store.Write {
			return forge(t, w, VersionsTable, func(v *VersionRecord) { v.Version++ })
		}},
		{"another place", "without a decision", 3, func(w []store.Write) []store.Write {
			for i := range w {
				if w[i].Table == PlacesTable {
					w[i].Key = placeKey(n.guest.actor(), "x:1")
				}
			}
			return w
		}},
		{"one more place", "without a decision", 3, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: PlacesTable, Key: placeKey(n.guest.actor(), "x:1"), Value: []byte(encodedT(t, PlaceRecord{Owner: n.guest.actor(), Address: "x:1"}))})
		}},
		{"an epoch for the old members", "expected one for each of 2 members", 3, func(w []store.Write) []store.Write {
			_, sealed, err := keys.NewEpoch(2, n.c.Recipients(), 2)
			if err != nil {
				t.Fatal(err)
			}
			b, err := sealed.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			return forge(t, w, EpochsTable, func(e *EpochRecord) { e.Sealed = b })
		}},
		{"a node retired beside it", "without a decision", 3, func(w []store.Write) []store.Write {
			rec := a
			rec.State, rec.Since, rec.Time = Retired, 4, times[0]
			return append(w, store.Write{Table: NodesTable, Key: rec.ID[:], Value: []byte(encodedT(t, rec))})
		}},
		{"a place forgotten for nothing", "without a decision", 6, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: PlacesTable, Key: placeKey(n.guest.actor(), "g:1"), Delete: true})
		}},
		{"a proposal deleted", "nothing is deleted", 6, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: ProposalsTable, Key: proposal[:], Delete: true})
		}},
		{"a proposal with a false number", "not what the members' decision", 1, func(w []store.Write) []store.Write {
			return forge(t, w, ProposalsTable, func(p *ProposalRecord) { p.Number = 2 })
		}},
		{"a proposal of a stranger", "belongs to no member", 1, func(w []store.Write) []store.Write {
			return forge(t, w, ProposalsTable, func(p *ProposalRecord) {
				p.Raw = n.signProposal(issue(t, "alpha", nil, true, nil), addCode(otherCode))
			})
		}},
		{"a proposal by a removed member", "belongs to no member", 4, func(w []store.Write) []store.Write {
			return forge(t, w, ProposalsTable, func(p *ProposalRecord) { p.Raw = n.signProposal(n.members[2], addCode(otherCode)) })
		}},
		{"accepted in the end", "not what the members' decision", 6, func(w []store.Write) []store.Write {
			return forge(t, w, ProposalsTable, func(p *ProposalRecord) { p.State = Accepted })
		}},
		{"an open list of its own", "leaves out", 6, func([]store.Write) []store.Write {
			return []store.Write{{Table: ProposalsTable, Key: []byte(openKey), Value: []byte(encodedT(t, openIndex{Last: 2, Open: []openProposal{}}))}}
		}},
		{"a genesis of version 2", "version 2 of a constitution", 0, func(w []store.Write) []store.Write {
			c := *n.c
			c.Version = 2
			if err := c.Complete(); err != nil {
				t.Fatal(err)
			}
			for i := range w {
				if w[i].Table == ConstitutionTable && string(w[i].Key) == coreKey {
					w[i].Value = c.Canonical()
				}
			}
			return w
		}},
		{"a genesis without its version", "version", 0, func(w []store.Write) []store.Write { return without(w, VersionsTable) }},
		{"a genesis with places", "a genesis that writes", 0, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: PlacesTable, Key: []byte("x"), Value: []byte{0xa0}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.records, n.times = slices.Clone(pristine), slices.Clone(times)
			writes, err := store.DecodeWrites(n.records[c.tx].Public)
			if err != nil {
				t.Fatal(err)
			}
			n.records[c.tx].Public = store.EncodeWrites(c.change(writes))
			n.records = n.records[:c.tx+1]
			if err := check(); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, expected coco.ErrVerify about %q", err, c.text)
			}
		})
	}
	t.Run("a late ballot", func(t *testing.T) {
		n.records, n.times = slices.Clone(pristine[:6]), slices.Clone(times[:6])
		n.times[5] += 48 * 3600_000 // alpha's vote about the second proposal
		if err := check(); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "ended at") {
			t.Errorf("error %v, expected one about the end of voting", err)
		}
	})
	t.Run("expired too early", func(t *testing.T) {
		n.records, n.times = slices.Clone(pristine), slices.Clone(times)
		n.times[6] = n.times[5]
		if err := check(); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "without a decision") {
			t.Errorf("error %v, expected one about a decision", err)
		}
	})
}

// FuzzSubmit: whatever a member signs is taken in or refused with a kind, and applied as an auditor
// would.
func FuzzSubmit(f *testing.F) {
	n := newNetwork(f)
	n.c.Policies = map[string]string{PolicyDefault: "true || votes.yes > 0"} // all is decided when proposed
	if err := n.c.Complete(); err != nil {
		f.Fatal(err)
	}
	n.genesis()
	for _, a := range []action.Action{
		addCode(otherCode), act(action.RemoveMember, action.Args{Actor: "gamma"}), act(action.AddNode, action.Args{Owner: "guest", Address: "g:1"}),
		act(action.SetPolicy, action.Args{Policy: "default", Expression: "votes.yes > 1"}), act(action.Set, action.Args{Setting: "adapters.kv.max", Value: "6"}),
		act(action.SetTEE, action.Args{Platform: "snp"}),
	} {
		raw, err := a.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	genesis, err := store.DecodeWrites(n.records[0].Public)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		n.t = t
		statement, err := envelope.SignProposal(t.Context(), n.members[0], envelope.Proposal{
			Audience: n.audience(), Time: n.ms(), Expires: n.ms() + 1, Nonce: nonce(), Actions: []cbor.RawMessage{raw},
		})
		if err != nil {
			return // no map of CBOR
		}
		set := n.store.Begin(2, n.ms())
		tx := set.Begin()
		out, err := Submit(tx, statement, Env{})
		if err == nil {
			err = n.act(tx, out)
		}
		if err != nil {
			tx.Abort()
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatalf("error %v, expected coco.ErrInvalid", err)
			}
			return
		}
		tx.Commit()
		writes, err := store.DecodeWrites(set.Records()[0].Public)
		if err != nil {
			t.Fatal(err)
		}
		a := NewAuditor(AuditorConfig{})
		if err := a.Follow(1, n.times[0], false, slices.Clone(genesis)); err != nil {
			t.Fatal(err)
		}
		if err := a.Follow(2, n.ms(), false, writes); err != nil {
			t.Fatalf("the auditor refuses what was taken in: %v", err)
		}
	})
}

// BenchmarkVote is a vote that does not decide, of one of 50 members, after 10,000 past proposals.
func BenchmarkVote(b *testing.B) {
	n := newNetwork(b)
	for i := len(n.members); i < 50; i++ {
		n.members = append(n.members, issue(b, fmt.Sprintf("member %02d", i), nil, true, nil))
	}
	n.c = n.constitution()
	if err := n.c.Complete(); err != nil {
		b.Fatal(err)
	}
	n.genesis()
	raw := n.signProposal(n.members[0], addCode(otherCode))
	index := openIndex{Last: 10_000, Open: []openProposal{}}
	err := n.transact(func(tx *store.Tx) error {
		for i := range index.Last {
			id := coco.Digest(sha256.Sum256(binary.BigEndian.AppendUint64(nil, i)))
			rec := ProposalRecord{ID: id, Number: i + 1, State: Rejected, Kinds: []string{"add_code"}, Since: 1, Decided: 1, Raw: raw}
			if err := putRow(tx, ProposalsTable, id[:], rec); err != nil {
				return err
			}
			for _, m := range n.members[:3] {
				if err := putRow(tx, BallotsTable, ballotKey(id, m.actor()), BallotRecord{Proposal: id, Actor: m.actor(), Vote: envelope.No, Raw: raw}); err != nil {
					return err
				}
			}
		}
		return putRow(tx, ProposalsTable, []byte(openKey), index)
	})
	if err != nil {
		b.Fatal(err)
	}
	p := n.propose(n.members[0], addCode(otherCode))
	for i, m := range n.members[:46] { // 23 of 50 are for it
		n.vote(m, p.ID, []envelope.Vote{envelope.Yes, envelope.No}[i%2])
	}
	ballots := [][]byte{}
	for range 512 {
		n.now = n.now.Add(time.Second)
		ballots = append(ballots, n.signBallot(n.members[49], p.ID, envelope.No))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		tx := n.store.Begin(2, n.ms()).Begin()
		if out, err := Submit(tx, ballots[i%len(ballots)], Env{}); err != nil || out.State != Open {
			b.Fatal(out, err)
		}
		tx.Abort()
		i++
	}
}
