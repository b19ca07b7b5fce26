package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/internal/sim/linear"
	"github.com/cocoframework/coco/internal/sim/witness"
	"github.com/cocoframework/coco/wire"
)

// How long a client waits for an answer: every other one longer than a node waits for a commit, to hear
// what it says then.
const (
	shortWait = 12 * time.Second
	longWait  = 40 * time.Second
)

// session is a client that remembers how far it has seen the network, and goes to another node
// when one fails it.
type session struct {
	name    string
	number  int
	witness *witness.Witness
	http    *http.Client
	members int
	at      int // the node it talks to
	last    coco.TxID
	rand    *rand.Rand
	tags    map[string]uint64 // versions of the registers, as far as seen
	values  int               // that it has made
}

func (r *run) newSession(name string, member int) *session {
	wait := shortWait
	if len(r.users.sessions)%2 == 1 {
		wait = longWait
	}
	return &session{
		name: name, number: len(r.users.sessions), tags: map[string]uint64{}, witness: r.witness, http: r.network.client(name, member, wait), members: r.plan.members, at: member,
		rand: rand.New(rand.NewPCG(r.seed, uint64(len(r.users.sessions)))),
	}
}

// What an answer says of a request.
type outcome = linear.Outcome

const (
	unknown = linear.Unknown
	done    = linear.Done
	refused = linear.Refused
	nothing = linear.Nothing
	missing = linear.Missing
	later   = linear.Later
)

type answer struct {
	outcome outcome
	what    string // for people
	body    []byte
	id      coco.TxID         // zero if it names none
	tag     uint64            // 0 if it has none
	machine string            // that answers: an address may lead to another one, while connections to the one before live on
	before  map[string]uint64 // the newest state that each machine had shown when it was asked
	asked   time.Duration     // since the run began
	age     string            // of the node's state, in seconds; "" if it tells none
	closed  bool              // no node opens an epoch that the answer may be in
}

// ask sends a request to the node that the session is at.
func (s *session) ask(method, path string, body []byte, header ...string) answer {
	return s.askAt(s.at, method, path, body, header...)
}

func (s *session) askAt(host int, method, path string, body []byte, header ...string) (a answer) {
	req, err := http.NewRequest(method, "https://"+hostName(host)+nettest.ClientPort+path, bytes.NewReader(body))
	if err != nil {
		panic(err) // this package makes every path
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	reached := func(c httptrace.GotConnInfo) { a.machine, _, _ = net.SplitHostPort(c.Conn.RemoteAddr().String()) }
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: reached}))
	a.before, a.asked = s.witness.Newest(), s.witness.Recorder.Elapsed()
	resp, err := s.http.Do(req)
	if err != nil {
		a.what = err.Error()
		return a
	}
	defer resp.Body.Close()
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		a.what = err.Error()
		return a
	}
	a.what = fmt.Sprintf("%s %s", resp.Status, a.body)
	problem := wire.FromAnswer(resp.StatusCode, a.body)
	a.closed = problem != nil && wire.ProblemOf(problem).Code == wire.CodeEpochClosed
	switch {
	case problem == nil:
		a.outcome = done
	case errors.Is(problem, coco.ErrPending), errors.Is(problem, coco.ErrMissing):
		a.outcome = later
	case wire.ProblemOf(problem).Code == wire.CodePrecondition:
		a.outcome = refused
	case errors.Is(problem, coco.ErrNotFound):
		a.outcome = missing
	case errors.Is(problem, coco.ErrBusy), errors.Is(problem, coco.ErrNotCommitted):
		a.outcome = nothing
	}
	if text := resp.Header.Get(wire.HeaderTxID); text != "" {
		if a.id, err = coco.ParseTxID(text); err != nil {
			s.witness.Fail("txid", "%s: %s %s: %v", hostName(host), method, path, err)
		}
	}
	a.age = resp.Header.Get(wire.HeaderAge)
	a.tag, _ = strconv.ParseUint(strings.Trim(resp.Header.Get("ETag"), `"`), 10, 64)
	return a
}

// patiently asks again as long as a node says that it prepares the answer.
func (s *session) patiently(host int, path string) answer {
	for start := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if a := s.askAt(host, http.MethodGet, path, nil); a.outcome != later || a.closed || time.Since(start) > patience {
			return a
		}
	}
}

// read asks for a state at least as new as the session's, and checks that it is.
func (s *session) read(path string) answer {
	var header []string
	before := s.last
	if before.Seqno > 0 {
		header = []string{wire.HeaderAtLeast, before.String()}
	}
	a := s.ask(http.MethodGet, path, nil, header...)
	if a.outcome != done && a.outcome != missing {
		return a
	}
	if a.id.Seqno < before.Seqno {
		s.witness.Fail("session", "%s had seen %s; %s answers %s with the state of %s", s.name, before, hostName(s.at), path, a.id)
	}
	s.saw(a.id)
	s.reads(path, a)
	return a
}

// reads takes note of the answer to a read of one key.
func (s *session) reads(path string, a answer) {
	key := strings.TrimPrefix(path, "/app/kv/")
	s.witness.Shows(a.machine, a.id.Seqno, a.before[a.machine])
	if age, err := time.ParseDuration(a.age + "s"); err != nil {
		s.witness.Fail("age", "%s says that the state of %s is %q seconds old", a.machine, a.id, a.age)
	} else {
		s.witness.Aged(a.machine, a.id.Seqno, age, a.asked)
	}
	s.witness.SaidOf(witness.Reading{Key: key, At: a.id.Seqno, Tag: a.tag, Who: s.name + " at " + a.machine}, string(a.body))
}

// look reads a key at a node as one who has seen nothing before: an old state is an answer, if the node says that it is.
func (s *session) look(host int) {
	s.at = host
	path := "/app/kv/" + planted + "counter-0"
	if a := s.ask(http.MethodGet, path, nil); a.outcome == done || a.outcome == missing {
		s.reads(path, a)
	}
}

func (s *session) saw(id coco.TxID) {
	s.witness.Saw(id, s.name+" at "+hostName(s.at))
	if id.Seqno > s.last.Seqno {
		s.last = id
	}
}

// elsewhere goes to another node after a failure.
func (s *session) elsewhere() {
	s.at = (s.at + 1 + s.rand.IntN(s.members-1)) % s.members
}
