package sim

import (
	"fmt"
	"net/http"
	"time"

	"github.com/cocoframework/coco/wire"
)

// registers is how many keys all clients put, change by compare-and-set and delete.
const registers = 3

// verb is what a client asks of a key.
type verb string

const (
	verbPut    verb = "put"
	verbSwap   verb = "compare-and-set"
	verbDelete verb = "delete"
	verbRead   verb = "read" // a linearizable one
)

// operation is one use of a key that is linearizable, with its answer: a part of the history that judge looks at.
type operation struct {
	client   int
	key      string
	verb     verb
	expected uint64 // the version that a compare-and-set expects; 0 for an absent key
	value    string // to put; no two operations put the same
	call     int64  // virtual time
	answered int64
	outcome  outcome
	found    string // read: the value
	tag      uint64 // read: the value's version; put and compare-and-set: the new one; refused: what was found
	met      bool   // it has no answer, and yet it was done: a client has seen what it wrote
}

// begin notes the time of a call.
func (w *witness) begin() int64 { return int64(time.Since(w.recorder.start)) }

// end adds an operation to the history.
func (w *witness) end(o operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.answered = int64(time.Since(w.recorder.start))
	w.history = append(w.history, o)
}

// value returns one that no other operation of the run writes.
func (s *session) value() string {
	return fmt.Sprintf("%s%s-value-%d", planted, s.name, s.witness.learned.values.Add(1))
}

// use does something with a register, and reports whether the node answered well.
func (s *session) use(key string) bool {
	o := operation{client: s.number, key: key, verb: verbPut}
	var header []string
	method, path := http.MethodPut, "/app/kv/"+key
	switch p := s.rand.IntN(20); {
	case p < 8:
		o.verb, method = verbRead, http.MethodGet
		header = []string{wire.HeaderConsistency, wire.Linearizable}
	case p < 12:
		o.verb, o.expected = verbSwap, s.tags[key]
		header = []string{"If-None-Match", "*"}
		if o.expected > 0 {
			header = []string{"If-Match", fmt.Sprintf(`"%d"`, o.expected)}
		}
	case p < 14:
		a := s.read(path) // of a session: it may be of any state since the session's last one
		return a.outcome == done || a.outcome == missing
	case p < 15:
		o.verb, method = verbDelete, http.MethodDelete
	}
	if o.verb == verbPut || o.verb == verbSwap {
		o.value = s.value()
	}
	o.call = s.witness.begin()
	a := s.ask(method, path, []byte(o.value), header...)
	o.outcome, o.tag = a.outcome, a.tag
	switch {
	case a.outcome == done && o.verb == verbRead:
		o.found = string(a.body)
		s.reads(path, a)
	case a.outcome == missing && o.verb == verbRead:
		o.outcome, o.tag = done, 0
		s.reads(path, a)
	case a.outcome == missing:
		s.witness.fail("acked", "a %s of %s is answered %s", o.verb, key, a.what)
	}
	s.witness.end(o)
	switch {
	case o.outcome == done && o.verb != verbRead:
		s.witness.wrote(key, a.id.Seqno, o.value, s.name)
	case o.outcome == unknown && o.verb == verbDelete:
		s.witness.vague(key)
	}
	switch o.outcome {
	case done, refused:
		s.saw(a.id)
		if s.tags[key] = o.tag; o.verb == verbDelete {
			s.tags[key] = 0
		}
		return true
	}
	return false
}
