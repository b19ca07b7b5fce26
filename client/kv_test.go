package client

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/wire"
)

// What a client asks of an audience's rows names the audience in each request, the pages after the first too.
func TestEveryRequestOfAnAudienceNamesIt(t *testing.T) {
	type request struct{ method, target, audience, match, media, body, least string }
	var got []request
	n := newNode(t, newAuthority(t, "service"), "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = append(got, request{r.Method, r.URL.RequestURI(), r.Header.Get(wire.HeaderAudience), r.Header.Get("If-Match"), r.Header.Get("Content-Type"), string(body), r.Header.Get(wire.HeaderAtLeast)})
			w.Header().Set(wire.HeaderTxID, "2.18")
			switch {
			case r.Method == "PUT":
				w.WriteHeader(http.StatusCreated)
			case r.Method == "DELETE":
				w.WriteHeader(http.StatusNoContent)
			case r.URL.RawQuery == "":
				w.Header().Set("Etag", `"17"`)
				_, _ = io.WriteString(w, "4711")
			case r.URL.Query().Has("history"):
				_, _ = io.WriteString(w, `{"transaction_id":"2.18","items":[{"transaction_id":"2.17","time":"","value":"YQ=="}],"next":"/app/kv/price?history&before=17&audience=x"}`)
			default:
				_, _ = io.WriteString(w, `{"transaction_id":"2.18","items":[{"key":"YQ==","key_text":"a","value":"YQ==","etag":"17"}],"next":"/app/kv?from=b&audience=x"}`)
			}
		}
	})
	ctx := t.Context()
	kv := newClient(t, Config{Addr: n.addr, Policy: policy()}).KV().For("acme", "bank")
	if w, err := kv.Put(ctx, "a/b ?", []byte("v"), "text/plain", Condition{Match: "17"}); err != nil || w != (Written{coco.TxID{View: 2, Seqno: 18}, true}) {
		t.Errorf("put: %+v, %v", w, err)
	}
	if w, err := kv.Delete(ctx, "k", Condition{Match: "*"}); err != nil || w.Created {
		t.Errorf("delete: %+v, %v", w, err)
	}
	if v, err := kv.AtLeast(coco.TxID{View: 2, Seqno: 18}).Get(ctx, "price"); err != nil || string(v.Value) != "4711" || v.Version != 17 || v.TxID.Seqno != 18 {
		t.Errorf("get: %+v, %v", v, err)
	}
	page, err := kv.List(ctx, Range{Prefix: "p", Limit: 1})
	if err != nil || len(page.Items) != 1 || page.NextKey() != "b" {
		t.Fatalf("list: %+v, %v", page, err)
	}
	if _, err := kv.More(ctx, page); err != nil {
		t.Error(err)
	}
	versions, err := kv.History(ctx, "price", 0)
	if err != nil || len(versions.Items) != 1 {
		t.Fatalf("history: %+v, %v", versions, err)
	}
	if _, err := kv.Earlier(ctx, versions); err != nil {
		t.Error(err)
	}
	want := []request{
		{"PUT", "/app/kv/a%2Fb%20%3F", "acme,bank", `"17"`, "text/plain", "v", ""},
		{"DELETE", "/app/kv/k", "acme,bank", "*", "", "", ""},
		{"GET", "/app/kv/price", "acme,bank", "", "", "", "2.18"},
		{"GET", "/app/kv?limit=1&prefix=p", "acme,bank", "", "", "", ""},
		{"GET", "/app/kv?from=b&audience=x", "acme,bank", "", "", "", ""},
		{"GET", "/app/kv/price?history", "acme,bank", "", "", "", ""},
		{"GET", "/app/kv/price?history&before=17&audience=x", "acme,bank", "", "", "", ""},
	}
	if len(got) != len(want) {
		t.Fatalf("%d requests: %+v", len(got), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("request %d: %+v, expected %+v", i, got[i], want[i])
		}
	}
}

// A name that is missing opens nothing: the node is asked for an audience, and refuses it.
func TestAnAudienceOfAnEmptyNameIsNotAllCallers(t *testing.T) {
	asked := 0
	n := newNode(t, newAuthority(t, "service"), "", func(n *node) {
		n.handler = func(_ http.ResponseWriter, r *http.Request) {
			if h := r.Header[wire.HeaderAudience]; len(h) == 1 && h[0] == "" {
				asked++
			}
		}
	})
	kv := newClient(t, Config{Addr: n.addr, Policy: policy()}).KV()
	_, _ = kv.For("").Get(t.Context(), "k")
	_, _ = kv.For("").Put(t.Context(), "k", nil, "", Condition{})
	_, _ = kv.For("").For().Get(t.Context(), "k")
	if asked != 2 {
		t.Errorf("%d requests name an audience, expected 2", asked)
	}
}

func TestRowsThatResideAreOfTheSameAudienceAndSession(t *testing.T) {
	var got http.Header
	n := newNode(t, newAuthority(t, "service"), "", func(n *node) {
		n.handler = func(_ http.ResponseWriter, r *http.Request) { got = r.Header }
	})
	kv := newClient(t, Config{Addr: n.addr, Policy: policy()}).KV()
	_, _ = kv.For("acme", "bank").AtLeast(coco.TxID{View: 2, Seqno: 18}).Resident().Get(t.Context(), "k")
	if got.Get(wire.HeaderAudience) != "acme,bank; resident" || got.Get(wire.HeaderAtLeast) != "2.18" {
		t.Errorf("it asks with %v", got)
	}
}

func TestAKeyOfDotsIsNoDotSegment(t *testing.T) {
	for key, want := range map[string]string{".": "/app/kv/%2E", "..": "/app/kv/%2E%2E", "...": "/app/kv/...", "a/..": "/app/kv/a%2F.."} {
		if got := pathOf(key); got != want {
			t.Errorf("%s: %s, expected %s", key, got, want)
		}
	}
}

// A page's next is a node's word: it does not have a client call another route.
func TestANextPageElsewhereIsNotAskedFor(t *testing.T) {
	asked := 0
	n := newNode(t, newAuthority(t, "service"), "", func(n *node) {
		n.handler = func(http.ResponseWriter, *http.Request) { asked++ }
	})
	kv := newClient(t, Config{Addr: n.addr, Policy: policy()}).KV()
	for _, next := range []string{"/gov/propose", "/app/kv/key?history", "//other/app/kv?x", "@other/app/kv?x"} {
		if _, err := kv.More(t.Context(), wire.Rows{Next: next}); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v", next, err)
		}
	}
	if _, err := kv.Earlier(t.Context(), wire.RowVersions{Next: "/app/kv?from=a"}); !errors.Is(err, coco.ErrCorrupt) {
		t.Error(err)
	}
	if asked != 0 {
		t.Errorf("%d requests", asked)
	}
}

// unread is a body that a node which refuses must not be sent.
type unread struct {
	io.Reader
	t *testing.T
}

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the value is sent to a node that must not have it")
	return 0, io.EOF
}

func TestAResidentRowIsAskedForAtNodesThatAreNamedAndVerified(t *testing.T) {
	service := newAuthority(t, "service")
	var home, liar *node
	var got []string
	home = newNode(t, service, "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = append(got, r.Method+" "+r.Header.Get(wire.HeaderAudience)+" "+string(body))
			w.Header().Set(wire.HeaderTxID, "2.18")
			w.Header().Set("Etag", `"17"`)
			w.Header().Set(wire.HeaderSalt, "0a0b")
			if r.Method == "PUT" {
				w.WriteHeader(http.StatusCreated)
			}
		}
	})
	liar = newNode(t, newAuthority(t, "another network"), "", func(n *node) {
		n.handler = func(http.ResponseWriter, *http.Request) { t.Error("a node of another network is asked") }
	})
	asked := 0
	outside := newNode(t, service, "", func(n *node) {
		n.handler = func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set(wire.HeaderNodes, liar.addr+", "+home.addr)
			w.WriteHeader(http.StatusMisdirectedRequest)
			_, _ = io.WriteString(w, `{"error":{"code":"misdirected","message":"ask a node of the audience"}}`)
		}
	})
	p := policy()
	p.Service = service.cert
	c := newClient(t, Config{Addr: outside.addr, Policy: p})
	kv := c.KV().For("acme", "bank").Resident()
	if w, err := kv.Put(t.Context(), "price", []byte("4711"), "", Condition{}); err != nil || !w.Created {
		t.Fatalf("put: %+v, %v", w, err)
	}
	if v, err := kv.Get(t.Context(), "price"); err != nil || v.Version != 17 || string(v.Salt) != "\n\v" {
		t.Fatalf("get: %+v, %v", v, err)
	}
	if want := []string{"PUT acme,bank; resident 4711", "GET acme,bank; resident "}; !slices.Equal(got, want) || asked != 1 {
		t.Errorf("the audience's node got %q, expected %q; the other one was asked %d times, expected once", got, want, asked)
	}
	// A small body, too, is sent once a node asks for it.
	r, err := http.NewRequestWithContext(t.Context(), "PUT", "https://node/app/kv/price", unread{t: t})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength, r.GetBody = 4, func() (io.ReadCloser, error) { return io.NopCloser(unread{t: t}), nil }
	r.Header.Set("Expect", "100-continue")
	resp, err := c.Transport().RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	// A client that knows no service would take a node of any network for the named one.
	if _, err := newClient(t, Config{Addr: outside.addr, Policy: policy()}).KV().For("acme").Resident().Get(t.Context(), "price"); wire.ProblemOf(err).Code != wire.CodeMisdirected {
		t.Errorf("without a service: %v", err)
	}
	home.srv.Close()
	if _, err := kv.Get(t.Context(), "price"); wire.ProblemOf(err).Code != wire.CodeMisdirected {
		t.Errorf("once no node of the audience is reached: %v", err)
	}
}

// A sealed request goes out as a whole, so the node is not asked whether it wants the body.
func TestASealedRequestDoesNotWaitForTheNodeToWantIt(t *testing.T) {
	s, err := NewSealed(SealedConfig{URL: "https://balancer.example", Policy: policy()})
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{t: &Transport{sealed: s}}
	req, err := c.KV().For("acme").Resident().request(t.Context(), "PUT", "/app/kv/price", []byte("4711"), Condition{}.header())
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.request(req, nil)
	if err != nil || string(in.Body) != "4711" {
		t.Fatalf("%+v, %v", in, err)
	}
	for _, f := range in.Header {
		if f.Name == "Expect" {
			t.Errorf("the node is told %+v", f)
		}
	}
	if !slices.ContainsFunc(in.Header, func(f sealed.Field) bool { return f.Name == wire.HeaderAudience }) {
		t.Errorf("the audience is missing: %+v", in.Header)
	}
}
