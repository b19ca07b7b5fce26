// Package reading is the HTTP of reads that ask for a new state, for all adapters: what a request asks for, and what its answer says of the state's age.
// The headers are those of package wire.
//
// Trust: enclave
package reading

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/wire"
)

// Of returns what the headers of a request ask for, or coco.ErrInvalid.
func Of(h http.Header) (adapter.Reading, error) {
	consistency, maxAge := "", ""
	for name, to := range map[string]*string{wire.HeaderConsistency: &consistency, wire.HeaderMaxAge: &maxAge} {
		switch values := h[name]; {
		case len(values) > 1:
			return adapter.Reading{}, fmt.Errorf("%w: %s is given %d times", coco.ErrInvalid, name, len(values))
		case len(values) == 1 && values[0] == "":
			return adapter.Reading{}, fmt.Errorf("%w: %s is empty", coco.ErrInvalid, name)
		case len(values) == 1:
			*to = values[0]
		}
	}
	return Parse(consistency, maxAge)
}

// Parse returns what two words ask for, as they stand in headers or in a query; empty for the default. It fails with coco.ErrInvalid.
func Parse(consistency, maxAge string) (adapter.Reading, error) {
	rd := adapter.Reading{MaxAge: -1}
	switch consistency {
	case "", wire.Session:
	case wire.Linearizable:
		rd.Latest = true
	default:
		return rd, fmt.Errorf("%w: consistency: expected %s or %s, found %q", coco.ErrInvalid, wire.Linearizable, wire.Session, consistency)
	}
	if maxAge != "" {
		n, err := strconv.ParseUint(maxAge, 10, 31)
		if err != nil {
			return rd, fmt.Errorf("%w: the greatest age of a state: expected whole seconds, found %q", coco.ErrInvalid, maxAge)
		}
		rd.MaxAge = time.Duration(n) * time.Second
	}
	return rd, nil
}

// SetHeaders tells a client how old the state may be that an answer shows.
func SetHeaders(a adapter.Age, h http.Header) {
	h.Set(wire.HeaderAge, strconv.FormatFloat(a.Of.Seconds(), 'f', 3, 64))
	if a.Stale {
		h.Set(wire.HeaderStale, "true")
	}
}

// Freshen waits, for a request that reads, until this node's state is as new as the request asks for, and tells its age in the answer's
// headers. It fails with a adapter.StaleError, or as adapter.Env.Fresh does.
func Freshen(ctx context.Context, e *adapter.Env, asked, answer http.Header) error {
	rd, err := Of(asked)
	if err != nil || e.Fresh == nil {
		return err
	}
	age, err := e.Fresh(ctx, rd)
	SetHeaders(age, answer)
	return err
}
