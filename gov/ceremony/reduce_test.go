package ceremony_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/locks"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/store"
)

// reducedRow is what a reduced row has at most, in bytes: two X-Wing encapsulations, a key, and numbers.
const reducedRow = 2560

func (w *world) refresh() table.CommitteeRecord {
	w.t.Helper()
	w.Decide(action.Action{Kind: action.Refresh})
	return w.run()
}

// committees returns the rows of the table of committees, and what they have in bytes.
func (w *world) committees() (rows []table.CommitteeRecord, sizes []int) {
	w.t.Helper()
	w.Read(func(r store.Reader) {
		r.Range(table.CommitteesTable, nil, nil, func(_, value []byte) bool {
			rec, err := table.DecodeCommittee(value)
			if err != nil {
				w.t.Fatal(err)
			}
			rows, sizes = append(rows, rec), append(sizes, len(value))
			return true
		})
	})
	return rows, sizes
}

// However many members there are: a committee that was refreshed leaves a row of a bounded size.
func TestRowsOfOldCommitteesDoNotGrowWithTheMembers(t *testing.T) {
	const refreshes = 6 // of three seats, and as many of eight
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	w.run() // it carries the epoch of the one that was dealt, which no node opens
	for range refreshes {
		w.refresh()
	}
	for i := range 5 {
		name := fmt.Sprintf("late%d", i)
		org := govtest.Issue(t, name, nil, true, nil)
		w.Decide(govtest.Act(action.AddMember, action.Args{Name: name, Certificate: org.Cert.Raw, EncryptionKey: org.Encryption.Public()}))
		w.Members = append(w.Members, org)
	}
	for range refreshes {
		w.refresh()
	}
	rows, sizes := w.committees()
	last := len(rows) - 1
	if len(rows) != 2*refreshes+2 || len(rows[last].Seats) != 8 || rows[last].Reduced != 0 {
		t.Fatalf("%d rows, the newest has %d seats and was reduced in transaction %d", len(rows), len(rows[last].Seats), rows[last].Reduced)
	}
	if rows[0].Reduced != 0 || len(rows[0].Seats) != 3 {
		t.Errorf("the committee that was dealt has %d seats: nothing else opens its archive", len(rows[0].Seats))
	}
	for i, rec := range rows[1:last] {
		if rec.Reduced != rows[i+2].Since || len(rec.Seats)+len(rec.Commitment) > 0 || sizes[i+1] > reducedRow {
			t.Errorf("committee %d: %d bytes, %d seats, reduced in transaction %d, and the next one is in force since %d", rec.Number, sizes[i+1], len(rec.Seats), rec.Reduced, rows[i+2].Since)
		}
		if _, err := rec.Committee(); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("committee %d seals and opens still: %v", rec.Number, err)
		}
	}
	w.same(w.recovered(w.Members[0], w.Members[2]))
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

// unlocked recovers by the locks of the tables, with members' keys. It returns what is open and the names of the locks.
func (w *world) unlocked(by ...*govtest.Org) (map[uint64]keys.Secret, []string) {
	w.t.Helper()
	var opening *recovery.Opening
	w.Read(func(r store.Reader) {
		var err error
		if opening, err = locks.Opening(r, func(uint64) bool { return true }); err != nil {
			w.t.Fatal(err)
		}
	})
	receiver, err := recovery.NewReceiver(recovery.Point{Network: w.Audience()}, true)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for lock := opening.Next(); lock != nil; lock = opening.Next() {
		names = append(names, lock.String())
		round := receiver.Round(lock)
		for _, m := range by {
			release, err := recovery.New(receiver.Request(), lock, m.Actor(), m.Encryption)
			if err != nil {
				w.t.Fatal(err)
			}
			if err := round.Submit(release); err != nil {
				w.t.Fatal(err)
			}
		}
		secret, _, err := round.Secret()
		if err != nil {
			w.t.Fatal(err)
		}
		if faults := opening.Open(lock, secret); len(faults) > 0 {
			w.t.Fatal(faults)
		}
	}
	return opening.Secrets(), names
}

// Epochs of every committee open through the newest one, whether the chain goes through rows that were reduced, through epochs that an archive carries, or back to epochs of format 1.
func TestALedgerWithReducedRowsIsRecoveredFromItsBeginning(t *testing.T) {
	t.Run("that began by rules 3", func(t *testing.T) {
		w := newWorld(t)
		b, c := w.join(1, "b:1"), w.join(2, "c:1")
		w.run()
		w.refresh()
		w.restart(b)
		w.restart(c)
		w.run() // committee 4: too few packages are left
		w.refresh()
		rows, _ := w.committees()
		for i, whole := range []bool{true, false, true, false, true} {
			if (rows[i].Reduced == 0) != whole || (len(rows[i].Seats) > 0) != whole {
				t.Errorf("committee %d: %d seats, reduced in transaction %d", i+1, len(rows[i].Seats), rows[i].Reduced)
			}
		}
		open, names := w.unlocked(w.Members[1], w.Members[2])
		w.same(open)
		if !slices.Equal(names, []string{"the archive of committee 5"}) {
			t.Errorf("it took %q", names)
		}
	})
	t.Run("that began by rules 2", func(t *testing.T) {
		w := newWorldOf(t, govtest.New(t).ByRules2())
		w.join(1, "b:1")
		w.Decide(govtest.Act(action.Set, action.Args{Setting: "rules", Value: "3"}))
		w.secrets[1], w.secrets[2] = keys.Secret{1}, keys.Secret{2} // what a node has of the epochs before
		w.run()
		w.refresh()
		w.refresh()
		w.same(w.recovered(w.Members[0], w.Members[1]))
		rows, _ := w.committees()
		if a, err := archive.Parse(rows[0].Archive); err != nil || rows[0].Reduced == 0 || len(a.Carried) == 0 {
			t.Errorf("the first committee was reduced in transaction %d and does not carry the epochs before: %v", rows[0].Reduced, err)
		}
		if _, err := w.audited(); err != nil {
			t.Error(err)
		}
	})
}

// What the new archive holds must open the old one: afterwards nothing else in the tables does.
func TestASecretThatDoesNotOpenTheArchiveBeforeInstallsNothing(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	w.run()
	w.Decide(action.Action{Kind: action.Refresh})
	w.begin()
	w.talk(all)
	err := w.Transact(func(tx *store.Tx) error {
		_, err := w.book.Install(tx, archive.Past{Earlier: &keys.Secret{1}})
		return err
	})
	if !errors.Is(err, coco.ErrVerify) || w.newest().Number != 2 {
		t.Errorf("committee %d is in force: %v", w.newest().Number, err)
	}
	w.install()
	w.same(w.recovered(w.Members[0], w.Members[1]))
}

func TestAnAuditRefusesAReductionThatTakesOrLeavesTooMuch(t *testing.T) {
	w := history(t)
	is := func(w store.Write) bool { return w.Table == table.CommitteesTable }
	first := w.where(1, is)        // its archive does not hold the one before
	second := w.where(first+1, is) // it does
	reduced := table.NumberKey(2)  // in second
	whole := w.row(first, reduced) // as it was before
	edit := func(change func(rec *table.CommitteeRecord, a *archive.Archive)) func() []store.Write {
		return func() []store.Write {
			rec := w.row(second, reduced)
			a, err := archive.Parse(rec.Archive)
			if err != nil {
				t.Fatal(err)
			}
			change(&rec, a)
			if rec.Archive, err = a.Marshal(); err != nil {
				t.Fatal(err)
			}
			return w.put(second, rec)
		}
	}
	old, err := archive.Parse(whole.Archive)
	if err != nil {
		t.Fatal(err)
	}
	without := func(tx int, number uint64) []store.Write {
		return slices.DeleteFunc(w.writes(tx), func(w store.Write) bool { return is(w) && string(w.Key) == string(table.NumberKey(number)) })
	}
	for name, c := range map[string]struct {
		tx   int
		text string
		do   func() []store.Write
	}{
		"a row that stays whole": {second, "it leaves out what the ceremony does", func() []store.Write { return without(second, 2) }},
		"a row that is deleted": {second, "nothing is deleted", func() []store.Write {
			return append(without(second, 2), store.Write{Table: table.CommitteesTable, Key: reduced, Delete: true})
		}},
		"a whole row, written again":  {second, "is not what the ceremony comes to", func() []store.Write { return w.put(second, whole) }},
		"packages that stay":          {second, "is not what the ceremony comes to", edit(func(rec *table.CommitteeRecord, _ *archive.Archive) { rec.Seats = whole.Seats })},
		"one seat that stays":         {second, "is not what the ceremony comes to", edit(func(rec *table.CommitteeRecord, _ *archive.Archive) { rec.Seats = whole.Seats[:1] })},
		"a commitment that stays":     {second, "is not what the ceremony comes to", edit(func(rec *table.CommitteeRecord, _ *archive.Archive) { rec.Commitment = whole.Commitment })},
		"a sealed archive that stays": {second, "is not what the ceremony comes to", edit(func(_ *table.CommitteeRecord, a *archive.Archive) { a.Sealed = old.Sealed })},
		"another public key":          {second, "is not what the ceremony comes to", edit(func(_ *table.CommitteeRecord, a *archive.Archive) { a.Public[5] ^= 1 })},
		"carried epochs that vanish":  {second, "is not what the ceremony comes to", edit(func(_ *table.CommitteeRecord, a *archive.Archive) { a.Carried = nil })},
		"no mark":                     {second, "is not what the ceremony comes to", edit(func(rec *table.CommitteeRecord, _ *archive.Archive) { rec.Reduced = 0 })},
		"another version":             {second, "is not what the ceremony comes to", edit(func(rec *table.CommitteeRecord, _ *archive.Archive) { rec.Version++ })},
		"a row that no archive opens": {first, "without a decision of the members", func() []store.Write {
			dealt := w.row(0, table.NumberKey(1))
			small, err := dealt.Reduce(uint64(first + 1))
			if err != nil {
				t.Fatal(err)
			}
			return w.put(first, small)
		}},
		"an older row": {second, "without a decision of the members", func() []store.Write {
			dealt := w.row(0, table.NumberKey(1))
			small, err := dealt.Reduce(uint64(second + 1))
			if err != nil {
				t.Fatal(err)
			}
			return w.put(second, small)
		}},
		"a reduction alone": {second, "", func() []store.Write { return without(second, 3) }},
		"a reduction before the next committee is in force": {second - 1, "no ceremony is done", func() []store.Write {
			small, err := whole.Reduce(uint64(second))
			if err != nil {
				t.Fatal(err)
			}
			return w.put(second-1, small)
		}},
	} {
		if err := w.with(c.tx, c.do()); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %v, expected coco.ErrVerify about %q", name, err, c.text)
		}
	}
	if _, err := w.audited(); err != nil {
		t.Errorf("without any of it: %v", err)
	}
}

// row returns a committee as a transaction has written it.
func (w *world) row(tx int, key []byte) (rec table.CommitteeRecord) {
	w.t.Helper()
	for _, x := range w.writes(tx) {
		if x.Table == table.CommitteesTable && string(x.Key) == string(key) {
			var err error
			if rec, err = table.DecodeCommittee(x.Value); err != nil {
				w.t.Fatal(err)
			}
			return rec
		}
	}
	w.t.Fatalf("transaction %d writes no committee %x", tx+1, key)
	return rec
}

// put returns the writes of a transaction, with another row of a committee.
func (w *world) put(tx int, rec table.CommitteeRecord) []store.Write {
	w.t.Helper()
	b, err := canon.Marshal(rec)
	if err != nil {
		w.t.Fatal(err)
	}
	key := table.NumberKey(rec.Number)
	rest := slices.DeleteFunc(w.writes(tx), func(x store.Write) bool { return x.Table == table.CommitteesTable && string(x.Key) == string(key) })
	return append(rest, store.Write{Table: table.CommitteesTable, Key: key, Value: b})
}
