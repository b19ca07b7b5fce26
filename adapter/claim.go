package adapter

import (
	"net/http"

	"github.com/cocoframework/coco/internal/budget"
)

// ClaimOf returns the claim on the node's memory for replies that a request has: what a handler builds for its caller
// is taken from it before it is built. The core gives it back when the handler has returned, which for a connection that
// the handler takes over is its end. It is nil, which has no bound, where the core does not
// serve the request, as in an adapter's tests.
func ClaimOf(w http.ResponseWriter) *budget.Claim {
	if c, ok := w.(interface{ Claim() *budget.Claim }); ok {
		return c.Claim()
	}
	return nil
}
