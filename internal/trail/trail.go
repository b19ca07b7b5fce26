// Package trail names writes in debug logs, so that the way of one can be followed through the nodes.
//
//	gateway ── request=3fa9c1d2-17 ──▶ forwarder ── number of the forward ──▶ the leader's log: request=3fa9c1d2-17
//	   └─ X-Request-Id: 3fa9c1d2-17 ──▶ client
//
// A name has the node that the client reached and a count, and nothing of what is asked for. Between nodes it travels in the number
// that a forward has anyway, so it costs no byte, and nodes that know nothing of it pass it on. A write is named whether or not it is
// logged: that costs one addition. Only a request that is followed, by the log's level or by the client's wish, carries its name in its
// context, where what calls one another's functions need not know of it.
//
// Trust: enclave
package trail

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cocoframework/coco"
)

// Message is the message of every record about a write; its attribute Step says what happened.
const (
	Message = "write"
	Step    = "step"
	Request = "request"
)

// ID names a request, or a write that it makes. The zero value names none.
type ID struct {
	node   uint32 // the first four bytes of the node that it reached, which logs show of a node
	number uint32 // of idBits, not 0
}

// A forward has a number of 40 bits: the write's, and above zero how often it was sent before.
const (
	idBits      = 28 // after 268 million writes names repeat
	attemptBits = 12 // more than there are attempts before a write is given up
)

// Named reports whether the ID names something.
func (id ID) Named() bool { return id.number != 0 }

// String returns the name, such as 3fa9c1d2-17.
func (id ID) String() string { return fmt.Sprintf("%08x-%d", id.node, id.number) }

// Forward returns the number of a forward of the write, for each attempt another one.
func (id ID) Forward(attempt int) uint64 {
	return uint64(id.number)<<attemptBits | uint64(attempt)&(1<<attemptBits-1)
}

// OfForward names the write that a node has forwarded under a number.
func OfForward(from coco.NodeID, number uint64) ID {
	return ID{binary.BigEndian.Uint32(from[:]), uint32(number>>attemptBits) & (1<<idBits - 1)}
}

// Source names the requests and writes of one node. It is safe for concurrent use.
type Source struct {
	node uint32
	last atomic.Uint32
}

// NewSource returns the source of a node.
func NewSource(node coco.NodeID) *Source {
	return &Source{node: binary.BigEndian.Uint32(node[:])}
}

// Next returns a new name.
func (s *Source) Next() ID {
	for {
		if n := s.last.Add(1) & (1<<idBits - 1); n != 0 {
			return ID{s.node, n}
		}
	}
}

type key struct{}

// request is what a context carries of a request that is followed.
type request struct {
	id   ID
	used atomic.Bool // by a write
}

// With returns a context of a request that is followed.
func With(ctx context.Context, id ID) context.Context {
	return context.WithValue(ctx, key{}, &request{id: id})
}

// Write names a write. The first one of a request that is followed has the request's name; another one, as in a JSON-RPC batch or on
// a WebSocket, a name of its own, and of is then the request.
func (s *Source) Write(ctx context.Context) (id, of ID) {
	r, ok := ctx.Value(key{}).(*request)
	switch {
	case !ok:
		return s.Next(), ID{}
	case r.used.CompareAndSwap(false, true):
		return r.id, ID{}
	}
	return s.Next(), r.id
}

// TraceID returns the trace that a client's traceparent header names (W3C Trace Context, version 00, and what later versions begin with),
// and false if there is no such header or it is malformed.
func TraceID(header []string) (string, bool) {
	if len(header) != 1 || len(header[0]) < 55 {
		return "", false
	}
	h := header[0]
	version, trace, parent, flags := h[:2], h[3:35], h[36:52], h[53:55]
	for _, part := range []string{version, trace, parent, flags} {
		if strings.Trim(part, "0123456789abcdef") != "" {
			return "", false
		}
	}
	ok := h[2] == '-' && h[35] == '-' && h[52] == '-' && version != "ff" && (version != "00" && (len(h) == 55 || h[55] == '-') || len(h) == 55) &&
		strings.Trim(trace, "0") != "" && strings.Trim(parent, "0") != ""
	return trace, ok
}
