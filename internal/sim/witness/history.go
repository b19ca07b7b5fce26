package witness

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/cocoframework/coco/internal/sim/linear"
)

// Begin notes the time of a call.
func (w *Witness) Begin() int64 { return int64(w.Recorder.Elapsed()) }

// End adds an operation to the history.
func (w *Witness) End(o linear.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.Answered = int64(w.Recorder.Elapsed())
	w.history = append(w.history, o)
}

// Unmet returns versions that are known from refusals only, with the client.
func (w *Witness) Unmet() map[linear.Version]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[linear.Version]int{}
	for _, o := range w.history {
		v := linear.Version{Key: o.Key, Seqno: o.Tag}
		if _, ok := w.learned.seen[v]; !ok && o.Outcome == linear.Refused && o.Tag > 0 {
			found[v] = o.Client
		}
	}
	return found
}

// Versions returns all that is known of keys that were written more than once, in order.
func (w *Witness) Versions() (all []linear.Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for v := range w.learned.seen {
		if strings.Contains(v.Key, "register") || strings.Contains(v.Key, "counter") {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b linear.Version) int { return cmp.Compare(a.Seqno, b.Seqno) })
	return all
}

// Judge looks for an order of the history that explains it. It MUST be called after the run, outside of virtual time.
func (w *Witness) Judge(to io.Writer) { linear.Judge(w.t, to, w.history, w.learned.seen) }
