// Package schemes puts together the kinds of credentials that a node accepts beside client certificates, by its constitution and the ledger's time.
//
// Trust: enclave
package schemes

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/caller/keyset"
	"github.com/cocoframework/coco/caller/message"
	"github.com/cocoframework/coco/caller/session"
	"github.com/cocoframework/coco/caller/token"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/constitution"
)

// Config is what a node gives.
type Config struct {
	Network      coco.Digest
	Node         coco.NodeID // of this process
	Constitution func() *constitution.Constitution
	Identify     func([]*x509.Certificate) (coco.Caller, error)
	Dial         func(ctx context.Context, address string) (net.Conn, error)
	Now          func() time.Time // the ledger's
	After        func(time.Duration) <-chan time.Time
	Log          *slog.Logger
}

// Schemes are those of a node. They are ended by Run.
type Schemes struct {
	All  caller.Schemes
	keys *keyset.Sets // of issuers of tokens
	is   func() *constitution.Constitution
	now  func() time.Time
}

// New returns the schemes.
func New(cfg Config) *Schemes {
	keys := keyset.New(keyset.Config{Dial: cfg.Dial, Now: cfg.Now, After: cfg.After, Log: cfg.Log})
	messages := message.NewScheme(message.Config{Network: cfg.Network, Node: cfg.Node, Identify: cfg.Identify, Now: cfg.Now})
	return &Schemes{keys: keys, is: cfg.Constitution, now: cfg.Now, All: caller.Schemes{
		&token.Scheme{Rules: func() token.Rules { return rulesOf(cfg.Constitution()) }, Now: cfg.Now, Keys: keys.Keys},
		messages,
		&message.Signer{Messages: messages},
		&session.Scheme{
			Organisation: func(id coco.ActorID) (string, bool) {
				c := cfg.Constitution()
				_, ok := c.Role(id)
				return c.Name(id), ok
			},
			Revoked: func(id coco.ActorID, user string, given time.Time) bool {
				c := access.Credential{Actor: id, User: user, Given: uint64(max(given.Unix(), 0))}
				return cfg.Constitution().Access.RevokedBy(&c) != nil
			},
		},
	}}
}

// Admits reports whether pages of an origin may ask nodes.
func (s *Schemes) Admits(origin string) bool { return s.is().Access.Admits(origin) }

// Outages says in sentences which issuers' keys cannot be fetched for long, and how many these are.
func (s *Schemes) Outages() (warning string, issuers int) {
	var all []string
	for _, o := range s.keys.Outages(s.is().Access.Issuers) {
		issuers++
		text := fmt.Sprintf("The keys of the issuer %q cannot be fetched since %s: ", o.Issuer, o.Since.UTC().Format(time.RFC3339))
		switch {
		case o.Until.IsZero():
			text += "no token of it has counted on this node."
		case o.Until.After(s.now()):
			text += fmt.Sprintf("its tokens count on this node until %s.", o.Until.UTC().Format(time.RFC3339))
		default:
			text += fmt.Sprintf("its tokens have not counted on this node since %s.", o.Until.UTC().Format(time.RFC3339))
		}
		all = append(all, text)
	}
	return strings.Join(all, " "), issuers
}

// Run waits for the end of ctx, and for what is being fetched then.
func (s *Schemes) Run(ctx context.Context) error {
	<-ctx.Done()
	s.keys.Close()
	return nil
}

// rulesOf are what a constitution says of callers without a certificate.
func rulesOf(c *constitution.Constitution) token.Rules {
	return token.Rules{Access: &c.Access, Organisation: func(id coco.ActorID) (string, coco.Role, bool) {
		role, ok := c.Role(id)
		return c.Name(id), role, ok
	}}
}
