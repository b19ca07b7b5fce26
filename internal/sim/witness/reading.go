package witness

import (
	"slices"

	"github.com/cocoframework/coco/internal/sim/linear"
)

// Reading is what a node said of a key as of one of its states.
type Reading struct {
	Key string
	At  uint64 // seqno of the state
	Tag uint64 // the version that was found, 0 for none
	Who string
}

// SaidOf takes note of a key's version and value in a node's state.
func (w *Witness) SaidOf(x Reading, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.Tag > x.At {
		w.failLocked("snapshot", "%s was given version %d of %s as of the state of seqno %d", x.Who, x.Tag, x.Key, x.At)
	}
	w.learned.readings = append(w.learned.readings, x)
	if x.Tag > 0 {
		w.versionLocked(x.Key, x.Tag, value, x.Who)
	}
}

// Wrote takes note of a version that a transaction made; the value "" stands for none.
func (w *Witness) Wrote(key string, seqno uint64, value, who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versionLocked(key, seqno, value, who)
}

func (w *Witness) versionLocked(key string, seqno uint64, value, who string) {
	v := linear.Version{Key: key, Seqno: seqno}
	if other, ok := w.learned.seen[v]; ok && other != value {
		w.failLocked("snapshot", "version %d of %s is %q to %s, and was %q before", seqno, key, value, who, other)
	}
	w.learned.seen[v] = value
}

// Vague takes note of a delete that may have happened.
func (w *Witness) Vague(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.learned.deleted[key] = true
}

// Snapshots compares what was read as of a state with all versions that anybody ever learned of: between
// the version that was found and the state there must be no other.
func (w *Witness) Snapshots() {
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
		all := versions[x.Key]
		n, found := slices.BinarySearch(all, x.At)
		if !found {
			n--
		}
		if n < 0 || all[n] == x.Tag { // n < 0: no client has learned of the delete that it may have been
			continue
		}
		last := all[n]
		if x.Tag == 0 && (w.learned.seen[linear.Version{Key: x.Key, Seqno: last}] == "" || w.learned.deleted[x.Key]) {
			continue
		}
		w.failLocked("snapshot", "%s was given version %d of %s as of seqno %d, which has version %d", x.Who, x.Tag, x.Key, x.At, last)
	}
}
