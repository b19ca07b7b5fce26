package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/wire"
)

// Governor is what the administrative listener asks of the node behind it: as with Node, one method for
// each route under /gov.
//
// The methods read the last commit that is applied on this node. They are called concurrently, by
// members only. A fact that the node does not have yet is an error of kind coco.ErrBusy.
type Governor interface {
	// Govern hands in a signed proposal or ballot (package gov/envelope) and returns, once it is committed,
	// what became of it. What the rules refuse is coco.ErrDenied or coco.ErrInvalid and names the rule.
	Govern(ctx context.Context, caller coco.Caller, raw []byte) (wire.Outcome, error)
	// Proposals returns the proposals that a query wants, the newest first, without actions, ballots and
	// envelopes. A network has many past ones, so only the wanted ones should be described.
	Proposals(q wire.ProposalQuery) ([]wire.Proposal, error)
	// Proposal returns all of one proposal.
	Proposal(id coco.Digest) (wire.Proposal, error)
	// ConstitutionAt returns a version of the constitution as a TOML page, 0 for the one in force.
	ConstitutionAt(version uint64) ([]byte, wire.ConstitutionVersion, error)
	// History returns the versions of the constitution after one, the oldest first, and limit of them at most.
	History(after uint64, limit int) ([]wire.ConstitutionVersion, error)
	// Simulate says what actions (TOML) would change if the caller proposed them now and they were accepted,
	// and which votes would accept them.
	Simulate(ctx context.Context, caller coco.Caller, actions []byte) (wire.Simulation, error)
	// PendingNodes returns the nodes that ask to be admitted.
	PendingNodes() ([]wire.Node, error)
	// Events returns what happened in governance after one seqno and up to another, in order. Where that is very much, it
	// is what happened up to the seqno until, which is earlier.
	Events(after, to uint64) (events []wire.GovEvent, until uint64, err error)
	// WaitFor returns once a transaction later than a seqno has changed anything that the other methods
	// tell, or ctx is done, which is no error. It returns the seqno up to which they then tell it.
	WaitFor(ctx context.Context, seqno uint64) (uint64, error)
}

// serveSubmit hands a signed statement to the network. The answer means that it is committed.
func (g *Gateway) serveSubmit(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err == nil && len(raw) == 0 {
		err = fmt.Errorf("%w: expected a signed proposal or ballot (COSE_Sign1) as the body, found nothing", coco.ErrInvalid)
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	outcome, err := g.governor.Govern(r.Context(), caller, raw)
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
	answerList(g, w, r, "ask for fewer proposals, by limit", func() ([]wire.Proposal, error) {
		return g.governor.Proposals(wire.ProposalQuery{State: state, Limit: limit})
	})
}

func (g *Gateway) serveProposal(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	g.answerBuilt(w, r, func() (any, error) {
		id, err := g.findProposal(r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		return g.governor.Proposal(id)
	})
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
		if found, err = g.governor.Proposals(wire.ProposalQuery{Number: n}); err != nil {
			return id, err
		}
	}
	if len(found) == 0 && !numbered && len(text) >= minPrefix {
		if found, err = g.governor.Proposals(wire.ProposalQuery{Prefix: text}); err != nil {
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
	g.build(w, r, wire.MediaPage, "read the version from the ledger", func(out *budget.Buffer) error {
		page, info, err := g.governor.ConstitutionAt(version)
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set(wire.HeaderDigest, info.Digest.String())
		h.Set(wire.HeaderVersion, strconv.FormatUint(info.Version, 10))
		return out.Own(page)
	})
}

func (g *Gateway) serveHistory(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	var after uint64
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			g.fail(w, r, fmt.Errorf("%w: after %q: expected the last version that is known, or 0 for all", coco.ErrInvalid, text))
			return
		}
	}
	answerList(g, w, r, "ask for later versions, by after", func() ([]wire.ConstitutionVersion, error) {
		return g.governor.History(after, wire.MaxVersions)
	})
}

func (g *Gateway) serveSimulate(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	actions, err := io.ReadAll(r.Body)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	g.answerBuilt(w, r, func() (any, error) { return g.governor.Simulate(r.Context(), caller, actions) })
}

// serveGovNodes lists the nodes of the network and those that ask to be admitted.
func (g *Gateway) serveGovNodes(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	answerList(g, w, r, "read the nodes from the ledger", func() (list []wire.Node, err error) {
		nodes, err := g.cfg.Node.Nodes()
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			if n.State != pendingState {
				list = append(list, n)
			}
		}
		pending, err := g.governor.PendingNodes()
		return append(list, pending...), err
	})
}

// pendingState is the state of a node that asks to be admitted.
const pendingState = "pending"
