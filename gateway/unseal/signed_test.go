package unseal

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller/message"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/succession"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// sender has a certificate.
type sender struct {
	key *ecdsa.PrivateKey
	der []byte
}

func (c *cluster) sender(name string) *sender {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return &sender{key, c.issue(name, &key.PublicKey).Raw}
}

func (s *sender) Certificates() [][]byte { return [][]byte{s.der} }

func (s *sender) Sign(_ context.Context, tbs []byte) ([]byte, error) {
	sum := sha256.Sum256(tbs)
	return s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

func (s *sender) signing() *client.Signing {
	return &client.Signing{Certificate: message.CertificateID(s.der), Sign: func(ctx context.Context, text []byte, network coco.Digest, node coco.NodeID, now time.Time) (string, error) {
		return message.SignSealed(ctx, s, text, network, node, now)
	}}
}

func (c *cluster) by() []string {
	return c.seenBy(func(m *member) []string { return m.by })
}

func TestASignedRequestIsItsSignersThroughABalancer(t *testing.T) {
	c := newCluster(t, 3)
	acme := c.sender("acme")
	s := c.clientBy(nil, acme.signing())
	for _, q := range [][3]string{{"GET", "/app/kv/account-4711", ""}, {"POST", "/rpc", "eth_call of shipment"}, {"PUT", "/app/kv/shipment", "customs value 4711"}} {
		if status, body, err := ask(t, s, q[0], q[1], q[2]); err != nil || status != 200 || body != "answer to "+q[1]+" "+q[2] {
			t.Errorf("%v: %d %s, %v", q, status, body, err)
		}
	}
	if by := c.by(); !slices.Equal(by, []string{"acme"}) {
		t.Errorf("written by %q", by)
	}
	for _, secret := range []string{"4711", "shipment", "eth_call", "Coco-Signer", "answer"} {
		if bytes.Contains(c.seen.Bytes(), []byte(secret)) {
			t.Errorf("the balancer has seen %q", secret)
		}
	}
	if _, err := client.NewSealed(client.SealedConfig{URL: c.front.URL, Token: func() (string, error) { return "", nil }, Signing: acme.signing()}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a token and a signature: %v", err)
	}
}

// What a balancer does with a signature: nothing is done by it, and it is told the same as of a message that does not decrypt.
func TestASignatureCountsForItsMessageOnce(t *testing.T) {
	c := newCluster(t, 2)
	acme, mallory := c.sender("acme"), c.sender("mallory")
	foreign := newCluster(t, 1).sender("acme")
	network := must(succession.ID(c.service))
	key := must(sealed.DecodeAnnouncement(c.announcedBy(c.nodes[0], url.Values{"nonce": {hex.EncodeToString(make([]byte, 32))}}).Announcement))
	seal := func(signer *sender) []byte {
		r := sealed.Request{Method: "PUT", Target: "/app/kv/x", Body: []byte("paid"), Time: uint64(time.Now().UnixMilli()), For: c.nodes[0].id, ID: make([]byte, sealed.IDSize)}
		_, _ = rand.Read(r.ID)
		if signer != nil {
			r.Header = []sealed.Field{{Name: "Authorization", Value: "Coco-Signer " + message.CertificateID(signer.der)}}
		}
		b, _, err := sealed.SealRequest(key, r)
		return must(b, err)
	}
	sign := func(by *sender, text []byte, network coco.Digest, node coco.NodeID, at time.Time) string {
		return must(message.SignSealed(t.Context(), by, text, network, node, at))
	}
	now, first := time.Now(), c.nodes[0].id
	post := func(text []byte, authorization ...string) (int, string) {
		in := httptest.NewRequest("POST", "/sealed", bytes.NewReader(text))
		in.Header.Set("Content-Type", sealed.MediaType)
		in.Header["Authorization"] = authorization
		out := httptest.NewRecorder()
		c.nodes[0].ServeHTTP(out, in)
		return out.Code, out.Body.String()
	}
	wantStatus, wantBody := post([]byte("no message"))
	refused := func(what string, text []byte, authorization ...string) {
		t.Helper()
		if status, body := post(text, authorization...); status != wantStatus || body != wantBody {
			t.Errorf("%s: %d %.80q, expected %d %q, as of a message that does not decrypt", what, status, body, wantStatus, wantBody)
		}
	}
	text := seal(acme)
	refused("without its signature", text)
	refused("signed by another member, in the place of its signer", text, sign(mallory, text, network, first, now))
	refused("with two signatures", text, sign(acme, text, network, first, now), sign(acme, text, network, first, now))
	refused("with the signature of another message", text, sign(acme, seal(acme), network, first, now))
	refused("signed for another network", text, sign(acme, text, coco.Digest{1}, first, now))
	refused("signed for another node", text, sign(acme, text, network, c.nodes[1].id, now))
	refused("signed long ago", text, sign(acme, text, network, first, now.Add(-message.Window)))
	other := seal(foreign)
	refused("signed by a certificate of another network", other, sign(foreign, other, network, first, now))
	nobody := seal(nil)
	refused("signed, and inside it names no signer", nobody, sign(acme, nobody, network, first, now))
	plain := message.New("PUT", "/app/kv/x", nil, []byte("paid"), network, first, now)
	refused("signed over the text in it", text, must(plain.Sign(t.Context(), acme)))
	refused("by another scheme", text, "Bearer "+sign(acme, text, network, first, now)[len("Coco-Message "):])
	if got := c.writes(); len(got) != 0 {
		t.Fatalf("writes %q", got)
	}
	signature := sign(acme, text, network, first, now)
	if status, _ := post(text, signature); status != 200 {
		t.Fatalf("as it should be: %d", status)
	}
	refused("again", text, signature)
	refused("again, signed again", text, sign(acme, text, network, first, now))
	again := seal(acme)
	repeated := sign(acme, again, network, first, now)
	if status, _ := post(again, repeated); status != 200 {
		t.Fatalf("another one: %d", status)
	}
	if got, by := c.writes(), c.by(); len(got) != 2 || !slices.Equal(by, []string{"acme", "acme"}) {
		t.Errorf("writes %q by %q", got, by)
	}
}
