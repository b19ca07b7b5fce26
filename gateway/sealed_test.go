package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/sealed/keyring"
	"github.com/cocoframework/coco/wire"
)

// echoQuoter is a device whose evidence is the report data.
type echoQuoter struct{}

func (echoQuoter) Platform() string { return "virtual" }

func (echoQuoter) Quote(_ context.Context, data [attest.ReportDataSize]byte) ([]byte, error) {
	return data[:], nil
}

func testSource() *keyring.Keys {
	return keyring.New(keyring.Source{
		Current: func() uint64 { return 3 }, Secret: func(uint64) (keys.Secret, error) { return keys.Secret{7}, nil },
		Service: func() ([]byte, error) { return []byte("service"), nil }, Node: coco.NodeID{1}, Public: []byte("key"),
		Certificates: func() [][]byte { return [][]byte{[]byte("node"), []byte("service")} }, Quoter: echoQuoter{}, Clock: local.Clock{},
	})
}

// announced asks for the key as a client does.
func (w *world) announced(t *testing.T) sealed.Announcement {
	t.Helper()
	nonce := bytes.Repeat([]byte{5}, 32)
	resp, err := w.client("").Get("https://" + w.addr + "/node/sealed-key?nonce=" + hex.EncodeToString(nonce))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var k wire.SealedKey
	if err := json.NewDecoder(resp.Body).Decode(&k); err != nil {
		t.Fatal(err)
	}
	want := attest.ReportData(sealed.Context, []byte("key"), sealed.EvidenceNonce(k.Announcement, nonce))
	if !bytes.Equal(k.Quote, want[:]) || string(k.Certificates[0]) != "node" || k.Nonce != hex.EncodeToString(nonce) {
		t.Errorf("%+v", k)
	}
	a, err := sealed.DecodeAnnouncement(k.Announcement)
	if err != nil || a.Node != (coco.NodeID{1}) || a.Epoch != 3 {
		t.Fatalf("%+v, %v", a, err)
	}
	return a
}

func sealedStatus(t *testing.T) []byte {
	t.Helper()
	secret := keys.Secret{7}
	k, err := sealed.Derive([]byte("service"), secret[:], 3)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := sealed.SealRequest(k.Announce(coco.NodeID{1}), sealed.Request{Method: "GET", Target: "/node/status", Time: uint64(time.Now().UnixMilli())})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// askSealed makes a sealed request over a client's connection; reply is nil if it is refused outside.
func (w *world) askSealed(t *testing.T, hc *http.Client, a sealed.Announcement, r sealed.Request) (reply *sealed.Reply, status int, body string) {
	t.Helper()
	r.Time = uint64(time.Now().UnixMilli())
	message, answer, err := sealed.SealRequest(a, r)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hc.Post("https://"+w.addr+"/sealed", sealed.MediaType, bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, resp.StatusCode, string(data)
	}
	got, err := answer.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	return &got, resp.StatusCode, string(got.Body)
}

func TestSealedRequestsReachTheRoutes(t *testing.T) {
	w := start(t, []adapter.Endpoint{{Pattern: "POST /app/x", Repeatable: func([]byte) bool { return true }, Handler: func(c coco.Caller, w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, c.Name)
	}}})
	a := w.announced(t)
	reply, _, body := w.askSealed(t, w.client(""), a, sealed.Request{Method: "GET", Target: "/node/status"})
	if reply == nil || reply.Status != 200 || !strings.Contains(body, `"network":"test"`) {
		t.Errorf("%+v %s", reply, body)
	}
	if reply, _, body = w.askSealed(t, w.client(""), a, sealed.Request{Method: "GET", Target: "/nowhere"}); reply == nil || reply.Status != 404 {
		t.Errorf("%+v %s", reply, body)
	}
	if reply, _, body = w.askSealed(t, w.client(""), a, sealed.Request{Method: "GET", Target: "/node/../x"}); reply == nil || reply.Status != 400 {
		t.Errorf("%+v %s", reply, body)
	}
	// A request within a request is not opened: there is no end of that.
	inner := string(sealedStatus(t))
	if reply, _, body = w.askSealed(t, w.client(""), a, sealed.Request{
		Method: "POST", Target: "/sealed", Body: []byte(inner), Header: []sealed.Field{{Name: "Content-Type", Value: sealed.MediaType}}, For: coco.NodeID{1}, ID: make([]byte, sealed.IDSize),
	}); reply == nil || reply.Status != 404 {
		t.Errorf("%+v %s", reply, body)
	}
}

// An endpoint says by the body which of its requests have an effect each time. Such a one that names no node is not done by any.
func TestASealedRequestIsBoundToANodeByWhatItDoes(t *testing.T) {
	w := start(t, []adapter.Endpoint{{
		Pattern: "POST /app/x", Handler: func(coco.Caller, http.ResponseWriter, *http.Request) {},
		Repeatable: func(body []byte) bool { return string(body) == "read" },
	}})
	a := w.announced(t)
	if reply, _, _ := w.askSealed(t, w.client(""), a, sealed.Request{Method: "POST", Target: "/app/x", Body: []byte("unlink")}); reply == nil || !reply.Misdirected {
		t.Errorf("with an effect: %+v", reply)
	}
	if reply, status, _ := w.askSealed(t, w.client(""), a, sealed.Request{Method: "POST", Target: "/app/x", Body: []byte("read")}); reply != nil || status != http.StatusForbidden {
		t.Errorf("without one, of nobody: %+v, %d", reply, status)
	}
}

// The certificate of what stands between a client and the node is nobody's credential: whoever could make the balancer send a message would act as the balancer.
func TestTheCertificateOfABalancerDoesNotCount(t *testing.T) {
	called := 0
	w := start(t, []adapter.Endpoint{{Pattern: "POST /app/x", Repeatable: func([]byte) bool { return true }, Handler: func(coco.Caller, http.ResponseWriter, *http.Request) { called++ }}})
	a, alpha := w.announced(t), w.client("Alpha")
	reply, status, refused := w.askSealed(t, alpha, a, sealed.Request{Method: "POST", Target: "/app/x"})
	if reply != nil || status != http.StatusForbidden || called != 0 {
		t.Errorf("%+v, %d %s, called %d times", reply, status, refused, called)
	}
	// What does not decrypt is answered alike.
	resp, err := alpha.Post("https://"+w.addr+"/sealed", sealed.MediaType, strings.NewReader("?"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != status || string(body) != refused {
		t.Errorf("%d %s, want %d %s", resp.StatusCode, body, status, refused)
	}
}

// Requests whose sender is not known yet take a share of the memory as one caller.
func TestSealedRequestsAreBounded(t *testing.T) {
	w := start(t, one("POST /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {}))
	limit := sealed.MaxMessage(1000)
	resp, err := w.client("").Post("https://"+w.addr+"/sealed", sealed.MediaType, bytes.NewReader(make([]byte, limit+1)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", resp.StatusCode)
	}
	w.g.shares.bodies.Take(coco.ActorID{}, w.g.shares.bodies.Limit())
	a := w.announced(t)
	if reply, status, body := w.askSealed(t, w.client(""), a, sealed.Request{Method: "GET", Target: "/node/status"}); reply != nil || status != http.StatusServiceUnavailable {
		t.Errorf("with all memory for bodies taken: %d %s", status, body)
	}
}

// named is a scheme whose credential is an organisation's name.
type named struct{}

func (named) Name() string { return "Named" }

func (named) Authenticate(_ *http.Request, credential string) (caller.Identity, error) {
	return caller.Identity{Caller: coco.Caller{Actor: coco.ActorID{credential[0]}, Name: credential, Role: coco.Participant}}, nil
}

// What a sealed request holds counts as its organisation's from when that is known: one whose requests wait leaves room for others, and for those of whom nothing is known yet.
func TestSealedRequestsOfOneOrganisationLeaveRoomForOthers(t *testing.T) {
	begun, wait := make(chan string), make(chan struct{})
	w := start(t, []adapter.Endpoint{{Pattern: "POST /app/x", Repeatable: func([]byte) bool { return true }, Handler: func(c coco.Caller, w http.ResponseWriter, r *http.Request) {
		begun <- c.Name
		<-wait
	}}}, func(c *Config) {
		c.Schemes = caller.Schemes{named{}}
		c.Now = time.Now
		c.Limits.MaxBodies = 16 << 10
	})
	a := w.announced(t)
	type answer struct {
		reply  *sealed.Reply
		status int
		body   string
	}
	ask := func(by string) <-chan answer {
		out := make(chan answer, 1)
		go func() {
			r := sealed.Request{Method: "POST", Target: "/app/x", Body: make([]byte, 900), Header: []sealed.Field{{Name: "Authorization", Value: "Named " + by}}}
			reply, status, body := w.askSealed(t, w.client(""), a, r)
			out <- answer{reply, status, body}
		}()
		return out
	}
	var waiting []<-chan answer
	refused := 0
	for range 16 {
		x := ask("acme")
		select {
		case <-begun:
			waiting = append(waiting, x)
		case got := <-x:
			if refused++; got.reply == nil || got.reply.Status != http.StatusServiceUnavailable || !strings.Contains(got.body, "its share") {
				t.Fatalf("beyond its share: %+v", got)
			}
		}
	}
	if len(waiting) == 0 || refused == 0 {
		t.Fatalf("%d requests wait, %d were refused", len(waiting), refused)
	}
	x := ask("globex")
	select {
	case <-begun:
	case got := <-x:
		t.Errorf("another organisation: %+v", got)
	}
	w.g.shares.mu.Lock()
	if n := w.g.shares.requests.Used(); n != len(waiting)+1 {
		t.Errorf("%d requests count, expected one for each of the %d that are open", n, len(waiting)+1)
	}
	w.g.shares.mu.Unlock()
	close(wait)
	for _, x := range append(waiting, x) {
		if got := <-x; got.reply == nil || got.reply.Status != http.StatusOK {
			t.Errorf("%+v", got)
		}
	}
	if n := w.g.shares.held(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
}
