package aci

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const maxDID = 1 << 10

// did is a did:x509 (method specification of version 0): an authority by the digest of its certificate, and what the signer's certificate must say.
type did struct {
	hash        crypto.Hash
	fingerprint []byte
	predicates  [][2]string // name, value
}

var hashes = map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}

func parseDID(s string) (did, error) {
	bad := func(what string) error { return fmt.Errorf("issuer %.200q: %s", s, what) }
	rest, ok := strings.CutPrefix(s, "did:x509:0:")
	if !ok || len(s) > maxDID {
		return did{}, bad("expected did:x509:0:…")
	}
	parts := strings.Split(rest, "::")
	alg, print, ok := strings.Cut(parts[0], ":")
	hash, known := hashes[alg]
	if !ok || !known {
		return did{}, bad("expected sha256, sha384 or sha512, and a digest")
	}
	d := did{hash: hash}
	var err error
	if d.fingerprint, err = base64.RawURLEncoding.Strict().DecodeString(print); err != nil || len(d.fingerprint) != hash.Size() {
		return did{}, bad("expected a digest in base64url")
	}
	if len(parts) < 2 {
		return did{}, bad("it demands nothing of the signer's certificate")
	}
	for _, p := range parts[1:] {
		name, value, ok := strings.Cut(p, ":")
		if !ok || value == "" || !slices.Contains([]string{"eku", "subject", "san"}, name) {
			return did{}, bad(fmt.Sprintf("%.40q: expected eku, subject or san with a value", p))
		}
		d.predicates = append(d.predicates, [2]string{name, value})
	}
	return d, nil
}

// resolve checks that a chain, which is valid, is of this issuer.
func (d did) resolve(chain []*x509.Certificate) error {
	if !slices.ContainsFunc(chain[1:], func(c *x509.Certificate) bool {
		h := d.hash.New()
		h.Write(c.Raw)
		return slices.Equal(h.Sum(nil), d.fingerprint)
	}) {
		return fmt.Errorf("no authority of x5chain has the digest %s that the issuer names", base64.RawURLEncoding.EncodeToString(d.fingerprint))
	}
	for _, p := range d.predicates {
		if !holds(chain[0], p[0], p[1]) {
			return fmt.Errorf("the signer's certificate is not what the issuer demands: %s %s", p[0], p[1])
		}
	}
	return nil
}

func holds(c *x509.Certificate, name, value string) bool {
	switch name {
	case "eku":
		return hasUsage(c, value)
	case "san":
		kind, encoded, _ := strings.Cut(value, ":")
		v, err := url.PathUnescape(encoded)
		if err != nil {
			return false
		}
		switch kind {
		case "email":
			return slices.Contains(c.EmailAddresses, v)
		case "dns":
			return slices.Contains(c.DNSNames, v)
		case "uri":
			return slices.ContainsFunc(c.URIs, func(u *url.URL) bool { return u.String() == v })
		}
		return false
	}
	return hasSubject(c.Subject, value)
}

func hasUsage(c *x509.Certificate, oid string) bool {
	for _, u := range c.UnknownExtKeyUsage {
		if u.String() == oid {
			return true
		}
	}
	for _, u := range c.ExtKeyUsage {
		if known, ok := usages[u]; ok && known == oid {
			return true
		}
	}
	return false
}

// usages are the purposes that Go has names for.
var usages = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageServerAuth: "1.3.6.1.5.5.7.3.1", x509.ExtKeyUsageClientAuth: "1.3.6.1.5.5.7.3.2", x509.ExtKeyUsageCodeSigning: "1.3.6.1.5.5.7.3.3",
	x509.ExtKeyUsageEmailProtection: "1.3.6.1.5.5.7.3.4", x509.ExtKeyUsageTimeStamping: "1.3.6.1.5.5.7.3.8",
}

// hasSubject checks pairs of labels and values. A label that is there twice matches nothing.
func hasSubject(n pkix.Name, value string) bool {
	items := strings.Split(value, ":")
	if len(items)%2 != 0 {
		return false
	}
	have := map[string][]string{"L": n.Locality, "ST": n.Province, "O": n.Organization, "OU": n.OrganizationalUnit, "C": n.Country, "STREET": n.StreetAddress}
	if n.CommonName != "" {
		have["CN"] = []string{n.CommonName}
	}
	seen := map[string]bool{}
	for i := 0; i < len(items); i += 2 {
		want, err := url.PathUnescape(items[i+1])
		if err != nil || seen[items[i]] || len(have[items[i]]) != 1 || have[items[i]][0] != want {
			return false
		}
		seen[items[i]] = true
	}
	return true
}
