package session

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
)

// ledger has one session.
type ledger struct {
	of  coco.Session
	err error
}

func (l *ledger) Session(credential, origin string) (coco.Session, error) {
	if credential != "right" || origin != "https://app.example" {
		return coco.Session{}, coco.ErrDenied
	}
	return l.of, l.err
}

func TestASessionIsAUserOfAnOrganisationThatIsThere(t *testing.T) {
	acme := coco.ActorID{1}
	there, revoked := true, ""
	s := caller.Schemes{&Scheme{
		Organisation: func(id coco.ActorID) (string, bool) { return "acme", there && id == acme },
		Revoked: func(id coco.ActorID, user string, given time.Time) bool {
			return id == acme && (user == revoked || given.Unix() < 5)
		},
	}}
	l := &ledger{of: coco.Session{Actor: acme, User: "kim", From: time.Unix(6, 0), Until: time.Unix(9, 0), Scope: "read"}}
	ask := func(credential string, of Ledger) (caller.Identity, error) {
		r := httptest.NewRequest("POST", "/rpc", nil)
		r.Header.Set("Authorization", "Coco-Session "+credential)
		r.Header.Set("Origin", "https://app.example")
		if of != nil {
			r = r.WithContext(With(r.Context(), of))
		}
		return s.Authenticate(r)
	}
	id, err := ask("right", l)
	if want := (coco.Caller{Actor: acme, Name: "acme", Role: coco.Participant, User: "kim"}); err != nil || id.Caller != want || !id.Session || id.Scope != "read" || id.Until != l.of.Until || id.Again == nil {
		t.Fatalf("%+v %v", id, err)
	}
	if _, err := ask("wrong", l); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("another credential: %v", err)
	}
	if _, err := ask("right", nil); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("at another ledger's endpoint: %v", err)
	}
	for name, change := range map[string]func(){
		"an organisation that has gone": func() { there = false },
		"a user whose access was taken": func() { revoked = "kim" },
		"a session that has ended":      func() { l.err = coco.ErrDenied },
		"an organisation itself":        func() { l.of.User = "" },
		"one that began too early":      func() { l.of.From = time.Unix(4, 0) },
	} {
		change()
		if _, err := ask("right", l); !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := id.Again(); !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s, on a connection: %v", name, err)
		}
		there, revoked, l.err, l.of.User, l.of.From = true, "", nil, "kim", time.Unix(6, 0)
	}
	l.of.Until = time.Time{}
	if id, err := ask("right", l); err != nil || id.Again != nil {
		t.Errorf("good for one request: %+v %v", id, err)
	}
}

func TestAPageNamesItsSessionInAWebSocketsProtocol(t *testing.T) {
	r := httptest.NewRequest("GET", "/rpc", nil)
	r.Header.Set("Sec-WebSocket-Protocol", "coco-session, right")
	if Lift(r); caller.In(r) {
		t.Error("a request that is no handshake has a session by it")
	}
	r.Header.Set("Upgrade", "websocket")
	Lift(r)
	if got := r.Header["Authorization"]; len(got) != 1 || got[0] != "Coco-Session right" || r.Header.Get("Sec-WebSocket-Protocol") != Protocol {
		t.Errorf("%q", r.Header)
	}
	// Beside another credential there are two, and a list of more is none.
	r.Header.Set("Sec-WebSocket-Protocol", "coco-session, other")
	Lift(r)
	if _, err := (caller.Schemes{&Scheme{}}).Authenticate(r); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("two credentials: %v", err)
	}
	r.Header.Del("Authorization")
	r.Header["Sec-Websocket-Protocol"] = []string{"coco-session", "right, more"}
	Lift(r)
	if _, err := (caller.Schemes{&Scheme{}}).Authenticate(r); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a list: %v", err)
	}
}
