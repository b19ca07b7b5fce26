// Package token makes callers of bearer tokens (RFC 6750) that are signed by an OpenID Connect issuer: JSON Web Tokens (RFC 7519), judged
// as RFC 8725 advises.
//
//	token ─ iss, aud, claims ─► the issuer, in the constitution ─ alg, typ ─► its keys ─ signature ─► times, revocations ─► coco.Caller
//
// Which issuers count, for which organisation, and what their claims mean is in the constitution (package gov/access). The time is the ledger's.
// The keys are what the issuer has published (package caller/keyset); a token brings none.
//
// Trust: enclave
package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/gov/access"
)

// Rules are what of the constitution in force a token is judged by.
type Rules struct {
	Access *access.Access
	// Organisation returns the name and role of a member or participant; it is not ok for any other.
	Organisation func(coco.ActorID) (name string, role coco.Role, ok bool)
}

// Keys returns the keys of an issuer that have an id, which may be empty. The error is coco.ErrBusy if they are not known now.
type Keys func(ctx context.Context, of *access.Issuer, id string) ([]jose.JSONWebKey, error)

// Scheme is caller.Scheme for bearer tokens.
type Scheme struct {
	Rules func() Rules     // in force
	Now   func() time.Time // the ledger's
	Keys  Keys
}

// Name implements caller.Scheme.
func (s *Scheme) Name() string { return "Bearer" }

// Authenticate implements caller.Scheme.
func (s *Scheme) Authenticate(r *http.Request, credential string) (caller.Identity, error) {
	who, until, err := s.check(r.Context(), credential)
	return caller.Identity{Caller: who, Until: until, Again: func() (coco.Caller, error) {
		// It is asked by whoever follows the ledger, who waits for no issuer.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		who, _, err := s.check(ctx, credential)
		return who, err
	}}, err
}

func (s *Scheme) check(ctx context.Context, text string) (coco.Caller, time.Time, error) {
	t, err := parse(text)
	if err != nil {
		return coco.Caller{}, time.Time{}, err
	}
	rules := s.Rules()
	of, err := t.issuer(rules.Access)
	if err != nil {
		return coco.Caller{}, time.Time{}, err
	}
	if err := t.form(&of.Terms); err != nil {
		return coco.Caller{}, time.Time{}, err
	}
	keys, err := s.Keys(ctx, of, t.header.KeyID)
	if err != nil {
		return coco.Caller{}, time.Time{}, err
	}
	if err := t.verify(keys); err != nil {
		return coco.Caller{}, time.Time{}, err
	}
	issued, until, err := t.times(of, s.Now())
	if err != nil {
		return coco.Caller{}, time.Time{}, err
	}
	who, err := t.caller(of, issued, &rules)
	return who, until, err
}

// algorithms are all that a constitution can list.
var algorithms = []jose.SignatureAlgorithm{
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.PS256, jose.PS384, jose.PS512, jose.RS256, jose.RS384, jose.RS512,
}

// parsed is a token whose signature is not verified yet.
type parsed struct {
	signed *jose.JSONWebSignature
	header header
	claims map[string]any
}

// header is what of a token's header counts. Keys and addresses of keys in it do not (RFC 8725, section 3.10).
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
	Critical  any    `json:"crit"`
}

func parse(text string) (*parsed, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, caller.Refuse("the token is no signed JSON Web Token: expected three parts with points between them, found %d", len(parts))
	}
	t := &parsed{}
	// The names in both are unique and told apart by case: whoever reads a token reads the same.
	for i, into := range []any{&t.header, &t.claims} {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			return nil, caller.Refuse("the token's %s is no JSON object in base64url with each name once", []string{"header", "claims"}[i])
		}
	}
	if t.claims == nil {
		return nil, caller.Refuse("the token has no claims")
	}
	if t.header.Critical != nil {
		return nil, caller.Refuse("the token's header has extensions that must be understood (crit), and none is")
	}
	var err error
	if t.signed, err = jose.ParseSignedCompact(text, algorithms); err != nil {
		return nil, caller.Refuse("the token's signature has no algorithm that can count, or it is not in its form")
	}
	if h := t.signed.Signatures[0].Protected; h.Algorithm != t.header.Algorithm || h.KeyID != t.header.KeyID {
		return nil, caller.Refuse("the token's header can be read in two ways")
	}
	return t, nil
}

// issuer returns the first issuer of the constitution that the token can be of.
func (t *parsed) issuer(all *access.Access) (*access.Issuer, error) {
	iss, _ := t.claims["iss"].(string)
	known, meant := false, false
	for i := range all.Issuers {
		x := &all.Issuers[i]
		if x.Terms.URL != iss {
			continue
		}
		known = true
		if !contains(t.claims["aud"], x.Terms.Audience) {
			continue
		}
		meant = true
		if t.has(x.Terms.Claims) {
			return x, nil
		}
	}
	switch {
	case meant:
		return nil, caller.Refuse("the token lacks claims that members have agreed on for its issuer and audience")
	case known:
		return nil, caller.Refuse("the token is for another audience (aud) than members have agreed on for its issuer")
	}
	return nil, caller.Refuse("the token is of an issuer (iss) that members have not agreed on")
}

func (t *parsed) has(claims map[string]string) bool {
	for name, value := range claims {
		if !contains(t.claims[name], value) {
			return false
		}
	}
	return true
}

// contains reports whether a claim is a text, or a list with it.
func contains(claim any, text string) bool {
	switch v := claim.(type) {
	case string:
		return v == text
	case []any:
		return slices.Contains(v, any(text))
	}
	return false
}

// form checks the header (RFC 8725, sections 3.1 and 3.11).
func (t *parsed) form(terms *access.Terms) error {
	if !slices.Contains(terms.Algorithms, t.header.Algorithm) {
		return caller.Refuse("the token's algorithm (alg) is not one of %s, which members have agreed on", strings.Join(terms.Algorithms, ", "))
	}
	is := strings.TrimPrefix(strings.ToLower(t.header.Type), "application/")
	switch {
	case terms.Type != "" && is != terms.Type:
		return caller.Refuse("the token is of another type (typ) than %q, which members have agreed on", terms.Type)
	case terms.Type == "" && is != "" && is != "jwt" && is != "at+jwt":
		return caller.Refuse("the token is of another type (typ) than jwt or at+jwt")
	}
	return nil
}

// verify checks the signature with those keys that are meant for its algorithm.
func (t *parsed) verify(keys []jose.JSONWebKey) error {
	if len(keys) == 0 {
		return caller.Refuse("the token is signed with a key (kid) that its issuer has not published")
	}
	for i := range keys {
		if !fits(&keys[i], t.header.Algorithm) {
			continue
		}
		if _, err := t.signed.Verify(keys[i].Key); err == nil {
			return nil
		}
	}
	return caller.Refuse("the token's signature does not verify with the key that its issuer has published")
}

// fits reports whether a published key may verify signatures of an algorithm: a key has one use (RFC 7517, section 4), and no signature of a
// weak one counts.
func fits(key *jose.JSONWebKey, algorithm string) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	switch public := key.Key.(type) {
	case *ecdsa.PublicKey:
		curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[algorithm]
		return curve != nil && public.Curve == curve
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	case *rsa.PublicKey:
		return (strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")) && public.N.BitLen() >= 2048
	}
	return false
}

// times checks the token's times, and returns when it was issued, and when it ends for this node.
func (t *parsed) times(of *access.Issuer, now time.Time) (given uint64, until time.Time, err error) {
	at := now.Unix()
	skew := int64(of.Terms.SkewSeconds)
	expires, ok1 := date(t.claims["exp"])
	issued, ok2 := date(t.claims["iat"])
	if !ok1 || !ok2 {
		return 0, until, caller.Refuse("the token does not say when it ends (exp) and when it was issued (iat), in seconds since 1970")
	}
	begins := issued
	if claim, there := t.claims["nbf"]; there {
		from, ok := date(claim)
		if !ok {
			return 0, until, caller.Refuse("the token's claim nbf is no time in seconds since 1970")
		}
		begins = max(begins, from)
	}
	switch {
	case at >= expires+skew:
		return 0, until, caller.Refuse("the token has expired: it ended at %s, and the ledger's time is %s", stamp(expires), stamp(at))
	case at < begins-skew:
		return 0, until, caller.Refuse("the token is not valid yet: it begins at %s, and the ledger's time is %s", stamp(begins), stamp(at))
	case at >= issued+access.MaxTokenAge:
		return 0, until, caller.Refuse("the token was issued at %s, more than %d days ago, after which none counts", stamp(issued), access.MaxTokenAge/(24*3600))
	}
	return uint64(issued), time.Unix(min(expires+skew, issued+access.MaxTokenAge), 0), nil
}

func stamp(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// date reads a NumericDate (RFC 7519, section 2): seconds since 1970, which may have a fraction.
func date(claim any) (int64, bool) {
	n, ok := claim.(float64)
	if !ok || math.IsNaN(n) || n < 0 || n > 1<<40 {
		return 0, false
	}
	return int64(n), true
}

// caller says who the user is.
func (t *parsed) caller(of *access.Issuer, given uint64, rules *Rules) (coco.Caller, error) {
	user, _ := t.claims[of.Terms.UserClaim].(string)
	if user == "" || coco.CheckUser(user) != nil {
		return coco.Caller{}, caller.Refuse("the token's claim %s names no user: expected a text of 1 to %d bytes without control characters", of.Terms.UserClaim, coco.MaxUser)
	}
	is := access.Credential{Actor: of.Actor, User: user, Issuer: of.Terms.URL, Given: given}
	if id, there := t.claims["jti"]; there {
		var ok bool
		if is.Token, ok = id.(string); !ok {
			return coco.Caller{}, caller.Refuse("the token's claim jti is no text")
		}
	}
	switch r := rules.Access.RevokedBy(&is); {
	case r == nil:
	case r.Token != "":
		return coco.Caller{}, caller.Refuse("the token was revoked by its id (jti)")
	case r.Before > 0:
		return coco.Caller{}, caller.Refuse("the token was revoked: members have revoked what was issued before %s", stamp(int64(r.Before)))
	default:
		return coco.Caller{}, caller.Refuse("the token was revoked: members have taken access from its user")
	}
	name, role, ok := rules.Organisation(of.Actor)
	if !ok {
		return coco.Caller{}, caller.Refuse("the token is for users of an organisation that is no member or participant")
	}
	if of.Terms.RoleClaim == "" || !contains(t.claims[of.Terms.RoleClaim], of.Terms.RoleValue) {
		role = coco.Participant
	}
	return coco.Caller{Actor: of.Actor, Name: name, Role: role, User: user}, nil
}
