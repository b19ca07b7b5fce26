// Package sessions gives sessions to pages in browsers: by Sign-In with Ethereum (ERC-4361), for the user to whom the signing address is linked.
//
//	page   ── draws a token of 32 random bytes; the message's nonce is its SHA-256
//	wallet ── shows and signs the message: network, page, name of the session, what it may do, until when
//	page   ── Authorization: Coco-Session base64url(signature ‖ message), coco_signIn ─► node ─ call ─► leader ─► ethereum.sessions
//	page   ── Authorization: Coco-Session token, from then on
//
// What is signed is no secret and is of use once: a copy of it makes no other session, as the token is in none of it. The ledger has the token's hash, so
// every node knows a session, and none knows its token before it is used.
//
// A session ends at its time, when its user or the organisation ends it, with the link of its address, and when the user signs in to the same page by the same name. It does not count while its user has no access, or
// members have removed its page's origin, nor afterwards: of an origin that members add again those sessions count that begin from then on. Nothing of it is kept elsewhere, so each of these is in force at the next request.
//
// Trust: enclave
package sessions

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/siwe"
	"github.com/cocoframework/coco/store"
)

// Bounds of a session. Times are in milliseconds.
const (
	MaxSessions = 32                    // of a user at a time, those that ended less than MaxAge ago among them
	MaxAge      = 10 * 60_000           // of a message, from its time of issue, for its first use
	MaxAhead    = 60_000                // of the ledger's time, for clocks that differ
	MaxLife     = 30 * 24 * 3600_000    // from the time of issue to that of expiration
	MaxName     = 64                    // bytes
	tokenBytes  = 32                    // and twice as many hexadecimal digits
	maxOrigin   = 256                   // bytes
	resource    = "urn:coco:"           // begins what a message says to Coco
	ofNetwork   = resource + "network:" // the network's id
	ofSession   = resource + "session:" // the session's name
	ofScope     = resource + "scope:"   // what it may do; one or more
)

// Network is for which network a message has to be.
type Network owncall.Network

// SignIn is what a message asks for that was signed by an address.
type SignIn struct {
	ID      coco.Digest // SHA-256 of the token
	Address common.Address
	Name    string
	Origin  string
	Scope   Scope
	Issued  uint64 // milliseconds since 1970, as the others
	Begins  uint64 // 0 if the message does not say it
	Until   uint64
}

// TokenID returns the id of a token's session; it is not ok for what has not the form of a token.
func TokenID(token string) (id coco.Digest, ok bool) {
	raw, err := hex.DecodeString(token)
	if err != nil || len(raw) != tokenBytes || hex.EncodeToString(raw) != token {
		return id, false
	}
	return sha256.Sum256(raw), true
}

// Credential returns what a page sends of a message that was signed.
func Credential(message string, signature []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(bytes.Clone(signature), message...))
}

// Read reads what Credential has made, and checks its signature and all that depends on neither time nor state. The error is coco.ErrInvalid.
func (n Network) Read(credential string) (*SignIn, error) {
	s, signed, err := n.parse(credential)
	if err == nil {
		err = signed()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// parse is Read without the check of the signature, which is the costly one: signed does that.
func (n Network) parse(credential string) (s *SignIn, signed func() error, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(credential)
	if err != nil || len(b) <= crypto.SignatureLength {
		return nil, nil, refuse("expected a token of %d hexadecimal digits, or a signature and a message of Sign-In with Ethereum in base64url", 2*tokenBytes)
	}
	signature, text := b[:crypto.SignatureLength], string(b[crypto.SignatureLength:])
	m, err := siwe.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	s, err = n.asks(m)
	return s, func() error {
		signer, err := siwe.Signer(text, signature)
		if err != nil {
			return err
		}
		if signer != m.Address {
			return refuse("the signature is not that of %v over this message", m.Address)
		}
		return nil
	}, err
}

// asks returns what a message asks for.
func (n Network) asks(m *siwe.Message) (*SignIn, error) {
	s := &SignIn{Address: m.Address, Issued: siwe.Time(m.IssuedAt), Begins: siwe.Time(m.NotBefore), Until: siwe.Time(m.Expires)}
	scheme, rest, _ := strings.Cut(m.URI, "://")
	s.Origin = scheme + "://" + m.Domain
	id, err := hex.DecodeString(m.Nonce)
	switch {
	case err != nil || len(id) != len(s.ID) || hex.EncodeToString(id) != m.Nonce:
		return nil, refuse("Nonce: expected the SHA-256 of the session's token, as %d hexadecimal digits in lower case", 2*len(s.ID))
	case m.ChainID != n.ChainID.String():
		return nil, refuse("Chain ID: found %s, and this network's is %v", m.ChainID, n.ChainID)
	case m.Scheme != "" && m.Scheme != scheme || rest != m.Domain && !strings.HasPrefix(rest, m.Domain+"/") || len(s.Origin) > maxOrigin:
		return nil, refuse("URI: expected one of the page that asks, %s", m.Domain)
	case m.Expires == "":
		return nil, refuse("Expiration Time: expected one: a session has an end")
	case m.RequestID != nil:
		return nil, refuse("Request ID: expected none")
	}
	copy(s.ID[:], id)
	return s, s.resources(m.Resources, n.ID)
}

// resources reads what a message says to Coco, which comes in this order: the network, the session's name, and what it may do.
func (s *SignIn) resources(list []string, network coco.Digest) error {
	if len(list) < 3 || list[0] != ofNetwork+network.String() {
		return refuse("Resources: expected %s%s, %sNAME and %s… in this order: the message is for no network, or for another one", ofNetwork, network, ofSession, ofScope)
	}
	name, found := strings.CutPrefix(list[1], ofSession)
	if !found || checkName(name) != nil {
		return refuse("Resources: expected %s and a name of letters, digits, '-', '.', '_' and '~', of up to %d", ofSession, MaxName)
	}
	s.Name = name
	for _, r := range list[2:] {
		may, found := strings.CutPrefix(r, ofScope)
		if !found {
			return refuse("Resources: found %.80q, expected %s and what the session may do", r, ofScope)
		}
		s.Scope = append(s.Scope, may)
	}
	return s.Scope.check()
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName || strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~", c)
	}) {
		return refuse("name %.80q: expected letters, digits, '-', '.', '_' and '~', up to %d", name, MaxName)
	}
	return nil
}

// timely checks the times, by that of the ledger in milliseconds. The error is coco.ErrInvalid.
func (s *SignIn) timely(now uint64) error {
	switch {
	case s.Issued > now+MaxAhead || s.Begins > now+MaxAhead:
		return refuse("the message begins after the ledger's time, %s", owncall.Time(now))
	case s.Issued+MaxAge <= now:
		return refuse("the message was issued at %s, and the ledger's time is %s: sign a new one; it is good for %v", owncall.Time(s.Issued), owncall.Time(now), span(MaxAge))
	case s.Until <= now:
		return refuse("the session would have ended at %s, and the ledger's time is %s", owncall.Time(s.Until), owncall.Time(now))
	case s.Until > s.Issued+MaxLife:
		return refuse("Expiration Time: expected at most %v after the time of issue", span(MaxLife))
	}
	return nil
}

func span(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: sign-in: %s", coco.ErrInvalid, fmt.Sprintf(format, args...))
}

// Grant is what a credential is good for.
type Grant struct {
	ID    coco.Digest
	Scope Scope
	// SignIn is what was asked for; then the credential is a signed message, and good for coco_signIn alone. Nil for a token.
	SignIn *SignIn
	// Still says why a token's session has ended; nil if it has not. A connection that outlives its request asks it.
	Still func() error
}

// Of returns what a request's session is good for; nil if the request came by another credential.
func Of(ctx context.Context) *Grant {
	g, _ := adapter.ScopeOf(ctx).(*Grant)
	return g
}

// Allows reports whether the credential is good for a method of JSON-RPC.
func (g *Grant) Allows(method string) bool {
	if g.SignIn != nil {
		return method == methodSignIn
	}
	return method != methodSignIn && g.Scope.allows(method)
}

// Source is where sessions and links are read.
type Source = rows.Source

// Judge says what credentials are good for, by the ledger's state and time. It implements adapter.Sessions.
//
// All fields MUST be set. It MUST NOT be copied.
type Judge struct {
	State   *store.Scope
	Network Network
	Now     func() time.Time     // the ledger's
	Elapsed func() time.Duration // see host.Clock
	// Origin returns until when sessions of an origin's pages began that do not count, in milliseconds since 1970, or that members have not agreed on the origin.
	Origin func(origin string) (since uint64, agreed bool)

	checks allowance // of signatures
}

// Session implements adapter.Sessions. A signed message is good for one request; its times are looked at again when it is executed.
func (j *Judge) Session(credential, origin string) (coco.Session, error) {
	state := j.State.Snapshot()
	defer state.Release()
	s, g, err := j.judge(state, credential, origin)
	if err != nil {
		return coco.Session{}, err
	}
	g.Still = func() error {
		_, err := j.Session(credential, origin)
		return err
	}
	s.Scope = g
	return s, nil
}

// judge judges a credential of a request by a page of an origin.
func (j *Judge) judge(src Source, credential, origin string) (coco.Session, *Grant, error) {
	id, token := TokenID(credential)
	if !token {
		return j.signIn(src, credential, origin)
	}
	r, found, err := Read(src, id)
	if err != nil {
		return coco.Session{}, nil, err
	}
	from := from(r.Issued, r.Began)
	now := uint64(j.Now().UnixMilli())
	switch {
	case !found:
		err = deny("there is none by this token; a sign-in of the same page and name replaces a session")
	case r.Ended:
		err = deny("its owner has ended it")
	case r.Until <= now:
		err = deny("it ended at %s", owncall.Time(r.Until))
	case r.Origin != origin:
		err = deny("it is of pages of %s, and the request is of none of these", r.Origin)
	case !r.linked(src):
		err = deny("the link of the address that has signed in has ended")
	default:
		err = j.agreed(origin, from)
	}
	if err != nil {
		return coco.Session{}, nil, err
	}
	return coco.Session{Actor: r.Actor, User: r.User, From: moment(from), Until: moment(r.Until)}, &Grant{ID: id, Scope: r.Scope}, nil
}

// agreed checks that members have agreed on an origin, before what is from a time.
func (j *Judge) agreed(origin string, from uint64) error {
	switch since, is := j.Origin(origin); {
	case !is:
		return deny("members have not agreed that pages of %s may ask (coco gov propose add-origin)", origin)
	case from <= since:
		return deny("it is from before %s, when members agreed on pages of %s: sign in anew", owncall.Time(since), origin)
	}
	return nil
}

// from is since when a session counts that began at a time of the ledger. A message that was signed long before counts as long before: a vote between the two is
// no vote before both. The clock of the signer's machine may be late by as much as it may be ahead.
func from(issued, began uint64) uint64 { return min(began, issued+MaxAhead) }

func moment(ms uint64) time.Time { return time.UnixMilli(int64(min(ms, 1<<52))) }

// signIn judges a signed message.
func (j *Judge) signIn(src Source, credential, origin string) (coco.Session, *Grant, error) {
	s, signed, err := j.Network.parse(credential)
	if err != nil {
		return coco.Session{}, nil, err
	}
	now := uint64(j.Now().UnixMilli())
	if err := s.timely(now); err != nil {
		return coco.Session{}, nil, err
	}
	if s.Origin != origin {
		return coco.Session{}, nil, deny("the message is for pages of %s, and the request is of none of these", s.Origin)
	}
	from := from(s.Issued, now+1)
	if err := j.agreed(origin, from); err != nil {
		return coco.Session{}, nil, err
	}
	if err := j.checks.take(j.Elapsed()); err != nil {
		return coco.Session{}, nil, err
	}
	if err := signed(); err != nil { // before the state is asked: nobody learns whose an address is by another one's message
		return coco.Session{}, nil, err
	}
	h, err := holder(src, s.Address)
	return coco.Session{Actor: h.Actor, User: h.User, From: moment(from)}, &Grant{ID: s.ID, SignIn: s}, err
}

// holder returns the user to whom an address is linked.
func holder(src Source, address common.Address) (links.Holder, error) {
	h, linked := links.Of(src, address)
	switch {
	case !linked:
		return h, deny("%v is linked to nobody: link it to a user first (coco identity link --user)", address)
	case h.User == "":
		return h, deny("%v is linked to an organisation itself, for which no page can act: link it to a user of it (coco identity link --user)", address)
	}
	return h, nil
}

func deny(format string, args ...any) error {
	return fmt.Errorf("%w: %s", coco.ErrDenied, fmt.Sprintf(format, args...))
}
