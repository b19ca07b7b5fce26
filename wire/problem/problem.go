// Package problem answers HTTP requests by rows of the table of errors (package wire), in the form that all routes and the loopback
// proxy share.
//
// Trust: either
package problem

import (
	"net/http"
	"strconv"

	"github.com/cocoframework/coco/wire"
)

// Write answers a request by a row, with a message for people. Nothing of the answer may have been written before.
func Write(w http.ResponseWriter, p wire.Problem, message string) {
	text, h := p.Body(message), w.Header()
	h.Set("Content-Type", wire.MediaJSON)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Cache-Control", "no-store")
	if p.Retry {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(text) // fails if the client has gone
}
