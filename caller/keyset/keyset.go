// Package keyset fetches the keys that issuers of tokens publish (OpenID Connect Discovery 1.0, sections 3 and 4; RFC 7517).
//
// The host carries the bytes. TLS ends here, against the certificates that members have agreed on and no others, by the ledger's time. So a host can
// withhold keys and cannot change them. What it withholds ends: a key set counts for as long as members have agreed on, and is fetched again at half
// of that time. Then no token of the issuer counts until its host is reached.
//
// Whoever looks after the node asks for Outages, which fetches what is due though no user asks: so an issuer that cannot be reached is known while the keys
// that were fetched before still count.
//
// An unknown key id has the set fetched again, at most once in 10 s for each issuer, whoever asks.
//
// Trust: enclave
package keyset

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/internal/logevent"
)

// Bounds of what is fetched.
const (
	maxDocument = 256 << 10
	maxKeys     = 64
	patience    = 10 * time.Second // for one fetch, and between the beginnings of two
)

// Config is what Sets need.
type Config struct {
	Dial  func(ctx context.Context, address string) (net.Conn, error)
	Now   func() time.Time // the ledger's
	After func(time.Duration) <-chan time.Time
	Log   *slog.Logger
}

// Sets are the key sets of issuers. They are made by New and ended by Close.
type Sets struct {
	cfg   Config
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu   sync.Mutex
	sets map[coco.Digest]*set // by what they are fetched by; under mu
}

// set is what is known of an issuer's keys. Its fields are under Sets.mu.
type set struct {
	keys    []jose.JSONWebKey
	fetched time.Time // zero if never
	tried   time.Time
	failing time.Time     // of the first attempt that failed since one did not; zero if the last one did not
	err     error         // of the last attempt
	running chan struct{} // closed when the attempt that runs has ended; nil if none runs
}

// New returns sets without keys.
func New(cfg Config) *Sets {
	s := &Sets{cfg: cfg, sets: map[coco.Digest]*set{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Close ends what is being fetched.
func (s *Sets) Close() {
	s.stop()
	s.tasks.Wait()
}

// Keys is token.Keys.
func (s *Sets) Keys(ctx context.Context, of *access.Issuer, id string) ([]jose.JSONWebKey, error) {
	name := nameOf(of)
	for {
		keys, wait, err := s.look(of, name, id)
		if wait == nil {
			return keys, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: the keys of the issuer %q were asked for: %w", coco.ErrBusy, of.Name, ctx.Err())
		case <-s.ctx.Done():
			return nil, fmt.Errorf("%w: the node is stopping", coco.ErrBusy)
		}
	}
}

// look returns the keys, or what to wait for before looking again.
func (s *Sets) look(of *access.Issuer, name coco.Digest, id string) (keys []jose.JSONWebKey, wait chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.of(name)
	now, life := s.cfg.Now(), time.Duration(of.Terms.KeysSeconds)*time.Second
	age := now.Sub(x.fetched)
	counts := !x.fetched.IsZero() && age < life
	if counts {
		keys = named(x.keys, id)
	}
	due := x.running == nil && now.Sub(x.tried) >= patience
	switch {
	case len(keys) > 0:
		if age >= life/2 && due {
			s.begin(of, x, now)
		}
		return keys, nil, nil
	case x.running != nil:
		return nil, x.running, nil
	case due:
		return nil, s.begin(of, x, now), nil
	case !counts:
		return nil, nil, fmt.Errorf("%w: the keys of the issuer %q could not be fetched: %w", coco.ErrBusy, of.Name, x.err)
	}
	return nil, nil, nil // it has published no such key
}

// of returns a set, a new one if there is none. The lock is held.
func (s *Sets) of(name coco.Digest) *set {
	x := s.sets[name]
	if x == nil {
		if len(s.sets) >= 2*access.MaxIssuers {
			s.sets = map[coco.Digest]*set{} // of issuers that are no more
		}
		x = &set{}
		s.sets[name] = x
	}
	return x
}

// nameOf names a set by all that it depends on.
func nameOf(of *access.Issuer) coco.Digest {
	h := sha256.New()
	for _, part := range append([][]byte{[]byte(of.Terms.URL)}, of.Roots...) {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return coco.Digest(h.Sum(nil))
}

// named returns the keys with an id. A token without one may be signed with any key.
func named(all []jose.JSONWebKey, id string) (out []jose.JSONWebKey) {
	for _, k := range all {
		if id == "" || k.KeyID == id {
			out = append(out, k)
		}
	}
	return out
}

// begin fetches a set. The lock is held, and not while bytes are waited for.
func (s *Sets) begin(of *access.Issuer, x *set, now time.Time) chan struct{} {
	done := make(chan struct{})
	x.running, x.tried = done, now
	issuer := *of
	s.tasks.Go(func() {
		keys, err := s.fetch(&issuer)
		s.mu.Lock()
		defer s.mu.Unlock()
		if x.running, x.err = nil, err; err == nil {
			x.keys, x.fetched, x.failing = keys, now, time.Time{} // as of when it was asked for
		} else if s.ctx.Err() == nil {
			if x.failing.IsZero() {
				x.failing = now
			}
			s.cfg.Log.Warn("the keys of an issuer of tokens cannot be fetched: its tokens count until the keys that are known are too old", logevent.IssuerUnreachable.Attr(),
				"issuer", issuer.Name, "url", issuer.Terms.URL, "error", err)
		}
		close(done)
	})
	return done
}

// fetch fetches the discovery document and the key set that it names.
func (s *Sets) fetch(of *access.Issuer) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	late := s.cfg.After(patience)
	s.tasks.Go(func() {
		select {
		case <-late:
			cancel()
		case <-ctx.Done():
		}
	})
	client, err := s.client(of)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	var found struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := get(ctx, client, strings.TrimSuffix(of.Terms.URL, "/")+"/.well-known/openid-configuration", &found); err != nil {
		return nil, err
	}
	if found.Issuer != of.Terms.URL {
		return nil, fmt.Errorf("%w: the discovery document is of another issuer: expected %q, found %q", coco.ErrVerify, of.Terms.URL, found.Issuer)
	}
	if u, err := url.Parse(found.Keys); err != nil || u.Scheme != "https" || u.User != nil {
		return nil, fmt.Errorf("%w: the discovery document names no key set (jwks_uri) under https", coco.ErrVerify)
	}
	// Keys are read one by one: an issuer may publish some that this program does not know.
	var published struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := get(ctx, client, found.Keys, &published); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, text := range published.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(text) == nil && k.Valid() && k.IsPublic() {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("%w: the key set has %d public keys: expected 1 to %d", coco.ErrVerify, len(keys), maxKeys)
	}
	return keys, nil
}

func (s *Sets) client(of *access.Issuer) (*http.Client, error) {
	roots := x509.NewCertPool()
	for _, der := range of.Roots {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: a root of the issuer %q: %w", coco.ErrCorrupt, of.Name, err)
		}
		roots.AddCert(cert)
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, address string) (net.Conn, error) { return s.cfg.Dial(ctx, address) },
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Time: s.cfg.Now},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would be to where members have not agreed on.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func get(ctx context.Context, client *http.Client, from string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	r.Header.Set("Accept", "application/json")
	reply, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", coco.ErrUnreachable, err)
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s answers %d, expected 200", coco.ErrUnreachable, from, reply.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = errors.New("it is too large")
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("%w: what %s answers is no JSON of at most %d bytes: %w", coco.ErrCorrupt, from, maxDocument, err)
	}
	return nil
}
