// Package access is what members have agreed on about callers that bring no certificate of an organisation: which issuers' tokens count
// (OpenID Connect Core 1.0), for which organisation, and which of them no longer.
//
//	add_issuer ──► Issuer ──► the constitution ──► package caller/token: from a token to a coco.Caller
//	revoke_access ──► Access.Revoked ──► tokens and sessions
//	add_origin ──► Access.Origins ──► the gateway's answers to browsers, and sessions of their users
//
// What members remove and add again begins anew: no token, session or user has access by it that had it before and lost it (ADR 29).
//
// It is data and its checks; nothing here verifies a token.
//
// Trust: enclave
package access

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/reason"
)

// Bounds of what members agree on.
const (
	MaxIssuers = 64
	MaxRoots   = 16
	maxText    = 256
	maxClaims  = 8
	maxDER     = 16 << 10

	maxSkew = 300
	minKeys = 60
	maxKeys = 7 * 24 * 3600
	maxDate = 1 << 40 // seconds since 1970
)

// algorithms are the signatures that a token may have (RFC 7518, section 3.1; RFC 8037). None of them is a MAC, whose key the issuer would
// have to share, and none is "none".
var algorithms = []string{"ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}

// Access is the section of the constitution. Its lists are in canonical order once Sort was called.
type Access struct {
	Issuers []Issuer `cbor:"1,keyasint,omitempty"` // by name
	// Origins are those whose pages may ask nodes from a browser, by sessions that users have signed in for; by name.
	Origins []Origin `cbor:"20,keyasint,omitempty"`
	// Revoked is what members have taken from users; in order.
	Revoked []Revocation `cbor:"21,keyasint,omitempty"`
}

// Issuer is an OpenID Connect issuer whose tokens stand for users of an organisation.
type Issuer struct {
	Name  string       `cbor:"1,keyasint"` // by which members call it
	Actor coco.ActorID `cbor:"2,keyasint"` // whose users its tokens are about
	// Roots are the certificates, in DER form, to one of which that of the issuer's host leads. No others count, whatever
	// a machine trusts.
	Roots [][]byte `cbor:"3,keyasint"`
	Terms Terms    `cbor:"4,keyasint"`
}

// Terms say which tokens of an issuer count, and what their claims mean.
type Terms struct {
	URL      string `cbor:"1,keyasint" toml:"url"`      // the claim iss; its discovery document is below it (OpenID Connect Discovery 1.0)
	Audience string `cbor:"2,keyasint" toml:"audience"` // which the claim aud names
	// UserClaim is the claim that names the user.
	UserClaim string `cbor:"3,keyasint" toml:"user_claim"`
	// RoleClaim is a claim that has or contains RoleValue in tokens of users who have their organisation's role. All others, and all if
	// it is empty, are participants.
	RoleClaim string `cbor:"4,keyasint,omitempty" toml:"role_claim,omitempty"`
	RoleValue string `cbor:"5,keyasint,omitempty" toml:"role_value,omitempty"`
	// Claims are what a token must have or contain, by the claim's name. So an issuer that serves several organisations is listed once for each.
	Claims map[string]string `cbor:"6,keyasint,omitempty" toml:"claims,omitempty"`
	// Algorithms are those that signatures may have.
	Algorithms []string `cbor:"7,keyasint" toml:"algorithms"`
	// SkewSeconds is how far the issuer's clock may differ from the ledger's time.
	SkewSeconds uint64 `cbor:"8,keyasint" toml:"clock_skew_seconds"`
	// KeysSeconds is how long the keys that an issuer has published count. A host can keep a node from fetching newer ones for as long.
	KeysSeconds uint64 `cbor:"9,keyasint" toml:"keys_seconds"`
	// Type is what the header's typ must be, in lower case; empty for "jwt", "at+jwt" or none.
	Type string `cbor:"10,keyasint,omitempty" toml:"type,omitempty"`
}

// Complete fills in what a member leaves out. What is voted on and stored is complete.
func (t *Terms) Complete() {
	if t.UserClaim == "" {
		t.UserClaim = "sub"
	}
	if len(t.Algorithms) == 0 {
		t.Algorithms = []string{"ES256", "EdDSA", "PS256", "RS256"}
	}
	if t.KeysSeconds == 0 {
		t.KeysSeconds = 3600
	}
	slices.Sort(t.Algorithms)
}

func invalid(path string, code reason.Code, format string, args ...any) error {
	return &reason.Error{Reason: reason.New(code, path, ""), Detail: fmt.Sprintf("%s: %s", path, fmt.Sprintf(format, args...))}
}

// checkText accepts what can be shown on one line.
func checkText(path, s string, optional bool) error {
	switch {
	case s == "" && optional:
		return nil
	case s == "":
		return invalid(path, reason.Missing, "missing")
	case len(s) > maxText:
		return invalid(path, reason.TooLong, "expected at most %d bytes, found %d", maxText, len(s))
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return invalid(path, reason.BadText, "expected UTF-8 without control characters")
	}
	return nil
}

// Check finds what is wrong with terms. They MUST be complete. The error names the field below path.
func (t *Terms) Check(path string) error {
	for _, f := range []struct {
		name, value string
		optional    bool
	}{
		{"url", t.URL, false},
		{"audience", t.Audience, false},
		{"user_claim", t.UserClaim, false},
		{"role_claim", t.RoleClaim, true},
		{"role_value", t.RoleValue, t.RoleClaim == ""},
		{"type", t.Type, true},
	} {
		if err := checkText(path+"."+f.name, f.value, f.optional); err != nil {
			return err
		}
	}
	if t.RoleClaim == "" && t.RoleValue != "" {
		return invalid(path+".role_claim", reason.Missing, "missing, and there is a role_value")
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
		return invalid(path+".url", reason.BadForm, "expected https://, a host and a path, found %q", t.URL)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.Zone() != "" {
		return invalid(path+".url", reason.BadForm, "expected a host without a zone, found %q", t.URL)
	}
	if t.Type != strings.ToLower(t.Type) {
		return invalid(path+".type", reason.BadForm, "expected lower case, found %q", t.Type)
	}
	if len(t.Claims) > maxClaims {
		return invalid(path+".claims", reason.TooMany, "expected at most %d, found %d", maxClaims, len(t.Claims))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Claims)) {
		for _, s := range []string{name, t.Claims[name]} {
			if err := checkText(path+".claims", s, false); err != nil {
				return err
			}
		}
	}
	if len(t.Algorithms) == 0 {
		return invalid(path+".algorithms", reason.Missing, "missing")
	}
	for i, a := range t.Algorithms {
		if !slices.Contains(algorithms, a) {
			return invalid(path+".algorithms", reason.BadForm, "expected some of %s, found %q", strings.Join(algorithms, ", "), a)
		}
		if i > 0 && t.Algorithms[i-1] >= a {
			return invalid(path+".algorithms", reason.BadForm, "expected them in order and each once, found %q after %q", a, t.Algorithms[i-1])
		}
	}
	if t.SkewSeconds > maxSkew {
		return outOfRange(path+".clock_skew_seconds", 0, maxSkew, t.SkewSeconds)
	}
	if t.KeysSeconds < minKeys || t.KeysSeconds > maxKeys {
		return outOfRange(path+".keys_seconds", minKeys, maxKeys, t.KeysSeconds)
	}
	return nil
}

func outOfRange(path string, low, high, found uint64) error {
	return &reason.Error{Reason: reason.Range(path, int64(low), int64(high)), Detail: fmt.Sprintf("%s: expected %d to %d, found %d", path, low, high, found)}
}

// CheckRoots checks the certificates of an issuer's host.
func CheckRoots(path string, roots [][]byte) error {
	if len(roots) == 0 {
		return invalid(path, reason.Missing, "missing: the certificates that the issuer's host is checked by")
	}
	if len(roots) > MaxRoots {
		return invalid(path, reason.TooMany, "expected at most %d, found %d", MaxRoots, len(roots))
	}
	for i, der := range roots {
		if len(der) > maxDER {
			return invalid(path, reason.TooLong, "a certificate of %d bytes, expected at most %d", len(der), maxDER)
		}
		if _, err := x509.ParseCertificate(der); err != nil {
			return invalid(path, reason.BadCertificate, "not an X.509 certificate: %v", err)
		}
		if slices.ContainsFunc(roots[:i], func(o []byte) bool { return string(o) == string(der) }) {
			return invalid(path, reason.Duplicate, "a certificate is listed twice")
		}
	}
	return nil
}

// Check finds what is wrong with the section. is reports whether there is an organisation.
func (a *Access) Check(is func(coco.ActorID) bool) error {
	if err := a.checkOrigins(); err != nil {
		return err
	}
	if err := a.checkRevoked(); err != nil {
		return err
	}
	if len(a.Issuers) > MaxIssuers {
		return invalid("issuers", reason.TooMany, "expected at most %d, found %d", MaxIssuers, len(a.Issuers))
	}
	for i := range a.Issuers {
		x, path := &a.Issuers[i], fmt.Sprintf("issuers[%d]", i)
		if err := checkText(path+".name", x.Name, false); err != nil {
			return err
		}
		if slices.ContainsFunc(a.Issuers[:i], func(o Issuer) bool { return o.Name == x.Name }) {
			return invalid(path+".name", reason.Duplicate, "%q is listed twice", x.Name)
		}
		if !is(x.Actor) {
			return invalid(path+".organisation", reason.UnknownActor, "expected a member or participant")
		}
		if err := CheckRoots(path+".certificates", x.Roots); err != nil {
			return err
		}
		if err := x.Terms.Check(path); err != nil {
			return err
		}
	}
	return nil
}

// Sort brings the lists into canonical order.
func (a *Access) Sort() {
	slices.SortFunc(a.Origins, func(x, y Origin) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(a.Revoked, compareRevocations)
	slices.SortFunc(a.Issuers, func(x, y Issuer) int { return strings.Compare(x.Name, y.Name) })
	for i := range a.Issuers {
		x := &a.Issuers[i]
		slices.SortFunc(x.Roots, func(p, q []byte) int { return strings.Compare(string(p), string(q)) })
	}
}

// Clone returns a copy that shares nothing that can change.
func (a *Access) Clone() Access {
	out := Access{Issuers: slices.Clone(a.Issuers), Origins: slices.Clone(a.Origins), Revoked: slices.Clone(a.Revoked)}
	for i := range out.Issuers {
		x := &out.Issuers[i]
		x.Roots = slices.Clone(x.Roots)
		x.Terms.Claims, x.Terms.Algorithms = maps.Clone(x.Terms.Claims), slices.Clone(x.Terms.Algorithms)
	}
	return out
}

// Find returns the issuer that members call by a name; nil if there is none.
func (a *Access) Find(name string) *Issuer {
	for i := range a.Issuers {
		if a.Issuers[i].Name == name {
			return &a.Issuers[i]
		}
	}
	return nil
}
