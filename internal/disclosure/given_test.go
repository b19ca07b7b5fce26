package disclosure

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/granting"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/grant"
	"github.com/cocoframework/coco/store"
)

// ledger has a grant of the epochs 3 to 5, with the parts of three seats, of which two are needed.
type ledger struct {
	t       *testing.T
	network coco.Digest
	auditor *keys.MemberKey
	store   *store.Store
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{t: t, network: coco.Digest{7}, store: store.New()}
	if err := l.store.Create(table.All()...); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.auditor, err = keys.NewMemberKey(keys.XWing); err != nil {
		t.Fatal(err)
	}
	actors := []coco.ActorID{{1}, {2}, {3}}
	c, packages, err := committee.Deal(actors, 2)
	if err != nil {
		t.Fatal(err)
	}
	rec := table.GrantRecord{Number: 1, Name: "kpmg", To: l.auditor.Public(), First: 3, Last: 5}
	of := rec.Of(l.network, 2, 1)
	s, err := grant.New(c, of)
	if err != nil {
		t.Fatal(err)
	}
	sealing := table.GrantSealing{Committee: 2, Key: 1, Commitment: c.Key().Commitment()}
	if sealing.Sealing, err = s.Marshal(); err != nil {
		t.Fatal(err)
	}
	for _, a := range actors {
		sealing.Seats = append(sealing.Seats, table.GrantSeat{Actor: a})
	}
	l.put(table.NumberKey(1), rec)
	l.put(table.GrantKey(1, 0, 0), sealing)
	for epoch := uint64(3); epoch <= 5; epoch++ {
		box, err := keys.GrantEpoch(l.network, epoch, keys.Secret{byte(epoch)}, s.Public)
		if err != nil {
			t.Fatal(err)
		}
		l.put(table.GrantKey(1, epoch, 0), table.GrantBox{Box: box})
	}
	for i, p := range packages {
		box, err := s.Part(c, of, p)
		if err != nil {
			t.Fatal(err)
		}
		l.put(table.GrantKey(1, 0, uint32(i+1)), table.GrantPart{Box: box})
	}
	return l
}

// change writes rows.
func (l *ledger) change(do func(*store.Tx) error) {
	l.t.Helper()
	set := l.store.Begin(1, 0)
	tx := set.Begin()
	if err := do(tx); err != nil {
		l.t.Fatal(err)
	}
	tx.Commit()
	if err := set.Install(); err != nil {
		l.t.Fatal(err)
	}
	l.store.Commit(set.Next() - 1)
}

func (l *ledger) put(key []byte, row any) {
	l.change(func(tx *store.Tx) error { return table.Put(tx, table.GrantsTable, key, row) })
}

func (l *ledger) drop(key []byte) {
	l.change(func(tx *store.Tx) error { tx.Delete(table.GrantsTable, key); return nil })
}

func (l *ledger) open(e Epochs) ([]uint64, []error, error) {
	l.t.Helper()
	r := l.store.Begin(1, 0)
	g, err := granting.Load(r, 1)
	if err != nil {
		l.t.Fatal(err)
	}
	k, faults, err := open(r, l.network, g, l.auditor, e)
	return some(k, Epochs{}), faults, err
}

func TestAnAuditorOpensWhatIsGrantedAndAskedFor(t *testing.T) {
	l := newLedger(t)
	for e, want := range map[Epochs][]uint64{{}: {3, 4, 5}, {4, 4}: {4}, {1, 3}: {3}, {5, 9}: {5}, {1, 2}: nil, {6, 1<<63 - 1}: nil, {1, 1<<63 - 1}: {3, 4, 5}} {
		if got, faults, err := l.open(e); err != nil || len(faults) > 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, %v, expected %v", e, got, faults, err, want)
		}
	}
	l.drop(table.GrantKey(1, 4, 0))
	if got, _, err := l.open(Epochs{}); err != nil || !slices.Equal(got, []uint64{3, 5}) {
		t.Errorf("without a box: %v, %v", got, err)
	}
	l.put(table.GrantKey(1, 4, 0), table.GrantBox{Box: make([]byte, grant.BoxSize)})
	if _, _, err := l.open(Epochs{3, 3}); err != nil {
		t.Errorf("an epoch beside a box that does not open: %v", err)
	}
	if _, _, err := l.open(Epochs{}); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "epoch 4") {
		t.Errorf("a box that does not open: %v", err)
	}
}

func TestAWrongPartIsNamedByItsSeat(t *testing.T) {
	l := newLedger(t)
	bad, err := keys.SealTo(l.auditor.Public(), []byte("another purpose"), make([]byte, 128))
	if err != nil {
		t.Fatal(err)
	}
	l.put(table.GrantKey(1, 0, 2), table.GrantPart{Box: bad})
	got, faults, err := l.open(Epochs{})
	var wrong *committee.PartError
	if err != nil || len(got) != 3 || len(faults) != 1 || !errors.As(faults[0], &wrong) || wrong.Seat != 2 || wrong.Actor != (coco.ActorID{2}) {
		t.Fatalf("%v, %v, %v", got, faults, err)
	}
	l.put(table.GrantKey(1, 0, 3), table.GrantPart{Box: bad})
	if _, faults, err := l.open(Epochs{}); !errors.Is(err, coco.ErrInvalid) || len(faults) != 2 {
		t.Errorf("two wrong parts of three: %v, %v", faults, err)
	}
	l.drop(table.GrantKey(1, 0, 3))
	l.drop(table.GrantKey(1, 0, 2))
	if _, _, err := l.open(Epochs{}); !errors.Is(err, coco.ErrNotFound) || !strings.Contains(err.Error(), "1 parts of seats are there, and it needs 2") {
		t.Errorf("one part: %v", err)
	}
	l.drop(table.GrantKey(1, 0, 0))
	if _, _, err := l.open(Epochs{}); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("without a key: %v", err)
	}
}

func TestAnEpochThatIsNotGrantedIsRefusedByItsNumber(t *testing.T) {
	l := newLedger(t)
	l.change(func(tx *store.Tx) error {
		for epoch := uint64(1); epoch <= 7; epoch++ {
			if err := table.Put(tx, table.EpochsTable, table.EpochKey(epoch), table.EpochRecord{Epoch: epoch}); err != nil {
				return err
			}
		}
		return nil
	})
	r := l.store.Begin(1, 0)
	all, err := table.Grants(r)
	if err != nil {
		t.Fatal(err)
	}
	readable, _, err := func() (Keys, []error, error) {
		g, err := granting.Load(r, 1)
		if err != nil {
			t.Fatal(err)
		}
		return open(r, l.network, g, l.auditor, Epochs{})
	}()
	if err != nil {
		t.Fatal(err)
	}
	for e, text := range map[Epochs]string{
		{}: "", {3, 5}: "", {4, 4}: "",
		{2, 4}: "not epoch 2", {3, 6}: "not epoch 6", {3, 1<<63 - 1}: "not epoch 6", {7, 7}: "epochs 3-5, and not epoch 7", {8, 9}: "its last one is 7",
	} {
		err := wanted(r, all, readable, e)
		if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, expected %q", e, err, text)
		}
		if errors.Is(err, coco.ErrDenied) && !strings.Contains(err.Error(), "coco gov propose grant-epochs") {
			t.Errorf("%s: %v does not say what to do", e, err)
		}
	}
	delete(readable, 4)
	if err := wanted(r, all, readable, Epochs{3, 5}); !errors.Is(err, coco.ErrNotFound) || !strings.Contains(err.Error(), "newer copy") {
		t.Errorf("an epoch that is not there yet: %v", err)
	}
}
