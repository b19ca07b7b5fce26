// Package witness keeps what the clients and nodes of a simulated network say, and compares it with what they said before. It starts nothing and asks nobody: answers and
// log records go in, and each invariant that does not hold comes out as an error of the test.
//
//	answers of nodes  (witness.go, reading.go, age.go)  transactions, writes, counters, digests; versions as of a state; ages
//	their logs        (log.go)                          events, by code and number
//	the history       (history.go)                      which Judge finds an order for, or does not
//
// A Witness is safe for concurrent use.
//
// Trust: host
package witness

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/sim/linear"
	"github.com/cocoframework/coco/internal/sim/trace"
)

// maxReports bounds what is said about one invariant.
const maxReports = 3

// Witness is what was said in one run.
type Witness struct {
	Recorder *trace.Recorder
	t        *testing.T

	mu       sync.Mutex
	failed   map[string]int    // reports by invariant
	views    map[uint64]uint64 // of committed seqnos
	writes   map[uint64]Write  // acknowledged, by seqno
	nowhere  map[string]string // keys whose write was refused, with the answer
	counters map[string]*Counter
	agreed   agreed
	history  []linear.Operation
	learned  learned
	shown    map[string]uint64   // the newest state that a machine has shown, by machine
	logs     map[string][]record // of the nodes, by host
	fresh    fresh
}

// learned is what answers have said about versions of keys.
type learned struct {
	seen     map[linear.Version]string // values
	readings []Reading
	deleted  map[string]bool // keys that may have been deleted at an unknown time
}

// Write is the only put of a key.
type Write struct {
	Key, Value string
	By         int // the session
	ID         coco.TxID
}

// Counter is a key that is changed by compare-and-set only, from n to n+1.
type Counter struct {
	By      map[int]string // who was told to have made it n
	Unknown int            // increments that may have happened
}

// agreed is what all nodes must say alike.
type agreed struct {
	digests    map[uint64]string // of the state, by seqno
	compared   int               // those that met one of another node
	committees map[uint64]made   // by their numbers
}

// made is how a committee came into force, and the version of its key.
type made struct{ seqno, key uint64 }

// New returns a witness that has heard nothing. It reports to the test.
func New(t *testing.T, recorder *trace.Recorder) *Witness {
	return &Witness{
		t: t, Recorder: recorder, failed: map[string]int{}, views: map[uint64]uint64{}, writes: map[uint64]Write{},
		nowhere: map[string]string{}, counters: map[string]*Counter{}, agreed: agreed{digests: map[uint64]string{}, committees: map[uint64]made{}},
		learned: learned{seen: map[linear.Version]string{}, deleted: map[string]bool{}}, shown: map[string]uint64{}, logs: map[string][]record{}, fresh: fresh{slow: map[string]bool{}},
	}
}

// Say writes a line of the trace.
func (w *Witness) Say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sayLocked(format, args...)
}

func (w *Witness) sayLocked(format string, args ...any) {
	w.Recorder.Say(fmt.Sprintf(format, args...))
}

// Fail reports that an invariant does not hold.
func (w *Witness) Fail(invariant, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(invariant, format, args...)
}

func (w *Witness) failLocked(invariant, format string, args ...any) {
	if w.failed[invariant]++; w.failed[invariant] > maxReports {
		return
	}
	text := fmt.Sprintf("VIOLATED %s: ", invariant) + fmt.Sprintf(format, args...)
	w.sayLocked("%s", text)
	w.t.Errorf("%.3fs  %s", w.Recorder.Elapsed().Seconds(), text)
}

// Saw takes note of a transaction id that an answer called committed.
func (w *Witness) Saw(id coco.TxID, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sawLocked(id, who)
}

func (w *Witness) sawLocked(id coco.TxID, who string) {
	if id.Seqno == 0 {
		return
	}
	if view, ok := w.views[id.Seqno]; ok && view != id.View {
		w.failLocked("txid", "seqno %d was committed in view %d, %s is now given %s", id.Seqno, view, who, id)
	}
	w.views[id.Seqno] = id.View
	w.learntLocked(id.Seqno)
}

// NewestID returns the newest transaction that anybody was told of, zero if there is none.
func (w *Witness) NewestID() coco.TxID {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.fresh.newest)
	if n == 0 {
		return coco.TxID{}
	}
	seqno := w.fresh.newest[n-1].seqno
	return coco.TxID{View: w.views[seqno], Seqno: seqno}
}

// Acked takes note of an acknowledged write.
func (w *Witness) Acked(x Write, tag uint64, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sawLocked(x.ID, who)
	if other, ok := w.writes[x.ID.Seqno]; ok {
		w.failLocked("txid", "%s is both the write of %s and of %s", x.ID, other.Key, x.Key)
	}
	if tag != x.ID.Seqno {
		w.failLocked("txid", "write of %s is transaction %s with entity tag %d", x.Key, x.ID, tag)
	}
	w.writes[x.ID.Seqno] = x
}

// Refused takes note of a write that a node called certainly not committed.
func (w *Witness) Refused(key, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nowhere[key] = what
}

// Counted takes note of an attempt to make a counter n.
func (w *Witness) Counted(key string, n int, who string, o linear.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.counters[key]
	if c == nil {
		c = &Counter{By: map[int]string{}}
		w.counters[key] = c
	}
	switch o {
	case linear.Done:
		if other, ok := c.By[n]; ok {
			w.failLocked("once", "both %s and %s were told to have made counter %s %d", other, who, key, n)
		}
		c.By[n] = who
	case linear.Unknown:
		c.Unknown++
	}
}

// Digest takes note of a node's state.
func (w *Witness) Digest(seqno uint64, digest, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, ok := w.agreed.digests[seqno]; ok {
		w.agreed.compared++
		if before != digest {
			w.failLocked("digest", "at seqno %d %s has state %s, another node, or it before, had %s", seqno, who, digest, before)
		}
	}
	w.agreed.digests[seqno] = digest
}

// Committee takes note of a committee that a node says to be in force since a transaction.
func (w *Witness) Committee(number, seqno, key uint64, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := made{seqno, key}
	if before, ok := w.agreed.committees[number]; ok && before != now {
		w.failLocked("committee", "committee %d of %s is in force since transaction %d with key %d, another node, or it before, had one since %d with key %d", number, who, seqno, key, before.seqno, before.key)
	}
	w.agreed.committees[number] = now
}

// Written returns copies of the acknowledged writes by seqno, of the keys whose write was refused with the answers, and of the counters.
func (w *Witness) Written() (writes map[uint64]Write, nowhere map[string]string, counters map[string]*Counter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.writes), maps.Clone(w.nowhere), maps.Clone(w.counters)
}

// Sum says how much there was to compare.
func (w *Witness) Sum() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sayLocked("%d writes acknowledged, %d digests and %d ages compared", len(w.writes), w.agreed.compared, w.fresh.compared)
}

// Acknowledged returns how many writes were.
func (w *Witness) Acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.writes)
}

// Newest returns the newest state that each machine has shown so far.
func (w *Witness) Newest() map[string]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.shown)
}

// Shows takes note of the state that a machine answers with, which is not older than what it had shown when
// it was asked.
func (w *Witness) Shows(machine string, seqno, before uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seqno < before {
		w.failLocked("rollback", "%s had shown the state of seqno %d, then %d", machine, before, seqno)
	}
	w.shown[machine] = max(w.shown[machine], seqno)
}
