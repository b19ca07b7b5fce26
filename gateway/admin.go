package gateway

import (
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/wire"
)

// Bounds of what members send. An envelope is as large as package gov/envelope lets it be.
const (
	maxEnvelope = 256 << 10
	maxActions  = 256 << 10
)

// NewAdmin makes the administrative gateway of a node: the same node, on a listener of its own. It has
// /gov, for members alone; what changes how the node or its network is run, for who owns the node or for
// members; and of /node what a client needs to verify the node first.
//
// The two have no credential in common: here a caller shows a certificate whose organisational unit is
// coco.GovernanceUnit, there one whose unit is not. Answers are counted in the metrics of g.
func (g *Gateway) NewAdmin(governor Governor) (*Gateway, error) {
	if governor == nil {
		return nil, fmt.Errorf("%w: gateway: the administrative listener needs a Governor", coco.ErrInvalid)
	}
	cfg := g.cfg
	cfg.Metrics = nil
	cfg.MaxConns, cfg.MaxRequests, cfg.MaxAnonymous, cfg.MaxStreams = min(cfg.MaxConns, 512), min(cfg.MaxRequests, 512), min(cfg.MaxAnonymous, 64), 1
	cfg.MaxBodies, cfg.MaxAnswers = min(cfg.MaxBodies, 64<<20), min(cfg.MaxAnswers, 64<<20)
	return newGateway(cfg, governor, g.tally)
}

// adminFacts lists the routes of the administrative listener.
func (g *Gateway) adminFacts() []fact {
	facts := []fact{
		{pattern: "GET /livez", always: g.serveLive},
		{pattern: "GET /readyz", anonymous: g.serveReady},
		{pattern: "GET /node/status", anonymous: g.serveStatus},
		{pattern: "GET /node/constitution", anonymous: g.serveConstitution},
		{pattern: "GET /node/service", anonymous: g.serveService},
		{pattern: "GET /node/evidence", anonymous: g.serveEvidence},
		{pattern: "GET /node/snapshots", handler: g.serveSnapshots, owners: true},
		{pattern: "POST /node/snapshots", handler: g.serveSnapshotRequest},
		{pattern: "POST /gov/submit", handler: g.serveSubmit, body: maxEnvelope},
		{pattern: "GET /gov/proposals", handler: g.serveProposals},
		{pattern: "GET /gov/proposals/{id}", handler: g.serveProposal},
		{pattern: "GET /gov/constitution", handler: g.serveConstitutionAt},
		{pattern: "GET /gov/constitution/history", handler: g.serveHistory},
		{pattern: "POST /gov/simulate", handler: g.serveSimulate, body: maxActions},
		{pattern: "GET /gov/nodes", handler: g.serveGovNodes},
		{pattern: "GET /gov/watch", handler: g.serveWatch},
	}
	if g.cfg.Retire != nil {
		facts = append(facts, fact{pattern: "POST /node/retire", handler: g.serveRetire, owners: true})
	}
	if g.cfg.LogLevel != nil {
		facts = append(facts, fact{pattern: "PUT /node/log-level", handler: g.serveLogLevel, owners: true})
	}
	return facts
}

// checkUnit keeps applications' certificates from the administrative listener, and governance ones from
// the other.
func (g *Gateway) checkUnit(subject pkix.Name) error {
	governs := slices.Contains(subject.OrganizationalUnit, coco.GovernanceUnit)
	switch {
	case governs && g.governor == nil:
		return fmt.Errorf("%w: certificate %q is for governance: it works at the node's administrative listener only; this is the listener for applications, which takes certificates without the organisational unit %q",
			coco.ErrDenied, subject, coco.GovernanceUnit)
	case !governs && g.governor != nil:
		return fmt.Errorf("%w: certificate %q is for applications: this is the node's administrative listener, which takes an organisation's certificate with the organisational unit (OU) %q only; `coco member csr` asks for one",
			coco.ErrDenied, subject, coco.GovernanceUnit)
	}
	return nil
}

// serveElsewhere tells a caller who wants to govern, or to administer the node, that this is the wrong
// listener.
func (g *Gateway) serveElsewhere(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	what := "members govern"
	if strings.HasPrefix(r.URL.Path, "/node/") {
		what = "organisations administer nodes"
	}
	g.fail(w, r, fmt.Errorf("%w: this is the listener for applications: %s at the node's administrative listener (admin in its node.toml), with a certificate whose organisational unit (OU) is %q",
		coco.ErrDenied, what, coco.GovernanceUnit))
}

// forMembers lets members through. Whoever gets here is known.
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

// serveSubmit takes a signed statement. The answer means that it is committed.
func (g *Gateway) serveSubmit(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err == nil && len(raw) == 0 {
		err = fmt.Errorf("%w: expected a signed proposal or ballot (COSE_Sign1) as the body, found nothing", coco.ErrInvalid)
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	outcome, err := g.governor.Govern(r.Context(), raw)
	g.answer(w, r, outcome, err)
}

// States of a proposal, for the filter of GET /gov/proposals.
var proposalStates = []string{"open", "accepted", "rejected", "withdrawn", "expired", "failed"}

// The proposals in a list: 100 unless the client says otherwise.
const (
	someProposals = 100
	maxProposals  = 10_000
)

func (g *Gateway) serveProposals(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	state, limit := r.URL.Query().Get("state"), someProposals
	if state != "" && !slices.Contains(proposalStates, state) {
		g.fail(w, r, fmt.Errorf("%w: state %q: expected one of %s", coco.ErrInvalid, state, strings.Join(proposalStates, ", ")))
		return
	}
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxProposals {
			g.fail(w, r, fmt.Errorf("%w: limit %q: expected 1 to %d", coco.ErrInvalid, text, maxProposals))
			return
		}
		limit = n
	}
	list, err := g.governor.Proposals(ProposalQuery{State: state, Limit: limit})
	if list == nil {
		list = []wire.Proposal{}
	}
	g.answer(w, r, list, err)
}

func (g *Gateway) serveProposal(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	id, err := g.findProposal(r.PathValue("id"))
	if err != nil {
		g.fail(w, r, err)
		return
	}
	p, err := g.governor.Proposal(id)
	g.answer(w, r, p, err)
}

// minPrefix is how many digits of a proposal's id name it at least, if it is the only such one.
const minPrefix = 4

// findProposal finds a proposal by its id, the beginning of it, or its number.
func (g *Gateway) findProposal(text string) (coco.Digest, error) {
	var id coco.Digest
	if len(text) == 2*len(id) {
		err := id.UnmarshalText([]byte(text))
		return id, err
	}
	number, numbered := strings.CutPrefix(text, "#")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil && (numbered || len(text) < minPrefix) {
		return id, fmt.Errorf("%w: proposal %q: expected its number, such as #3, or %d to 64 digits of its id", coco.ErrInvalid, text, minPrefix)
	}
	var found []wire.Proposal
	if err == nil && n > 0 { // the number counts before digits that happen to be decimal
		if found, err = g.governor.Proposals(ProposalQuery{Number: n}); err != nil {
			return id, err
		}
	}
	if len(found) == 0 && !numbered && len(text) >= minPrefix {
		if found, err = g.governor.Proposals(ProposalQuery{Prefix: text}); err != nil {
			return id, err
		}
	}
	switch len(found) {
	case 0:
		return id, fmt.Errorf("%w: proposal %q", coco.ErrNotFound, text)
	case 1:
		return found[0].ID, nil
	}
	return id, fmt.Errorf("%w: proposal %q: %d ids begin so, #%d and #%d among them: write more digits", coco.ErrInvalid, text, len(found), found[0].Number, found[1].Number)
}

// serveConstitutionAt sends one version of the constitution as a page.
func (g *Gateway) serveConstitutionAt(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	var version uint64
	if text := r.URL.Query().Get("version"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			g.fail(w, r, fmt.Errorf("%w: version %q: expected a positive number, or none for the constitution in force", coco.ErrInvalid, text))
			return
		}
		version = n
	}
	page, info, err := g.governor.ConstitutionAt(version)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set(wire.HeaderDigest, info.Digest.String())
	h.Set(wire.HeaderVersion, strconv.FormatUint(info.Version, 10))
	write(w, wire.MediaPage, page)
}

func (g *Gateway) serveHistory(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	list, err := g.governor.History()
	if list == nil {
		list = []wire.ConstitutionVersion{}
	}
	g.answer(w, r, list, err)
}

func (g *Gateway) serveSimulate(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	actions, err := io.ReadAll(r.Body)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	result, err := g.governor.Simulate(r.Context(), caller, actions)
	g.answer(w, r, result, err)
}

// serveGovNodes lists the nodes of the network and those that ask to be admitted.
func (g *Gateway) serveGovNodes(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	list := []wire.Node{}
	nodes, err := g.cfg.Node.Nodes()
	if err == nil {
		for _, n := range nodes {
			if n.State != pendingState {
				list = append(list, n)
			}
		}
		var pending []wire.Node
		pending, err = g.governor.PendingNodes()
		list = append(list, pending...)
	}
	g.answer(w, r, list, err)
}

// pendingState is the state of a node that asks to be admitted.
const pendingState = "pending"
