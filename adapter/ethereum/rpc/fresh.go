package rpc

import (
	"fmt"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/reading"
	"github.com/cocoframework/coco/wire"
)

// freshness is how new a state the calls of an exchange read, and how old it may be. The first call that reads finds out.
type freshness struct {
	asked adapter.Reading
	known bool
	age   adapter.Age
	err   error
}

// Parameters of the endpoint's URL, for wallets and tools that cannot set headers. On a WebSocket they count for every message.
const (
	consistencyParameter = "consistency" // as the header wire.HeaderConsistency
	maxAgeParameter      = "max_age"     // as the header wire.HeaderMaxAge
)

// readingOf returns what a request asks for, by headers or by parameters.
func readingOf(r *http.Request) (adapter.Reading, error) {
	if r.URL.RawQuery == "" {
		return reading.Of(r.Header)
	}
	h, query := http.Header{}, r.URL.Query()
	for header, parameter := range map[string]string{wire.HeaderConsistency: consistencyParameter, wire.HeaderMaxAge: maxAgeParameter} {
		h[header] = r.Header[header]
		if values := query[parameter]; len(values) > 0 {
			if len(h[header]) > 0 {
				return adapter.Reading{}, fmt.Errorf("%w: %s is given as a header and as a parameter", coco.ErrInvalid, parameter)
			}
			h[header] = values
		}
	}
	return reading.Of(h)
}

// may reports whether the caller of an exchange may see what a call reads, and whether this node's state is as new as was asked for.
func (s *Server) may(x *exchange, read adapter.Read) error {
	if err := s.authorize(x.caller, read); err != nil {
		return err
	}
	if f := &x.fresh; !f.known && s.env.Fresh != nil {
		f.age, f.err = s.env.Fresh(x.ctx, f.asked)
		f.known = true
	}
	return x.fresh.err
}
