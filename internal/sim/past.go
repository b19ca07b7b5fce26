package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cocoframework/coco/internal/sim/linear"
)

// pastReads is how many reads of the past a network at rest is asked for.
const pastReads = 30

// past asks nodes what registers and counters had long ago, and takes note of it as of every other reading.
func (r *run) past() {
	s := r.newSession("historian", 0)
	defer s.http.CloseIdleConnections()
	versions := r.witness.versions()
	pick := rand.New(rand.NewPCG(r.seed, 4))
	for range min(pastReads, len(versions)) {
		host, v := pick.IntN(r.plan.members), versions[pick.IntN(len(versions))]
		at := v.Seqno + pick.Uint64N(20)
		at = min(at, versions[len(versions)-1].Seqno)
		a := s.patiently(host, fmt.Sprintf("/app/kv/%s?at=%d", v.Key, at))
		switch a.outcome {
		case done, missing:
			r.witness.saidOf(reading{key: v.Key, at: at, tag: a.tag, who: "of the past " + hostName(host)}, string(a.body))
		default:
			r.witness.fail("past", "%s does not say what %s had at seqno %d: %s", hostName(host), v.Key, at, a.what)
		}
	}
}

// named asks for the versions that refusals named and that no client has met otherwise: a transaction must have
// written them. This finds a refusal by a state that was never committed.
func (r *run) named() {
	s := r.newSession("historian", 0)
	defer s.http.CloseIdleConnections()
	for v, who := range r.witness.unmet() {
		a := s.patiently(who%r.plan.members, fmt.Sprintf("/app/kv/%s?at=%d", v.Key, v.Seqno))
		if a.outcome != done && a.outcome != missing || a.tag != v.Seqno {
			r.witness.fail("refused", "client %d was refused because of version %d of %s, which was never committed: %s", who, v.Seqno, v.Key, a.what)
		}
	}
}

// unmet returns versions that are known from refusals only, with the client.
func (w *witness) unmet() map[linear.Version]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[linear.Version]int{}
	for _, o := range w.history {
		v := linear.Version{Key: o.Key, Seqno: o.Tag}
		if _, ok := w.learned.seen[v]; !ok && o.Outcome == refused && o.Tag > 0 {
			found[v] = o.Client
		}
	}
	return found
}

// versions returns all that is known of keys that were written more than once, in order.
func (w *witness) versions() (all []linear.Version) {
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
