package ceremony_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/store"
)

// audited follows the ledger so far by its public records alone.
func (w *world) audited() (*audit.Auditor, error) {
	a := audit.New(audit.Config{Verifiers: govtest.Verifiers})
	return a, govtest.Audit(a, w.Batches(slices.Repeat([]table.NodeRecord{w.first}, len(w.Records))...), false)
}

// history is a network with three committees: the one that it began with, one that three nodes have made, and one that shares the same key anew.
func history(t testing.TB) *world {
	w := newWorld(t)
	w.join(1, "b:1")
	c := w.join(2, "c:1")
	w.run()
	w.restart(c)
	w.run()
	return w
}

func TestAnAuditRepeatsCeremoniesWithoutKeys(t *testing.T) {
	w := history(t)
	a, err := w.audited()
	if err != nil {
		t.Fatal(err)
	}
	k := a.Keys()
	// 3 of each phase; in the second one, one dealer has lost its share: two commit and reveal, and the leader closes both phases.
	if k.Ceremonies != 2 || k.Failed != 0 || k.Committees != 3 || k.Statements < 28 || k.Epochs[1] != 1 || k.Epochs[2] != 1 || k.Epochs[3] != 1 || len(k.Epochs) != 3 {
		t.Errorf("%+v", k)
	}
	rec, has, err := table.NewestCommittee(a.Tables())
	if err != nil || !has || rec.Number != 3 {
		t.Errorf("the newest committee is %d, %v", rec.Number, err)
	}
}

// forged changes the rows of a table in one transaction, and returns what an audit says.
func forged[T any](w *world, tx int, name string, keyed int, change func(*T)) error {
	writes, err := store.DecodeWrites(w.Records[tx].Public)
	if err != nil {
		w.t.Fatal(err)
	}
	found := false
	for i := range writes {
		if writes[i].Table != name || len(writes[i].Key) != keyed || writes[i].Delete {
			continue
		}
		var v T
		if err := canon.Unmarshal(writes[i].Value, &v, canon.Limits{Bytes: table.MaxCommitteeRecord}); err != nil {
			w.t.Fatal(err)
		}
		change(&v)
		if writes[i].Value, err = canon.Marshal(v); err != nil {
			w.t.Fatal(err)
		}
		found = true
	}
	if !found {
		w.t.Fatalf("transaction %d has no such row of %s", tx+1, name)
	}
	return w.with(tx, writes)
}

// with returns what an audit says of the ledger with other writes in one transaction.
func (w *world) with(tx int, writes []store.Write) error {
	old := w.Records[tx].Public
	w.Records[tx].Public = store.EncodeWrites(writes)
	_, err := w.audited()
	w.Records[tx].Public = old
	return err
}

// where returns the first transaction, from one on, that has what a test looks for.
func (w *world) where(from int, is func(store.Write) bool) int {
	w.t.Helper()
	for i := from; i < len(w.Records); i++ {
		writes, err := store.DecodeWrites(w.Records[i].Public)
		if err != nil {
			w.t.Fatal(err)
		}
		if slices.ContainsFunc(writes, is) {
			return i
		}
	}
	w.t.Fatal("no transaction has it")
	return 0
}

// says tells a statement of a kind.
func says[S any](w store.Write) bool {
	if w.Table != table.CeremoniesTable || len(w.Key) != 16 || w.Delete {
		return false
	}
	st, err := table.DecodeStatement(w.Key, w.Value)
	if err != nil {
		return false
	}
	_, s, err := dkg.Parse(st.Raw)
	_, is := s.(S)
	return err == nil && is
}

func altered[S dkg.Statement](t *testing.T, change func(S)) func(*table.StatementRecord) {
	return func(st *table.StatementRecord) {
		session, s, err := dkg.Parse(st.Raw)
		if err != nil {
			t.Fatal(err)
		}
		change(s.(S))
		if st.Raw, err = dkg.Marshal(session, s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnAuditRefusesWhatNoCeremonyWouldWrite(t *testing.T) {
	w := history(t)
	begins := w.where(0, func(w store.Write) bool { return w.Table == table.CeremoniesTable && len(w.Key) == 8 })
	reshares := w.where(begins+1, func(w store.Write) bool {
		rec, err := table.DecodeCeremony(w.Value)
		return w.Table == table.CeremoniesTable && len(w.Key) == 8 && err == nil && rec.Number == 2
	})
	installs := w.where(1, func(w store.Write) bool { return w.Table == table.CommitteesTable })
	statement := func(is func(store.Write) bool, from int, change func(*table.StatementRecord)) func() error {
		return func() error { return forged(w, w.where(from, is), table.CeremoniesTable, 16, change) }
	}
	begin := func(tx int, change func(*table.CeremonyRecord)) func() error {
		return func() error { return forged(w, tx, table.CeremoniesTable, 8, change) }
	}
	install := func(change func(*table.CommitteeRecord)) func() error {
		return func() error { return forged(w, installs, table.CommitteesTable, 8, change) }
	}
	sealed := func(change func(*archive.Archive)) func() error {
		return install(func(rec *table.CommitteeRecord) {
			a, err := archive.Parse(rec.Archive)
			if err != nil {
				t.Fatal(err)
			}
			change(a)
			if rec.Archive, err = a.Marshal(); err != nil {
				t.Fatal(err)
			}
		})
	}
	epoch := func(change func(*archive.Epoch)) func() error {
		return func() error {
			return forged(w, installs, table.EpochsTable, 8, func(rec *table.EpochRecord) {
				e, err := archive.ParseEpoch(rec.Sealed)
				if err != nil {
					t.Fatal(err)
				}
				change(e)
				if rec.Sealed, err = e.Marshal(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	other := w.Node(w.Members[1], "x:1").ID
	for name, c := range map[string]struct {
		text string
		do   func() error
	}{
		"another cause":            {"is not what the ceremony comes to", begin(begins, func(c *table.CeremonyRecord) { c.Cause = table.RefreshVoted })},
		"a stranger acts":          {"is not trusted", begin(begins, func(c *table.CeremonyRecord) { c.Acting[0] = other })},
		"another threshold":        {"is not what the ceremony comes to", begin(begins, func(c *table.CeremonyRecord) { c.Session.Threshold = 1 })},
		"another receiver":         {"is not what the ceremony comes to", begin(begins, func(c *table.CeremonyRecord) { c.Session.Receivers[0][0] ^= 1 })},
		"another network":          {"is not what the ceremony comes to", begin(begins, func(c *table.CeremonyRecord) { c.Session.Network[0] ^= 1 })},
		"another window":           {"is not what the ceremony comes to", begin(begins, func(c *table.CeremonyRecord) { c.Session.Window-- })},
		"another old key":          {"is not what the ceremony comes to", begin(reshares, func(c *table.CeremonyRecord) { c.Session.Old.Commitment[0] = c.Session.Old.Commitment[1] })},
		"a new key without reason": {"is not what the ceremony comes to", begin(reshares, func(c *table.CeremonyRecord) { c.Session.Old, c.Dealing = nil, nil; c.Session.Version++ })},
		"done from the start":      {"is not what the ceremony comes to", begin(begins, func(c *table.CeremonyRecord) { c.State = table.CeremonyDone })},
		"faults that nobody found": {"is not what the ceremony comes to", begin(begins, func(c *table.CeremonyRecord) { c.Faults = []table.CeremonyFault{{}} })},

		"another node speaks":       {"does not act for", statement(says[*dkg.Register], 0, func(st *table.StatementRecord) { st.Node = other })},
		"another time":              {"is not what the ceremony comes to", statement(says[*dkg.Register], 0, func(st *table.StatementRecord) { st.Time++ })},
		"no proof of a key":         {"does not prove", statement(says[*dkg.Register], 0, altered(t, func(s *dkg.Register) { s.Proof[0] ^= 1 }))},
		"another dealing":           {"has committed to another dealing", statement(says[*dkg.Reveal], 0, altered(t, func(s *dkg.Reveal) { s.Boxes[0][0] ^= 1 }))},
		"a commitment too many":     {"has committed to another dealing", statement(says[*dkg.Reveal], 0, altered(t, func(s *dkg.Reveal) { s.Commitment = append(s.Commitment, s.Commitment[0]) }))},
		"a dispute without proof":   {"does not prove", statement(says[*dkg.Verdict], 0, altered(t, func(s *dkg.Verdict) { s.Disputes = []dkg.Dispute{{Dealer: 1, Shared: w.newest().Commitment[0]}} }))},
		"a package of another size": {"sealed package", statement(says[*dkg.Confirm], 0, altered(t, func(s *dkg.Confirm) { s.Sealed = s.Sealed[1:] }))},
		"a seat without a key":      {"X-Wing", statement(says[*dkg.Confirm], 0, altered(t, func(s *dkg.Confirm) { s.Encryption = s.Encryption[1:] }))},
		"a phase closed early": {"cannot be closed before", statement(says[*dkg.Register], 0, func(st *table.StatementRecord) {
			session, _, err := dkg.Parse(st.Raw)
			if err != nil {
				t.Fatal(err)
			}
			st.Node = coco.NodeID{}
			if st.Raw, err = dkg.Marshal(session, &dkg.Close{Phase: dkg.Registering}); err != nil {
				t.Fatal(err)
			}
		})},
		"another session": {"a statement of session", statement(says[*dkg.Register], 0, func(st *table.StatementRecord) {
			session, s, err := dkg.Parse(st.Raw)
			if err != nil {
				t.Fatal(err)
			}
			session[0] ^= 1
			if st.Raw, err = dkg.Marshal(session, s); err != nil {
				t.Fatal(err)
			}
		})},

		"another committee":                   {"is not what the ceremony comes to", install(func(c *table.CommitteeRecord) { c.Number++ })},
		"another version":                     {"is not what the ceremony comes to", install(func(c *table.CommitteeRecord) { c.Version++ })},
		"another key":                         {"is not what the ceremony comes to", install(func(c *table.CommitteeRecord) { c.Commitment[0] = c.Commitment[1] })},
		"another seat's node":                 {"is not what the ceremony comes to", install(func(c *table.CommitteeRecord) { c.Seats[0].Node = other })},
		"another package":                     {"is not what the ceremony comes to", install(func(c *table.CommitteeRecord) { c.Seats[0].Package[0] ^= 1 })},
		"an archive's proof":                  {"its proof is wrong", sealed(func(a *archive.Archive) { a.Sealed.Ciphertext.Proof[0] ^= 1 })},
		"an archive without boxes":            {"expected 3 boxes", sealed(func(a *archive.Archive) { a.Sealed.Boxes = nil })},
		"an archive for another constitution": {"names the constitution", sealed(func(a *archive.Archive) { a.Constitution[0] ^= 1 })},

		"an epoch's proof":             {"its proof is wrong", epoch(func(e *archive.Epoch) { e.Sealed.Ciphertext.Proof[0] ^= 1 })},
		"an epoch of another view":     {"names view", epoch(func(e *archive.Epoch) { e.View++ })},
		"an epoch for another":         {"sealed to committee 3", epoch(func(e *archive.Epoch) { e.Committee++ })},
		"an epoch without its copy":    {"copy for the archive", epoch(func(e *archive.Epoch) { e.Box = nil })},
		"an epoch with another number": {"says that it is epoch", epoch(func(e *archive.Epoch) { e.Epoch++ })},
		"an epoch of format 1": {"is shared among the members", func() error {
			return forged(w, installs, table.EpochsTable, 8, func(rec *table.EpochRecord) {
				_, sealed, err := keys.NewEpoch(rec.Epoch, w.C.Recipients(), 2)
				if err != nil {
					t.Fatal(err)
				}
				if rec.Sealed, err = sealed.Marshal(); err != nil {
					t.Fatal(err)
				}
			})
		}},
		"a committee without an epoch": {"no epoch is announced", func() error {
			return w.with(installs, slices.DeleteFunc(w.writes(installs), func(w store.Write) bool { return w.Table == table.EpochsTable }))
		}},
		"statements that stay": {"it leaves out what the ceremony does", func() error {
			return w.with(installs, slices.DeleteFunc(w.writes(installs), func(w store.Write) bool { return w.Delete }))
		}},
		"a statement that vanishes": {"no ceremony ends", func() error {
			at := w.where(0, says[*dkg.Commit])
			first := w.writes(w.where(0, says[*dkg.Register]))[0]
			return w.with(at, []store.Write{{Table: first.Table, Key: first.Key, Delete: true}})
		}},
		"a committee without a ceremony": {"no ceremony is done", func() error {
			at := w.where(0, says[*dkg.Commit])
			return w.with(at, w.writes(installs))
		}},
		"a vote that nobody cast": {"without a decision of the members", func() error {
			b, err := canon.Marshal(table.RequestRecord{Since: uint64(begins + 1)})
			if err != nil {
				t.Fatal(err)
			}
			return w.with(begins, []store.Write{{Table: table.CeremoniesTable, Key: []byte(table.RefreshKey), Value: b}})
		}},
	} {
		if err := c.do(); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %v, expected coco.ErrVerify about %q", name, err, c.text)
		}
	}
	if _, err := w.audited(); err != nil {
		t.Errorf("without any of it: %v", err)
	}
}

func (w *world) writes(tx int) []store.Write {
	w.t.Helper()
	writes, err := store.DecodeWrites(w.Records[tx].Public)
	if err != nil {
		w.t.Fatal(err)
	}
	return writes
}
