package sim

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/sim/linear"
	"github.com/cocoframework/coco/internal/sim/trace"
)

// planted begins every key and value of the private tables: it must not be seen in the clear.
const planted = "planted-secret-"

// maxReports bounds what is said about one invariant.
const maxReports = 3

// witness keeps what clients and nodes have said, and compares it with what they say next.
type witness struct {
	t        *testing.T
	recorder *trace.Recorder

	mu       sync.Mutex
	failed   map[string]int    // reports by invariant
	views    map[uint64]uint64 // of committed seqnos
	writes   map[uint64]write  // acknowledged, by seqno
	nowhere  map[string]string // keys whose write was refused, with the answer
	counters map[string]*counter
	digests  map[uint64]string // of the state, by seqno
	history  []linear.Operation
	learned  learned
	shown    map[string]uint64   // the newest state that a machine has shown, by machine
	logs     map[string][]record // of the nodes, by host
	compared int                 // digests that met one of another node
	fresh    fresh
}

// learned is what answers have said about versions of keys.
type learned struct {
	values   atomic.Uint64             // how many values the clients have made
	seen     map[linear.Version]string // values
	readings []reading
	deleted  map[string]bool // keys that may have been deleted at an unknown time
}

// write is the only put of a key.
type write struct {
	key, value string
	by         int // the session
	id         coco.TxID
}

// counter is a key that is changed by compare-and-set only, from n to n+1.
type counter struct {
	by      map[int]string // who was told to have made it n
	unknown int            // increments that may have happened
}

func newWitness(t *testing.T, recorder *trace.Recorder) *witness {
	return &witness{
		t: t, recorder: recorder, failed: map[string]int{}, views: map[uint64]uint64{}, writes: map[uint64]write{},
		nowhere: map[string]string{}, counters: map[string]*counter{}, digests: map[uint64]string{},
		learned: learned{seen: map[linear.Version]string{}, deleted: map[string]bool{}}, shown: map[string]uint64{}, logs: map[string][]record{}, fresh: fresh{slow: map[string]bool{}},
	}
}

// say writes a line of the trace.
func (w *witness) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sayLocked(format, args...)
}

func (w *witness) sayLocked(format string, args ...any) {
	w.recorder.Say(fmt.Sprintf(format, args...))
}

// fail reports that an invariant does not hold.
func (w *witness) fail(invariant, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failLocked(invariant, format, args...)
}

func (w *witness) failLocked(invariant, format string, args ...any) {
	if w.failed[invariant]++; w.failed[invariant] > maxReports {
		return
	}
	text := fmt.Sprintf("VIOLATED %s: ", invariant) + fmt.Sprintf(format, args...)
	w.sayLocked("%s", text)
	w.t.Errorf("%.3fs  %s", w.recorder.Elapsed().Seconds(), text)
}

// saw takes note of a transaction id that an answer called committed.
func (w *witness) saw(id coco.TxID, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sawLocked(id, who)
}

func (w *witness) sawLocked(id coco.TxID, who string) {
	if id.Seqno == 0 {
		return
	}
	if view, ok := w.views[id.Seqno]; ok && view != id.View {
		w.failLocked("txid", "seqno %d was committed in view %d, %s is now given %s", id.Seqno, view, who, id)
	}
	w.views[id.Seqno] = id.View
	w.learntLocked(id.Seqno)
}

// newestID returns the newest transaction that anybody was told of, zero if there is none.
func (w *witness) newestID() coco.TxID {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.fresh.newest)
	if n == 0 {
		return coco.TxID{}
	}
	seqno := w.fresh.newest[n-1].seqno
	return coco.TxID{View: w.views[seqno], Seqno: seqno}
}

// acked takes note of an acknowledged write.
func (w *witness) acked(x write, tag uint64, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sawLocked(x.id, who)
	if other, ok := w.writes[x.id.Seqno]; ok {
		w.failLocked("txid", "%s is both the write of %s and of %s", x.id, other.key, x.key)
	}
	if tag != x.id.Seqno {
		w.failLocked("txid", "write of %s is transaction %s with entity tag %d", x.key, x.id, tag)
	}
	w.writes[x.id.Seqno] = x
}

// refused takes note of a write that a node called certainly not committed.
func (w *witness) refused(key, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nowhere[key] = what
}

// counted takes note of an attempt to make a counter n.
func (w *witness) counted(key string, n int, who string, o outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.counters[key]
	if c == nil {
		c = &counter{by: map[int]string{}}
		w.counters[key] = c
	}
	switch o {
	case done:
		if other, ok := c.by[n]; ok {
			w.failLocked("once", "both %s and %s were told to have made counter %s %d", other, who, key, n)
		}
		c.by[n] = who
	case unknown:
		c.unknown++
	}
}

// digest takes note of a node's state.
func (w *witness) digest(seqno uint64, digest, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, ok := w.digests[seqno]; ok {
		w.compared++
		if before != digest {
			w.failLocked("digest", "at seqno %d %s has state %s, another node, or it before, had %s", seqno, who, digest, before)
		}
	}
	w.digests[seqno] = digest
}

// snapshot returns copies of what verify goes through.
func (w *witness) snapshot() (writes map[uint64]write, nowhere map[string]string, counters map[string]*counter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.writes), maps.Clone(w.nowhere), maps.Clone(w.counters)
}

func (w *witness) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.writes)
}

// newest returns the newest state that each machine has shown so far.
func (w *witness) newest() map[string]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.shown)
}

// shows takes note of the state that a machine answers with, which is not older than what it had shown when
// it was asked.
func (w *witness) shows(machine string, seqno, before uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seqno < before {
		w.failLocked("rollback", "%s had shown the state of seqno %d, then %d", machine, before, seqno)
	}
	w.shown[machine] = max(w.shown[machine], seqno)
}
