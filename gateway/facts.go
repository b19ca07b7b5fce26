package gateway

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gateway/openapi"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/wire"
)

// The lengths of a nonce that a client may ask evidence for, in bytes.
const (
	minNonce = 16
	maxNonce = 64
)

// ownPaths are the routes of the gateway that are not under /node: where probes, Prometheus and tools look.
var ownPaths = []string{"/livez", "/readyz", "/version", "/metrics", "/openapi.json"}

// fact is a route of the gateway's own. One of the handlers is set.
type fact struct {
	pattern   string
	always    http.HandlerFunc // open to all, and beyond all limits
	anonymous http.HandlerFunc
	handler   adapter.Handler
	// reads says what of the ledgers the request asks to see; nil if the answer tells nothing of them.
	reads func(*http.Request) (adapter.Read, error)
	own   bool     // the organisation that runs the node is not asked about: its machine tells it the same
	body  int64    // limit of the body in bytes, for handler
	query []string // the parameters that a query may have
	// owners opens the route to participants at the administrative listener. The handler itself checks that the
	// caller runs this node, unless every caller may have the answer.
	owners bool
	// elsewhere: the route is at the other listener, and is there only to say so. It is in no document.
	elsewhere bool
}

// facts lists what a node tells about itself and its network. A client that has not verified the
// node must not show its certificate's powers to it, so what it verifies by is open to all.
func (g *Gateway) facts() []fact {
	if g.governor != nil {
		return g.adminFacts()
	}
	return []fact{
		{pattern: "GET /livez", always: g.serveLive},
		{pattern: "GET /readyz", anonymous: g.serveReady, query: []string{"verbose"}},
		{pattern: "GET /version", anonymous: g.serveVersion},
		{pattern: "GET /metrics", handler: g.serveMetrics, reads: reads(adapter.Measures), own: true},
		{pattern: "GET /openapi.json", anonymous: g.serveOpenAPI},
		{pattern: "GET /node/status", anonymous: g.serveStatus},
		{pattern: "GET /node/constitution", anonymous: g.serveConstitution},
		{pattern: "GET /node/service", anonymous: g.serveService},
		{pattern: "GET /node/evidence", anonymous: g.serveEvidence, query: []string{"nonce"}},
		{pattern: "GET /node/sealed-key", anonymous: g.serveSealedKey, query: []string{"nonce"}},
		{pattern: "POST /sealed", always: g.serveSealed},
		{pattern: "GET /node/nodes", handler: g.serveNodes},
		{pattern: "GET /node/tx/{txid}", handler: g.serveTx, reads: readsTx(adapter.Transaction)},
		{pattern: "GET /node/receipt/{txid}", handler: g.serveReceipt, reads: readsTx(adapter.Receipt)},
		{pattern: "GET /node/digest", handler: g.serveDigest, reads: reads(adapter.Digest), query: []string{"seqno"}},
		{pattern: "GET /node/snapshots", handler: g.serveSnapshots, reads: reads(adapter.Measures), own: true},
		{pattern: "POST /node/snapshots", elsewhere: true, handler: g.serveElsewhere},
		{pattern: "POST /node/retire", elsewhere: true, handler: g.serveElsewhere},
		{pattern: "PUT /node/log-level", elsewhere: true, handler: g.serveElsewhere, query: []string{"level"}},
		{pattern: "/gov/", elsewhere: true, handler: g.serveElsewhere, body: maxEnvelope, query: adapter.AnyQuery},
	}
}

// documented are those of the routes that are served here, for the document.
func documented(facts []fact) (routes []openapi.Route) {
	for _, f := range facts {
		if !f.elsewhere {
			routes = append(routes, openapi.Route{Pattern: f.pattern, Query: f.query})
		}
	}
	return routes
}

// serveOpenAPI sends the document of what this listener serves now.
func (g *Gateway) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	write(w, wire.MediaJSON, g.routes.Load().document)
}

// readsTx is a read about the transaction that the path names.
func readsTx(subject adapter.Subject) func(*http.Request) (adapter.Read, error) {
	return func(r *http.Request) (adapter.Read, error) {
		id, err := coco.ParseTxID(r.PathValue("txid"))
		return adapter.Read{Subject: subject, TxID: id}, err
	}
}

// reads is a read of something of the whole state.
func reads(what adapter.Subject) func(*http.Request) (adapter.Read, error) {
	return func(*http.Request) (adapter.Read, error) { return adapter.Read{Subject: what}, nil }
}

// authorized asks the ledgers before h looks anything up.
func (g *Gateway) authorized(f fact) adapter.Handler {
	if f.reads == nil {
		return f.handler
	}
	return func(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
		read, err := f.reads(r)
		if err == nil && !(f.own && caller.Actor == g.cfg.Owner && caller.User == "") {
			err = g.cfg.Node.Authorize(caller, read)
		}
		if err != nil {
			g.fail(w, r, err)
			return
		}
		f.handler(caller, w, r)
	}
}

func (g *Gateway) serveStatus(w http.ResponseWriter, r *http.Request) {
	s := g.cfg.Node.Status()
	for _, c := range g.outages() {
		s.Warning = strings.TrimSpace(s.Warning + " " + c.Warning)
	}
	g.answer(w, r, s, nil)
}

func (g *Gateway) serveConstitution(w http.ResponseWriter, r *http.Request) {
	page, digest, err := g.cfg.Node.Constitution()
	if err != nil {
		g.fail(w, r, err)
		return
	}
	w.Header().Set(wire.HeaderDigest, digest.String())
	write(w, wire.MediaPage, page)
}

func (g *Gateway) serveService(w http.ResponseWriter, r *http.Request) {
	certificate, err := g.cfg.Node.Service()
	if err != nil {
		g.fail(w, r, err)
		return
	}
	write(w, wire.MediaPEM, certificate)
}

func (g *Gateway) serveEvidence(w http.ResponseWriter, r *http.Request) {
	g.quote(w, r, func(nonce []byte) (any, error) {
		evidence, err := g.cfg.Node.Evidence(r.Context(), nonce)
		evidence.Nonce = hex.EncodeToString(nonce)
		return evidence, err
	})
}

// quote answers by evidence over the client's nonce, of which few are made at a time.
func (g *Gateway) quote(w http.ResponseWriter, r *http.Request, over func(nonce []byte) (any, error)) {
	nonce, err := hex.DecodeString(r.URL.Query().Get("nonce"))
	if err != nil || len(nonce) < minNonce || len(nonce) > maxNonce {
		g.fail(w, r, fmt.Errorf("%w: nonce: expected %d to %d bytes in hexadecimal, such as ?nonce=00112233445566778899aabbccddeeff",
			coco.ErrInvalid, minNonce, maxNonce))
		return
	}
	if !g.gates.evidence.enter() {
		g.fail(w, r, fmt.Errorf("%w: too many clients ask for evidence at a time", coco.ErrBusy))
		return
	}
	defer g.gates.evidence.leave()
	evidence, err := over(nonce)
	g.answer(w, r, evidence, err)
}

func (g *Gateway) serveNodes(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	answerList(g, w, r, "ask another node", g.cfg.Node.Nodes)
}

func (g *Gateway) serveTx(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	id, err := coco.ParseTxID(r.PathValue("txid"))
	if err != nil {
		g.fail(w, r, err)
		return
	}
	status, err := g.cfg.Node.TxStatus(id)
	g.answer(w, r, wire.Tx{ID: id, Status: status}, err)
}

func (g *Gateway) serveReceipt(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	id, err := coco.ParseTxID(r.PathValue("txid"))
	if err != nil {
		g.fail(w, r, err)
		return
	}
	// A transaction that is on its way is not waited for in a turn of others.
	if err := g.cfg.Node.AwaitCommit(r.Context(), id); err != nil {
		g.fail(w, r, err)
		return
	}
	g.build(w, r, wire.MediaJSON, "the transaction claims more than a receipt over HTTP may hold", func(out *budget.Buffer) error {
		receipt, claims, err := g.cfg.Node.Receipt(r.Context(), id)
		if err != nil {
			return err
		}
		// Before the transaction was waited for nobody knew what it is, so the ledgers are asked again.
		if err := g.cfg.Node.Authorize(caller, adapter.Read{Subject: adapter.Receipt, TxID: id, Claims: claims}); err != nil {
			return err
		}
		return out.Own(receipt)
	})
}

// serveRetire takes this node out of its network, for the organisation that runs it. The answer is sent
// once the ledger says so; the node ends when consensus does without it.
func (g *Gateway) serveRetire(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	if caller.Actor != g.cfg.Owner {
		g.fail(w, r, fmt.Errorf("%w: only the organisation that runs this node retires it", coco.ErrDenied))
		return
	}
	g.cfg.Log.Warn("gateway: asked to retire this node", "by", caller.Name)
	id, err := g.cfg.Retire(r.Context())
	g.answer(w, r, wire.Retired{ID: id}, err)
}

// serveDigest reads the whole state, so one caller at a time may ask.
func (g *Gateway) serveDigest(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	var seqno uint64
	if text := r.URL.Query().Get("seqno"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			g.fail(w, r, fmt.Errorf("%w: seqno %q: expected a positive number, or none for the last commit", coco.ErrInvalid, text))
			return
		}
		seqno = n
	}
	if !g.gates.digests.enter() {
		g.fail(w, r, fmt.Errorf("%w: a digest of the state is being made", coco.ErrBusy))
		return
	}
	defer g.gates.digests.leave()
	seqno, digest, err := g.cfg.Node.StateDigest(seqno)
	g.answer(w, r, wire.StateDigest{Seqno: seqno, Digest: digest}, err)
}

// answer sends a value as JSON, or an error.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, value any, err error) {
	var text []byte
	if err == nil {
		text, err = json.Marshal(value)
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	write(w, wire.MediaJSON, append(text, '\n'))
}

func write(w http.ResponseWriter, contentType string, content []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(content) // a client that has gone
}
