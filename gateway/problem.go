package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/cocoframework/coco"
)

// problem is an error as a client sees it.
type problem struct {
	status int
	code   string
	retry  bool // the same request may be sent again in a moment
}

// problems maps the kinds of errors, the most careful answer first: an error of two kinds whose
// outcome may be unknown is unknown.
var problems = []struct {
	kind error
	problem
}{
	{coco.ErrUnknown, problem{http.StatusGatewayTimeout, "outcome_unknown", false}},
	{errNoCertificate, problem{http.StatusUnauthorized, "unauthenticated", false}},
	{coco.ErrDenied, problem{http.StatusForbidden, "denied", false}},
	{coco.ErrInvalid, problem{http.StatusBadRequest, "invalid", false}},
	{coco.ErrNotFound, problem{http.StatusNotFound, "not_found", false}},
	{coco.ErrPending, problem{http.StatusAccepted, "pending", true}},
	{coco.ErrMissing, problem{http.StatusServiceUnavailable, "missing", false}},
	{coco.ErrBusy, problem{http.StatusServiceUnavailable, "busy", true}},
	{coco.ErrNotCommitted, problem{http.StatusServiceUnavailable, "not_committed", true}},
	{coco.ErrUnreachable, problem{http.StatusServiceUnavailable, "unreachable", true}},
	{context.DeadlineExceeded, problem{http.StatusGatewayTimeout, "outcome_unknown", false}},
	{context.Canceled, problem{http.StatusGatewayTimeout, "outcome_unknown", false}},
}

var internalProblem = problem{http.StatusInternalServerError, "internal", false}

func classify(err error) problem {
	if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
		return problem{http.StatusRequestEntityTooLarge, "too_large", false}
	}
	for _, p := range problems {
		if errors.Is(err, p.kind) {
			return p.problem
		}
	}
	// What is left that has timed out is a connection's read deadline.
	if late := interface{ Timeout() bool }(nil); errors.As(err, &late) && late.Timeout() {
		return problem{http.StatusRequestTimeout, "too_slow", false}
	}
	return internalProblem
}

// fail answers a request by an error. What is no client's fault and no known condition is logged,
// and the client learns nothing about it.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, message := classify(err), err.Error()
	if p.status == http.StatusInternalServerError {
		g.cfg.Log.Error("gateway: a request failed", "route", r.Pattern, "error", err)
		message = "internal error; the node's log says more"
	}
	p.write(w, message)
}

func (p problem) write(w http.ResponseWriter, message string) {
	var answer struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	answer.Error.Code, answer.Error.Message = p.code, message
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err) // two strings
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if p.retry {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(append(text, '\n')) // a client that has gone
}
