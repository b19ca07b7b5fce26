package pulse

import (
	"slices"
	"time"
)

// futureSlack is how much later a batch may be than what a follower knows of the time: what its leader is believed, and what the leader may know
// and the follower not yet.
const futureSlack = quorumSlack + 20*time.Second

// Future says which batches a follower that votes takes into its log, and which it takes for batches from the future. A leader's program does not write such
// a batch, so one that does is not the program that the constitution lists; or the follower does not know what the leader knew: clocks were set
// back, or a node whose word the leader had heard is gone.
//
// A batch is from the future if it is later than what this host's clock and a quorum's say, and later than the log's last batch: a ledger whose time is ahead stands
// still until the clocks have reached it.
//
// A batch from the future is refused once. Others then elect another leader, whose log does not hold it, if they refuse it too. If it
// is offered again, by a later leader or by the same one after a while, another node has taken it, or no other one could be elected: then
// the batches of that view are taken, because a network stops that refuses for ever what a leader cannot take back. It is refused anew once an entry of a later
// view was appended without that.
type Future struct {
	applied  uint64  // time of the last batch that is applied, in milliseconds since 1970
	tail     []dated // the log's batches that are not applied
	refused  uint64  // the view whose leader was refused last; 0 if that is settled
	believed uint64  // the view whose leader is believed
}

// dated is a batch of the log. Its time is in milliseconds since 1970.
type dated struct{ index, at uint64 }

// Applied notes how far the log is applied, and the time of the last batch up to there.
func (f *Future) Applied(index, at uint64) {
	f.applied = at
	n := 0
	for n < len(f.tail) && f.tail[n].index <= index {
		n++
	}
	f.tail = slices.Delete(f.tail, 0, n)
}

// Append notes an entry that was appended to the log, in the place of all that was there from its index on. At is 0 if it is no batch.
func (f *Future) Append(view, index, at uint64) {
	n := len(f.tail)
	for n > 0 && f.tail[n-1].index >= index {
		n--
	}
	f.tail = f.tail[:n]
	if at != 0 {
		f.tail = append(f.tail, dated{index, at})
	}
	if view > f.refused {
		f.refused = 0
	}
}

// latest returns the time of the log's last batch, in milliseconds since 1970.
func (f *Future) latest() uint64 {
	if n := len(f.tail); n > 0 {
		return f.tail[n-1].at
	}
	return f.applied
}

// Refuses reports whether the leader whose batch was refused is not to be heard: no later leader's log is this node's yet.
func (f *Future) Refuses() bool { return f.refused != 0 }

// Take reports whether a batch of some time is taken that the leader of a view sends, while this host says another time of day; both in milliseconds since 1970. Without a
// quorum that has told its time, every batch is taken. Believed says that it is taken though it is from the future.
func (f *Future) Take(view, at, day uint64, clocks *Clocks) (taken, believed bool) {
	agreed, ok := clocks.Agreed(day)
	switch {
	case !ok, at <= max(day, agreed)+uint64(futureSlack.Milliseconds()), at <= f.latest():
		return true, false
	case f.believed == view:
		return true, true
	case f.refused != 0:
		f.refused, f.believed = 0, view
		return true, true
	}
	f.refused = view
	return false, false
}
