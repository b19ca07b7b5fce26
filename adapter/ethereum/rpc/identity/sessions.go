package identity

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sessions"
)

// Sessions is the methods by which sessions begin, are listed and end.
type Sessions struct {
	s   *group.Server
	env *adapter.Env
}

// NewSessions returns the methods. What they commit and read is the ledger's of env.
func NewSessions(s *group.Server, env *adapter.Env) *Sessions { return &Sessions{s, env} }

// session is one as clients see it.
type session struct {
	ID      string         `json:"id"` // SHA-256 of its token
	User    string         `json:"user"`
	Address common.Address `json:"address"`
	Name    string         `json:"name"`
	Origin  string         `json:"origin"`
	Scope   sessions.Scope `json:"scope"`
	Began   hexutil.Uint64 `json:"began"` // by the ledger, in milliseconds since 1970
	Until   hexutil.Uint64 `json:"until"`
}

// SignIn begins the session that the request's own credential asks for, a signed message. The result is the transaction's id.
func (m *Sessions) SignIn(ctx context.Context) (string, error) {
	g := m.s.Grant(ctx)
	if g == nil || g.SignIn == nil {
		return "", m.s.Fail(group.Errorf(group.CodeInvalidParams, "coco_signIn takes no parameters: the signed message is the request's credential (Authorization: Coco-Session)"))
	}
	return m.s.Submit(ctx, m.env, &sessions.Call{SignIn: *g.SignIn})
}

// Sessions lists the sessions that have not ended: the caller's, or, for an organisation, those of all its users or of one. A session is told of
// itself only.
func (m *Sessions) Sessions(ctx context.Context, user *string) (json.RawMessage, error) {
	caller, g := m.s.Caller(ctx), m.s.Grant(ctx)
	of := caller.User
	if user != nil {
		if of != "" && *user != of {
			return nil, m.s.Refuse(fmt.Errorf("%w: the caller is a user, and sees its own sessions only", coco.ErrDenied))
		}
		of = *user
	}
	state := m.env.State.Snapshot()
	defer state.Release()
	out, more, now := []session{}, false, uint64(m.env.Clock.Now().UnixMilli())
	sessions.OfActor(state, caller.Actor, of, func(l sessions.Listed) bool {
		if !l.Live(state, now) || g != nil && g.ID != l.ID {
			return true
		}
		if more = len(out) == maxListed; !more {
			out = append(out, session{l.ID.String(), l.User, l.Address, l.Name, l.Origin, l.Scope, hexutil.Uint64(l.Began), hexutil.Uint64(l.Until)})
		}
		return !more
	})
	if more {
		return nil, m.s.Fail(group.Errorf(group.CodeReplyTooLarge, "the organisation's users have more than %d sessions: ask for those of single users", maxListed))
	}
	return m.s.Reply(ctx, out, nil, "")
}

// EndSession ends a session of the caller, or of one of its users. A session ends itself only. The result is the transaction's id.
func (m *Sessions) EndSession(ctx context.Context, id string) (string, error) {
	var digest coco.Digest
	if err := digest.UnmarshalText([]byte(id)); err != nil {
		return "", m.s.Refuse(fmt.Errorf("%w: id of a session: %w", coco.ErrInvalid, err))
	}
	if g := m.s.Grant(ctx); g != nil && g.ID != digest {
		return "", m.s.Refuse(fmt.Errorf("%w: a session ends itself only", coco.ErrDenied))
	}
	return m.s.Submit(ctx, m.env, &sessions.Call{SignIn: sessions.SignIn{ID: digest}, End: true})
}
