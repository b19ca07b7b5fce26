package witness

import (
	"slices"
	"time"
)

// tolerance is by how much an age may be less than the true one: it is told in milliseconds.
const tolerance = 2 * time.Millisecond

// learnt is the newest transaction that anybody was told of by then.
type learnt struct {
	at    time.Duration // since the run began
	seqno uint64
}

// fresh is what the ages of states are compared with.
type fresh struct {
	newest   []learnt        // in order
	slow     map[string]bool // hosts whose clocks may count too little
	compared int             // ages
}

// learntLocked takes note of a committed transaction. w.mu is held.
func (w *Witness) learntLocked(seqno uint64) {
	if n := len(w.fresh.newest); n == 0 || seqno > w.fresh.newest[n-1].seqno {
		w.fresh.newest = append(w.fresh.newest, learnt{w.Recorder.Elapsed(), seqno})
	}
}

// Aged checks the age of a state that a host tells: what anybody was told of before the request, and longer ago than the age, is in it. Time is counted by the
// node's host. What one says that counts wrong proves nothing.
func (w *Witness) Aged(host string, state uint64, age, asked time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fresh.slow[host] {
		return
	}
	w.fresh.compared++
	n, _ := slices.BinarySearchFunc(w.fresh.newest, asked-age-tolerance, func(l learnt, at time.Duration) int { return int(l.at - at) })
	if n > 0 && w.fresh.newest[n-1].seqno > state {
		w.failLocked("age", "%s was asked at %.3fs and said that the state of seqno %d was %v old; %d was there at %.3fs",
			host, asked.Seconds(), state, age, w.fresh.newest[n-1].seqno, w.fresh.newest[n-1].at.Seconds())
	}
}

// Slows takes note that a host's clock may count too little.
func (w *Witness) Slows(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fresh.slow[host] = true
}

// Counts takes note that a host's clock is right again, and that its node has heard of the others since.
func (w *Witness) Counts(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.fresh.slow, host)
}
