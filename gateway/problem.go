package gateway

import (
	"errors"
	"net/http"

	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/wire"
	"github.com/cocoframework/coco/wire/problem"
)

// problemOf returns the row of the table of errors by which a request is answered.
func problemOf(err error) wire.Problem {
	if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
		return wire.ByCode(wire.CodeTooLarge)
	}
	return wire.AnswerTo(err)
}

// fail answers a request by an error. An internal error is logged, and the client learns nothing about it.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, message := problemOf(err), err.Error()
	if p.Code == wire.CodeInternal {
		g.cfg.Log.Error("gateway: a request failed", logevent.RequestFailed.Attr(), "route", r.Pattern, "error", err)
		message = wire.InternalMessage
	}
	if p.Code == wire.CodeNoCertificate && len(g.cfg.Schemes) > 0 {
		w.Header().Set("WWW-Authenticate", g.cfg.Schemes.Challenge(r))
	}
	problem.Write(w, p, message)
}

// refuse answers a request by a row of the table.
func refuse(w http.ResponseWriter, code, message string) {
	problem.Write(w, wire.ByCode(code), message)
}
