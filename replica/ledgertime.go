package replica

import "time"

// clockSlack is how far a leader's time of day may run ahead of the ledger's, beyond the time that
// has passed since this node learnt the latter.
const clockSlack = 10 * time.Minute

// ledgerTime bounds the time of day that this node writes into the ledger. A ledger's time never goes back, so one batch from
// the far future would hold it there. The bound is the time of an earlier batch, the anchor, plus what a clock that cannot
// be set has counted since, plus clockSlack. The anchor is the last applied batch of another node, or the first batch that
// this node sealed.
type ledgerTime struct {
	anchor  uint64        // time of the batch, in milliseconds since 1970; 0 before the first one
	elapsed time.Duration // Clock.Elapsed when this node learnt it
	ahead   bool          // the time of day was beyond the bound at the last call of now
}

// set makes a batch the anchor.
func (t *ledgerTime) set(anchor uint64, elapsed time.Duration) { t.anchor, t.elapsed = anchor, elapsed }

// now returns the time of day, or the latest that is plausible if the time of day is later. Warn is true for the first of
// several calls that find it later. Without an anchor any time is plausible: a network begins with its founder's time,
// and goes on after a recovery with the recoverer's. Times are in milliseconds since 1970.
func (t *ledgerTime) now(day time.Time, elapsed time.Duration) (now uint64, warn bool) {
	now = uint64(max(0, day.UnixMilli()))
	if t.anchor == 0 {
		return now, false
	}
	latest := t.anchor + uint64((elapsed - t.elapsed + clockSlack).Milliseconds())
	warn = now > latest && !t.ahead
	t.ahead = now > latest
	return min(now, latest), warn
}
