package sim

import (
	"fmt"
	"net/http"

	"github.com/cocoframework/coco/internal/sim/linear"
	"github.com/cocoframework/coco/wire"
)

// registers is how many keys all clients put, change by compare-and-set and delete.
const registers = 3

// value returns one that no other operation of the run writes.
func (s *session) value() string {
	s.values++
	return fmt.Sprintf("%s%s-value-%d", planted, s.name, s.values)
}

// use does something with a register, and reports whether the node answered well.
func (s *session) use(key string) bool {
	o := linear.Operation{Client: s.number, Key: key, Verb: linear.Put}
	var header []string
	method, path := http.MethodPut, "/app/kv/"+key
	switch p := s.rand.IntN(20); {
	case p < 8:
		o.Verb, method = linear.Read, http.MethodGet
		header = []string{wire.HeaderConsistency, wire.Linearizable}
	case p < 12:
		o.Verb, o.Expected = linear.Swap, s.tags[key]
		header = []string{"If-None-Match", "*"}
		if o.Expected > 0 {
			header = []string{"If-Match", fmt.Sprintf(`"%d"`, o.Expected)}
		}
	case p < 14:
		a := s.read(path) // of a session: it may be of any state since the session's last one
		return a.outcome == done || a.outcome == missing
	case p < 15:
		o.Verb, method = linear.Delete, http.MethodDelete
	}
	if o.Verb == linear.Put || o.Verb == linear.Swap {
		o.Value = s.value()
	}
	o.Call = s.witness.Begin()
	a := s.ask(method, path, []byte(o.Value), header...)
	o.Outcome, o.Tag = a.outcome, a.tag
	switch {
	case a.outcome == done && o.Verb == linear.Read:
		o.Found = string(a.body)
		s.reads(path, a)
	case a.outcome == missing && o.Verb == linear.Read:
		o.Outcome, o.Tag = done, 0
		s.reads(path, a)
	case a.outcome == missing:
		s.witness.Fail("acked", "a %s of %s is answered %s", o.Verb, key, a.what)
	}
	s.witness.End(o)
	switch {
	case o.Outcome == done && o.Verb != linear.Read:
		s.witness.Wrote(key, a.id.Seqno, o.Value, s.name)
	case o.Outcome == unknown && o.Verb == linear.Delete:
		s.witness.Vague(key)
	}
	switch o.Outcome {
	case done, refused:
		s.saw(a.id)
		if s.tags[key] = o.Tag; o.Verb == linear.Delete {
			s.tags[key] = 0
		}
		return true
	}
	return false
}
