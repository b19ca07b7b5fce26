package channel

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/succession"
)

// Identity is a node's key and the certificate that it shows. The key is made in the enclave's
// memory and never leaves it but sealed to the same code and machine (package resume), so an identity ends with its process
// unless the network's constitution allows that. It never prints.
type Identity struct {
	key    *ecdsa.PrivateKey
	public []byte // PKIX DER
	id     coco.NodeID
	cert   atomic.Pointer[tls.Certificate]
	// service is what peers are shown of the node's service: see ShowService. Nil for nothing.
	service atomic.Pointer[x509.Certificate]
}

// NewIdentity makes a key, and a certificate that the key itself signs, without an end of
// validity. Insecure says that the TEE is virtual, and so does the certificate then.
func NewIdentity(insecure bool) (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make node key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("make node key: %w", err)
	}
	return signItself(&Identity{key: key, public: public, id: KeyID(public)}, insecure)
}

// ParseIdentity returns the identity whose key MarshalKey has returned, with a certificate as NewIdentity makes one.
func ParseIdentity(key []byte, insecure bool) (*Identity, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: node key: it does not parse", coco.ErrCorrupt) // the cause could quote it
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: node key: expected ECDSA on P-256, found %T", coco.ErrCorrupt, parsed)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: node key: %w", coco.ErrCorrupt, err)
	}
	return signItself(&Identity{key: private, public: public, id: KeyID(public)}, insecure)
}

// MarshalKey returns the private key in PKCS #8 form, to be sealed. It MUST NOT go anywhere else.
func (i *Identity) MarshalKey() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(i.key) }

// signItself gives an identity a certificate of its own.
func signItself(i *Identity, insecure bool) (*Identity, error) {
	template := nodeTemplate(i.id, "", insecure)
	template.NotBefore = time.Unix(0, 0)
	template.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280, 4.1.2.5: no end
	der, err := x509.CreateCertificate(rand.Reader, template, template, &i.key.PublicKey, i.key)
	if err != nil {
		return nil, fmt.Errorf("make node certificate: %w", err)
	}
	return i, i.SetCertificate(der)
}

// ID returns the node's id.
func (i *Identity) ID() coco.NodeID { return i.id }

// PublicKey returns the public key in PKIX DER form. The caller MUST NOT modify it.
func (i *Identity) PublicKey() []byte { return i.public }

// Signer returns the private key for signing.
func (i *Identity) Signer() crypto.Signer { return i.key }

// Certificate returns the certificate shown, ready for crypto/tls.
func (i *Identity) Certificate() tls.Certificate { return *i.cert.Load() }

// SetCertificate replaces the certificate shown, by the one that the service endorsed. It MUST be
// of this identity's key. Connections that exist keep theirs.
func (i *Identity) SetCertificate(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("%w: node certificate: %w", coco.ErrInvalid, err)
	}
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, i.public) {
		return fmt.Errorf("%w: node certificate: expected the key of node %s, found that of %s",
			coco.ErrInvalid, i.id.Short(), KeyID(cert.RawSubjectPublicKeyInfo).Short())
	}
	i.cert.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: i.key, Leaf: cert})
	return nil
}

// ShowService has peers shown the certificate of the node's service beside the node's own, where that service follows another one: a node that knows the old service alone
// learns that members have recovered the network (PeerCert.Succeeds). Connections that exist keep what they have shown.
func (i *Identity) ShowService(service *x509.Certificate) {
	if _, follows := succession.ExtensionOf(service); follows {
		i.service.Store(service)
	}
}

// forPeers is the certificate that peers are shown.
func (i *Identity) forPeers() tls.Certificate {
	cert := i.Certificate()
	if service := i.service.Load(); service != nil && len(cert.Certificate) == 1 {
		cert.Certificate = [][]byte{cert.Certificate[0], service.Raw}
	}
	return cert
}

// Format, LogValue and MarshalJSON keep the key out of every text.
func (i *Identity) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "node %s (key withheld)", i.id) }

// LogValue implements slog.LogValuer.
func (i *Identity) LogValue() slog.Value { return slog.StringValue("node " + i.id.String()) }

// MarshalJSON implements json.Marshaler.
func (i *Identity) MarshalJSON() ([]byte, error) { return []byte(`"` + i.id.String() + `"`), nil }

// nodeTemplate is what the self-signed and the endorsed certificate of a node have in common.
func nodeTemplate(id coco.NodeID, network string, insecure bool) *x509.Certificate {
	subject := pkix.Name{CommonName: "Coco node " + id.Short()}
	if network != "" {
		subject.Organization = []string{network}
	}
	return &x509.Certificate{
		Subject:               marked(subject, insecure),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

// marked adds the notice where people look first (the common name) and where a program finds it
// by itself (the organisational unit).
func marked(subject pkix.Name, insecure bool) pkix.Name {
	if insecure {
		subject.CommonName += ", " + InsecureNotice
		subject.OrganizationalUnit = []string{InsecureNotice}
	}
	return subject
}
