package sim

import (
	"slices"

	"github.com/cocoframework/coco/internal/sim/linear"
)

// reading is what a node said of a key as of one of its states.
type reading struct {
	key string
	at  uint64 // seqno of the state
	tag uint64 // the version that was found, 0 for none
	who string
}

// saidOf takes note of a key's version and value in a node's state.
func (w *witness) saidOf(x reading, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.tag > x.at {
		w.failLocked("snapshot", "%s was given version %d of %s as of the state of seqno %d", x.who, x.tag, x.key, x.at)
	}
	w.learned.readings = append(w.learned.readings, x)
	if x.tag > 0 {
		w.versionLocked(x.key, x.tag, value, x.who)
	}
}

// wrote takes note of a version that a transaction made; the value "" stands for none.
func (w *witness) wrote(key string, seqno uint64, value, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versionLocked(key, seqno, value, who)
}

func (w *witness) versionLocked(key string, seqno uint64, value, who string) {
	v := linear.Version{Key: key, Seqno: seqno}
	if other, ok := w.learned.seen[v]; ok && other != value {
		w.failLocked("snapshot", "version %d of %s is %q to %s, and was %q before", seqno, key, value, who, other)
	}
	w.learned.seen[v] = value
}

// vague takes note of a delete that may have happened.
func (w *witness) vague(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.learned.deleted[key] = true
}

// snapshots compares what was read as of a state with all versions that anybody ever learned of: between
// the version that was found and the state there must be no other.
func (w *witness) snapshots() {
	w.mu.Lock()
	defer w.mu.Unlock()
	versions := map[string][]uint64{}
	for v := range w.learned.seen {
		versions[v.Key] = append(versions[v.Key], v.Seqno)
	}
	for _, v := range versions {
		slices.Sort(v)
	}
	for _, x := range w.learned.readings {
		all := versions[x.key]
		n, found := slices.BinarySearch(all, x.at)
		if !found {
			n--
		}
		if n < 0 || all[n] == x.tag { // n < 0: no client has learned of the delete that it may have been
			continue
		}
		last := all[n]
		if x.tag == 0 && (w.learned.seen[linear.Version{Key: x.key, Seqno: last}] == "" || w.learned.deleted[x.key]) {
			continue
		}
		w.failLocked("snapshot", "%s was given version %d of %s as of seqno %d, which has version %d", x.who, x.tag, x.key, x.at, last)
	}
}
