package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// governance makes a certificate for governance, self-signed as those of the harness.
func governance(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name, OrganizationalUnit: []string{"board", coco.GovernanceUnit}},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestACertificateForNodesIsGoodForNoRequest(t *testing.T) {
	for _, units := range [][]string{{coco.NodesUnit}, {coco.GovernanceUnit, coco.NodesUnit}} {
		for _, governor := range []Governor{nil, &fakeGovernor{}} {
			err := (&Gateway{governor: governor}).checkUnit(pkix.Name{CommonName: "nodes of alpha", OrganizationalUnit: units})
			if !errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), "is for nodes") {
				t.Errorf("units %q, at the administrative listener: %t: %v", units, governor != nil, err)
			}
		}
	}
}

// fakeGovernor has three proposals: #3 is open, and Alpha has voted on it.
type fakeGovernor struct {
	changed chan struct{} // closed when there is news
}

func proposalID(number uint64) coco.Digest {
	return coco.Digest{0xab, 0x10 * byte(number), byte(number)}
}

func (f *fakeGovernor) Govern(_ context.Context, _ coco.Caller, raw []byte) (wire.Outcome, error) {
	if string(raw) != "signed" {
		return wire.Outcome{}, fmt.Errorf("%w: envelope: no COSE_Sign1", coco.ErrInvalid)
	}
	return wire.Outcome{State: "accepted"}, nil
}

func (f *fakeGovernor) Proposals(q wire.ProposalQuery) ([]wire.Proposal, error) {
	all := []wire.Proposal{
		{ID: proposalID(3), Number: 3, State: "open", ProposerName: "Beta", Kinds: []string{"add-code", "set"}, Since: 15, Yes: 1},
		{ID: proposalID(2), Number: 2, State: "accepted", ProposerName: "Alpha", Kinds: []string{"set"}, Since: 9, Decided: 12},
		{ID: proposalID(1), Number: 1, State: "withdrawn", ProposerName: "Alpha", Kinds: []string{"set"}, Since: 5, Decided: 6},
	}
	var some []wire.Proposal
	for _, p := range all {
		if q.Wants(p.ID, p.Number, p.State, p.Decided) && (q.Limit == 0 || len(some) < q.Limit) {
			some = append(some, p)
		}
	}
	return some, nil
}

func (f *fakeGovernor) Proposal(id coco.Digest) (wire.Proposal, error) {
	all, err := f.Proposals(wire.ProposalQuery{})
	for _, p := range all {
		if p.ID == id {
			p.Actions = "actions"
			if p.Number == 3 {
				p.Ballots = []wire.Ballot{{Name: "Alpha", Vote: "yes", Since: 16, Counts: true, Envelope: []byte("ballot")}}
			}
			return p, err
		}
	}
	return wire.Proposal{}, fmt.Errorf("%w: proposal %s", coco.ErrNotFound, id.Short())
}

func (f *fakeGovernor) ConstitutionAt(version uint64) ([]byte, wire.ConstitutionVersion, error) {
	if version > 2 {
		return nil, wire.ConstitutionVersion{}, fmt.Errorf("%w: the constitution has 2 versions", coco.ErrNotFound)
	}
	return []byte("page"), wire.ConstitutionVersion{Version: max(version, 1), Digest: coco.Digest{7}}, nil
}

func (f *fakeGovernor) History(after uint64, limit int) ([]wire.ConstitutionVersion, error) {
	all := []wire.ConstitutionVersion{{Version: 1, Since: 1}, {Version: 2, Digest: coco.Digest{7}, Since: 12, Proposal: proposalID(2), Number: 2}}
	all = all[min(after, 2):]
	return all[:min(limit, len(all))], nil
}

func (f *fakeGovernor) Simulate(_ context.Context, caller coco.Caller, actions []byte) (wire.Simulation, error) {
	return wire.Simulation{Enough: []string{caller.Name}, After: string(actions)}, nil
}

func (f *fakeGovernor) PendingNodes() ([]wire.Node, error) {
	return []wire.Node{{OwnerName: "Beta", Address: "b:1", State: "pending", Since: 17, Reason: "not voted in"}}, nil
}

func (f *fakeGovernor) Events(after, to uint64) (events []wire.GovEvent, until uint64, err error) {
	for _, e := range []wire.GovEvent{{Event: "proposed", Since: 9, Number: 2}, {Event: "decided", Since: 12, Number: 2}, {Event: "voted", Since: 16, Number: 3}} {
		if e.Since > after && e.Since <= to {
			events = append(events, e)
		}
	}
	return events, to, nil
}

func (f *fakeGovernor) WaitFor(ctx context.Context, seqno uint64) (uint64, error) {
	if seqno < 17 {
		return 17, nil
	}
	select {
	case <-ctx.Done():
		return seqno, nil
	case <-f.changed:
		return 18, nil
	}
}

// adminWorld is a gateway with the administrative one beside it.
type adminWorld struct {
	*world        // the administrative one
	app    *world // the other
	news   chan struct{}
}

func startAdmin(t *testing.T, options ...option) *adminWorld {
	t.Helper()
	app := start(t, one("GET /app/x", func(coco.Caller, http.ResponseWriter, *http.Request) {}), options...)
	a := &adminWorld{app: app, news: make(chan struct{})}
	g, err := app.g.NewAdmin(&fakeGovernor{a.news})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.world = &world{t: t, node: app.node, g: g, addr: l.Addr().String(), logs: app.logs, done: make(chan error, 1)}
	go func() { a.done <- g.Serve(l) }()
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.Shutdown(ended)
		if err := <-a.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return a
}

// governor is a client with a certificate for governance.
func (a *adminWorld) governor(name string) *http.Client {
	cert := governance(a.t, name)
	tr := &http.Transport{TLSClientConfig: clientTLS(&cert)}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestNoCredentialWorksAtBothListeners(t *testing.T) {
	a := startAdmin(t)
	for _, tc := range []struct {
		what   string
		at     *world
		client *http.Client
		path   string
		status int
		text   string
	}{
		{"a governance certificate at the administrative listener", a.world, a.governor("Alpha"), "/gov/proposals", 200, "#"},
		{"an application's there", a.world, a.client("Alpha"), "/gov/proposals", 403, `administrative listener, which takes an organisation's certificate with the organisational unit (OU) \"governance\"`},
		{"none there", a.world, a.client(""), "/gov/proposals", 401, "unauthenticated"},
		{"a stranger's governance certificate", a.world, a.governor("Mallory"), "/gov/proposals", 403, "no organisation of this network"},
		{"an application's at the other listener", a.app, a.app.client("Alpha"), "/app/x", 200, ""},
		{"a governance certificate there", a.app, a.governor("Alpha"), "/app/x", 403, "works at the node's administrative listener only"},
		{"a governance certificate at that listener's facts", a.app, a.governor("Alpha"), "/node/nodes", 403, "this is the listener for applications"},
		{"governance at the other listener", a.app, a.app.client("Alpha"), "/gov/proposals", 403, "members govern at the node's administrative listener"},
		{"an application at the administrative listener", a.world, a.governor("Alpha"), "/app/x", 404, "not_found"},
		{"what verifies a node, there", a.world, a.client(""), "/node/status", 200, "test"},
	} {
		got := tc.at.get(tc.client, tc.path)
		if got.status != tc.status || tc.text != "#" && !strings.Contains(got.body, tc.text) {
			t.Errorf("%s: %d %s, expected %d and %q", tc.what, got.status, got.body, tc.status, tc.text)
		}
	}
}

func TestOnlyMembersGovern(t *testing.T) {
	a := startAdmin(t)
	guest := a.governor("Guest")
	for _, path := range []string{
		"/gov/proposals", "/gov/proposals/1", "/gov/constitution", "/gov/constitution/history", "/gov/nodes", "/gov/watch",
	} {
		if got := a.get(guest, path); got.status != 403 || !strings.Contains(got.body, "only members govern") {
			t.Errorf("GET %s of a participant: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/gov/submit", "/gov/simulate"} {
		if got := a.do(guest, "POST", path, strings.NewReader("signed")); got.status != 403 || !strings.Contains(got.body, "only members govern") {
			t.Errorf("POST %s of a participant: %d %s", path, got.status, got.body)
		}
	}
}

// TestApplicationsDoNotAdminister: what changes how a node is run is out of the reach of every certificate
// that an application may have, its owner's among them, and the other way round.
func TestApplicationsDoNotAdminister(t *testing.T) {
	asked, level := 0, new(slog.LevelVar)
	a := startAdmin(t, func(c *Config) {
		c.Owner, c.LogLevel = coco.ActorID{'A'}, level
		c.Retire = func(context.Context) (coco.TxID, error) { asked++; return coco.TxID{View: 2, Seqno: 9}, nil }
	})
	app, wrong, officer := a.app.client("Alpha"), a.client("Alpha"), a.governor("Alpha")
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"POST", "/node/snapshots", 202},
		{"PUT", "/node/log-level?level=debug", 204},
		{"POST", "/node/retire", 200},
	} {
		before := a.node.requested
		got := a.app.do(app, tc.method, tc.path, nil)
		if got.status != 403 || !strings.Contains(got.body, "administer nodes at the node's administrative listener") || !strings.Contains(got.body, "governance") {
			t.Errorf("%s %s of an application: %d %s", tc.method, tc.path, got.status, got.body)
		}
		if got := a.app.do(a.app.client(""), tc.method, tc.path, nil); got.status != 401 {
			t.Errorf("%s %s of nobody: %d %s", tc.method, tc.path, got.status, got.body)
		}
		if got := a.app.do(a.governor("Alpha"), tc.method, tc.path, nil); got.status != 403 || !strings.Contains(got.body, "works at the node's administrative listener only") {
			t.Errorf("%s %s with a governance certificate at the listener for applications: %d %s", tc.method, tc.path, got.status, got.body)
		}
		if got := a.do(wrong, tc.method, tc.path, nil); got.status != 403 || !strings.Contains(got.body, "is for applications") {
			t.Errorf("%s %s with an application's certificate at the administrative listener: %d %s", tc.method, tc.path, got.status, got.body)
		}
		if asked != 0 || level.Level() != slog.LevelInfo && tc.path != "/node/retire" || a.node.requested != before {
			t.Fatalf("%s %s had an effect", tc.method, tc.path)
		}
		if got := a.do(officer, tc.method, tc.path, nil); got.status != tc.status {
			t.Errorf("%s %s of the owner's officer: %d %s", tc.method, tc.path, got.status, got.body)
		}
	}
	if asked != 1 || level.Level() != slog.LevelDebug || a.node.requested != 1 {
		t.Errorf("retired %d times, level %v, %d snapshots", asked, level.Level(), a.node.requested)
	}
}

// TestAParticipantAdministersItsOwnNode, and does nothing else there.
func TestAParticipantAdministersItsOwnNode(t *testing.T) {
	level := new(slog.LevelVar)
	a := startAdmin(t, func(c *Config) {
		c.Owner, c.LogLevel = coco.ActorID{'G'}, level
		c.Retire = func(context.Context) (coco.TxID, error) { return coco.TxID{View: 2, Seqno: 9}, nil }
	})
	guest := a.governor("Guest")
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"PUT", "/node/log-level?level=debug", 204},
		{"POST", "/node/retire", 200},
		{"GET", "/node/snapshots", 200},
		{"POST", "/node/snapshots", 403},
		{"POST", "/gov/submit", 403},
	} {
		if got := a.do(guest, tc.method, tc.path, nil); got.status != tc.status {
			t.Errorf("%s %s: %d %s, expected %d", tc.method, tc.path, got.status, got.body, tc.status)
		}
	}
	if level.Level() != slog.LevelDebug {
		t.Errorf("level %v", level.Level())
	}
	for _, path := range []string{"/node/log-level?level=error", "/node/retire"} {
		method := map[bool]string{true: "POST", false: "PUT"}[path == "/node/retire"]
		if got := a.do(a.governor("Alpha"), method, path, nil); got.status != 403 {
			t.Errorf("%s of a member that does not run this node: %d %s", path, got.status, got.body)
		}
	}
}

func TestARemovedMembersCertificateStopsWorkingOnAnOpenConnection(t *testing.T) {
	a := startAdmin(t)
	c := a.governor("Beta")
	if got := a.get(c, "/gov/nodes"); got.status != 200 {
		t.Fatalf("before: %d %s", got.status, got.body)
	}
	a.node.remove("Beta")
	a.g.Reidentify()
	if got := a.get(c, "/gov/nodes"); got.status != 403 {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
}

func TestWhatMembersAskForIsAnswered(t *testing.T) {
	a := startAdmin(t)
	c := a.governor("Alpha")
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/gov/submit", "signed", 200, `"state":"accepted"`},
		{"POST", "/gov/submit", "", 400, "found nothing"},
		{"POST", "/gov/submit", "nonsense", 400, "COSE_Sign1"},
		{"POST", "/gov/submit", strings.Repeat("x", maxEnvelope+1), 413, "too_large"},
		{"GET", "/gov/submit", "", 405, "method_not_allowed"},
		{"GET", "/gov/proposals?state=open", "", 200, `"number":3`},
		{"GET", "/gov/proposals?state=failed", "", 200, "[]\n"},
		{"GET", "/gov/proposals?state=lost", "", 400, "expected one of open, accepted"},
		{"GET", "/gov/proposals?limit=0", "", 400, "limit"},
		{"GET", "/gov/proposals?limit=1&state=withdrawn", "", 200, `"number":1`},
		{"GET", "/gov/proposals/3", "", 200, `"number":3`},
		{"GET", "/gov/proposals/%233", "", 200, `"number":3`},
		{"GET", "/gov/proposals/" + proposalID(2).String(), "", 200, `"number":2`},
		{"GET", "/gov/proposals/ab20", "", 200, `"number":2`},
		{"GET", "/gov/proposals/ab", "", 400, "expected its number"},
		{"GET", "/gov/proposals/%23x", "", 400, "expected its number"},
		{"GET", "/gov/proposals/9", "", 404, "not_found"},
		{"GET", "/gov/proposals/ffff", "", 404, "not_found"},
		{"GET", "/gov/constitution", "", 200, "page"},
		{"GET", "/gov/constitution?version=2", "", 200, "page"},
		{"GET", "/gov/constitution?version=3", "", 404, "2 versions"},
		{"GET", "/gov/constitution?version=0", "", 400, "positive"},
		{"GET", "/gov/constitution/history", "", 200, `"version":2`},
		{"GET", "/gov/constitution/history?after=1", "", 200, `[{"version":2`},
		{"GET", "/gov/constitution/history?after=2", "", 200, `[]`},
		{"GET", "/gov/constitution/history?after=x", "", 400, `after`},
		{"POST", "/gov/simulate", "x = 1", 200, `"enough":["Alpha"]`},
		{"GET", "/gov/nodes", "", 200, `"state":"pending","since":17,"reason":"not voted in"`},
		{"GET", "/gov/watch?after=x", "", 400, "after"},
		{"GET", "/gov/watch?wait=61", "", 400, "0 to 60 seconds"},
	} {
		got := a.do(c, tc.method, tc.path, strings.NewReader(tc.body))
		if tc.method == "GET" {
			got = a.get(c, tc.path)
		}
		if got.status != tc.status || !strings.Contains(got.body, tc.want) {
			t.Errorf("%s %s: %d %s, expected %d and %q", tc.method, tc.path, got.status, got.body, tc.status, tc.want)
		}
	}
	if h := a.get(c, "/gov/constitution?version=2").header; h.Get("X-Coco-Version") != "2" || h.Get("X-Coco-Digest") != (coco.Digest{7}).String() {
		t.Errorf("headers of a version: %v", h)
	}
}

func TestAWatchTellsEverythingOnceInOrder(t *testing.T) {
	a := startAdmin(t)
	c := a.governor("Alpha")
	for _, tc := range []struct {
		after string
		want  string
	}{
		{"0", "proposed #2,decided #2,voted #3"},
		{"12", "voted #3"},
		{"16", ""},
	} {
		var got wire.GovNews
		if err := json.Unmarshal([]byte(a.get(c, "/gov/watch?after="+tc.after).body), &got); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range got.Events {
			names = append(names, fmt.Sprintf("%s #%d", e.Event, e.Number))
		}
		if text := strings.Join(names, ","); text != tc.want || got.Seqno != 17 {
			t.Errorf("after %s: %s up to %d, expected %s up to 17", tc.after, text, got.Seqno, tc.want)
		}
	}
	if got := a.get(c, "/gov/watch?after=17&wait=0"); got.status != 200 || got.body != `{"seqno":17,"events":[]}`+"\n" {
		t.Errorf("without news: %d %q", got.status, got.body)
	}
	answered := make(chan string)
	go func() { answered <- a.get(c, "/gov/watch?after=17").body }()
	close(a.news)
	if got := <-answered; got != `{"seqno":18,"events":[]}`+"\n" {
		t.Errorf("with news: %q", got)
	}
}

func TestAnAdministrativeGatewayNeedsAGovernor(t *testing.T) {
	if _, err := start(t, nil).g.NewAdmin(nil); err == nil {
		t.Error("made one without")
	}
}
