package gateway

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
)

// tokens is a scheme of which a credential is a user's name. A name with "once" is good for one request, whose body is its digest's.
type tokens struct {
	mu      sync.Mutex
	asked   int
	revoked bool
	until   time.Time
}

func (s *tokens) Name() string { return "Bearer" }

func (s *tokens) Authenticate(_ *http.Request, credential string) (caller.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	who := coco.Caller{Actor: coco.ActorID{'A'}, Name: "Alpha", Role: coco.Participant, User: credential}
	switch {
	case s.revoked:
		return caller.Identity{}, caller.Refuse("the token was revoked")
	case credential == "busy":
		return caller.Identity{}, fmt.Errorf("%w: the issuer's keys could not be fetched", coco.ErrBusy)
	case strings.HasPrefix(credential, "once"):
		digest := coco.Digest(sha256.Sum256([]byte("hello")))
		return caller.Identity{Caller: who, Body: &digest}, nil
	}
	return caller.Identity{Caller: who, Until: s.until, Again: func() (coco.Caller, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.revoked {
			return coco.Caller{}, caller.Refuse("the token was revoked")
		}
		return who, nil
	}}, nil
}

func (s *tokens) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *tokens) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = true
}

func withTokens(s *tokens) option {
	return func(c *Config) { c.Schemes = caller.Schemes{s} }
}

func whoIs(who coco.Caller, w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s/%s/%s %s %v", who.Name, who.User, who.Role, text, err)
}

func TestARequestHasOneCredential(t *testing.T) {
	s := &tokens{until: time.Now().Add(time.Hour)}
	w := start(t, one("/app/echo", whoIs), withTokens(s))
	with, without := w.client("Beta"), w.client("")
	for _, c := range []struct {
		what   string
		client *http.Client
		header []string
		status int
		want   string
	}{
		{"a certificate", with, nil, 200, "Beta//member"},
		{"a token", without, []string{"Authorization", "Bearer kim"}, 200, "Alpha/kim/participant"},
		{"another one on the same connection", without, []string{"Authorization", "Bearer lee"}, 200, "Alpha/lee/participant"},
		{"none", without, nil, 401, "a client certificate of an organisation in the constitution, or a credential in the header Authorization"},
		{"a certificate and a token", with, []string{"Authorization", "Bearer kim"}, 400, "more than one credential in a request (a client certificate and a header Authorization)"},
		{"a certificate and what is no token", with, []string{"Authorization", "Basic a2ltOmtpbQ=="}, 400, "more than one credential"},
		{"two tokens", without, []string{"Authorization", "Bearer kim", "Authorization", "Bearer kim"}, 400, "more than one credential in a request (2 headers Authorization)"},
		{"two tokens in one header", without, []string{"Authorization", "Bearer kim, Bearer lee"}, 401, "expected Bearer and a credential"},
		{"an unknown scheme", without, []string{"Authorization", "Basic a2ltOmtpbQ=="}, 401, "expected the scheme Bearer"},
		{"an empty header", without, []string{"Authorization", ""}, 401, "expected the scheme Bearer"},
		{"a token elsewhere", without, []string{"X-Authorization", "Bearer kim", "Proxy-Authorization", "Bearer kim", "Cookie", "Authorization=Bearer kim"}, 401, "a client certificate"},
		{"an issuer whose keys are not known", without, []string{"Authorization", "Bearer busy"}, 503, "could not be fetched"},
	} {
		got := w.do(c.client, "GET", "/app/echo", nil, c.header...)
		if got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: %d %s, expected %d with %q", c.what, got.status, got.body, c.status, c.want)
		}
		challenge := ""
		if c.status == 401 {
			challenge = "Bearer"
			if c.header != nil && c.header[0] == "Authorization" && strings.HasPrefix(c.header[1], "Bearer ") {
				challenge = `Bearer error="invalid_token"`
			}
		}
		if found := got.header.Get("WWW-Authenticate"); found != challenge {
			t.Errorf("%s: WWW-Authenticate %q, expected %q", c.what, found, challenge)
		}
	}
	if strings.Contains(w.logs.String(), "kim") {
		t.Error("a credential is in the log")
	}
	if got := w.do(without, "GET", "/app/echo?access_token=kim", nil); got.status < 400 {
		t.Errorf("a token in the URL: %d", got.status)
	}
}

// The answer for a token is kept for the connection, until the token ends or the constitution changes.
func TestATokenIsJudgedAgain(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	s := &tokens{until: now.Add(time.Minute)}
	w := start(t, one("/app/echo", whoIs), withTokens(s), func(c *Config) {
		c.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	client := w.client("")
	ask := func(status, asked int) {
		t.Helper()
		got := w.do(client, "GET", "/app/echo", nil, "Authorization", "Bearer kim")
		if got.status != status || s.count() != asked {
			t.Errorf("status %d after %d questions, expected %d after %d", got.status, s.count(), status, asked)
		}
	}
	ask(200, 1)
	ask(200, 1)
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	ask(200, 2) // as it has ended, it is not kept any more
	mu.Lock()
	now = now.Add(-time.Minute)
	mu.Unlock()
	ask(200, 2)
	s.revoke()
	ask(200, 2)
	w.g.Reidentify()
	ask(401, 3)
	ask(401, 4) // a refusal is not kept
}

func TestABodyIsWhatItsCredentialSays(t *testing.T) {
	s := &tokens{}
	w := start(t, one("/app/echo", whoIs), withTokens(s))
	client := w.client("")
	for body, status := range map[string]int{"hello": 200, "hell": 401, "hello!": 401, "": 401, strings.Repeat("x", 2000): 413} {
		got := w.do(client, "POST", "/app/echo", strings.NewReader(body), "Authorization", "Bearer once")
		if got.status != status {
			t.Errorf("body %.10q: %d %s, expected %d", body, got.status, got.body, status)
		}
	}
	// Without a length told before.
	got := w.do(client, "POST", "/app/echo", io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")), "Authorization", "Bearer once")
	if got.status != 200 || !strings.Contains(got.body, "hello <nil>") {
		t.Errorf("in parts: %d %s", got.status, got.body)
	}
	if n := s.count(); n != 6 {
		t.Errorf("a credential for one request was asked for %d times in 6 requests", n)
	}
	got = w.do(client, "GET", "/app/echo", nil, "Authorization", "Bearer once", "Upgrade", "websocket", "Connection", "Upgrade")
	if got.status != 401 || !strings.Contains(got.body, "good for one request") {
		t.Errorf("an upgrade: %d %s", got.status, got.body)
	}
}

// A connection that was upgraded ends with the token that began it, and when members revoke it.
func TestUpgradedConnectionsEndWithTheirToken(t *testing.T) {
	for _, revoked := range []bool{false, true} {
		s := &tokens{until: time.Now().Add(300 * time.Millisecond)}
		if revoked {
			s.until = time.Now().Add(time.Hour)
		}
		ended := make(chan struct{})
		w := start(t, one("/app/stream", func(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_, _ = c.Read(make([]byte, 1))
			}()
			select {
			case <-r.Context().Done():
			case <-gone:
			}
			close(ended)
		}), withTokens(s))
		c := w.dial("")
		fmt.Fprintf(c, "GET /app/stream HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer kim\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", w.addr)
		line := make([]byte, 12)
		if _, err := io.ReadFull(c, line); err != nil || string(line) != "HTTP/1.1 101" {
			t.Fatalf("%q %v", line, err)
		}
		if revoked {
			s.revoke()
			w.g.Reidentify()
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Errorf("revoked %t: the connection goes on", revoked)
		}
	}
}

func TestTheAdministrativeListenerTakesCertificatesOnly(t *testing.T) {
	s := &tokens{until: time.Now().Add(time.Hour)}
	a := startAdmin(t, withTokens(s))
	got := a.do(a.client(""), "GET", "/gov/proposals", nil, "Authorization", "Bearer kim")
	if got.status != 401 || s.count() != 0 {
		t.Errorf("%d %s, the scheme was asked %d times", got.status, got.body, s.count())
	}
}
