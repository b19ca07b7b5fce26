package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/caller/callertest"
	"github.com/cocoframework/coco/caller/keyset"
	"github.com/cocoframework/coco/caller/token"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/wire"
)

var acme, globex = coco.ActorID{1}, coco.ActorID{2}

// world is an issuer, and a node's view of it.
type world struct {
	*callertest.Issuer
	t      *testing.T
	access access.Access
	mu     sync.Mutex
	now    time.Time // under mu where another goroutine reads it
	scheme caller.Schemes
}

func newWorld(t *testing.T) *world {
	t.Helper()
	is, err := callertest.Start("coco", "another")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(is.Stop)
	terms := access.Terms{URL: is.URL, Audience: "coco", RoleClaim: "groups", RoleValue: "treasury", SkewSeconds: 60}
	terms.Complete()
	w := &world{Issuer: is, t: t, now: time.Now(), access: access.Access{Issuers: []access.Issuer{{Name: "login", Actor: acme, Roots: [][]byte{is.Root.Raw}, Terms: terms}}}}
	now := func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	}
	sets := keyset.New(keyset.Config{Dial: func(ctx context.Context, at string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", at)
	}, Now: now, After: time.After, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(sets.Close)
	w.scheme = caller.Schemes{&token.Scheme{Now: now, Keys: sets.Keys, Rules: w.rules}}
	return w
}

func (w *world) rules() token.Rules {
	return token.Rules{Access: &w.access, Organisation: func(id coco.ActorID) (string, coco.Role, bool) {
		switch id {
		case acme:
			return "acme", coco.Member, true
		case globex:
			return "globex", coco.Participant, true
		}
		return "", "", false
	}}
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) ask(authorization ...string) (caller.Identity, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["Authorization"] = authorization
	return w.scheme.Authenticate(r)
}

// claims are those of a token that counts.
func (w *world) claims() map[string]any {
	return map[string]any{"iss": w.URL, "aud": "coco", "sub": "kim", "iat": w.now.Unix(), "exp": w.now.Add(time.Hour).Unix()}
}

func (w *world) sign(change func(claims map[string]any), header map[jose.HeaderKey]any) string {
	w.t.Helper()
	claims := w.claims()
	if change != nil {
		change(claims)
	}
	text, err := w.Sign(claims, header)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *world) refused(what, authorization, want string) {
	w.t.Helper()
	id, err := w.ask(authorization)
	var told *wire.Error
	if !errors.As(err, &told) || told.Problem.Code != wire.CodeNoCertificate || !strings.Contains(err.Error(), want) || id.Caller != (coco.Caller{}) {
		w.t.Errorf("%s: %v, %v: expected a refusal with %q", what, id.Caller, err, want)
	}
	if secret := strings.TrimPrefix(authorization, "Bearer "); err != nil && len(secret) > 20 && strings.Contains(err.Error(), secret[len(secret)-20:]) {
		w.t.Errorf("%s: the error contains the token: %v", what, err)
	}
}

func TestTokenOfALoginMakesACaller(t *testing.T) {
	w := newWorld(t)
	text, err := w.Login(t.Context(), "kim", "coco")
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.ask("Bearer " + text)
	if want := (coco.Caller{Actor: acme, Name: "acme", Role: coco.Participant, User: "kim"}); err != nil || id.Caller != want {
		t.Fatalf("%+v, %v, want %+v", id.Caller, err, want)
	}
	if again, err := id.Again(); err != nil || again != id.Caller {
		t.Errorf("again %+v, %v", again, err)
	}
	if left := id.Until.Sub(w.now); left < 50*time.Minute || left > 62*time.Minute {
		t.Errorf("it ends in %v, expected the hour that the issuer gives and the skew of a minute", left)
	}
	if _, err := w.ask("bearer   " + text); err != nil {
		t.Errorf("the scheme's name is not told apart by case: %v", err)
	}
}

func TestClaimsGiveOrganisationRoleAndUser(t *testing.T) {
	w := newWorld(t)
	second := w.access.Issuers[0]
	w.access.Issuers[0].Terms.Claims = map[string]string{"org": "acme"}
	second.Name, second.Actor, second.Terms.Claims, second.Terms.UserClaim = "login for globex", globex, map[string]string{"org": "globex"}, "email"
	w.access.Issuers = append(w.access.Issuers, second)
	for _, c := range []struct {
		change map[string]any
		want   coco.Caller
	}{
		{map[string]any{"org": "acme"}, coco.Caller{Actor: acme, Name: "acme", Role: coco.Participant, User: "kim"}},
		{map[string]any{"org": []string{"x", "acme"}, "groups": []string{"a", "treasury"}}, coco.Caller{Actor: acme, Name: "acme", Role: coco.Member, User: "kim"}},
		{map[string]any{"org": "acme", "groups": "treasury"}, coco.Caller{Actor: acme, Name: "acme", Role: coco.Member, User: "kim"}},
		{map[string]any{"org": "acme", "groups": "treasury2"}, coco.Caller{Actor: acme, Name: "acme", Role: coco.Participant, User: "kim"}},
		{map[string]any{"org": "globex", "email": "kim@globex.example", "groups": "treasury"}, coco.Caller{Actor: globex, Name: "globex", Role: coco.Participant, User: "kim@globex.example"}},
	} {
		id, err := w.ask("Bearer " + w.sign(func(x map[string]any) { maps.Copy(x, c.change) }, nil))
		if err != nil || id.Caller != c.want {
			t.Errorf("%v: %+v, %v, want %+v", c.change, id.Caller, err, c.want)
		}
	}
	w.refused("no organisation", "Bearer "+w.sign(nil, nil), "lacks claims that members have agreed on")
	w.refused("another organisation", "Bearer "+w.sign(func(x map[string]any) { x["org"] = "initech" }, nil), "lacks claims that members have agreed on")
	w.refused("no user", "Bearer "+w.sign(func(x map[string]any) { x["org"] = "globex" }, nil), "claim email names no user")
}

func TestTokensThatDoNotCountAreRefused(t *testing.T) {
	w := newWorld(t)
	set := func(name string, value any) string {
		return "Bearer " + w.sign(func(x map[string]any) { x[name] = value }, nil)
	}
	without := func(name string) string { return "Bearer " + w.sign(func(x map[string]any) { delete(x, name) }, nil) }
	ago := func(d time.Duration) int64 { return w.now.Add(-d).Unix() }
	good := w.sign(nil, nil)
	if _, err := w.ask("Bearer " + good); err != nil {
		t.Fatal(err)
	}
	part := strings.Split(good, ".")
	recoded := func(i int, change func(string) string) string {
		raw, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil {
			t.Fatal(err)
		}
		parts := append([]string{}, part...)
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(change(string(raw))))
		return "Bearer " + strings.Join(parts, ".")
	}
	header := func(change func(h map[string]any)) string {
		return recoded(0, func(text string) string {
			h := map[string]any{}
			if err := json.Unmarshal([]byte(text), &h); err != nil {
				t.Fatal(err)
			}
			change(h)
			out, err := json.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		})
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kid := headerOf(t, good)["kid"].(string)
	by := func(key any, algorithm jose.SignatureAlgorithm, id string) string {
		text, err := callertest.Sign(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, w.claims(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	embedded, err := callertest.Sign(jose.SigningKey{Algorithm: jose.ES256, Key: stranger}, w.claims(), map[jose.HeaderKey]any{"kid": kid, "jwk": jose.JSONWebKey{Key: &stranger.PublicKey}})
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, authorization, want string }{
		{"wrong audience", set("aud", "another"), "another audience"},
		{"wrong audiences", set("aud", []string{"a", "b"}), "another audience"},
		{"no audience", without("aud"), "another audience"},
		{"audience of another kind", set("aud", map[string]any{"coco": true}), "another audience"},
		{"wrong issuer", set("iss", w.URL+"/"), "of an issuer (iss) that members have not agreed on"},
		{"no issuer", without("iss"), "of an issuer (iss) that members have not agreed on"},
		{"expired", set("exp", ago(61*time.Second)), "has expired"},
		{"expired at the skew's end", set("exp", ago(60*time.Second)), "has expired"},
		{"no end", without("exp"), "does not say when it ends"},
		{"end in words", set("exp", "tomorrow"), "does not say when it ends"},
		{"end beyond all times", set("exp", 1e300), "does not say when it ends"},
		{"issued a year ago", "Bearer " + w.sign(func(x map[string]any) { x["iat"] = ago(access.MaxTokenAge * time.Second) }, nil), "more than 366 days ago"},
		{"no beginning", without("iat"), "does not say when it ends (exp) and when it was issued"},
		{"issued in the future", set("iat", ago(-61*time.Second)), "not valid yet"},
		{"not before in the future", set("nbf", ago(-61*time.Second)), "not valid yet"},
		{"not before in words", set("nbf", "now"), "nbf"},
		{"no user", without("sub"), "names no user"},
		{"empty user", set("sub", ""), "names no user"},
		{"user with a line feed", set("sub", "kim\nadmin"), "names no user"},
		{"user too long", set("sub", strings.Repeat("k", coco.MaxUser+1)), "names no user"},
		{"user of another kind", set("sub", 7), "names no user"},
		{"id of another kind", set("jti", 7), "jti"},
		{"unknown key", by(stranger, jose.ES256, "unknown"), "key (kid) that its issuer has not published"},
		{"another key under a known id", by(stranger, jose.ES256, kid), "signature does not verify"},
		{"another key, no id", by(stranger, jose.ES256, ""), "signature does not verify"},
		{"a key in the header", "Bearer " + embedded, "signature does not verify"},
		{"another algorithm than the key's", by(weak, jose.RS256, kid), "signature does not verify"},
		{"an algorithm that is not agreed on", by(weak, jose.RS512, kid), "algorithm (alg) is not one of"},
		{"a MAC with a public key", by([]byte(strings.Repeat("k", 64)), jose.HS256, kid), "no algorithm that can count"},
		{"no signature", header(func(h map[string]any) { h["alg"] = "none" }), "no algorithm that can count"},
		{"changed header", header(func(h map[string]any) { h["typ"] = "jwt" }), "signature does not verify"},
		{"another type", "Bearer " + w.sign(nil, map[jose.HeaderKey]any{"typ": "logout+jwt"}), "another type (typ)"},
		{"extensions", header(func(h map[string]any) { h["crit"] = []string{"b64"}; h["b64"] = false }), "crit"},
		{"changed claims", recoded(1, func(s string) string { return strings.Replace(s, `"kim"`, `"lee"`, 1) }), "signature does not verify"},
		{"a claim twice", recoded(1, func(s string) string { return strings.Replace(s, "{", `{"sub":"lee",`, 1) }), "each name once"},
		{"no claims", recoded(1, func(string) string { return "null" }), "no claims"},
		{"a list", recoded(1, func(string) string { return "[]" }), "claims is no JSON object"},
		{"more after them", recoded(1, func(s string) string { return s + "{}" }), "claims is no JSON object"},
		{"padding", "Bearer " + good + "=", "not in its form"},
		{"encrypted", "Bearer a.b.c.d.e", "expected three parts"},
		{"nothing", "Bearer ", "expected Bearer and a credential"},
		{"two in one", "Bearer " + good + ", Bearer " + good, "expected Bearer and a credential"},
		{"with a space", "Bearer " + good + " x", "expected Bearer and a credential"},
		{"too large", "Bearer " + strings.Repeat("x", caller.MaxCredential+1), "expected Bearer and a credential"},
		{"another scheme", "Basic a2ltOmtpbQ==", "expected the scheme Bearer"},
		{"no scheme", good, "expected the scheme Bearer"},
	} {
		w.refused(c.what, c.authorization, c.want)
	}
	if _, err := w.ask("Bearer "+good, "Bearer "+good); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("two headers: %v", err)
	}
	for what, authorization := range map[string]string{
		"within the skew": set("exp", ago(59*time.Second)), "a fraction": set("exp", float64(w.now.Unix())+3600.5), "several audiences": set("aud", []string{"another", "coco"}),
		"the other type": "Bearer " + w.sign(nil, map[jose.HeaderKey]any{"typ": "at+JWT"}),
	} {
		if _, err := w.ask(authorization); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.access.Issuers[0].Terms.Type = "at+jwt"
	w.refused("no type, where one is agreed on", "Bearer "+good, `another type (typ) than "at+jwt"`)
	w.refused("a type that is not the one agreed on", "Bearer "+w.sign(nil, map[jose.HeaderKey]any{"typ": "JWT"}), `another type (typ) than "at+jwt"`)
	if _, err := w.ask("Bearer " + w.sign(nil, map[jose.HeaderKey]any{"typ": "application/at+jwt"})); err != nil {
		t.Errorf("the type agreed on: %v", err)
	}
}

func headerOf(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[0])
	h := map[string]any{}
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A key that an issuer has published has one use (RFC 7517, section 4), and a weak one has none.
func TestAKeyVerifiesWhatItIsMeantFor(t *testing.T) {
	w := newWorld(t)
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		key       any
		public    any
		algorithm jose.SignatureAlgorithm
		use, alg  string
		ok        bool
	}{
		{"for signatures", elliptical, &elliptical.PublicKey, jose.ES256, "sig", "ES256", true},
		{"for anything", strong, &strong.PublicKey, jose.PS256, "", "", true},
		{"for encryption", elliptical, &elliptical.PublicKey, jose.ES256, "enc", "", false},
		{"for another algorithm", strong, &strong.PublicKey, jose.RS256, "sig", "PS256", false},
		{"for encryption, and of its algorithm", strong, &strong.PublicKey, jose.RS256, "enc", "RS256", false},
		{"too short", weak, &weak.PublicKey, jose.RS256, "sig", "RS256", false},
	} {
		text, err := callertest.Sign(jose.SigningKey{Algorithm: c.algorithm, Key: c.key}, w.claims(), nil)
		if err != nil {
			t.Fatal(err)
		}
		s := token.Scheme{Now: func() time.Time { return w.now }, Rules: w.rules, Keys: func(context.Context, *access.Issuer, string) ([]jose.JSONWebKey, error) {
			return []jose.JSONWebKey{{Key: c.public, Use: c.use, Algorithm: c.alg}}, nil
		}}
		_, err = s.Authenticate(httptest.NewRequest(http.MethodGet, "/", nil), text)
		if c.ok && err != nil || !c.ok && (err == nil || !strings.Contains(err.Error(), "signature does not verify")) {
			t.Errorf("a key %s: %v", c.what, err)
		}
	}
}

// The constitution's issuers go with their organisation; a node that sees one without the other lets nobody in.
func TestATokenOfAnOrganisationThatIsGoneIsRefused(t *testing.T) {
	w := newWorld(t)
	text := "Bearer " + w.sign(nil, nil)
	w.access.Issuers[0].Actor = coco.ActorID{3}
	w.refused("its organisation is gone", text, "no member or participant")
}

func TestMembersRevokeAccess(t *testing.T) {
	w := newWorld(t)
	text := "Bearer " + w.sign(func(x map[string]any) { x["jti"] = "t-1" }, nil)
	id, err := w.ask(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		revoke access.Revocation
		want   string
	}{
		{access.Revocation{User: "kim"}, "have taken access from its user"},
		{access.Revocation{Issuer: w.URL, Token: "t-1"}, "by its id (jti)"},
		{access.Revocation{Issuer: w.URL, Before: uint64(w.now.Unix()) + 1}, "have revoked what was issued before"},
		{access.Revocation{User: "kim", Before: uint64(w.now.Unix()) + 1}, "have revoked what was issued before"},
		{access.Revocation{Before: uint64(w.now.Unix()) + 1}, "have revoked what was issued before"},
	} {
		before := w.access.Clone()
		if c.revoke.Actor = acme; !w.access.Revoke(c.revoke, uint64(w.now.Unix())) {
			t.Fatal("it was revoked already")
		}
		w.refused("revoked", text, c.want)
		if _, err := id.Again(); err == nil {
			t.Errorf("%+v: a connection stays", c.revoke)
		}
		w.access = before
	}
	for _, r := range []access.Revocation{
		{Actor: acme, User: "lee"},
		{Actor: acme, Issuer: w.URL, Token: "t-2"},
		{Actor: acme, Issuer: w.URL + "/other", Token: "t-1"},
		{Actor: acme, Before: uint64(w.now.Unix())},
		{Actor: globex, User: "kim"},
	} {
		if w.access.Revoke(r, uint64(w.now.Unix())); w.access.Check(func(coco.ActorID) bool { return true }) != nil {
			t.Errorf("%+v cannot be", r)
		}
	}
	w.access.Sort()
	if _, err := w.ask(text); err != nil {
		t.Errorf("others are revoked: %v", err)
	}
	w.pass(2 * time.Hour)
	if _, err := id.Again(); err == nil {
		t.Error("a token outlives its end")
	}
	w.access.Issuers = nil
	w.refused("without its issuer", text, "have not agreed on")
}

// A key that the issuer has replaced counts until the set is fetched again, and the new one has it fetched.
func TestKeysAreFetchedAgain(t *testing.T) {
	w := newWorld(t)
	old := "Bearer " + w.sign(nil, nil)
	if _, err := w.ask(old); err != nil {
		t.Fatal(err)
	}
	if err := w.Rotate(); err != nil {
		t.Fatal(err)
	}
	next := "Bearer " + w.sign(nil, nil)
	w.refused("before the node may ask again", next, "has not published")
	w.pass(11 * time.Second)
	if _, err := w.ask(next); err != nil {
		t.Errorf("the new key: %v", err)
	}
	w.refused("the old key", old, "has not published")
	fetched := w.Fetched.Load()
	for range 50 {
		w.refused("an unknown key", old, "has not published")
	}
	if n := w.Fetched.Load(); n != fetched {
		t.Errorf("unknown keys had the set fetched %d times, expected none within 10 s", n-fetched)
	}
}

// A host that withholds the keys makes tokens end, with an error that says so, and never makes one count.
func TestWithheldKeysAreNotUsedForEver(t *testing.T) {
	w := newWorld(t)
	w.Down.Store(true)
	text := func() string {
		return "Bearer " + w.sign(func(x map[string]any) { x["exp"] = w.now.Add(48 * time.Hour).Unix() }, nil)
	}
	if _, err := w.ask(text()); !errors.Is(err, coco.ErrBusy) || !strings.Contains(err.Error(), "could not be fetched") {
		t.Errorf("before any key is known: %v", err)
	}
	w.Down.Store(false)
	w.pass(11 * time.Second)
	if _, err := w.ask(text()); err != nil {
		t.Fatal(err)
	}
	w.Down.Store(true)
	w.pass(59 * time.Minute)
	if _, err := w.ask(text()); err != nil {
		t.Errorf("known keys that are not too old: %v", err)
	}
	w.pass(2 * time.Minute)
	if _, err := w.ask(text()); !errors.Is(err, coco.ErrBusy) {
		t.Errorf("keys of more than an hour ago: %v", err)
	}
	w.Down.Store(false)
	w.pass(11 * time.Second)
	if _, err := w.ask(text()); err != nil {
		t.Errorf("the issuer is back: %v", err)
	}
}

// What the host puts in the place of the issuer has no certificate that members have agreed on.
func TestOnlyTheAgreedRootsVouchForTheIssuer(t *testing.T) {
	w := newWorld(t)
	other, err := callertest.Start("coco")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Stop()
	w.access.Issuers[0].Roots = [][]byte{other.Root.Raw}
	if _, err := w.ask("Bearer " + w.sign(nil, nil)); !errors.Is(err, coco.ErrBusy) || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("another root: %v", err)
	}
	if n := w.Fetched.Load(); n != 0 {
		t.Errorf("%d requests reached it", n)
	}
}

func FuzzToken(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	// The same in every process that fuzzes, or their inputs would be strangers' to each other.
	key := jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), KeyID: "k"}
	good, err := callertest.Sign(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, map[string]any{"iss": "https://a.example", "aud": "coco", "sub": "kim", "iat": now.Unix(), "exp": now.Unix() + 60}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Add(strings.Replace(good, ".", ".eyJ", 1))
	terms := access.Terms{URL: "https://a.example", Audience: "coco"}
	terms.Complete()
	all := &access.Access{Issuers: []access.Issuer{{Name: "a", Actor: acme, Terms: terms}}}
	s := &token.Scheme{
		Rules: func() token.Rules {
			return token.Rules{Access: all, Organisation: func(coco.ActorID) (string, coco.Role, bool) { return "acme", coco.Member, true }}
		},
		Now: func() time.Time { return now },
		Keys: func(context.Context, *access.Issuer, string) ([]jose.JSONWebKey, error) {
			return []jose.JSONWebKey{key.Public()}, nil
		},
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := s.Authenticate(httptest.NewRequest(http.MethodGet, "/", nil), text)
		if err == nil && text != good {
			t.Errorf("%q makes the caller %+v", text, id.Caller)
		}
	})
}

// Whoever follows the ledger asks about connections again, so an issuer that does not answer must not hold it.
func TestWhoAsksAboutAConnectionAgainWaitsForNoIssuer(t *testing.T) {
	w := newWorld(t)
	id, err := w.ask("Bearer " + w.sign(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	scheme := w.scheme[0].(*token.Scheme)
	sets := scheme.Keys
	scheme.Keys = func(ctx context.Context, of *access.Issuer, kid string) ([]jose.JSONWebKey, error) {
		if ctx.Err() == nil {
			t.Error("keys that are not known are waited for")
		}
		return sets(ctx, of, kid)
	}
	if again, err := id.Again(); err != nil || again != id.Caller {
		t.Errorf("with keys that are known: %+v, %v", again, err)
	}
	w.pass(time.Hour) // the keys count no more, and the token, with its skew, still does
	w.Stop()
	if _, err := id.Again(); err == nil {
		t.Error("a connection stays without keys that count")
	}
}
