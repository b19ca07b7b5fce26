package message

import (
	"container/list"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/envelope"
)

// SchemeName is the scheme's name in the header Authorization.
const SchemeName = "Coco-Message"

// maxSeen is how many messages of one organisation a node remembers: as many count in twice Window.
const maxSeen = 1 << 16

// Scheme is caller.Scheme for signed requests. It is made by NewScheme.
type Scheme struct {
	cfg Config

	mu   sync.Mutex
	seen map[coco.ActorID]*seen // under mu
}

// Config is what a Scheme needs.
type Config struct {
	Network coco.Digest
	Node    coco.NodeID // of this process: it MUST be another one after a restart
	// Identify maps certificates, the leaf first, to their organisation by the constitution in force.
	Identify func([]*x509.Certificate) (coco.Caller, error)
	Now      func() time.Time // the ledger's
}

// seen are an organisation's messages that a node has accepted, for as long as they would count again.
type seen struct {
	ids   map[coco.Digest]struct{}
	order *list.List // of entry, as they came
	// forgotten is the latest end of those that were forgotten: what ends no later counts no more, also if the host has turned its clock
	// forward, to have them forgotten, and back.
	forgotten time.Time
}

type entry struct {
	id    coco.Digest
	until time.Time
}

// NewScheme returns a scheme that has seen no message.
func NewScheme(cfg Config) *Scheme { return &Scheme{cfg: cfg, seen: map[coco.ActorID]*seen{}} }

// Name implements caller.Scheme.
func (s *Scheme) Name() string { return SchemeName }

// Authenticate implements caller.Scheme.
func (s *Scheme) Authenticate(r *http.Request, credential string) (caller.Identity, error) {
	return s.judge(r, credential, func(*x509.Certificate, *Request) error { return nil })
}

// judge judges a message of a request. also is asked before the message is remembered as one that was sent.
func (s *Scheme) judge(r *http.Request, credential string, also func(signer *x509.Certificate, m *Request) error) (caller.Identity, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(credential)
	if err != nil {
		return caller.Identity{}, caller.Refuse("the signed request is not in base64url without padding")
	}
	chain, payload, err := envelope.OpenOther(raw, ContentType)
	if err != nil {
		return caller.Identity{}, caller.Refuse("the signed request: %v", err)
	}
	var m Request
	if err := canon.Unmarshal(payload, &m, canon.Limits{Bytes: caller.MaxCredential}); err != nil {
		return caller.Identity{}, caller.Refuse("the signed request is not in its form: %v", err)
	}
	now := s.cfg.Now()
	if err := s.fits(&m, r, now); err != nil {
		return caller.Identity{}, err
	}
	for _, unit := range []string{coco.GovernanceUnit, coco.NodesUnit} {
		if slices.Contains(chain[0].Subject.OrganizationalUnit, unit) {
			return caller.Identity{}, caller.Refuse("the signed request's certificate has the organisational unit %q, which is good for no request of applications", unit)
		}
	}
	if err := also(chain[0], &m); err != nil {
		return caller.Identity{}, err
	}
	who, err := s.cfg.Identify(chain)
	if errors.Is(err, coco.ErrDenied) {
		return caller.Identity{}, caller.Refuse("the signed request: %v", err)
	} else if err != nil {
		return caller.Identity{}, err
	}
	// Two signers may choose one nonce; one signer's message is the same however it is signed.
	id := sha256.Sum256(append(slices.Clone(chain[0].Raw), payload...))
	if err := s.once(who.Actor, id, time.UnixMilli(int64(m.Time)).Add(Window), now); err != nil {
		return caller.Identity{}, err
	}
	return caller.Identity{Caller: who, Body: &m.Body}, nil
}

// fits checks that a message is of this request, for this node, and of now.
func (s *Scheme) fits(m *Request, r *http.Request, now time.Time) error {
	at := uint64(now.UnixMilli())
	switch {
	case m.Network != s.cfg.Network:
		return caller.Refuse("the signed request is for another network: expected %s", s.cfg.Network)
	case m.Node != s.cfg.Node:
		return caller.Refuse("the signed request is for another node, or this one before it restarted: expected %s", s.cfg.Node)
	case m.Method != r.Method || m.Target != r.RequestURI:
		return caller.Refuse("the request has another method or target than its signer signed")
	case differing(m.Headers, covered(r.Header)) != "":
		return caller.Refuse("the request's header %.64q is not as its signer signed it: every header that changes what a request does is signed, and none is added, changed or dropped", differing(m.Headers, covered(r.Header)))
	case m.Time+uint64(Window.Milliseconds()) <= at || m.Time > at+uint64(Window.Milliseconds()):
		return caller.Refuse("the signed request is of %s, and the ledger's time is %s: expected at most %v between them",
			time.UnixMilli(int64(min(m.Time, 1<<52))).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), Window)
	case len(m.Nonce) != nonceBytes:
		return caller.Refuse("the signed request's nonce has %d bytes, expected %d", len(m.Nonce), nonceBytes)
	}
	return nil
}

// once refuses a message that was accepted before.
func (s *Scheme) once(by coco.ActorID, id coco.Digest, until, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.seen[by]
	if x == nil {
		x = &seen{ids: map[coco.Digest]struct{}{}, order: list.New()}
		s.seen[by] = x
	}
	// Times of messages differ by 2 Window at most, so none that has ended is kept much longer than those before it.
	for at := x.order.Front(); at != nil && !now.Before(at.Value.(entry).until); at = x.order.Front() {
		old := x.order.Remove(at).(entry)
		delete(x.ids, old.id)
		if old.until.After(x.forgotten) {
			x.forgotten = old.until
		}
	}
	if !until.After(x.forgotten) {
		return caller.Refuse("the signed request is as old as others that this node has forgotten: sign a new one")
	}
	if _, again := x.ids[id]; again {
		return caller.Refuse("the signed request was sent before: sign a new one")
	}
	if len(x.ids) >= maxSeen {
		return fmt.Errorf("%w: this organisation has sent %d signed requests within two minutes: as many are remembered, so that none counts twice", coco.ErrBusy, maxSeen)
	}
	x.ids[id] = struct{}{}
	x.order.PushBack(entry{id, until})
	return nil
}
