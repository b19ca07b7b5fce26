package channel

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"net"
	"time"
	"unicode/utf8"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/succession"
)

const (
	// ServiceValidity and NodeValidity are how long certificates last.
	ServiceValidity = 10 * 365 * 24 * time.Hour
	NodeValidity    = 365 * 24 * time.Hour
	// backdated is how far the clocks of two hosts may be apart.
	backdated = 24 * time.Hour

	// maxName keeps the common name, with the notice, within the 64 characters of RFC 5280.
	maxName = 40
	// maxAddresses bounds a node's certificate.
	maxAddresses = 32
)

// Service is the network's own identity: a key known only to trusted nodes, and the certificate
// by which clients know the network. It never prints.
type Service struct {
	key      *ecdsa.PrivateKey
	cert     *x509.Certificate
	insecure bool
}

// NewService makes the identity of a new network.
func NewService(name string, insecure bool, now time.Time) (*Service, error) {
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName || !utf8.ValidString(name) {
		return nil, fmt.Errorf("%w: network name %q: expected 1 to %d characters", coco.ErrInvalid, name, maxName)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make service key: %w", err)
	}
	template := serviceTemplate(now.Add(-backdated), now.Add(ServiceValidity))
	template.Subject = marked(pkix.Name{CommonName: name, Organization: []string{name}}, insecure)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make service certificate: %w", err)
	}
	return newService(der, key)
}

// Succeed makes the service that follows this one in a network that was recovered up to a transaction, whose Merkle root is given. Its certificate has a key of its own and says
// so; see package succession. The key of this one MUST NOT be used after that.
func (s *Service) Succeed(last coco.TxID, root coco.Digest, now time.Time) (*Service, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make service key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("make service key: %w", err)
	}
	follows, err := succession.New(s.cert, s.key, public, last, root)
	if err != nil {
		return nil, err
	}
	template := serviceTemplate(now.Add(-backdated), now.Add(ServiceValidity))
	template.RawSubject, template.ExtraExtensions = s.cert.RawSubject, []pkix.Extension{follows}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make service certificate: %w", err)
	}
	next, err := newService(der, key)
	if err != nil {
		return nil, err
	}
	_, err = succession.Chain(next.cert)
	return next, err
}

// serviceTemplate is what all certificates of services have in common.
func serviceTemplate(begins, ends time.Time) *x509.Certificate {
	return &x509.Certificate{
		NotBefore:             begins,
		NotAfter:              ends,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
}

// ParseService returns the service of a certificate and of what MarshalKey wrote.
func ParseService(certificate, key []byte) (*Service, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: service key: it does not parse", coco.ErrCorrupt) // the cause could quote it
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: service key: expected ECDSA on P-256, found %T", coco.ErrCorrupt, parsed)
	}
	return newService(certificate, private)
}

func newService(der []byte, key *ecdsa.PrivateKey) (*Service, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: service certificate: %w", coco.ErrCorrupt, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%w: service certificate: it is of another key than the service's", coco.ErrVerify)
	}
	return &Service{key: key, cert: cert, insecure: IsInsecure(cert)}, nil
}

// IsInsecure reports whether a certificate of a service or of a node says that its network runs
// on virtual TEEs.
func IsInsecure(cert *x509.Certificate) bool {
	for _, unit := range cert.Subject.OrganizationalUnit {
		if unit == InsecureNotice {
			return true
		}
	}
	return false
}

// Certificate returns the service's certificate. The caller MUST NOT modify it.
func (s *Service) Certificate() *x509.Certificate { return s.cert }

// MarshalKey returns the private key in PKCS #8 form, for a private table. It MUST NOT go
// anywhere else.
func (s *Service) MarshalKey() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(s.key) }

// Endorse returns a certificate in DER form that vouches for a trusted node's key (PKIX DER) and
// for the addresses that clients reach it by: names or IP addresses, with or without a port.
// A network that is insecure, or a node that is, gives a certificate that says so. The certificate is valid for NodeValidity from now, the ledger's
// time, on. It begins a day before the earlier one of now and of day, a clock that others check it by: a ledger's time may be ahead of all clocks.
func (s *Service) Endorse(nodeKey []byte, id coco.NodeID, addresses []string, insecure bool, now, day time.Time) ([]byte, error) {
	public, err := parseKey(nodeKey)
	if err != nil {
		return nil, err
	}
	if got := KeyID(nodeKey); got != id {
		return nil, fmt.Errorf("%w: endorse node %s: the key given is that of node %s", coco.ErrInvalid, id, got)
	}
	template := nodeTemplate(id, s.cert.Subject.Organization[0], insecure || s.insecure)
	if template.NotBefore = now.Add(-backdated); day.Before(now) {
		template.NotBefore = day.Add(-backdated)
	}
	template.NotAfter = now.Add(NodeValidity)
	if err := setAddresses(template, addresses); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, public, s.key)
	if err != nil {
		return nil, fmt.Errorf("endorse node %s: %w", id, err)
	}
	if _, err := x509.ParseCertificate(der); err != nil { // an address that no client would accept
		return nil, fmt.Errorf("%w: endorse node %s for %q: %w", coco.ErrInvalid, id, addresses, err)
	}
	return der, nil
}

func setAddresses(template *x509.Certificate, addresses []string) error {
	if len(addresses) > maxAddresses {
		return fmt.Errorf("%w: a node of %d addresses: expected at most %d", coco.ErrInvalid, len(addresses), maxAddresses)
	}
	for _, address := range addresses {
		name := address
		if h, _, err := net.SplitHostPort(address); err == nil {
			name = h
		}
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != "" && len(name) <= 253 {
			template.DNSNames = append(template.DNSNames, name)
		} else {
			return fmt.Errorf("%w: node address %q: expected a name or an IP address, such as node1.example:8000", coco.ErrInvalid, address)
		}
	}
	return nil
}

// CheckEndorsed checks that the service signed a node's certificate and that it is one for a node
// and valid at the time given; the zero time skips the latter.
func CheckEndorsed(cert, service *x509.Certificate, now time.Time) error {
	if bytes.Equal(cert.RawIssuer, cert.RawSubject) && !cert.IsCA {
		return fmt.Errorf("%w: certificate %q is the node's own, which service %q has not endorsed: the node has not joined", coco.ErrVerify, cert.Subject, service.Subject)
	}
	if !bytes.Equal(cert.RawIssuer, service.RawSubject) {
		return fmt.Errorf("%w: certificate %q: expected issuer %q, found %q", coco.ErrVerify, cert.Subject, service.Subject, cert.Issuer)
	}
	if err := cert.CheckSignatureFrom(service); err != nil {
		return fmt.Errorf("%w: certificate %q is not signed by service %q: %w", coco.ErrVerify, cert.Subject, service.Subject, err)
	}
	if cert.IsCA {
		return fmt.Errorf("%w: certificate %q: expected a node's, found an authority's", coco.ErrVerify, cert.Subject)
	}
	if !now.IsZero() && (now.Before(cert.NotBefore) || now.After(cert.NotAfter)) {
		return fmt.Errorf("%w: certificate %q is valid from %s to %s, and this host's clock says %s: check the clock, or have the node endorsed again",
			coco.ErrVerify, cert.Subject, cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// Due reports whether two thirds of the validity are over of a certificate that a service made, for itself
// or for a node: then it is to be renewed.
func Due(cert *x509.Certificate, now time.Time) bool {
	validity := NodeValidity
	if cert.IsCA {
		validity = ServiceValidity
	}
	return cert.NotAfter.Sub(now) < validity/3
}

// Renew returns, in DER form, the certificate that this service gave a node with a later end. It begins when
// the old one did, so it vouches for what the node has signed since.
func (s *Service) Renew(node *x509.Certificate, now time.Time) ([]byte, error) {
	if err := CheckEndorsed(node, s.cert, time.Time{}); err != nil {
		return nil, err
	}
	template := nodeTemplate(KeyID(node.RawSubjectPublicKeyInfo), "", false)
	template.RawSubject = node.RawSubject
	template.DNSNames, template.IPAddresses = node.DNSNames, node.IPAddresses
	template.NotBefore, template.NotAfter = node.NotBefore, now.Add(NodeValidity)
	der, err := x509.CreateCertificate(rand.Reader, template, s.cert, node.PublicKey, s.key)
	if err != nil {
		return nil, fmt.Errorf("renew the certificate of %q: %w", node.Subject, err)
	}
	return der, nil
}

// RenewSelf returns, in DER form, this service's certificate with a later end, of the same key.
func (s *Service) RenewSelf(now time.Time) ([]byte, error) {
	template := serviceTemplate(s.cert.NotBefore, now.Add(ServiceValidity))
	template.RawSubject, template.KeyUsage = s.cert.RawSubject, s.cert.KeyUsage
	if follows, ok := succession.ExtensionOf(s.cert); ok {
		template.ExtraExtensions = []pkix.Extension{follows}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &s.key.PublicKey, s.key)
	if err != nil {
		return nil, fmt.Errorf("renew the service certificate: %w", err)
	}
	return der, nil
}

// With returns this service under another certificate of its key.
func (s *Service) With(certificate []byte) (*Service, error) { return newService(certificate, s.key) }

// Format keeps the key out of every text.
func (s *Service) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "service %s (key withheld)", s.cert.Subject)
}

// LogValue implements slog.LogValuer.
func (s *Service) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// MarshalJSON implements json.Marshaler.
func (s *Service) MarshalJSON() ([]byte, error) { return []byte(`"service key withheld"`), nil }
