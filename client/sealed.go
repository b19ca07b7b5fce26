package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/succession"
	"github.com/cocoframework/coco/wire"
)

const (
	// maxSealed bounds a request's body, and maxSealedReply what is read of a reply, in bytes.
	maxSealed      = 16 << 20
	maxSealedReply = 80 << 20
	// sealedKeyFor is how long an announced key is used if Config.Reverify says nothing.
	sealedKeyFor = 10 * time.Minute
	// maxMisdirected is how often a request that is for one node is sent, behind a balancer that chooses a node for each request.
	maxMisdirected = 32
	// nodeFor is how long after its last answer a node is taken to be there, so that requests are made out to it.
	nodeFor = 5 * time.Second
)

// SealedConfig says how a network is reached through something that ends TLS.
type SealedConfig struct {
	// URL is where sealed requests go, such as https://coco.example; the network's paths are below it.
	URL string
	// Outer makes the outer requests; nil means http.DefaultTransport. What it verifies protects from others than the one that ends TLS; the
	// requests are protected from that one, too.
	Outer http.RoundTripper
	// Policy says what a node must prove before its key is used.
	Policy Policy
	// Token is that of Config.
	Token func() (string, error)
	// Signing, if not nil, signs each message from outside, in the place of Token.
	Signing *Signing
	// Effect says what a request does that is not safe by its method; GET, HEAD and OPTIONS are. Nil: it is not known of any.
	Effect func(method, path string, body []byte) Effect
	// Now is that of Config.
	Now func() time.Time
	// Reverify is how long an announced key is used; 10 minutes if it is zero.
	Reverify time.Duration
}

// Signing signs sealed messages: package caller/message has it. A signed message is for one node, also if it reads.
type Signing struct {
	// Certificate names the signer's certificate, as message.CertificateID.
	Certificate string
	// Sign returns the header Authorization of the outer request, as message.SignSealed.
	Sign func(ctx context.Context, message []byte, network coco.Digest, node coco.NodeID, now time.Time) (string, error)
}

// Effect is what a request does when it is made, and made again.
type Effect int

// The effects of requests.
const (
	EachTime Effect = iota // something may happen each time that it is made: it is made out to one node, which acts on it once
	Once                   // it has no effect the second time
	Never                  // it reads
)

func (c *SealedConfig) validate() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%w: %q: expected a URL such as https://coco.example", coco.ErrInvalid, c.URL)
	}
	if c.Outer == nil {
		c.Outer = http.DefaultTransport
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Reverify == 0 {
		c.Reverify = sealedKeyFor
	}
	if c.Signing != nil && (c.Token != nil || c.Policy.Service == nil) {
		return nil, fmt.Errorf("%w: sealed messages are signed in the place of a token, and for a network whose service is known", coco.ErrInvalid)
	}
	return u, c.Policy.validate()
}

// Sealed is an http.RoundTripper that encrypts each request to the network's attested key, for what ends TLS on the way (package sealed). That sees when
// requests are made and about how large they and their answers are, and can keep them back. The URL's host is ignored. Connections are not upgraded.
//
// The error is coco.ErrUnknown if a request may have taken effect, and coco.ErrUnreachable, coco.ErrVerify or coco.ErrDenied if it has not. That a request has not been done
// is believed if a node said so inside a sealed reply, or if it could not be sent at all.
type Sealed struct {
	cfg  SealedConfig
	base *url.URL

	mu    sync.Mutex
	key   *announced  // nil before it is known
	node  coco.NodeID // that requests are made out to which count on one node
	heard time.Time   // when it answered last
}

// announced is a verified key.
type announced struct {
	sealed.Announcement
	proof Attested
	at    time.Time
}

// NewSealed returns a transport. It does not connect yet.
func NewSealed(cfg SealedConfig) (*Sealed, error) {
	base, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	return &Sealed{cfg: cfg, base: base}, nil
}

// SetPolicy replaces the policy. The key is verified anew before the next request.
func (s *Sealed) SetPolicy(p Policy) error {
	if err := p.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Policy, s.key = p, nil
	return nil
}

// Verify makes sure that the network's key is known, and returns what the node that announced it has proven.
func (s *Sealed) Verify(ctx context.Context) (Attested, error) {
	k, err := s.current(ctx)
	if err != nil {
		return Attested{}, err
	}
	return k.proof, nil
}

// RoundTrip implements http.RoundTripper.
func (s *Sealed) RoundTrip(req *http.Request) (*http.Response, error) {
	return s.roundTrip(req, s.cfg.Signing)
}

// roundTrip is RoundTrip; by is nil for what anybody may ask.
func (s *Sealed) roundTrip(req *http.Request, by *Signing) (*http.Response, error) {
	in, err := s.request(req, by)
	if err != nil {
		return nil, err
	}
	effect := Never
	if !safe(req) {
		effect = EachTime
		if s.cfg.Effect != nil {
			effect = s.cfg.Effect(in.Method, req.URL.Path, in.Body)
		}
	}
	if effect == EachTime || by != nil {
		if err := s.makeOut(req.Context(), &in); err != nil {
			return nil, err
		}
	}
	for tries, renewed := 1, false; ; {
		k, err := s.current(req.Context())
		if err != nil {
			return nil, err
		}
		in.Time = uint64(s.cfg.Now().UnixMilli())
		reply, err := s.exchange(req, k, in, effect, by)
		if errors.Is(err, errOuterRefusal) {
			// It may be that the key is that of an epoch which has ended. What a balancer says is not believed: it may have had the request done before.
			if changed, kerr := s.renewed(req.Context(), k); kerr == nil && changed && !renewed && effect == Never {
				renewed = true
				continue
			}
			return nil, refused(effect)
		}
		if err != nil {
			return nil, err
		}
		s.answered(reply.Node)
		if !reply.Misdirected {
			return response(req, reply), nil
		}
		if in.For == (coco.NodeID{}) { // nobody has acted on it, and nobody will
			if err := s.makeOut(req.Context(), &in); err != nil {
				return nil, err
			}
		}
		if tries++; tries > maxMisdirected {
			s.forget(in.For)
			kind := coco.ErrUnknown
			if effect == Never {
				kind = coco.ErrUnreachable
			}
			return nil, fmt.Errorf("%w: the request counts on one node, and %s has not brought it there in %d times: have it send one client to one node", kind, s.base.Host, tries-1)
		}
	}
}

// makeOut makes a request out to one node, which has answered not long ago.
func (s *Sealed) makeOut(ctx context.Context, in *sealed.Request) error {
	s.mu.Lock()
	node, heard := s.node, s.heard
	s.mu.Unlock()
	if node == (coco.NodeID{}) || s.cfg.Now().Sub(heard) > nodeFor {
		s.forget(node)
		probe, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://node/node/status", nil)
		if err != nil {
			return err
		}
		resp, err := s.roundTrip(probe, nil) // which notes who has answered
		if err != nil {
			return err
		}
		resp.Body.Close()
		s.mu.Lock()
		node = s.node
		s.mu.Unlock()
	}
	in.For, in.ID = node, make([]byte, sealed.IDSize)
	_, _ = rand.Read(in.ID) // it never fails
	return nil
}

// answered notes that a node is there. Requests go on being made out to the one before, as long as that answers, too.
func (s *Sealed) answered(node coco.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if s.node == node || s.node == (coco.NodeID{}) || now.Sub(s.heard) > nodeFor {
		s.node, s.heard = node, now
	}
}

// forget has another node be asked from now on.
func (s *Sealed) forget(node coco.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == node {
		s.node = coco.NodeID{}
	}
}

// errOuterRefusal is an answer outside of the encryption that refuses.
var errOuterRefusal = errors.New("refused")

func refused(effect Effect) error {
	kind := coco.ErrDenied
	if effect != Never {
		kind = coco.ErrUnknown
	}
	return fmt.Errorf("%w: the sealed request was refused, by the network or on the way: its sender is not known there, or it was changed", kind)
}

// request is what is sealed.
func (s *Sealed) request(req *http.Request, by *Signing) (sealed.Request, error) {
	in := sealed.Request{Method: req.Method, Target: req.URL.RequestURI()}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if req.Header.Get("Upgrade") != "" {
		return in, fmt.Errorf("%w: a WebSocket cannot go through sealed messages: use HTTP", coco.ErrInvalid)
	}
	if req.Body != nil {
		defer req.Body.Close()
		var err error
		if in.Body, err = io.ReadAll(io.LimitReader(req.Body, maxSealed+1)); err != nil {
			return in, fmt.Errorf("%w: the request's body: %w", coco.ErrInvalid, err)
		}
		if len(in.Body) > maxSealed {
			return in, fmt.Errorf("%w: a body of more than %d bytes cannot be sealed", coco.ErrInvalid, maxSealed)
		}
		if len(in.Body) == 0 {
			in.Body = nil
		}
	}
	for name, values := range req.Header {
		if name == "Expect" { // it is about a connection to the node, which there is none of
			continue
		}
		for _, v := range values {
			if name != "Authorization" || s.cfg.Token == nil && s.cfg.Signing == nil {
				in.Header = append(in.Header, sealed.Field{Name: name, Value: v})
			}
		}
	}
	if by != nil {
		in.Header = append(in.Header, sealed.Field{Name: "Authorization", Value: "Coco-Signer " + by.Certificate})
	}
	if s.cfg.Token != nil {
		token, err := s.cfg.Token()
		if err != nil {
			return in, fmt.Errorf("%w: the caller's token: %w", coco.ErrInvalid, err)
		}
		in.Header = append(in.Header, sealed.Field{Name: "Authorization", Value: "Bearer " + token})
	}
	return in, nil
}

// exchange sends one message and opens its reply.
func (s *Sealed) exchange(req *http.Request, k *announced, in sealed.Request, effect Effect, by *Signing) (sealed.Reply, error) {
	message, answer, err := sealed.SealRequest(k.Announcement, in)
	if err != nil {
		return sealed.Reply{}, err
	}
	target := s.base.JoinPath("/sealed")
	outer, err := http.NewRequestWithContext(req.Context(), http.MethodPost, target.String(), bytes.NewReader(message))
	if err != nil {
		return sealed.Reply{}, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	outer.GetBody = nil // the outer transport must not send it twice
	outer.Header.Set("Content-Type", sealed.MediaType)
	if by != nil {
		signature, err := s.sign(req.Context(), by, message, in.For)
		if err != nil {
			return sealed.Reply{}, err
		}
		outer.Header.Set("Authorization", signature)
	}
	resp, err := s.cfg.Outer.RoundTrip(outer)
	if err != nil {
		return sealed.Reply{}, s.lost(effect, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != sealed.MediaType {
		if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized {
			return sealed.Reply{}, errOuterRefusal
		}
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return sealed.Reply{}, s.lost(effect, fmt.Errorf("%s answers %s: %.200q", s.base.Host, resp.Status, body))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSealedReply))
	if err != nil {
		return sealed.Reply{}, s.lost(effect, err)
	}
	reply, err := answer.Open(body)
	if err != nil && effect != Never {
		err = fmt.Errorf("%w: %w", coco.ErrUnknown, err)
	}
	return reply, err
}

// sign signs a message for a node.
func (s *Sealed) sign(ctx context.Context, by *Signing, message []byte, node coco.NodeID) (string, error) {
	s.mu.Lock()
	service := s.cfg.Policy.Service
	s.mu.Unlock()
	network, err := succession.ID(service)
	if err != nil {
		return "", fmt.Errorf("%w: the network's service certificate: %w", coco.ErrInvalid, err)
	}
	return by.Sign(ctx, message, network, node, s.cfg.Now())
}

// lost is the error of a request without a reply.
func (s *Sealed) lost(effect Effect, err error) error {
	var op *net.OpError
	if effect == Never || errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("%w: %s: %w", coco.ErrUnreachable, s.base.Host, err)
	}
	return fmt.Errorf("%w: %s has not passed on what the network answered: %w", coco.ErrUnknown, s.base.Host, err)
}

func response(req *http.Request, r sealed.Reply) *http.Response {
	header := http.Header{}
	for _, f := range r.Header {
		header.Add(f.Name, f.Value)
	}
	body := r.Body
	if req.Method == http.MethodHead {
		body = nil
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", r.Status, http.StatusText(int(r.Status))), StatusCode: int(r.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

// current returns the network's key, verified not long ago.
func (s *Sealed) current(ctx context.Context) (*announced, error) {
	s.mu.Lock()
	k, policy := s.key, s.cfg.Policy
	s.mu.Unlock()
	if k != nil && s.cfg.Now().Sub(k.at) < s.cfg.Reverify {
		return k, nil
	}
	k, err := s.fetch(ctx, policy)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = k
	return k, nil
}

// renewed asks for the key again and reports whether it is another one than k.
func (s *Sealed) renewed(ctx context.Context, k *announced) (bool, error) {
	s.mu.Lock()
	if s.key == k {
		s.key = nil
	}
	s.mu.Unlock()
	now, err := s.current(ctx)
	return err == nil && !bytes.Equal(now.Public, k.Public), err
}

// fetch asks a node for the network's key, and verifies what it shows for it.
func (s *Sealed) fetch(ctx context.Context, policy Policy) (*announced, error) {
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // it never fails
	target := s.base.JoinPath("/node/sealed-key")
	target.RawQuery = "nonce=" + hex.EncodeToString(nonce)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	resp, err := s.cfg.Outer.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", coco.ErrUnreachable, s.base.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2*maxAsked))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", coco.ErrUnreachable, s.base.Host, err)
	}
	if resp.StatusCode != http.StatusOK {
		if err := wire.FromAnswer(resp.StatusCode, body); err != nil && resp.StatusCode != http.StatusNotFound {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s: asked for the network's sealed key it answers %s", coco.ErrUnreachable, s.base.Host, resp.Status)
	}
	var shown wire.SealedKey
	if err := json.Unmarshal(body, &shown); err != nil {
		return nil, fmt.Errorf("%w: the network's sealed key: %w", coco.ErrVerify, err)
	}
	k, err := verifyAnnounced(policy, shown, nonce, s.cfg.Now())
	if err != nil {
		return nil, fmt.Errorf("the network's sealed key, by way of %s: %w", s.base.Host, err)
	}
	return k, nil
}

// verifyAnnounced checks that a node which the service has endorsed, and which runs code of the policy, announces the key, and has been asked for it just now.
func verifyAnnounced(policy Policy, shown wire.SealedKey, nonce []byte, now time.Time) (*announced, error) {
	a, err := sealed.DecodeAnnouncement(shown.Announcement)
	if err != nil {
		return nil, errors.Join(coco.ErrVerify, err)
	}
	if len(shown.Certificates) == 0 || len(shown.Certificates) > 2 {
		return nil, fmt.Errorf("%w: %d certificates: expected the node's and the service's", coco.ErrVerify, len(shown.Certificates))
	}
	chain := make([]*x509.Certificate, len(shown.Certificates))
	for i, der := range shown.Certificates {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("%w: the node's certificates: %w", coco.ErrVerify, err)
		}
	}
	leaf := chain[0]
	if err := policy.endorsed(chain, now); err != nil {
		return nil, err
	}
	if a.Node != nodeID(leaf) {
		return nil, fmt.Errorf("%w: node %s announces it with the certificate of node %s", coco.ErrVerify, a.Node.Short(), nodeID(leaf).Short())
	}
	claims, err := policy.attested(attest.Evidence{Platform: shown.Platform, Quote: shown.Quote}, sealed.Context, leaf, sealed.EvidenceNonce(shown.Announcement, nonce), now)
	if err != nil {
		return nil, err
	}
	return &announced{Announcement: a, proof: Attested{Node: a.Node, Claims: claims, Platform: claims.Platform}, at: now}, nil
}
