package pulse

import "testing"

const (
	today = uint64(1_800_000_000_000)
	year  = uint64(365 * 24 * 3600 * 1000)
)

func TestAFollowerTakesNoBatchFromTheFuture(t *testing.T) {
	slack := uint64(futureSlack.Milliseconds())
	for _, c := range []struct {
		name    string
		at, day uint64
		latest  uint64
		clocks  *Clocks
		taken   bool
	}{
		{"a batch of now", today, today, today - 1000, clocksOf(today, today), true},
		{"a batch of the past", today - year, today, today, clocksOf(today, today), true},
		{"the latest that is taken", today + slack, today, today, clocksOf(today, today), true},
		{"a moment later", today + slack + 1, today, today, clocksOf(today, today), false},
		{"years ahead", today + 9*year, today, today, clocksOf(today, today), false},
		{"this host's clock is years ahead: the others decide nothing for it", today + 9*year, today + 9*year, today, clocksOf(today, today), true},
		{"this host's clock is years behind", today + 5000, today - 9*year, today, clocksOf(today, today), true},
		{"this host's clock is years behind, and the batch years ahead", today + 9*year, today - 9*year, today, clocksOf(today, today), false},
		{"the leader's host alone says so", today + 9*year, today, today, clocksOf(today+9*year, today), false},
		{"a quorum says so", today + 9*year, today, today, clocksOf(today+9*year, today+9*year), true},
		{"a ledger that is ahead stands still", today + 9*year, today, today + 9*year, clocksOf(today, today), true},
		{"a ledger that is ahead goes on", today + 9*year + 1, today, today + 9*year, clocksOf(today, today), false},
		{"no quorum has told its time", today + 9*year, today, today, clocksOf(0, 0), true},
	} {
		for from, note := range map[string]func(*Future){
			"the state":   func(f *Future) { f.Applied(7, c.latest) },
			"the log":     func(f *Future) { f.Append(1, 8, c.latest) },
			"both":        func(f *Future) { f.Append(1, 8, c.latest); f.Applied(8, c.latest) },
			"other tails": func(f *Future) { f.Append(1, 8, today+99*year); f.Append(2, 8, 0); f.Append(2, 9, c.latest) },
		} {
			var f Future
			note(&f)
			if taken, believed := f.Take(3, c.at, c.day, c.clocks); taken != c.taken || believed {
				t.Errorf("%s, latest time from %s: taken %v, expected %v", c.name, from, taken, c.taken)
			}
		}
	}
}

// What a follower had to take back is no time of its log any more, and what it still has is.
func TestTheLatestTimeIsThatOfTheLog(t *testing.T) {
	var f Future
	f.Applied(4, today)
	f.Append(1, 5, today+10)
	f.Append(1, 6, today+20)
	f.Append(1, 7, 0)
	for _, c := range []struct {
		what string
		do   func()
		want uint64
	}{
		{"as it is", func() {}, today + 20},
		{"an entry is applied", func() { f.Applied(5, today+10) }, today + 20},
		{"another leader's entry in the place of the last batch", func() { f.Append(2, 6, 0) }, today + 10},
		{"and its batch", func() { f.Append(2, 7, today+15) }, today + 15},
		{"all is applied", func() { f.Applied(7, today+15) }, today + 15},
	} {
		if c.do(); f.latest() != c.want {
			t.Errorf("%s: the latest time is %d, expected %d", c.what, f.latest()-today, c.want-today)
		}
	}
}

// A leader whom nobody can take its batch back is believed the second time; one that others replace never is.
func TestABatchFromTheFutureIsRefusedOnce(t *testing.T) {
	right := clocksOf(today, today)
	offer := func(f *Future, view, at uint64) bool {
		taken, _ := f.Take(view, at, today, right)
		return taken
	}
	for name, c := range map[string]struct {
		then  func(*Future)
		view  uint64
		taken bool
	}{
		"the same leader goes on":                 {func(*Future) {}, 3, true},
		"it is elected again":                     {func(*Future) {}, 5, true},
		"another one was followed":                {func(f *Future) { f.Append(4, 9, today) }, 5, false},
		"another one was followed without batch":  {func(f *Future) { f.Append(4, 9, 0) }, 5, false},
		"entries before it were taken":            {func(f *Future) { f.Append(2, 8, today); f.Append(3, 9, 0) }, 3, true},
		"another one was followed, the same view": {func(f *Future) { f.Append(4, 9, today) }, 4, false},
	} {
		var f Future
		f.Applied(7, today)
		if offer(&f, 3, today+year) {
			t.Errorf("%s: the first offer is taken", name)
		}
		if !f.Refuses() {
			t.Errorf("%s: its leader is heard", name)
		}
		if c.then(&f); offer(&f, c.view, today+year) != c.taken {
			t.Errorf("%s: the second offer is taken: %v, expected %v", name, !c.taken, c.taken)
		}
		if f.Refuses() == c.taken {
			t.Errorf("%s: its leader is heard: %v, expected %v", name, !f.Refuses(), c.taken)
		}
		if !c.taken {
			continue
		}
		if !offer(&f, c.view, today+2*year) { // what its leader knows goes on
			t.Errorf("%s: the leader's next batch is refused", name)
		}
		f.Append(c.view+1, 10, 0)
		if offer(&f, c.view+1, today+3*year) {
			t.Errorf("%s: the next leader is believed without a refusal", name)
		}
	}
}

// Honest leaders take turns, each with the same entries, which a majority had taken: one refusal is all that it costs.
func TestLeadersThatTakeTurnsAreNotRefusedInTurns(t *testing.T) {
	var f Future
	f.Applied(7, today)
	refused := 0
	for view := uint64(3); view < 20; view++ { // each offers the entries that it has and an empty one of its own
		taken, _ := f.Take(view, today+year, today, clocksOf(today, today))
		if !taken {
			refused++
			continue
		}
		f.Append(2, 8, today+year)
		f.Append(view, 9, 0)
	}
	if refused != 1 {
		t.Errorf("%d leaders were refused, expected 1", refused)
	}
}
