package democmd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an OpenID Connect issuer of a company in the demonstration: a page that says where its keys are, its keys, and tokens that it signs for
// its users (OpenID Connect Core 1.0, section 2; Discovery 1.0, section 4). Nodes fetch the first two as they do from any issuer.
type issuer struct {
	url    string
	root   []byte // the certificate that its host's leads to, in DER
	signer jose.Signer
	server *http.Server
	ended  chan struct{}
}

const audience = "supply-chain"

// startIssuer starts an issuer on the loopback interface. It MUST be stopped.
func startIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, root, err := issuerCertificate()
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "login"}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
	if err != nil {
		return nil, err
	}
	is := &issuer{url: "https://" + listener.Addr().String(), root: root, signer: signer, ended: make(chan struct{})}
	pages := http.NewServeMux()
	for path, page := range map[string]any{
		"/.well-known/openid-configuration": map[string]any{"issuer": is.url, "jwks_uri": is.url + "/keys"},
		"/keys":                             jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "login", Algorithm: string(jose.ES256), Use: "sig"}}},
	} {
		text, err := json.Marshal(page)
		if err != nil {
			return nil, errors.Join(err, listener.Close())
		}
		pages.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(text)
		})
	}
	is.server = &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(is.ended)
		_ = is.server.Serve(listener) // until it is stopped
	}()
	return is, nil
}

func (is *issuer) stop() error {
	err := is.server.Close()
	<-is.ended
	return err
}

// login returns a token for a user, which ends in an hour. id is the token's own name (RFC 7519, section 4.1.7).
func (is *issuer) login(user, id string) (string, error) {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": is.url, "aud": audience, "sub": user, "jti": id, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := is.signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return signed.CompactSerialize()
}

// issuerCertificate makes a certificate for 127.0.0.1 under a root of its own.
func issuerCertificate() (host tls.Certificate, root []byte, err error) {
	rootKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	hostKey, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		return host, nil, err
	}
	begin, end := time.Now().AddDate(0, 0, -1), time.Now().AddDate(0, 0, 7)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root of the carrier's login"}, NotBefore: begin, NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if root, err = x509.CreateCertificate(rand.Reader, ca, ca, &rootKey.PublicKey, rootKey); err != nil {
		return host, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "the carrier's login"}, NotBefore: begin, NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &hostKey.PublicKey, rootKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: hostKey}, root, err
}
