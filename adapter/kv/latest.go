package kv

import (
	"fmt"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/wire"
)

// latest makes a read linearizable if the request asks for it: a transaction of no operations goes through consensus
// first, and this node has applied all that is before it. That a leader answers is not enough, as it may
// have been replaced without knowing it.
func (l *ledger) latest(caller coco.Caller, r *http.Request) error {
	h := r.Header[wire.HeaderConsistency]
	if len(h) == 0 || len(h) == 1 && h[0] == wire.Session {
		return nil
	}
	if len(h) > 1 || h[0] != wire.Linearizable {
		return fmt.Errorf("%w: %s: expected %s or %s, found %q", coco.ErrInvalid, wire.HeaderConsistency, wire.Linearizable, wire.Session, h)
	}
	barrier := new(write)
	call := &adapter.Call{Caller: caller, Payload: encodeWrite(nil), Decoded: barrier, Repeatable: true, Done: r.Context().Done()}
	return l.env.Submit(r.Context(), call)[0].Err
}
