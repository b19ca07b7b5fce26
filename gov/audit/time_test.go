package audit_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// written makes a ledger by a version of the rules whose last batch comes some time after the one before.
func written(t *testing.T, rules uint64, after time.Duration) (n *govtest.Network, signers []table.NodeRecord) {
	n = govtest.New(t)
	c := n.Constitution()
	c.Rules = rules
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	n.C = c
	a := n.Genesis()
	n.Put()
	n.Now = n.Now.Add(after)
	n.Put()
	return n, slices.Repeat([]table.NodeRecord{a}, 3)
}

func TestAnAuditRefusesABatchThatIsOlderThanTheOneBefore(t *testing.T) {
	for _, rules := range []uint64{1, 2} {
		for after, ok := range map[time.Duration]bool{-20 * 24 * time.Hour: false, -time.Millisecond: false, 0: true, 20 * 24 * time.Hour: true} {
			n, signers := written(t, rules, after)
			for _, applyFirst := range []bool{false, true} {
				err := govtest.Audit(audit.New(audit.Config{Verifiers: govtest.Verifiers}), n.Batches(signers...), applyFirst)
				if ok != (err == nil) || !ok && (!errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "never goes back")) {
					t.Errorf("rules %d, a batch %v after the one before: %v, expected it to pass: %v", rules, after, err, ok)
				}
			}
		}
	}
}

func TestAnAuditUnderRules2RefusesABatchFromTheFuture(t *testing.T) {
	for _, c := range []struct {
		rules uint64
		ahead time.Duration // of the auditor's clock
		ok    bool
	}{{2, 0, true}, {2, 9 * time.Minute, true}, {2, 11 * time.Minute, false}, {2, 9 * 365 * 24 * time.Hour, false}, {1, 11 * time.Minute, true}} {
		n, signers := written(t, c.rules, time.Hour)
		config := audit.Config{Verifiers: govtest.Verifiers, Now: n.Now.Add(-c.ahead)}
		err := govtest.Audit(audit.New(config), n.Batches(signers...), false)
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, coco.ErrVerify) {
			t.Errorf("rules %d, a batch %v ahead: %v, expected it to pass: %v", c.rules, c.ahead, err, c.ok)
		}
		if err := govtest.Audit(audit.New(audit.Config{Verifiers: govtest.Verifiers}), n.Batches(signers...), false); err != nil {
			t.Errorf("without a clock: %v", err)
		}
	}
}

// When an epoch began is in its row since rules 2, and it is the time of the transaction.
func TestAnAuditRefusesAnEpochOfAnotherTime(t *testing.T) {
	for _, rules := range []uint64{1, 2} {
		n, signers := written(t, rules, time.Hour)
		announce := func(by func(uint64) uint64) error {
			return n.AuditWith(func(tx *store.Tx) {
				if err := n.Rotate(tx, n.C); err != nil {
					t.Fatal(err)
				}
				key := table.EpochKey(table.LastEpoch(tx))
				value, _ := tx.Get(table.EpochsTable, key)
				rec, err := table.DecodeEpoch(value)
				if err != nil {
					t.Fatal(err)
				}
				if (rec.Time == tx.Time()) != (rules == 2) {
					t.Errorf("rules %d: the time %d in a transaction of %d", rules, rec.Time, tx.Time())
				}
				rec.Time = by(rec.Time)
				if value, err = canon.Marshal(rec); err != nil {
					t.Fatal(err)
				}
				tx.Put(table.EpochsTable, key, value)
			}, signers[0])
		}
		if err := announce(func(ms uint64) uint64 { return ms }); err != nil {
			t.Errorf("rules %d: the epoch as it was announced: %v", rules, err)
		}
		if err := announce(func(ms uint64) uint64 { return ms + 1 }); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "has the time") {
			t.Errorf("rules %d, another time: %v", rules, err)
		}
	}
}
