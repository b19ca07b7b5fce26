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
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/store"
)

// reducedEpoch is what the row of a reduced epoch has at most, in bytes: an X-Wing encapsulation, and numbers.
const reducedEpoch = 1400

// rotate announces epochs to the committee in force.
func (w *world) rotate(count int) {
	w.t.Helper()
	for range count {
		if err := w.Transact(func(tx *store.Tx) error {
			secret, sealed, err := ceremony.Announce(tx)
			if err == nil {
				w.secrets[sealed.Epoch] = secret
			}
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// trim reduces rows of epochs until none is left to reduce, and returns how many transactions that took.
func (w *world) trim() (n int) {
	w.t.Helper()
	for {
		var due bool
		w.Read(func(r store.Reader) {
			var err error
			if due, err = ceremony.Trimmable(r); err != nil {
				w.t.Fatal(err)
			}
		})
		if !due {
			return n
		}
		if err := w.Transact(ceremony.Trim); err != nil {
			w.t.Fatal(err)
		}
		n++
	}
}

// epochs returns the epochs that are sealed to committees, by their number, and what their rows have in bytes.
func (w *world) epochs() (sealed map[uint64]*archive.Epoch, sizes map[uint64]int) {
	w.t.Helper()
	sealed, sizes = map[uint64]*archive.Epoch{}, map[uint64]int{}
	w.Read(func(r store.Reader) {
		rows, err := table.Epochs(r)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, row := range rows {
			if e, err := archive.ParseEpoch(row.Sealed); err == nil {
				sealed[row.Epoch] = e
				value, _ := r.Get(table.EpochsTable, table.EpochKey(row.Epoch))
				sizes[row.Epoch] = len(value)
			}
		}
	})
	return sealed, sizes
}

// However many members there are: an epoch leaves a row of a bounded size once its committee is replaced. Members open it all the same, and an audit repeats what was written.
func TestRowsOfOldEpochsDoNotGrowWithTheMembers(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	w.run()
	w.rotate(40)
	if n := w.trim(); n != 0 {
		t.Errorf("%d transactions reduce epochs of the committee in force, or of one whose archive nobody can open", n)
	}
	before, _ := w.epochs()
	w.refresh()
	if n := w.trim(); n != 3 {
		t.Errorf("41 epochs were reduced in %d transactions, expected 3", n)
	}
	for i := range 5 {
		name := fmt.Sprintf("late%d", i)
		org := govtest.Issue(t, name, nil, true, nil)
		w.Decide(govtest.Act(action.AddMember, action.Args{Name: name, Certificate: org.Cert.Raw, EncryptionKey: org.Encryption.Public()}))
		w.Members = append(w.Members, org)
	}
	w.run()
	w.refresh() // two committees replaced before anything is reduced
	w.rotate(3)
	w.trim()
	newest := w.newest().Number
	sealed, sizes := w.epochs()
	for epoch, e := range sealed {
		whole := e.Committee == 1 || e.Committee == newest // the first was dealt, and its archive is not in the second
		if e.Reduced() == whole || !whole && sizes[epoch] > reducedEpoch {
			t.Errorf("epoch %d of committee %d has %d bytes, reduced %t; committee %d is in force", epoch, e.Committee, sizes[epoch], e.Reduced(), newest)
		}
		if old := before[epoch]; old != nil && !whole {
			b, err := old.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			now, err := e.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			was, before, err1 := archive.DigestOf(b)
			is, after, err2 := archive.DigestOf(now)
			if was != is || before || !after || err1 != nil || err2 != nil {
				t.Errorf("epoch %d has another digest since it was reduced: nodes that learn of it before and after would not know each other's secrets (%v, %v)", epoch, err1, err2)
			}
		}
	}
	w.same(w.recovered(w.Members[0], w.Members[2], w.Members[4], w.Members[5], w.Members[6]))
	if _, err := w.audited(); err != nil {
		t.Error(err)
	}
}

// Rows of which nothing else opens the epochs stay whole, and those of the committee in force, whose seats open single epochs.
func TestAnAuditRefusesAReductionOfEpochsThatTakesTooMuch(t *testing.T) {
	w := newWorld(t)
	w.join(1, "b:1")
	w.join(2, "c:1")
	w.run()
	w.rotate(20)
	w.refresh()
	w.trim()
	w.rotate(1)
	is := func(w store.Write) bool { return w.Table == table.EpochsTable }
	// The first transaction that writes an epoch again.
	tx := w.where(0, func(x store.Write) bool {
		e, err := table.DecodeEpoch(x.Value)
		if !is(x) || err != nil {
			return false
		}
		sealed, err := archive.ParseEpoch(e.Sealed)
		return err == nil && sealed.Reduced()
	})
	put := func(epoch uint64, change func(*table.EpochRecord, *archive.Epoch)) []store.Write {
		writes := w.writes(tx)
		i := slices.IndexFunc(writes, func(x store.Write) bool { return is(x) && string(x.Key) == string(table.EpochKey(epoch)) })
		if i < 0 {
			t.Fatalf("epoch %d is not reduced there", epoch)
		}
		rec, err := table.DecodeEpoch(writes[i].Value)
		if err != nil {
			t.Fatal(err)
		}
		e, err := archive.ParseEpoch(rec.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		change(&rec, e)
		if rec.Sealed, err = e.Marshal(); err != nil {
			t.Fatal(err)
		}
		if writes[i].Value, err = canon.Marshal(rec); err != nil {
			t.Fatal(err)
		}
		return writes
	}
	row := func(epoch uint64) (value []byte) {
		w.Read(func(r store.Reader) { value, _ = r.Get(table.EpochsTable, table.EpochKey(epoch)) })
		return slices.Clone(value)
	}
	reduced := func(epoch uint64) store.Write {
		rec, err := table.DecodeEpoch(row(epoch))
		if err != nil {
			t.Fatal(err)
		}
		e, err := archive.ParseEpoch(rec.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		if e, err = e.Reduce(); err != nil {
			t.Fatal(err)
		}
		if rec.Sealed, err = e.Marshal(); err != nil {
			t.Fatal(err)
		}
		b, err := canon.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		return store.Write{Table: table.EpochsTable, Key: table.EpochKey(epoch), Value: b}
	}
	last := uint64(len(w.secrets))
	for name, c := range map[string]struct {
		writes []store.Write
		text   string
	}{
		"one fewer":                            {slices.Delete(w.writes(tx), 3, 4), "leaves out"},
		"another box":                          {put(5, func(_ *table.EpochRecord, e *archive.Epoch) { e.Box[9] ^= 1 }), "is not what"},
		"another u":                            {put(5, func(_ *table.EpochRecord, e *archive.Epoch) { e.U[9] ^= 1 }), "is not what"},
		"another digest of what it was":        {put(5, func(_ *table.EpochRecord, e *archive.Epoch) { e.Whole[9] ^= 1 }), "is not what"},
		"another time":                         {put(5, func(r *table.EpochRecord, _ *archive.Epoch) { r.Time++ }), "is not what"},
		"the epoch of a dealt committee, too":  {append([]store.Write{reduced(1)}, w.writes(tx)...), "does not follow"},
		"an epoch of the committee in force":   {append(w.writes(tx), reduced(last-1)), "does not follow"},
		"an epoch that is not announced yet":   {append(w.writes(tx), reduced(last)), "does not follow"},
		"a row that is deleted":                {append(w.writes(tx), store.Write{Table: table.EpochsTable, Key: table.EpochKey(1), Delete: true}), "nothing is deleted"},
		"nothing but one of a dealt committee": {[]store.Write{reduced(1)}, "does not follow"},
	} {
		if err := w.with(tx, c.writes); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, expected coco.ErrVerify about %q", name, err, c.text)
		}
	}
	// Where a transaction does something else, too, no epoch is written again.
	voted := w.where(0, func(x store.Write) bool { return x.Table == table.ProposalsTable })
	if err := w.with(voted, append(w.writes(voted), reduced(1))); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a vote that reduces an epoch: %v", err)
	}
	if _, err := w.audited(); err != nil {
		t.Errorf("without any of it: %v", err)
	}
	if err := w.Transact(ceremony.Trim); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a reduction with nothing to reduce: %v", err)
	}
}
