// Package linear judges whether a history of operations on keys is linearizable: whether each key's operations have an order that explains their answers
// and agrees with their times (Herlihy and Wing, "Linearizability: A Correctness Condition for Concurrent Objects"). The search is porcupine's.
//
// Trust: host
package linear

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

// Verb is what a client asks of a key.
type Verb string

const (
	Put    Verb = "put"
	Swap   Verb = "compare-and-set"
	Delete Verb = "delete"
	Read   Verb = "read" // a linearizable one
)

// Outcome is what an answer says of a request.
type Outcome int

const (
	Unknown Outcome = iota // it may have happened, or may still happen
	Done
	Refused // by a condition: it did not happen
	Nothing // it certainly did not happen; another node may do it
	Missing // the key, or whatever was asked for, is not there
	Later   // the node prepares it, or fetches it from others: ask again
)

// Operation is one use of a key that is linearizable, with its answer: a part of the history.
type Operation struct {
	Client   int
	Key      string
	Verb     Verb
	Expected uint64 // the version that a compare-and-set expects; 0 for an absent key
	Value    string // to put; no two operations put the same
	Call     int64  // virtual time
	Answered int64
	Outcome  Outcome
	Found    string // read: the value
	Tag      uint64 // read: the value's version; put and compare-and-set: the new one; refused: what was found
	met      bool   // it has no answer, and yet it was done: a client has seen what it wrote
}

// patience bounds the search for an order of one key's operations, in real time: it is exponential at worst.
const patience = 10 * time.Second

// Judge looks for an order of all operations of each key that explains every answer and agrees with the
// times of calls and answers: that is, the history is linearizable.
func Judge(t *testing.T, trace io.Writer, history []Operation, seen map[Version]string) {
	keys := map[string][]Operation{}
	for _, o := range history {
		keys[o.Key] = append(keys[o.Key], o)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		r := newRegister(keys[key], seen)
		switch porcupine.CheckOperationsTimeout(r.model(), r.asked, patience) {
		case porcupine.Ok:
			fmt.Fprintf(trace, "%s: %d operations are linearizable\n", key, len(r.asked))
		case porcupine.Unknown:
			fmt.Fprintf(trace, "%s: no order of %d operations was found in %v, which proves nothing\n", key, len(r.asked), patience)
		case porcupine.Illegal:
			t.Errorf("VIOLATED linear: no order explains the answers to the %d operations on %s; the first of them that end so: %s",
				len(r.asked), key, r.shortest())
		}
	}
}

// Version is one of a key's: the seqno of the transaction that wrote it.
type Version struct {
	Key   string
	Seqno uint64
}

// register is the history of one key, ready for porcupine. The key's state is its value, "" while there is none: as
// no two operations put the same value, it stands for the version.
type register struct {
	asked  []porcupine.Operation
	values map[uint64]string // by version, as far as anybody learned them
	known  map[string]bool   // the values in it
}

func newRegister(ops []Operation, seen map[Version]string) *register {
	r := &register{values: map[uint64]string{0: ""}, known: map[string]bool{"": true}}
	for v, value := range seen {
		if v.Key == ops[0].Key {
			r.values[v.Seqno], r.known[value] = value, true
		}
	}
	unnamed := false // a client met a version whose value no client knows
	for _, o := range ops {
		_, expected := r.values[o.Expected]
		_, found := r.values[o.Tag]
		unnamed = unnamed || !expected || !found
	}
	for _, o := range ops {
		switch {
		case o.Outcome == Nothing:
			continue // a node vouches for it that nothing happened; the invariant acked looks into that
		case o.Outcome != Unknown:
		case o.Verb == Read:
			continue
		case o.Verb == Delete || unnamed:
			o.Answered = math.MaxInt64
		case !r.known[o.Value]:
			continue // no client met what it wrote: it makes no difference whether it happened
		default:
			o.Answered = math.MaxInt64
			o.met = true
		}
		r.asked = append(r.asked, porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Answered})
	}
	return r
}

func (r *register) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) { return r.step(state.(string), input.(Operation)) },
	}
}

// step says whether an Operation can have had its answer in a state, and what state it left.
func (r *register) step(state string, o Operation) (bool, any) {
	switch {
	case o.Outcome == Refused:
		return r.is(state, o.Tag), state
	case o.Verb == Read:
		return state == o.Found, state
	case o.Verb == Delete:
		return true, ""
	case o.Verb == Put:
		return true, o.Value
	case r.is(state, o.Expected):
		return true, o.Value
	}
	// A compare-and-set without an answer, whose value no client met, may have been refused.
	return o.Outcome == Unknown && !o.met, state
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
		if porcupine.CheckOperationsTimeout(r.model(), part, patience) == porcupine.Illegal {
			break
		}
	}
	var b strings.Builder
	for _, o := range r.asked[max(0, n-6):n] {
		fmt.Fprintf(&b, "\n  %v", o.Input)
	}
	return b.String()
}

func (o Operation) String() string {
	answer := map[Outcome]string{Unknown: "no answer", Done: "done", Refused: "refused", Missing: "missing", Nothing: "nothing"}[o.Outcome]
	return fmt.Sprintf("client %d, %.3fs to %.3fs: %s, expecting version %d, to %q: %s, version %d, value %q",
		o.Client, time.Duration(o.Call).Seconds(), time.Duration(o.Answered).Seconds(), o.Verb, o.Expected, o.Value, answer, o.Tag, o.Found)
}
