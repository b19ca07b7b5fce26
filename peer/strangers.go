package peer

import (
	"net"
	"slices"
	"sync"
)

// maxStrangers is how many connections may be open of those who have not shown yet who they are: in the handshake, or before a
// node that joins has sent its request.
const maxStrangers = 256

// strangers are these connections. They cost nothing to make, so they are never waited for: when there are too many, the
// address that has most of them loses the one that is the oldest. So a node that joins, which sends its request at once, finds room
// however many others are silent.
type strangers struct {
	mu   sync.Mutex
	list []*stranger // the oldest first; under mu
}

type stranger struct {
	conn net.Conn
	from string // host
}

// enter counts a connection, until leave.
func (s *strangers) enter(conn net.Conn) *stranger {
	from, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		from = conn.RemoteAddr().String()
	}
	x := &stranger{conn, from}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, x)
	if len(s.list) > maxStrangers {
		i := s.dearest()
		_ = s.list[i].conn.Close() // what reads from it ends
		s.list = slices.Delete(s.list, i, i+1)
	}
	return x
}

// dearest returns the oldest of the address that has most. It needs s.mu.
func (s *strangers) dearest() int {
	count := map[string]int{}
	most := ""
	for _, x := range s.list {
		if count[x.from]++; count[x.from] > count[most] {
			most = x.from
		}
	}
	return slices.IndexFunc(s.list, func(x *stranger) bool { return x.from == most })
}

// leave reports that a connection has ended, or that it is known who is at its other end. Again it does nothing.
func (s *strangers) leave(x *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.list, x); i >= 0 {
		s.list = slices.Delete(s.list, i, i+1)
	}
}
