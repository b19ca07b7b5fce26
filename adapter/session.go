package adapter

import (
	"context"

	"github.com/cocoframework/coco"
)

// Sessions are credentials that a ledger gives to an organisation's users by transactions of its own, so that every node knows them. A ledger offers
// them by its endpoints, and they count there and nowhere else.
type Sessions interface {
	// Session says what a credential stands for, which came in a request of a page of that origin (empty if the request names none). It is asked at every
	// request, and for a connection that outlives its request again when the constitution changes; whose handler MUST look itself whether the session
	// has ended by the ledger. Errors are coco.ErrDenied or coco.ErrInvalid; they MUST NOT contain the credential. It is called concurrently.
	Session(credential, origin string) (coco.Session, error)
}

type scopeKey struct{}

// WithScope returns the context of a request whose caller's session has a scope: coco.Session.Scope.
func WithScope(ctx context.Context, scope any) context.Context {
	return context.WithValue(ctx, scopeKey{}, scope)
}

// ScopeOf returns the scope of the session by which a handler's request came; nil if it came by another credential.
func ScopeOf(ctx context.Context) any { return ctx.Value(scopeKey{}) }
