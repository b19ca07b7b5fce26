package pulse

import "time"

// How far the time of day of a leader's host is believed.
const (
	// quorumSlack is how far it may run ahead of what the clocks of a quorum have reached.
	quorumSlack = 10 * time.Second
	// clockSlack is how far it may run ahead of the ledger's time, beyond the time that has passed since this node learnt the
	// latter, as long as no quorum has told its time.
	clockSlack = 10 * time.Minute
	// LagPatience is how far this machine's clock and the ledger's time may be apart before an operator is told.
	LagPatience = 30 * time.Second
)

// LedgerTime decides what time a leader writes into the ledger. A ledger's time never goes back, so one batch from the far future
// would hold it there for ever. The time is the host's time of day, kept within bounds:
//
//   - If a quorum of clocks has told its time, that time is the earliest, and that time plus quorumSlack is the latest. A pause of any
//     length is over with the first batch after it.
//   - Otherwise the latest is the time of an earlier batch, the anchor, plus what a clock that cannot be set has counted since, plus clockSlack.
//     The anchor is the last applied batch of another node, or the first batch that this node sealed.
//   - In a recovery the members say what time it is (word). That counts as an anchor, and as the earliest time, until a quorum has told its own.
type LedgerTime struct {
	anchor   uint64        // time of the batch, in milliseconds since 1970; 0 before the first one
	anchored time.Duration // Clock.Elapsed when this node learnt it
	word     uint64        // in milliseconds since 1970; 0 if there is none
	given    time.Duration // Clock.Elapsed when it was given
}

// Give notes what time it is as the members say who recover the network, in milliseconds since 1970; 0 if they say nothing.
func (t *LedgerTime) Give(word uint64, elapsed time.Duration) { t.word, t.given = word, elapsed }

// Anchored reports whether there is an anchor.
func (t *LedgerTime) Anchored() bool { return t.anchor != 0 }

// Set makes a batch the anchor.
func (t *LedgerTime) Set(anchor uint64, elapsed time.Duration) {
	t.anchor, t.anchored = anchor, elapsed
}

// Now returns the time of the next batch, which the ledger's last batch may still exceed. Alone says that the only voter's own clock is all
// the clocks that there are. Without an anchor any time is plausible: a network begins with its founder's time. Times are in milliseconds since 1970.
func (t *LedgerTime) Now(day time.Time, elapsed time.Duration, clocks *Clocks, alone bool) uint64 {
	now := uint64(max(0, day.UnixMilli()))
	if agreed, ok := clocks.Agreed(now); ok && (alone || !clocks.Alone()) {
		return min(max(now, agreed), agreed+uint64(quorumSlack.Milliseconds()))
	}
	if t.anchor == 0 {
		return now
	}
	counted := func(from uint64, since time.Duration) uint64 {
		return from + uint64(max(0, elapsed-since).Milliseconds())
	}
	latest, earliest := counted(t.anchor, t.anchored), uint64(0)
	if t.word != 0 {
		earliest = counted(t.word, t.given)
		latest = max(latest, earliest)
	}
	return min(max(now, earliest), latest+uint64(clockSlack.Milliseconds()))
}

// Side says on which side of the ledger's time this machine's clock is.
type Side int

// A clock is right within LagPatience, or ahead of the ledger's time, or behind it.
const (
	Right Side = iota
	Ahead
	Behind
)

// SideOf judges how far the ledger's time is behind this machine's clock.
func SideOf(lag time.Duration) Side {
	switch {
	case lag > LagPatience:
		return Ahead
	case lag < -LagPatience:
		return Behind
	}
	return Right
}
