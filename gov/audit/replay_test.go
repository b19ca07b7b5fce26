package audit_test

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
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// governed is a network in whose transaction 2 alpha proposes to remove gamma, in 3 alpha and in 4 beta
// vote for it, which decides; in 5 beta proposes other code, in 6 alpha votes for it, and in 7 it expires.
func governed(t testing.TB) (*govtest.Network, table.NodeRecord) {
	n := govtest.New(t)
	a := n.Genesis()
	p := n.Propose(n.Members[0], govtest.Act(action.RemoveMember, action.Args{Actor: "gamma"}), govtest.Act(action.AddNode, action.Args{Owner: "guest", Address: "g:1"}))
	n.Vote(n.Members[0], p.ID, envelope.Yes)
	n.Vote(n.Members[1], p.ID, envelope.Yes)
	q := n.Propose(n.Members[1], govtest.AddCode(govtest.OtherCode))
	n.Vote(n.Members[0], q.ID, envelope.Yes)
	n.Now = n.Now.Add(48 * time.Hour)
	n.Expire()
	return n, a
}

// TestAnAuditRefusesWhatMembersDidNotDecide forges what a network of lying nodes could write and sign.
func TestAnAuditRefusesWhatMembersDidNotDecide(t *testing.T) {
	n, a := governed(t)
	pristine, times := slices.Clone(n.Records), slices.Clone(n.Times)
	signers := slices.Repeat([]table.NodeRecord{a}, len(n.Records))
	check := func() error {
		return govtest.Audit(audit.New(audit.Config{Verifiers: govtest.Verifiers}), n.Batches(signers[:len(n.Records)]...), false)
	}
	if err := check(); err != nil {
		t.Fatal(err)
	}
	ballotOf := func(tx int) (b table.BallotRecord) {
		writes, err := store.DecodeWrites(pristine[tx].Public)
		if err != nil {
			t.Fatal(err)
		}
		govtest.Forge(t, writes, table.BallotsTable, func(r *table.BallotRecord) { b = *r })
		return b
	}
	proposal := ballotOf(2).Proposal
	late := n.SignBallot(n.Members[1], proposal, envelope.Yes) // signed at the end of all
	for _, c := range []struct {
		name, text string
		tx         int
		change     func(w []store.Write) []store.Write
	}{
		{"a ballot of a stranger", "belongs to no member", 2, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.BallotsTable, func(b *table.BallotRecord) {
				b.Raw = n.SignBallot(govtest.Issue(t, "beta", nil, true, nil), proposal, envelope.Yes)
			})
		}},
		{"a ballot of a participant", "only members", 2, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.BallotsTable, func(b *table.BallotRecord) { b.Raw = n.SignBallot(n.Guest, proposal, envelope.Yes) })
		}},
		{"an altered ballot", "signature", 2, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.BallotsTable, func(b *table.BallotRecord) { b.Raw[len(b.Raw)-1] ^= 1 })
		}},
		{"a ballot that says another thing", "not what the members' decision", 2, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.BallotsTable, func(b *table.BallotRecord) { b.Vote = envelope.No })
		}},
		{"a ballot in another's name", "without a decision", 2, func(w []store.Write) []store.Write {
			for i := range w {
				if w[i].Table == table.BallotsTable {
					w[i].Key = table.BallotKey(proposal, n.Members[1].Actor())
				}
			}
			return w
		}},
		{"a ballot again", "expected a later one", 3, func([]store.Write) []store.Write {
			writes, err := store.DecodeWrites(pristine[2].Public)
			if err != nil {
				t.Fatal(err)
			}
			return govtest.Forge(t, writes, table.BallotsTable, func(b *table.BallotRecord) { b.Since = 4 })
		}},
		{"a ballot from the future", "10 minutes after", 3, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.BallotsTable, func(b *table.BallotRecord) { b.Raw = late })
		}},
		{"a decision one vote short", "not what the members' decision", 2, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.ProposalsTable, func(p *table.ProposalRecord) { p.State = table.Accepted })
		}},
		{"effects one vote short", "without a decision", 2, func(w []store.Write) []store.Write {
			decided, err := store.DecodeWrites(pristine[3].Public)
			if err != nil {
				t.Fatal(err)
			}
			return append(w, slices.DeleteFunc(decided, func(d store.Write) bool { return d.Table != table.ConstitutionTable })...)
		}},
		{"no effects", "leaves out", 3, func(w []store.Write) []store.Write { return govtest.Without(w, table.ConstitutionTable) }},
		{"no version", "leaves out", 3, func(w []store.Write) []store.Write { return govtest.Without(w, table.VersionsTable) }},
		{"no place", "leaves out", 3, func(w []store.Write) []store.Write { return govtest.Without(w, table.PlacesTable) }},
		{"no epoch", "no epoch is announced", 3, func(w []store.Write) []store.Write { return govtest.Without(w, table.EpochsTable) }},
		{"another version", "not what the members' decision", 3, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.VersionsTable, func(v *table.VersionRecord) { v.Version++ })
		}},
		{"another place", "without a decision", 3, func(w []store.Write) []store.Write {
			for i := range w {
				if w[i].Table == table.PlacesTable {
					w[i].Key = table.PlaceKey(n.Guest.Actor(), "x:1")
				}
			}
			return w
		}},
		{"one more place", "without a decision", 3, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.PlacesTable, Key: table.PlaceKey(n.Guest.Actor(), "x:1"), Value: []byte(govtest.EncodedT(t, table.PlaceRecord{Owner: n.Guest.Actor(), Address: "x:1"}))})
		}},
		{"a grant that nobody voted for", "without a decision", 3, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.GrantsTable, Key: table.NumberKey(1), Value: []byte(govtest.EncodedT(t, table.GrantRecord{Number: 1, First: 1, Last: 1}))})
		}},
		{"an epoch that is shared, for the old members", "is shared among the members", 3, func(w []store.Write) []store.Write {
			_, sealed, err := keys.NewEpoch(2, n.C.Recipients(), 2)
			if err != nil {
				t.Fatal(err)
			}
			b, err := sealed.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			return govtest.Forge(t, w, table.EpochsTable, func(e *table.EpochRecord) { e.Sealed = b })
		}},
		{"two epochs", "more than one epoch", 3, func(w []store.Write) []store.Write {
			rs, threshold := n.C.Recipients(), n.C.Shares.Threshold
			for _, write := range w {
				if write.Table == table.ConstitutionTable && string(write.Key) == table.CoreKey {
					c, err := constitution.Decode(write.Value)
					if err != nil {
						t.Fatal(err)
					}
					rs, threshold = c.Recipients(), c.Shares.Threshold
				}
			}
			_, sealed, err := keys.NewEpoch(3, rs, threshold)
			if err != nil {
				t.Fatal(err)
			}
			b, err := sealed.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			again := table.EpochRecord{Epoch: 3, Since: 4, Sealed: b}
			return append(w, store.Write{Table: table.EpochsTable, Key: table.EpochKey(3), Value: []byte(govtest.EncodedT(t, again))})
		}},
		{"a node retired beside it", "without a decision", 3, func(w []store.Write) []store.Write {
			rec := a
			rec.State, rec.Since, rec.Time = table.Retired, 4, times[0]
			return append(w, store.Write{Table: table.NodesTable, Key: rec.ID[:], Value: []byte(govtest.EncodedT(t, rec))})
		}},
		{"a place forgotten for nothing", "without a decision", 6, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.PlacesTable, Key: table.PlaceKey(n.Guest.Actor(), "g:1"), Delete: true})
		}},
		{"a proposal deleted", "nothing is deleted", 6, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.ProposalsTable, Key: proposal[:], Delete: true})
		}},
		{"a proposal with a false number", "not what the members' decision", 1, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.ProposalsTable, func(p *table.ProposalRecord) { p.Number = 2 })
		}},
		{"a proposal of a stranger", "belongs to no member", 1, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.ProposalsTable, func(p *table.ProposalRecord) {
				p.Raw = n.SignProposal(govtest.Issue(t, "alpha", nil, true, nil), govtest.AddCode(govtest.OtherCode))
			})
		}},
		{"a proposal by a removed member", "belongs to no member", 4, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.ProposalsTable, func(p *table.ProposalRecord) {
				p.Raw = n.SignProposal(n.Members[2], govtest.AddCode(govtest.OtherCode))
			})
		}},
		{"accepted in the end", "not what the members' decision", 6, func(w []store.Write) []store.Write {
			return govtest.Forge(t, w, table.ProposalsTable, func(p *table.ProposalRecord) { p.State = table.Accepted })
		}},
		{"an open list of its own", "leaves out", 6, func([]store.Write) []store.Write {
			return []store.Write{{Table: table.ProposalsTable, Key: []byte(table.OpenKey), Value: []byte(govtest.EncodedT(t, table.OpenIndex{Last: 2, Open: []table.OpenProposal{}}))}}
		}},
		{"a genesis of version 2", "version 2 of a constitution", 0, func(w []store.Write) []store.Write {
			c := *n.C
			c.Version = 2
			if err := c.Complete(); err != nil {
				t.Fatal(err)
			}
			for i := range w {
				if w[i].Table == table.ConstitutionTable && string(w[i].Key) == table.CoreKey {
					w[i].Value = c.Canonical()
				}
			}
			return w
		}},
		{"a genesis without its version", "version", 0, func(w []store.Write) []store.Write { return govtest.Without(w, table.VersionsTable) }},
		{"a genesis with grants", "a genesis that writes", 0, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.GrantsTable, Key: table.NumberKey(1), Value: []byte(govtest.EncodedT(t, table.GrantRecord{Number: 1, First: 1, Last: 1}))})
		}},
		{"a genesis with places", "a genesis that writes", 0, func(w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.PlacesTable, Key: []byte("x"), Value: []byte{0xa0}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.Records, n.Times = slices.Clone(pristine), slices.Clone(times)
			writes, err := store.DecodeWrites(n.Records[c.tx].Public)
			if err != nil {
				t.Fatal(err)
			}
			n.Records[c.tx].Public = store.EncodeWrites(c.change(writes))
			n.Records = n.Records[:c.tx+1]
			if err := check(); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, expected coco.ErrVerify about %q", err, c.text)
			}
		})
	}
	t.Run("a late ballot", func(t *testing.T) {
		n.Records, n.Times = slices.Clone(pristine[:6]), slices.Clone(times[:6])
		n.Times[5] += 48 * 3600_000 // alpha's vote about the second proposal
		if err := check(); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "ended at") {
			t.Errorf("error %v, expected one about the end of voting", err)
		}
	})
	t.Run("expired too early", func(t *testing.T) {
		n.Records, n.Times = slices.Clone(pristine), slices.Clone(times)
		n.Times[6] = n.Times[5]
		if err := check(); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "without a decision") {
			t.Errorf("error %v, expected one about a decision", err)
		}
	})
}

// FuzzSubmit: whatever a member signs is taken in or refused with a kind, and applied as an auditor
// would.
func FuzzSubmit(f *testing.F) {
	n := govtest.New(f)
	n.C.Policies = map[string]string{constitution.PolicyDefault: "true || votes.yes > 0"} // all is decided when proposed
	if err := n.C.Complete(); err != nil {
		f.Fatal(err)
	}
	n.Genesis()
	for _, a := range []action.Action{
		govtest.AddCode(govtest.OtherCode), govtest.Act(action.RemoveMember, action.Args{Actor: "gamma"}), govtest.Act(action.AddNode, action.Args{Owner: "guest", Address: "g:1"}),
		govtest.Act(action.SetPolicy, action.Args{Policy: "default", Expression: "votes.yes > 1"}), govtest.Act(action.Set, action.Args{Setting: "adapters.kv.max", Value: "6"}),
		govtest.Act(action.SetTEE, action.Args{Platform: "snp"}),
	} {
		raw, err := a.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	genesis, err := store.DecodeWrites(n.Records[0].Public)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		n.T = t
		statement, err := envelope.SignProposal(t.Context(), n.Members[0], envelope.Proposal{
			Audience: n.Audience(), Time: n.Ms(), Expires: n.Ms() + 1, Nonce: govtest.Nonce(), Actions: []cbor.RawMessage{raw},
		})
		if err != nil {
			return // no map of CBOR
		}
		set := n.Store.Begin(2, n.Ms())
		tx := set.Begin()
		out, err := decide.Submit(tx, statement, decide.Env{})
		if err == nil {
			err = n.Act(tx, out)
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
		a := audit.New(audit.Config{})
		if err := a.Follow(1, n.Times[0], false, slices.Clone(genesis)); err != nil {
			t.Fatal(err)
		}
		if err := a.Follow(2, n.Ms(), false, writes); err != nil {
			t.Fatalf("the auditor refuses what was taken in: %v", err)
		}
	})
}

// BenchmarkVote is a vote that does not decide, of one of 50 members, after 10,000 past proposals.
func BenchmarkVote(b *testing.B) {
	n := govtest.New(b)
	for i := len(n.Members); i < 50; i++ {
		n.Members = append(n.Members, govtest.Issue(b, fmt.Sprintf("member %02d", i), nil, true, nil))
	}
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		b.Fatal(err)
	}
	n.Genesis()
	raw := n.SignProposal(n.Members[0], govtest.AddCode(govtest.OtherCode))
	index := table.OpenIndex{Last: 10_000, Open: []table.OpenProposal{}}
	err := n.Transact(func(tx *store.Tx) error {
		for i := range index.Last {
			id := coco.Digest(sha256.Sum256(binary.BigEndian.AppendUint64(nil, i)))
			rec := table.ProposalRecord{ID: id, Number: i + 1, State: table.Rejected, Kinds: []string{"add_code"}, Since: 1, Decided: 1, Raw: raw}
			if err := table.Put(tx, table.ProposalsTable, id[:], rec); err != nil {
				return err
			}
			for _, m := range n.Members[:3] {
				if err := table.Put(tx, table.BallotsTable, table.BallotKey(id, m.Actor()), table.BallotRecord{Proposal: id, Actor: m.Actor(), Vote: envelope.No, Raw: raw}); err != nil {
					return err
				}
			}
		}
		return table.Put(tx, table.ProposalsTable, []byte(table.OpenKey), index)
	})
	if err != nil {
		b.Fatal(err)
	}
	p := n.Propose(n.Members[0], govtest.AddCode(govtest.OtherCode))
	for i, m := range n.Members[:46] { // 23 of 50 are for it
		n.Vote(m, p.ID, []envelope.Vote{envelope.Yes, envelope.No}[i%2])
	}
	ballots := [][]byte{}
	for range 512 {
		n.Now = n.Now.Add(time.Second)
		ballots = append(ballots, n.SignBallot(n.Members[49], p.ID, envelope.No))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		tx := n.Store.Begin(2, n.Ms()).Begin()
		if out, err := decide.Submit(tx, ballots[i%len(ballots)], decide.Env{}); err != nil || out.State != table.Open {
			b.Fatal(out, err)
		}
		tx.Abort()
		i++
	}
}
