package kv

import (
	"fmt"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// latest makes a read linearizable if the request asks for it: a transaction of no operations goes through consensus
// first, and this node has applied all that is before it. That a leader answers is not enough, as it may
// have been replaced without knowing it.
func (l *ledger) latest(caller coco.Caller, r *http.Request) error {
	h := r.Header["X-Coco-Consistency"]
	if len(h) == 0 || len(h) == 1 && h[0] == "session" {
		return nil
	}
	if len(h) > 1 || h[0] != "linearizable" {
		return fmt.Errorf("%w: X-Coco-Consistency: expected linearizable or session, found %q", coco.ErrInvalid, h)
	}
	barrier := new(write)
	call := &adapter.Call{Caller: caller, Payload: encodeWrite(nil), Decoded: barrier, Repeatable: true, Done: r.Context().Done()}
	return l.env.Submit(r.Context(), call)[0].Err
}
