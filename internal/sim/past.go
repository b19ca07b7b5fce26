package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/cocoframework/coco/internal/sim/witness"
)

// pastReads is how many reads of the past a network at rest is asked for.
const pastReads = 30

// past asks nodes what registers and counters had long ago, and takes note of it as of every other reading.
func (r *run) past() {
	s := r.newSession("historian", 0)
	defer s.http.CloseIdleConnections()
	versions := r.witness.Versions()
	pick := rand.New(rand.NewPCG(r.seed, 4))
	for range min(pastReads, len(versions)) {
		host, v := pick.IntN(r.plan.members), versions[pick.IntN(len(versions))]
		at := v.Seqno + pick.Uint64N(20)
		at = min(at, versions[len(versions)-1].Seqno)
		a := s.patiently(host, fmt.Sprintf("/app/kv/%s?at=%d", v.Key, at))
		switch {
		case r.refusesClosed(s, host, a, v.Key, v.Seqno, at):
		case a.outcome == done, a.outcome == missing:
			r.witness.SaidOf(witness.Reading{Key: v.Key, At: at, Tag: a.tag, Who: "of the past " + hostName(host)}, string(a.body))
		default:
			r.witness.Fail("past", "%s does not say what %s had at seqno %d: %s", hostName(host), v.Key, at, a.what)
		}
	}
}

// named asks for the versions that refusals named and that no client has met otherwise: a transaction must have
// written them. This finds a refusal by a state that was never committed.
func (r *run) named() {
	s := r.newSession("historian", 0)
	defer s.http.CloseIdleConnections()
	for v, who := range r.witness.Unmet() {
		host := who % r.plan.members
		a := s.patiently(host, fmt.Sprintf("/app/kv/%s?at=%d", v.Key, v.Seqno))
		if r.refusesClosed(s, host, a, v.Key, v.Seqno, v.Seqno) {
			continue
		}
		if a.outcome != done && a.outcome != missing || a.tag != v.Seqno {
			r.witness.Fail("refused", "client %d was refused because of version %d of %s, which was never committed: %s", who, v.Seqno, v.Key, a.what)
		}
	}
}
