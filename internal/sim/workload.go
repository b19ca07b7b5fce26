package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco/internal/sim/linear"
	"github.com/cocoframework/coco/internal/sim/witness"
)

// planted begins every key and value of the private tables: it must not be seen in the clear.
const planted = "planted-secret-"

// counters is how many keys all clients change by compare-and-set.
const counters = 3

// roaming is how many operations a client does at one node, as a rule, before it goes to another without need.
const roaming = 15

// client uses the key-value ledger until the run stops.
func (r *run) client(s *session) {
	seen := map[string]int{} // the greatest value of each counter that this client has seen
	var own []witness.Write
	for k := 0; ; k++ {
		ok := true
		switch p := s.rand.IntN(14); {
		case p < 3:
			var w witness.Write
			if w, ok = s.put(fmt.Sprintf("%s%s-%d", planted, s.name, k)); ok {
				own = append(own, w)
			}
		case p < 7:
			ok = s.increment(fmt.Sprintf("%scounter-%d", planted, s.rand.IntN(counters)), seen)
		case p < 12:
			ok = s.use(fmt.Sprintf("%sregister-%d", planted, s.rand.IntN(registers)))
		case len(own) > 0:
			ok = s.readOwn(own[s.rand.IntN(len(own))])
		}
		pause := 20 + s.rand.IntN(200)
		if !ok || s.rand.IntN(roaming) == 0 {
			s.elsewhere()
		}
		select {
		case <-r.users.stop:
			return
		case <-time.After(time.Duration(pause) * time.Millisecond):
		}
	}
}

// put writes a key that no other session writes, once.
func (s *session) put(key string) (witness.Write, bool) {
	w := witness.Write{Key: key, By: s.number, Value: planted + "value-" + key + strings.Repeat(".", s.rand.IntN(200))}
	a := s.ask(http.MethodPut, "/app/kv/"+key, []byte(w.Value))
	switch a.outcome {
	case done:
		w.ID = a.id
		s.witness.Acked(w, a.tag, s.name+" at "+hostName(s.at))
		s.witness.Wrote(key, a.id.Seqno, w.Value, s.name)
		s.saw(a.id)
	case nothing:
		s.witness.Refused(key, a.what)
	case refused, missing:
		s.witness.Fail("acked", "an unconditional put of %s is answered %s", key, a.what)
	}
	return w, a.outcome == done
}

// increment reads a counter and adds one to it unless another session did meanwhile.
func (s *session) increment(key string, seen map[string]int) bool {
	a := s.read("/app/kv/" + key)
	n, header := 0, []string{"If-None-Match", "*"}
	switch a.outcome {
	case done:
		var err error
		if n, err = count(a.body); err != nil {
			s.witness.Fail("once", "counter %s at %s: %v", key, hostName(s.at), err)
			return false
		}
		header = []string{"If-Match", fmt.Sprintf(`"%d"`, a.tag)}
	case missing:
	default:
		return false
	}
	if n < seen[key] {
		s.witness.Fail("session", "%s had seen counter %s at %d, %s now says %d as of %s", s.name, key, seen[key], hostName(s.at), n, a.id)
	}
	seen[key] = n
	value := fmt.Sprintf("%s%d by %s", planted, n+1, s.value())
	o := linear.Operation{Client: s.number, Key: key, Verb: linear.Swap, Expected: a.tag, Value: value, Call: s.witness.Begin()}
	a = s.ask(http.MethodPut, "/app/kv/"+key, []byte(value), header...)
	o.Outcome, o.Tag = a.outcome, a.tag
	s.witness.End(o)
	s.witness.Counted(key, n+1, s.name, a.outcome)
	if a.outcome == done {
		seen[key] = n + 1
		s.saw(a.id)
		s.witness.Wrote(key, a.id.Seqno, value, s.name)
	}
	return a.outcome == done || a.outcome == refused
}

func count(value []byte) (int, error) {
	n, _, _ := strings.Cut(strings.TrimPrefix(string(value), planted), " by ")
	return strconv.Atoi(n)
}

// readOwn reads what this client has written, on whichever node it is now.
func (s *session) readOwn(w witness.Write) bool {
	a := s.read("/app/kv/" + w.Key)
	switch a.outcome {
	case done:
		if string(a.body) != w.Value || a.tag != w.ID.Seqno {
			s.witness.Fail("acked", "%s wrote %s as %s; %s has another value, of %d", s.name, w.Key, w.ID, hostName(s.at), a.tag)
		}
	case missing:
		s.witness.Fail("acked", "%s wrote %s as %s; %s does not have it as of %s", s.name, w.Key, w.ID, hostName(s.at), a.id)
	}
	return a.outcome == done
}
