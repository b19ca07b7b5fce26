package gateway

import (
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// Bounds of what members send. An envelope is as large as package gov/envelope lets it be.
const (
	maxEnvelope = 256 << 10
	maxActions  = 256 << 10
)

// NewAdmin makes the administrative gateway of a node: the same node, on a listener of its own. It serves
// /gov, for members; the routes that change how the node or its network is run, for the node's owner or for
// members; and those routes under /node by which a client verifies the node first.
//
// No certificate works at both listeners: the administrative one accepts those whose organisational unit is
// coco.GovernanceUnit, the other one all others. Answers are counted in the metrics of g.
func (g *Gateway) NewAdmin(governor Governor) (*Gateway, error) {
	if governor == nil {
		return nil, fmt.Errorf("%w: gateway: the administrative listener needs a Governor", coco.ErrInvalid)
	}
	cfg := g.cfg
	cfg.Metrics, cfg.Schemes = nil, nil
	cfg.MaxConns, cfg.MaxRequests, cfg.MaxAnonymous, cfg.MaxStreams = min(cfg.MaxConns, 512), min(cfg.MaxRequests, 512), min(cfg.MaxAnonymous, 64), 1
	cfg.MaxBodies = min(cfg.MaxBodies, 64<<20)
	return newGateway(cfg, governor, g.tally, g.replies)
}

// adminFacts lists the routes of the administrative listener.
func (g *Gateway) adminFacts() []fact {
	facts := []fact{
		{pattern: "GET /livez", always: g.serveLive},
		{pattern: "GET /readyz", anonymous: g.serveReady, query: []string{"verbose"}},
		{pattern: "GET /openapi.json", anonymous: g.serveOpenAPI},
		{pattern: "GET /node/status", anonymous: g.serveStatus},
		{pattern: "GET /node/constitution", anonymous: g.serveConstitution},
		{pattern: "GET /node/service", anonymous: g.serveService},
		{pattern: "GET /node/evidence", anonymous: g.serveEvidence, query: []string{"nonce"}},
		{pattern: "GET /node/snapshots", handler: g.serveSnapshots, reads: reads(adapter.Measures), own: true, owners: true},
		{pattern: "POST /node/snapshots", handler: g.serveSnapshotRequest},
		{pattern: "POST /gov/submit", handler: g.serveSubmit, body: maxEnvelope},
		{pattern: "GET /gov/proposals", handler: g.serveProposals, query: []string{"state", "limit"}},
		{pattern: "GET /gov/proposals/{id}", handler: g.serveProposal},
		{pattern: "GET /gov/constitution", handler: g.serveConstitutionAt, query: []string{"version"}},
		{pattern: "GET /gov/constitution/history", handler: g.serveHistory, query: []string{"after"}},
		{pattern: "POST /gov/simulate", handler: g.serveSimulate, body: maxActions},
		{pattern: "GET /gov/nodes", handler: g.serveGovNodes},
		{pattern: "GET /gov/watch", handler: g.serveWatch, query: []string{"after", "wait"}},
	}
	if g.cfg.Retire != nil {
		facts = append(facts, fact{pattern: "POST /node/retire", handler: g.serveRetire, owners: true})
	}
	if g.cfg.LogLevel != nil {
		facts = append(facts, fact{pattern: "PUT /node/log-level", handler: g.serveLogLevel, owners: true, query: []string{"level"}})
	}
	return facts
}

// checkUnit refuses applications' certificates at the administrative listener, governance certificates at
// the other one, and certificates for nodes at both.
func (g *Gateway) checkUnit(subject pkix.Name) error {
	governs := slices.Contains(subject.OrganizationalUnit, coco.GovernanceUnit)
	switch {
	case slices.Contains(subject.OrganizationalUnit, coco.NodesUnit):
		return fmt.Errorf("%w: certificate %q is for nodes (organisational unit %q): an organisation signs for its nodes by it, and it is good for no request",
			coco.ErrDenied, subject, coco.NodesUnit)
	case governs && g.governor == nil:
		return fmt.Errorf("%w: certificate %q is for governance: it works at the node's administrative listener only; this is the listener for applications, which takes certificates without the organisational unit %q",
			coco.ErrDenied, subject, coco.GovernanceUnit)
	case !governs && g.governor != nil:
		return fmt.Errorf("%w: certificate %q is for applications: this is the node's administrative listener, which takes an organisation's certificate with the organisational unit (OU) %q only; `coco member csr` asks for one",
			coco.ErrDenied, subject, coco.GovernanceUnit)
	}
	return nil
}

// serveElsewhere refuses a request for the administrative listener that came to the listener for applications.
func (g *Gateway) serveElsewhere(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	what := "members govern"
	if strings.HasPrefix(r.URL.Path, "/node/") {
		what = "organisations administer nodes"
	}
	g.fail(w, r, fmt.Errorf("%w: this is the listener for applications: %s at the node's administrative listener (admin in its node.toml), with a certificate whose organisational unit (OU) is %q",
		coco.ErrDenied, what, coco.GovernanceUnit))
}

// forMembers refuses participants at the administrative listener. The caller is identified already.
func (g *Gateway) forMembers(h adapter.Handler) adapter.Handler {
	if g.governor == nil {
		return h
	}
	return func(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
		if caller.Role != coco.Member {
			g.fail(w, r, fmt.Errorf("%w: %q is a participant: participants transact and run nodes, and only members govern (rule: the constitution's list of members)",
				coco.ErrDenied, caller.Name))
			return
		}
		h(caller, w, r)
	}
}
