package pulse

import "time"

// futureSlack is how much later a batch may be than what a follower knows of the time: what its leader is believed, and what the leader may know
// and the follower not yet.
const futureSlack = quorumSlack + 20*time.Second

// Future says which batches a follower takes for batches from the future. A leader's program does not write such a batch, so one that does is
// not the program that the constitution lists, or a quorum's clocks were set back.
type Future struct {
	latest uint64 // time of the latest batch that was taken, in milliseconds since 1970
}

// Take reports whether a batch of some time is taken, while this host says another time of day; both in milliseconds since 1970. It is if the host's clock
// or a quorum's say so much, and if no batch is known that is earlier: a ledger whose time is ahead stands still until the clocks have reached it. Without a quorum that has
// told its time, every batch is taken.
func (f *Future) Take(at, day uint64, clocks *Clocks) bool {
	agreed, ok := clocks.Agreed(day)
	if ok && at > f.latest && at > max(day, agreed)+uint64(futureSlack.Milliseconds()) {
		return false
	}
	f.Took(at)
	return true
}

// Took notes a batch that is taken without asking, as one of the past.
func (f *Future) Took(at uint64) { f.latest = max(f.latest, at) }
