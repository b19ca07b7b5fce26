package replica

import (
	"testing"
	"time"
)

func TestTheLedgersTimeIsTheTimeOfDayWithinTheBound(t *testing.T) {
	const anchor = 1_000_000_000
	slack := uint64(clockSlack.Milliseconds())
	for _, c := range []struct {
		name   string
		anchor uint64
		day    int64 // in milliseconds since 1970
		passed time.Duration
		now    uint64
		warn   bool
	}{
		{name: "any time goes without an anchor", day: 1 << 50, now: 1 << 50},
		{name: "a time before 1970 is 1970", day: -5, now: 0},
		{name: "the time of day", anchor: anchor, day: anchor + 7, now: anchor + 7},
		{name: "a clock behind the ledger is not mended here", anchor: anchor, day: anchor - 7, now: anchor - 7},
		{name: "the bound itself", anchor: anchor, day: int64(anchor + slack), now: anchor + slack},
		{name: "beyond the bound", anchor: anchor, day: int64(anchor + slack + 1), now: anchor + slack, warn: true},
		{name: "the bound moves with the time that has passed", anchor: anchor, day: int64(anchor+slack) + 3000, passed: 3 * time.Second, now: anchor + slack + 3000},
		{name: "beyond the bound that moved", anchor: anchor, day: 1 << 50, passed: 3 * time.Second, now: anchor + slack + 3000, warn: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lt ledgerTime
			if c.anchor != 0 {
				lt.set(c.anchor, time.Minute)
			}
			if now, warn := lt.now(time.UnixMilli(c.day), time.Minute+c.passed); now != c.now || warn != c.warn {
				t.Errorf("now is %d (warning: %v), expected %d (%v)", now, warn, c.now, c.warn)
			}
		})
	}
}

func TestAClockThatIsAheadIsReportedOnceUntilItIsRight(t *testing.T) {
	var lt ledgerTime
	lt.set(1_000_000, 0)
	ahead, right := time.UnixMilli(1<<50), time.UnixMilli(1_000_000)
	for i, c := range []struct {
		day  time.Time
		warn bool
	}{{ahead, true}, {ahead, false}, {right, false}, {ahead, true}, {ahead, false}} {
		if _, warn := lt.now(c.day, 0); warn != c.warn {
			t.Errorf("call %d: warning %v, expected %v", i, warn, c.warn)
		}
	}
}
