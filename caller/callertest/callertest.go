// Package callertest runs a real OpenID Connect issuer in the process of a test: the provider of github.com/zitadel/oidc, behind TLS under a
// root of its own, with users who log in by name.
//
// Trust: host
package callertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	secret   = "of the client"
	password = "of every user"
)

// Issuer is an issuer that runs.
type Issuer struct {
	URL     string
	Root    *x509.Certificate
	server  *httptest.Server
	users   *keys
	handler *op.Provider
	// Down makes the issuer's host answer nothing but 503. Fetched counts requests for its keys.
	Down    atomic.Bool
	Fetched atomic.Int64
}

// keys are the storage of the library's example, with a signing key that can be replaced.
type keys struct {
	*storage.Storage
	mu      sync.Mutex
	signing op.SigningKey
	public  []op.Key
}

type key struct {
	id      string
	private *ecdsa.PrivateKey
}

func (k *key) ID() string                                  { return k.id }
func (k *key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k *key) Key() any                                    { return k.private }

type published struct{ *key }

func (k published) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (k published) Use() string                        { return "sig" }
func (k published) Key() any                           { return &k.private.PublicKey }

func (k *keys) SigningKey(context.Context) (op.SigningKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signing, nil
}

func (k *keys) KeySet(context.Context) ([]op.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.public, nil
}

func (k *keys) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

// users are all that there can be: a user is there once somebody logs in by the name.
type users struct{}

func (users) GetUserByID(id string) *storage.User {
	return &storage.User{ID: id, Username: id, Password: password}
}

func (users) GetUserByUsername(name string) *storage.User {
	return &storage.User{ID: name, Username: name, Password: password}
}
func (users) ExampleClientID() string { return storage.ServiceUserID }

// Start runs an issuer that issues ID tokens for the audiences. Stop MUST be called.
func Start(audiences ...string) (*Issuer, error) {
	is := &Issuer{}
	clients := map[string]*storage.Client{}
	for _, a := range audiences {
		clients[a] = storage.WebClient(a, secret, "https://client.example/callback")
	}
	is.users = &keys{Storage: storage.NewStorageWithClients(users{}, clients)}
	if err := is.Rotate(); err != nil {
		return nil, err
	}
	certificate, root, err := newCertificate()
	if err != nil {
		return nil, err
	}
	is.Root = root
	is.server = httptest.NewUnstartedServer(http.HandlerFunc(is.serve))
	is.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	is.server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
	is.server.StartTLS()
	is.URL = is.server.URL
	is.handler, err = op.NewProvider(&op.Config{CryptoKey: [32]byte{1}}, is.users, op.StaticIssuer(is.URL), op.WithLogger(slog.New(slog.DiscardHandler)))
	return is, err
}

// Stop ends the issuer.
func (is *Issuer) Stop() { is.server.Close() }

func (is *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/keys") {
		is.Fetched.Add(1)
	}
	if is.Down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	is.handler.ServeHTTP(w, r)
}

// Rotate replaces the signing key. The one before is not published any more.
func (is *Issuer) Rotate() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	k := &key{id: fmt.Sprintf("key-%x", private.X.Bytes()[:6]), private: private}
	is.users.mu.Lock()
	defer is.users.mu.Unlock()
	is.users.signing, is.users.public = k, []op.Key{published{k}}
	return nil
}

// Sign signs any claims with the issuer's key, and with any header beside alg and kid.
func (is *Issuer) Sign(claims map[string]any, header map[jose.HeaderKey]any) (string, error) {
	is.users.mu.Lock()
	k := is.users.signing
	is.users.mu.Unlock()
	return Sign(jose.SigningKey{Algorithm: k.SignatureAlgorithm(), Key: jose.JSONWebKey{Key: k.Key(), KeyID: k.ID()}}, claims, header)
}

// Sign signs claims with any key.
func Sign(with jose.SigningKey, claims map[string]any, header map[jose.HeaderKey]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(with, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// Login has a user log in and returns the ID token, by the authorization code flow (OpenID Connect Core 1.0, section 3.1).
func (is *Issuer) Login(ctx context.Context, user, audience string) (string, error) {
	client := *is.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	follow := func(from string) (*url.URL, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
		if err != nil {
			return nil, err
		}
		reply, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		defer func() { _ = reply.Body.Close() }()
		if reply.StatusCode != http.StatusFound {
			text, _ := io.ReadAll(reply.Body)
			return nil, fmt.Errorf("%s: %s: %s", r.URL.Path, reply.Status, text)
		}
		return reply.Location()
	}
	login, err := follow(is.URL + "/authorize?" + url.Values{
		"client_id": {audience}, "redirect_uri": {"https://client.example/callback"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
	}.Encode())
	if err != nil {
		return "", err
	}
	id := login.Query().Get("authRequestID")
	if err := is.users.CheckUsernamePassword(user, password, id); err != nil {
		return "", err
	}
	done, err := follow(op.AuthCallbackURL(is.handler)(op.ContextWithIssuer(ctx, is.URL), id))
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {done.Query().Get("code")}, "redirect_uri": {"https://client.example/callback"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, is.URL+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(audience), url.QueryEscape(secret))
	reply, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = reply.Body.Close() }()
	var tokens struct {
		ID string `json:"id_token"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&tokens); err != nil || tokens.ID == "" {
		return "", errors.Join(fmt.Errorf("the issuer answers %s without an ID token", reply.Status), err)
	}
	return tokens.ID, nil
}

// WriteRoot writes the certificate that the issuer's host is checked by, in PEM, and returns the file's name.
func (is *Issuer) WriteRoot(dir string) (string, error) {
	name := filepath.Join(dir, "issuer.pem")
	return name, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: is.Root.Raw}), 0o600)
}

// newCertificate makes a certificate for 127.0.0.1 under a root of its own.
func newCertificate() (tls.Certificate, *x509.Certificate, error) {
	rootKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	leafKey, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		return tls.Certificate{}, nil, err
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root of the issuer"}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issuer"}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(10, 0, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, rootKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	parsed, err := x509.ParseCertificate(rootDER)
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}, parsed, err
}
