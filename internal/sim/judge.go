package sim

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// judgePatience bounds the search for an order of one key's operations, in real time: it is exponential at worst.
const judgePatience = 10 * time.Second

// judge looks for an order of all operations of each key that explains every answer and agrees with the
// times of calls and answers: that is, the history is linearizable.
func judge(t *testing.T, trace io.Writer, history []operation, seen map[version]string) {
	keys := map[string][]operation{}
	for _, o := range history {
		keys[o.key] = append(keys[o.key], o)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		r := newRegister(keys[key], seen)
		switch porcupine.CheckOperationsTimeout(r.model(), r.asked, judgePatience) {
		case porcupine.Ok:
			fmt.Fprintf(trace, "%s: %d operations are linearizable\n", key, len(r.asked))
		case porcupine.Unknown:
			fmt.Fprintf(trace, "%s: no order of %d operations was found in %v, which proves nothing\n", key, len(r.asked), judgePatience)
		case porcupine.Illegal:
			t.Errorf("VIOLATED linear: no order explains the answers to the %d operations on %s; the first of them that end so: %s",
				len(r.asked), key, r.shortest())
		}
	}
}

// version is one of a key's: the seqno of the transaction that wrote it.
type version struct {
	key   string
	seqno uint64
}

// register is the history of one key, ready for porcupine. The key's state is its value, "" while there is none: as
// no two operations put the same value, it stands for the version.
type register struct {
	asked  []porcupine.Operation
	values map[uint64]string // by version, as far as anybody learned them
	known  map[string]bool   // the values in it
}

func newRegister(ops []operation, seen map[version]string) *register {
	r := &register{values: map[uint64]string{0: ""}, known: map[string]bool{"": true}}
	for v, value := range seen {
		if v.key == ops[0].key {
			r.values[v.seqno], r.known[value] = value, true
		}
	}
	unnamed := false // a client met a version whose value no client knows
	for _, o := range ops {
		_, expected := r.values[o.expected]
		_, found := r.values[o.tag]
		unnamed = unnamed || !expected || !found
	}
	for _, o := range ops {
		switch {
		case o.outcome == nothing:
			continue // a node vouches for it that nothing happened; the invariant acked looks into that
		case o.outcome != unknown:
		case o.verb == verbRead:
			continue
		case o.verb == verbDelete || unnamed:
			o.answered = math.MaxInt64
		case !r.known[o.value]:
			continue // no client met what it wrote: it makes no difference whether it happened
		default:
			o.answered = math.MaxInt64
			o.met = true
		}
		r.asked = append(r.asked, porcupine.Operation{ClientId: o.client, Input: o, Call: o.call, Return: o.answered})
	}
	return r
}

func (r *register) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) { return r.step(state.(string), input.(operation)) },
	}
}

// step says whether an operation can have had its answer in a state, and what state it left.
func (r *register) step(state string, o operation) (bool, any) {
	switch {
	case o.outcome == refused:
		return r.is(state, o.tag), state
	case o.verb == verbRead:
		return state == o.found, state
	case o.verb == verbDelete:
		return true, ""
	case o.verb == verbPut:
		return true, o.value
	case r.is(state, o.expected):
		return true, o.value
	}
	// A compare-and-set without an answer, whose value no client met, may have been refused.
	return o.outcome == unknown && !o.met, state
}

// is reports whether a state can be a version.
func (r *register) is(state string, version uint64) bool {
	if value, ok := r.values[version]; ok {
		return state == value
	}
	return !r.known[state]
}

// shortest shows the last operations of the shortest beginning of the history that has no order.
func (r *register) shortest() string {
	slices.SortFunc(r.asked, func(a, b porcupine.Operation) int { return int(min(1, max(-1, a.Return-b.Return))) })
	n := 1
	for ; n < len(r.asked); n++ {
		// What began before the last answer may have happened; what had not answered by then may not.
		end := r.asked[n-1].Return
		var part []porcupine.Operation
		for i, o := range r.asked {
			if i >= n {
				o.Return = math.MaxInt64
			}
			if o.Call <= end {
				part = append(part, o)
			}
		}
		if porcupine.CheckOperationsTimeout(r.model(), part, judgePatience) == porcupine.Illegal {
			break
		}
	}
	var b strings.Builder
	for _, o := range r.asked[max(0, n-6):n] {
		fmt.Fprintf(&b, "\n  %v", o.Input)
	}
	return b.String()
}

func (o operation) String() string {
	answer := map[outcome]string{unknown: "no answer", done: "done", refused: "refused", missing: "missing", nothing: "nothing"}[o.outcome]
	return fmt.Sprintf("client %d, %.3fs to %.3fs: %s, expecting version %d, to %q: %s, version %d, value %q",
		o.client, time.Duration(o.call).Seconds(), time.Duration(o.answered).Seconds(), o.verb, o.expected, o.value, answer, o.tag, o.found)
}
