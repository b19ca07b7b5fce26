package message

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/wire"
)

// signer is a key with a certificate of its own.
type signer struct {
	key crypto.Signer
	der []byte
}

func newSigner(t testing.TB, key crypto.Signer, name string, units ...string) *signer {
	t.Helper()
	is := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, OrganizationalUnit: units}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, is, is, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key, der}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (s *signer) Certificates() [][]byte { return [][]byte{s.der} }

func (s *signer) Sign(_ context.Context, tbs []byte) ([]byte, error) {
	if _, plain := s.key.(ed25519.PrivateKey); plain {
		return s.key.Sign(rand.Reader, tbs, crypto.Hash(0))
	}
	sum := sha256.Sum256(tbs)
	return s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

var (
	network, node = coco.Digest{1}, coco.NodeID{2}
	begin         = time.UnixMilli(1_800_000_000_000)
)

// world is a node.
type world struct {
	*Scheme
	now time.Time
}

func newWorld(id coco.NodeID) *world {
	w := &world{now: begin}
	w.Scheme = NewScheme(Config{Network: network, Node: id, Now: func() time.Time { return w.now }, Identify: func(chain []*x509.Certificate) (coco.Caller, error) {
		switch name := chain[0].Subject.CommonName; name {
		case "acme", "globex":
			return coco.Caller{Actor: coco.ActorID{name[0]}, Name: name, Role: coco.Member}, nil
		case "early":
			return coco.Caller{}, fmt.Errorf("%w: the node has not joined", coco.ErrBusy)
		default:
			return coco.Caller{}, fmt.Errorf("%w: %q is of no organisation", coco.ErrDenied, name)
		}
	}})
	return w
}

func (w *world) ask(method, target, authorization string) (caller.Identity, error) {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Authorization", authorization)
	return caller.Schemes{w.Scheme}.Authenticate(r)
}

func signed(t testing.TB, by *signer, m Request) string {
	t.Helper()
	text, err := m.Sign(context.Background(), by)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSignedRequestCountsOnceAtOneNode(t *testing.T) {
	_, plain, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{newKey(t), plain} {
		by, w := newSigner(t, key, "acme"), newWorld(node)
		m := New("PUT", "/app/kv/a%2Fb?x=1", nil, []byte("hello"), network, node, begin)
		text := signed(t, by, m)
		id, err := w.ask("PUT", "/app/kv/a%2Fb?x=1", text)
		if err != nil || id.Caller.Name != "acme" || id.Body == nil || *id.Body != sha256.Sum256([]byte("hello")) || id.Again != nil || !id.Until.IsZero() {
			t.Fatalf("%+v, %v", id, err)
		}
		refused := func(what string, at *world, text, want string) {
			t.Helper()
			_, err := at.ask("PUT", "/app/kv/a%2Fb?x=1", text)
			var told *wire.Error
			if !errors.As(err, &told) || told.Problem.Code != wire.CodeNoCertificate || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, expected %q", what, err, want)
			}
		}
		refused("again", w, text, "was sent before")
		refused("again, signed again", w, signed(t, by, m), "was sent before")
		refused("at another node, or after a restart", newWorld(coco.NodeID{3}), text, "for another node, or this one before it restarted")
		w.now = w.now.Add(Window - time.Millisecond)
		refused("again, as late as can be", w, text, "was sent before")
		w.now = w.now.Add(time.Millisecond)
		refused("later", w, text, "expected at most 1m0s between them")
		fresh := New("PUT", "/app/kv/a%2Fb?x=1", nil, nil, network, node, w.now)
		if _, err := w.ask("PUT", "/app/kv/a%2Fb?x=1", signed(t, by, fresh)); err != nil {
			t.Errorf("another one: %v", err)
		}
		if n := len(w.seen[coco.ActorID{'a'}].ids); n != 1 {
			t.Errorf("%d messages are remembered, expected the one that could be sent again", n)
		}
	}
}

func TestAHostThatTurnsItsClockForwardAndBackHasNoMessageCountTwice(t *testing.T) {
	by, w := newSigner(t, newKey(t), "acme"), newWorld(node)
	ask := func(m Request) error {
		_, err := w.ask("PUT", "/app/kv/a", signed(t, by, m))
		return err
	}
	first := New("PUT", "/app/kv/a", nil, nil, network, node, begin)
	if err := ask(first); err != nil {
		t.Fatal(err)
	}
	w.now = begin.Add(2 * Window)
	if err := ask(New("PUT", "/app/kv/a", nil, nil, network, node, w.now)); err != nil { // has what ended forgotten
		t.Fatal(err)
	}
	w.now = begin.Add(time.Second)
	if err := ask(first); err == nil {
		t.Error("a message counts twice")
	}
	if err := ask(New("PUT", "/app/kv/a", nil, nil, network, node, w.now)); err != nil {
		t.Errorf("a new message: %v", err)
	}
}

func TestSignedRequestsThatDoNotCountAreRefused(t *testing.T) {
	by := newSigner(t, newKey(t), "acme")
	good := New("GET", "/x", nil, nil, network, node, begin)
	change := func(fn func(*Request)) string {
		m := good
		fn(&m)
		return signed(t, by, m)
	}
	text := signed(t, by, good)
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, SchemeName+" "))
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(i int) string {
		b := append([]byte{}, raw...)
		b[i] ^= 1
		return SchemeName + " " + base64.RawURLEncoding.EncodeToString(b)
	}
	other := func(contentType string, payload any) string {
		b, err := canon.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		e, err := envelope.SignOther(context.Background(), by, contentType, b)
		if err != nil {
			t.Fatal(err)
		}
		return SchemeName + " " + base64.RawURLEncoding.EncodeToString(e)
	}
	for _, c := range []struct{ what, text, want string }{
		{"another network", change(func(m *Request) { m.Network[0]++ }), "another network"},
		{"another node", change(func(m *Request) { m.Node[0]++ }), "another node"},
		{"another method", change(func(m *Request) { m.Method = "HEAD" }), "another method or target"},
		{"another target", change(func(m *Request) { m.Target = "/x?y" }), "another method or target"},
		{"from the future", change(func(m *Request) { m.Time += 60_001 }), "expected at most 1m0s"},
		{"from the past", change(func(m *Request) { m.Time -= 60_000 }), "expected at most 1m0s"},
		{"from beyond all times", change(func(m *Request) { m.Time = 1<<64 - 1 }), "expected at most 1m0s"},
		{"short nonce", change(func(m *Request) { m.Nonce = m.Nonce[1:] }), "nonce has 15 bytes"},
		{"a stranger's", signed(t, newSigner(t, newKey(t), "initech"), good), "is of no organisation"},
		{"governance's certificate", signed(t, newSigner(t, newKey(t), "acme", coco.GovernanceUnit), good), `unit "governance"`},
		{"a certificate for nodes", signed(t, newSigner(t, newKey(t), "acme", coco.NodesUnit), good), `unit "nodes"`},
		{"changed signature", flipped(len(raw) - 1), "the signed request"},
		{"changed payload", flipped(len(raw) - 80), "the signed request"},
		{"changed tag", flipped(0), "COSE_Sign1 with its tag"},
		{"another content type", other("application/x", good), "content type"},
		{"a field more", other(ContentType, map[int]any{1: "GET", 2: "/x", 8: 1}), "not in its form"},
		{"not base64url", text + "=", "base64url"},
		{"something else", SchemeName + " aGVsbG8", "COSE_Sign1 with its tag"},
	} {
		if id, err := newWorld(node).ask("GET", "/x", c.text); err == nil || !strings.Contains(err.Error(), c.want) || id.Caller != (coco.Caller{}) {
			t.Errorf("%s: %v, expected %q", c.what, err, c.want)
		}
	}
	if _, err := newWorld(node).ask("GET", "/x", signed(t, newSigner(t, newKey(t), "early"), good)); !errors.Is(err, coco.ErrBusy) {
		t.Errorf("a node that has not joined: %v", err)
	}
	if _, err := envelope.Open(raw); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("governance opens a signed request: %v", err)
	}
	if _, err := envelope.SignOther(context.Background(), by, envelope.BallotType, nil); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a ballot is signed as a request: %v", err)
	}
}

// A nonce is one signer's: another one's message that is the same is not taken for a copy of it.
func TestTwoSignersMayChooseOneNonce(t *testing.T) {
	w, m := newWorld(node), New("GET", "/x", nil, nil, network, node, begin)
	for range 2 { // of one organisation, as its front ends are
		if _, err := w.ask("GET", "/x", signed(t, newSigner(t, newKey(t), "acme"), m)); err != nil {
			t.Errorf("a second signer: %v", err)
		}
	}
}

// An organisation that sends more than a node remembers is told so. Others are not held up by it, and after two minutes it goes on.
func TestAnOrganisationSendsSoManyMessages(t *testing.T) {
	w := newWorld(node)
	acme := newSigner(t, newKey(t), "acme")
	for i := range maxSeen {
		if err := w.once(coco.ActorID{'a'}, coco.Digest{byte(i), byte(i >> 8), 1}, begin.Add(Window), begin); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if _, err := w.ask("GET", "/x", signed(t, acme, New("GET", "/x", nil, nil, network, node, begin))); !errors.Is(err, coco.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	if _, err := w.ask("GET", "/x", signed(t, newSigner(t, newKey(t), "globex"), New("GET", "/x", nil, nil, network, node, begin))); err != nil {
		t.Errorf("another organisation's: %v", err)
	}
	w.now = begin.Add(Window)
	if _, err := w.ask("GET", "/x", signed(t, acme, New("GET", "/x", nil, nil, network, node, w.now))); err != nil {
		t.Errorf("later: %v", err)
	}
}

// The payload of docs/formats.md.
func TestTheFormOfARequestIsFixed(t *testing.T) {
	m := Request{Method: "GET", Target: "/app/kv/a", Body: sha256.Sum256(nil), Network: coco.Digest{1}, Node: coco.NodeID{2}, Time: 1_800_000_000_000, Nonce: make([]byte, 16)}
	b, err := canon.Marshal(&m)
	const want = "a7016347455402692f6170702f6b762f61035820e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85504582001000000000000000000000000000000000000000000000000000000000000000558200200000000000000000000000000000000000000000000000000000000000000061b000001a3185c5000075000000000000000000000000000000000"
	if got := hex.EncodeToString(b); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzScheme(f *testing.F) {
	// The same in every process that fuzzes, or their inputs would be strangers' to each other.
	by, m := newSigner(f, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), "acme"), New("GET", "/x", nil, nil, network, node, begin)
	clear(m.Nonce)
	good := signed(f, by, m)
	f.Add(strings.TrimPrefix(good, SchemeName+" "))
	f.Add("0g")
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		if _, err := newWorld(node).Authenticate(r, text); err == nil && text != strings.TrimPrefix(good, SchemeName+" ") {
			t.Errorf("%q counts", text)
		}
	})
}
