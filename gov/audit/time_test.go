package audit_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
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
