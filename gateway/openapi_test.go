package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/openapitest"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/wire"
)

// operations lists what a gateway serves in the form of openapitest.Checker.Operations.
func (w *world) operations(endpoints ...adapter.Endpoint) (all []string) {
	for _, f := range w.g.facts() {
		if !f.elsewhere {
			endpoints = append(endpoints, adapter.Endpoint{Pattern: f.pattern, Query: f.query})
		}
	}
	for _, e := range endpoints {
		query := slices.Clone(e.Query)
		slices.Sort(query)
		all = append(all, strings.Join(append([]string{e.Pattern}, query...), " "))
	}
	slices.Sort(all)
	return all
}

func withAdministration(c *Config) {
	c.Owner, c.LogLevel = coco.ActorID{'A'}, new(slog.LevelVar)
	c.Retire = func(context.Context) (coco.TxID, error) { return coco.TxID{View: 2, Seqno: 9}, nil }
}

func TestADocumentListsWhatItsListenerServesAndNothingElse(t *testing.T) {
	a := startAdmin(t, withAdministration)
	for _, l := range []struct {
		at   *world
		want []string
	}{
		{a.world, a.operations()},
		{a.app, a.app.operations(adapter.Endpoint{Pattern: "GET /app/x"})},
	} {
		c := openapitest.New(t, l.at.client(""), "https://"+l.at.addr)
		if got := c.Operations(); !slices.Equal(got, l.want) {
			t.Errorf("the document lists\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(l.want, "\n"))
		}
		for _, f := range l.at.g.facts() {
			method, path, _ := strings.Cut(f.pattern, " ")
			if f.elsewhere {
				continue
			}
			if open := f.always != nil || f.anonymous != nil; c.Anonymous(method, path) != open {
				t.Errorf("%s: needs a certificate: %v; the document says otherwise", f.pattern, !open)
			}
		}
	}
}

func TestAnswersAreAsTheDocumentSays(t *testing.T) {
	a := startAdmin(t, withAdministration)
	a.node.snapshots = []wire.Snapshot{{ID: coco.TxID{View: 2, Seqno: 5}, Digest: coco.Digest{3}, Bytes: 7, Held: true}}
	type step struct {
		caller             string // "" for none
		status             int
		method, path, body string
		header             []string
	}
	run := func(w *world, client func(string) *http.Client, steps []step) {
		t.Helper()
		clients := map[string]*http.Client{"": w.client("")}
		c := openapitest.New(t, clients[""], "https://"+w.addr)
		for _, s := range steps {
			if clients[s.caller] == nil {
				clients[s.caller] = client(s.caller)
			}
			c.Ask(clients[s.caller], s.status, s.method, s.path, s.body, s.header...)
		}
		if rest := c.Unanswered(); len(rest) > 0 && !slices.Equal(rest, []string{"GET /app/x"}) {
			t.Errorf("no request was answered well for %q", rest)
		}
	}
	open := []step{
		{status: 200, method: "GET", path: "/livez"},
		{status: 200, method: "GET", path: "/readyz?verbose"},
		{status: 400, method: "GET", path: "/readyz?loud"},
		{status: 200, method: "GET", path: "/openapi.json"},
		{status: 400, method: "GET", path: "/openapi.json?x=1"},
		{status: 200, method: "GET", path: "/node/status"},
		{status: 200, method: "GET", path: "/node/constitution"},
		{status: 200, method: "GET", path: "/node/service"},
		{status: 200, method: "GET", path: "/node/evidence?nonce=00112233445566778899aabbccddeeff"},
		{status: 400, method: "GET", path: "/node/evidence?nonce=00"},
		{status: 401, method: "GET", path: "/node/snapshots"},
		{status: 200, method: "GET", path: "/node/snapshots", caller: "Alpha"},
	}
	run(a.app, a.app.client, append([]step{
		{status: 200, method: "GET", path: "/version"},
		{status: 200, method: "GET", path: "/node/sealed-key?nonce=00112233445566778899aabbccddeeff"},
		{status: 400, method: "GET", path: "/node/sealed-key?nonce=00"},
		{status: 200, method: "POST", path: "/sealed", body: string(sealedStatus(t)), header: []string{"Content-Type", sealed.MediaType}},
		{status: 403, method: "POST", path: "/sealed", body: "x", header: []string{"Content-Type", sealed.MediaType}},
		{status: 415, method: "POST", path: "/sealed", body: "x", header: []string{"Content-Type", wire.MediaJSON}},
		{status: 200, method: "GET", path: "/metrics", caller: "Alpha"},
		{status: 200, method: "GET", path: "/node/nodes", caller: "Alpha"},
		{status: 403, method: "GET", path: "/node/nodes", caller: "Mallory"},
		{status: 413, method: "GET", path: "/node/nodes", caller: "Alpha", body: "x"},
		{status: 200, method: "GET", path: "/node/tx/3.20", caller: "Alpha"},
		{status: 200, method: "GET", path: "/node/tx/3.21", caller: "Alpha"},
		{status: 400, method: "GET", path: "/node/tx/3", caller: "Alpha"},
		{status: 200, method: "GET", path: "/node/receipt/3.20", caller: "Alpha"},
		{status: 404, method: "GET", path: "/node/receipt/3.22", caller: "Alpha"},
		{status: 200, method: "GET", path: "/node/digest?seqno=3", caller: "Alpha"},
		{status: 400, method: "GET", path: "/node/digest?seqno=0", caller: "Alpha"},
		{status: 404, method: "GET", path: "/node/digest?seqno=21", caller: "Alpha"},
	}, open...))
	run(a.world, a.governor, append([]step{
		{status: 202, method: "POST", path: "/node/snapshots", caller: "Alpha"},
		{status: 403, method: "POST", path: "/node/snapshots", caller: "Guest"},
		{status: 200, method: "POST", path: "/node/retire", caller: "Alpha"},
		{status: 403, method: "POST", path: "/node/retire", caller: "Beta"},
		{status: 204, method: "PUT", path: "/node/log-level?level=info", caller: "Alpha"},
		{status: 400, method: "PUT", path: "/node/log-level?level=loud", caller: "Alpha"},
		{status: 200, method: "POST", path: "/gov/submit", caller: "Alpha", body: "signed", header: []string{"Content-Type", wire.MediaEnvelope}},
		{status: 400, method: "POST", path: "/gov/submit", caller: "Alpha", body: "other", header: []string{"Content-Type", wire.MediaEnvelope}},
		{status: 413, method: "POST", path: "/gov/submit", caller: "Alpha", body: strings.Repeat("x", maxEnvelope+1), header: []string{"Content-Type", wire.MediaEnvelope}},
		{status: 200, method: "GET", path: "/gov/proposals?state=open&limit=5", caller: "Alpha"},
		{status: 400, method: "GET", path: "/gov/proposals?limit=0", caller: "Alpha"},
		{status: 200, method: "GET", path: "/gov/proposals/3", caller: "Alpha"},
		{status: 404, method: "GET", path: "/gov/proposals/9", caller: "Alpha"},
		{status: 200, method: "GET", path: "/gov/constitution?version=2", caller: "Alpha"},
		{status: 404, method: "GET", path: "/gov/constitution?version=3", caller: "Alpha"},
		{status: 200, method: "GET", path: "/gov/constitution/history", caller: "Alpha"},
		{status: 200, method: "POST", path: "/gov/simulate", caller: "Alpha", body: "x = 1", header: []string{"Content-Type", wire.MediaActions}},
		{status: 200, method: "GET", path: "/gov/nodes", caller: "Alpha"},
		{status: 200, method: "GET", path: "/gov/watch?after=3&wait=1", caller: "Alpha"},
		{status: 400, method: "GET", path: "/gov/watch?wait=61", caller: "Alpha"},
	}, open...))
	a.node.checks = []Check{{Name: "disk", Problem: "it is full"}}
	c := openapitest.New(t, a.app.client(""), "https://"+a.app.addr)
	c.Ask(a.app.client(""), 503, "GET", "/readyz", "")
	a.node.joining = true
	c.Ask(a.app.client(""), 503, "GET", "/node/constitution", "")
	c.Ask(a.app.client("Alpha"), 503, "GET", "/node/nodes", "")
}

// The schemas have the names of what they describe, so that a field that is added is found missing here.
func TestSchemasAreTheTypesOfPackageWire(t *testing.T) {
	a := startAdmin(t, withAdministration)
	app, admin := openapitest.New(t, a.app.client(""), "https://"+a.app.addr), openapitest.New(t, a.client(""), "https://"+a.addr)
	for _, v := range []any{
		wire.Status{},
		wire.Resident{},
		wire.Keys{},
		wire.Certificate{},
		wire.Version{},
		wire.Evidence{},
		wire.SealedKey{},
		wire.Node{},
		wire.Tx{},
		wire.StateDigest{},
		wire.Snapshot{},
		wire.SnapshotAsked{},
		wire.Retired{},
		wire.Outcome{},
		wire.Effect{},
		wire.Proposal{},
		wire.Ballot{},
		wire.ConstitutionVersion{},
		wire.Simulation{},
		wire.Quorum{},
		wire.Consequence{},
		wire.PolicyUse{},
		wire.GovNews{},
		wire.GovEvent{},
	} {
		var properties, required []string
		of := reflect.TypeOf(v)
		for i := range of.NumField() {
			name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if properties = append(properties, name); options == "" {
				required = append(required, name)
			}
		}
		slices.Sort(properties)
		slices.Sort(required)
		p, r := app.Schema(of.Name())
		if p == nil {
			p, r = admin.Schema(of.Name())
		}
		if !slices.Equal(p, properties) || !slices.Equal(r, required) {
			t.Errorf("%s has %q, of which it always has %q; the document says %q and %q", of.Name(), properties, required, p, r)
		}
	}
}

func TestAnAdaptersDocumentIsMergedWithTheGateways(t *testing.T) {
	document := func(path, components string) []byte {
		return []byte(`{"paths":{"` + path + `":{"get":{"responses":{"200":{"description":"ok","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Mine"}}}},"404":{"$ref":"#/components/responses/Error404"}}}}},"components":` + cmp.Or(components, `{"schemas":{"Mine":{"type":"object"},"Unused":{"type":"object"}}}`) + `}`)
	}
	h := func(_ coco.Caller, w http.ResponseWriter, _ *http.Request) { write(w, wire.MediaJSON, []byte("{}")) }
	w := start(t, []adapter.Endpoint{
		{Pattern: "GET /app/mine", Handler: h, OpenAPI: document("/app/mine", "")},
		{Pattern: "PUT /app/some/{name}/{rest...}", Handler: h, Query: []string{"b", "a"}},
		{Pattern: "/app/all/", Handler: h, Query: adapter.AnyQuery},
	})
	c := openapitest.New(t, w.client(""), "https://"+w.addr)
	c.Ask(w.client("Alpha"), 200, "GET", "/app/mine", "")
	c.Ask(w.client(""), 200, "GET", "/node/status", "")
	got := slices.DeleteFunc(c.Operations(), func(o string) bool { return !strings.Contains(o, "/app/") })
	want := []string{"DELETE /app/all/", "GET /app/all/", "GET /app/mine", "PATCH /app/all/", "POST /app/all/", "PUT /app/all/", "PUT /app/some/{name}/{rest} a b"}
	if !slices.Equal(got, want) {
		t.Errorf("the document lists %q, expected %q", got, want)
	}
	if p, _ := c.Schema("Proposal"); p != nil {
		t.Error("the listener for applications describes proposals, which it does not serve")
	}
	for what, d := range map[string][]byte{
		"no JSON":               []byte("{"),
		"a path of no endpoint": document("/app/other", ""),
		"a missing component":   document("/app/mine", `{}`),
		"a name that is taken":  document("/app/mine", `{"schemas":{"Mine":{},"Status":{"type":"string"}}}`),
	} {
		if err := w.g.Mount(10, adapter.Endpoint{Pattern: "GET /app/mine", Handler: h, OpenAPI: d}); err == nil {
			t.Errorf("a document with %s is merged", what)
		}
	}
}
