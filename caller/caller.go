// Package caller makes callers of credentials. A request has exactly one: a client certificate, which the gateway knows from the
// TLS handshake, or one of a scheme of the header Authorization (RFC 9110, section 11.6.2).
//
//	Authorization: Bearer eyJ…       caller/token: a token of an issuer that members have agreed on
//	Authorization: Coco-Message 0oRY… caller/message: a message that its sender's certificate signs
//	Authorization: Coco-Session 9XkT… caller/session: a session of a ledger, for pages in browsers
//
// Two credentials in one request are refused, whichever they are: what stands between a client and a node could otherwise add one of its
// own, and which of the two counts would be a matter of order.
//
// Trust: enclave
package caller

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/wire"
)

// Identity is who a request is from.
type Identity struct {
	Caller coco.Caller
	// Until is when the credential ends, by the ledger's time; zero if it is good for this request only.
	Until time.Time
	// Again checks the credential again, by the constitution that is then in force. Nil if the credential is good for one request only: then
	// no connection may outlive the request. It is called concurrently, and MUST NOT wait for anybody outside of the node.
	Again func() (coco.Caller, error)
	// Session says that the credential is a session of the ledger whose endpoint was asked: it counts there only, and is asked for at every request.
	Session bool
	// Scope is what the session is good for, as its ledger said: its endpoint's handler gets it.
	Scope any
	// Body, if not nil, is the SHA-256 that the request's body MUST have before anything is done by it.
	Body *coco.Digest
}

// Scheme makes callers of the credentials of one scheme.
type Scheme interface {
	// Name is the scheme's, such as "Bearer".
	Name() string
	// Authenticate says who a request is from, by what follows the scheme's name in the header. It MUST NOT read the body. Errors
	// are made by Refuse, or of kind coco.ErrBusy if the credential cannot be judged now. They MUST NOT contain the credential.
	// It is called concurrently.
	Authenticate(r *http.Request, credential string) (Identity, error)
}

// MaxCredential bounds a credential, in bytes.
const MaxCredential = 16 << 10

// Schemes are those that a node accepts.
type Schemes []Scheme

// In reports whether a request has a credential of some scheme, known or not.
func In(r *http.Request) bool { return len(r.Header["Authorization"]) > 0 }

// Authenticate says who a request is from that has such a credential.
func (s Schemes) Authenticate(r *http.Request) (Identity, error) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return Identity{}, Confused("%d headers Authorization", len(values))
	}
	name, credential, _ := strings.Cut(values[0], " ")
	for _, scheme := range s {
		if !strings.EqualFold(name, scheme.Name()) {
			continue
		}
		credential = strings.TrimLeft(credential, " ")
		if credential == "" || len(credential) > MaxCredential || strings.ContainsFunc(credential, func(c rune) bool { return c <= ' ' || c > '~' || c == ',' }) {
			return Identity{}, Refuse("Authorization: expected %s and a credential of up to %d characters", scheme.Name(), MaxCredential)
		}
		return scheme.Authenticate(r, credential)
	}
	return Identity{}, Refuse("Authorization: expected the scheme %s", s.names())
}

func (s Schemes) names() string {
	names := make([]string, len(s))
	for i, scheme := range s {
		names[i] = scheme.Name()
	}
	return strings.Join(names, " or ")
}

// Challenge is what a client is told that showed no credential, or none that counts (RFC 9110, section 11.6.1; RFC 6750, section 3).
func (s Schemes) Challenge(r *http.Request) string {
	challenges := make([]string, len(s))
	for i, scheme := range s {
		challenges[i] = scheme.Name()
		if used, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); scheme.Name() == "Bearer" && strings.EqualFold(used, "Bearer") {
			challenges[i] += ` error="invalid_token"` // not for a request that shows no token: section 3.1
		}
	}
	return strings.Join(challenges, ", ")
}

// Refuse is the error that a credential does not count.
func Refuse(format string, args ...any) error {
	return &wire.Error{Problem: wire.ByCode(wire.CodeNoCertificate), Message: "denied: " + fmt.Sprintf(format, args...)}
}

// Confused is the error that a request has more than one credential.
func Confused(format string, args ...any) error {
	return fmt.Errorf("%w: more than one credential in a request (%s): expected a client certificate or one header Authorization, and not both", coco.ErrInvalid, fmt.Sprintf(format, args...))
}

type outerKey struct{}

// WithOuter returns the context of the request that was inside.
func WithOuter(ctx context.Context, o sealed.Outer) context.Context {
	return context.WithValue(ctx, outerKey{}, &o)
}

// OuterOf returns what is known of a request from outside; nil if it was not sealed.
func OuterOf(ctx context.Context) *sealed.Outer {
	o, _ := ctx.Value(outerKey{}).(*sealed.Outer)
	return o
}
