package pulse

import "testing"

func TestAFollowerTakesNoBatchFromTheFuture(t *testing.T) {
	const now, year = uint64(1_800_000_000_000), uint64(365 * 24 * 3600 * 1000)
	slack := uint64(futureSlack.Milliseconds())
	for _, c := range []struct {
		name       string
		at, day    uint64
		latest     uint64
		clocks     *Clocks
		taken      bool
		thenLatest uint64
	}{
		{"a batch of now", now, now, now - 1000, clocksOf(now, now), true, now},
		{"a batch of the past", now - year, now, now, clocksOf(now, now), true, now},
		{"the latest that is taken", now + slack, now, now, clocksOf(now, now), true, now + slack},
		{"a moment later", now + slack + 1, now, now, clocksOf(now, now), false, now},
		{"years ahead", now + 9*year, now, now, clocksOf(now, now), false, now},
		{"this host's clock is years ahead: the others decide nothing for it", now + 9*year, now + 9*year, now, clocksOf(now, now), true, now + 9*year},
		{"this host's clock is years behind", now + 5000, now - 9*year, now, clocksOf(now, now), true, now + 5000},
		{"this host's clock is years behind, and the batch years ahead", now + 9*year, now - 9*year, now, clocksOf(now, now), false, now},
		{"the leader's host alone says so", now + 9*year, now, now, clocksOf(now+9*year, now), false, now},
		{"a quorum says so", now + 9*year, now, now, clocksOf(now+9*year, now+9*year), true, now + 9*year},
		{"a ledger that is ahead stands still", now + 9*year, now, now + 9*year, clocksOf(now, now), true, now + 9*year},
		{"a ledger that is ahead goes on", now + 9*year + 1, now, now + 9*year, clocksOf(now, now), false, now + 9*year},
		{"no quorum has told its time", now + 9*year, now, now, clocksOf(0, 0), true, now + 9*year},
	} {
		f := Future{latest: c.latest}
		if taken := f.Take(c.at, c.day, c.clocks); taken != c.taken || f.latest != c.thenLatest {
			t.Errorf("%s: taken %v, latest %d; expected %v, %d", c.name, taken, f.latest, c.taken, c.thenLatest)
		}
	}
}
