// Package session makes callers of the sessions that a ledger gives to organisations' users (Ledger), for browsers that cannot run a proxy.
//
//	Authorization: Coco-Session 9XkT…
//	Sec-WebSocket-Protocol: coco-session, 9XkT…   from pages, which cannot set another header of a WebSocket
//
// The ledger says whose a session is, and when it ends. Here it is asked whether the organisation is there, and whether members have taken access from
// the user. Whoever has a session is a participant, at the endpoints of that ledger only.
//
// Trust: enclave
package session

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
)

const (
	// SchemeName is the scheme's name in the header Authorization.
	SchemeName = "Coco-Session"
	// Protocol is the WebSocket protocol that a page names before its credential, and that the node answers.
	Protocol = "coco-session"
)

// Scheme is caller.Scheme for sessions.
type Scheme struct {
	// Organisation returns an organisation's name; it is not ok if there is none.
	Organisation func(coco.ActorID) (name string, ok bool)
	// Revoked reports whether members have taken access from a user, or from what was given to it at a time.
	Revoked func(actor coco.ActorID, user string, given time.Time) bool
}

// Name implements caller.Scheme.
func (s *Scheme) Name() string { return SchemeName }

// Ledger gives sessions: see adapter.Sessions, which it is.
type Ledger interface {
	Session(credential, origin string) (coco.Session, error)
}

type ofKey struct{}

// With returns a context in which sessions of an endpoint's ledger count.
func With(ctx context.Context, of Ledger) context.Context {
	return context.WithValue(ctx, ofKey{}, of)
}

// Authenticate implements caller.Scheme.
func (s *Scheme) Authenticate(r *http.Request, credential string) (caller.Identity, error) {
	of, _ := r.Context().Value(ofKey{}).(Ledger)
	if of == nil {
		return caller.Identity{}, caller.Refuse("a session counts at the endpoints of its own ledger only")
	}
	origin := r.Header.Get("Origin")
	who, is, err := s.ask(of, credential, origin)
	if err != nil {
		return caller.Identity{}, err
	}
	id := caller.Identity{Caller: who, Until: is.Until, Session: true, Scope: is.Scope}
	if !is.Until.IsZero() {
		id.Again = func() (coco.Caller, error) {
			who, _, err := s.ask(of, credential, origin)
			return who, err
		}
	}
	return id, nil
}

func (s *Scheme) ask(of Ledger, credential, origin string) (coco.Caller, coco.Session, error) {
	is, err := of.Session(credential, origin)
	if errors.Is(err, coco.ErrDenied) || errors.Is(err, coco.ErrInvalid) {
		err = caller.Refuse("the session: %v", err)
	}
	if err != nil {
		return coco.Caller{}, is, err
	}
	name, ok := s.Organisation(is.Actor)
	switch {
	case !ok:
		err = caller.Refuse("the session is of an organisation that is not in the constitution any more")
	case is.User == "" || coco.CheckUser(is.User) != nil:
		err = caller.Refuse("the session names no user of the organisation")
	case s.Revoked(is.Actor, is.User, is.From):
		err = caller.Refuse("members have taken access from the session's user, or from sessions that began as early as this one")
	}
	if err != nil {
		return coco.Caller{}, is, err
	}
	return coco.Caller{Actor: is.Actor, Name: name, Role: coco.Participant, User: is.User}, is, nil
}

// Lift puts a session's credential of a WebSocket handshake where all others are. What names another credential beside it is refused with it, as
// every request with two.
func Lift(r *http.Request) {
	if len(r.Header["Upgrade"]) == 0 {
		return
	}
	values := r.Header["Sec-Websocket-Protocol"]
	first, credential, found := strings.Cut(strings.Join(values, ","), ",")
	if !found || strings.TrimSpace(first) != Protocol {
		return
	}
	r.Header["Authorization"] = append(r.Header["Authorization"], SchemeName+" "+strings.TrimSpace(credential))
	r.Header["Sec-Websocket-Protocol"] = []string{Protocol}
}
