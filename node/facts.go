package node

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/history"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/wire"
)

// ContextClient is the context of evidence for clients; see attest.ReportData.
const ContextClient = "coco client"

// Identify implements gateway.Node.
//
// A governance certificate is judged as the statements that it signs are: members whose certificates have all ended must reach a node to renew
// them.
func (n *node) Identify(chain []*x509.Certificate) (coco.Caller, error) {
	c, now, identify := n.decided.constitution.Load(), n.cfg.Host.Clock.Now(), constitution.Identify
	if len(chain) > 0 && slices.Contains(chain[0].Subject.OrganizationalUnit, coco.GovernanceUnit) {
		identify = constitution.IdentifyOfficer
	}
	caller, err := identify(c, chain, now)
	if err != nil {
		s := n.state.store.Snapshot()
		defer s.Release()
		err = n.decided.departed.Client(s, chain, now, err)
	}
	return caller, err
}

func (n *node) status() adapter.Status {
	s, last := n.replica.State(), n.replica.Last()
	return adapter.Status{Role: n.role(s), View: s.View, Committed: last.Seqno, Known: max(last.Seqno, n.knownSeqno()), Stale: n.age().Stale}
}

func (n *node) role(s consensus.State) string {
	switch {
	case !n.progress.joined():
		return "joining"
	case s.Role == consensus.Leader:
		return "leader"
	}
	return "follower"
}

// knownSeqno estimates the last committed seqno of the network from the entries that are known to
// be committed but are not applied here yet: at least one transaction each.
func (n *node) knownSeqno() uint64 {
	return n.replica.Last().Seqno + n.replica.Lag()
}

// Status implements gateway.Node.
func (n *node) Status() wire.Status {
	s, c := n.replica.State(), n.decided.constitution.Load()
	st := wire.Status{
		Network: c.Network.Name, Insecure: c.Network.Insecure,
		Node: n.self.Identity.ID(), Owner: c.Name(n.self.ActorIn(n.network.Constitution)),
		Role: n.role(s), View: s.View, Voter: n.votes(), Leader: n.decided.directory.Load().byConsensus[s.Leader],
		Committed: n.replica.Last(), Known: max(n.replica.Last().Seqno, n.knownSeqno()),
		Constitution: c.Digest(), Measurement: n.self.Measurement, Version: n.cfg.Version, Closed: n.closed(),
		LedgerTime: n.replica.Now().UTC().Truncate(time.Millisecond), ClockLag: n.replica.ClockLag().Seconds(), Age: n.replica.Age().Seconds(), Warning: strings.Join(strings.Fields(clockWarning(n.replica.ClockLag())+" "+n.decided.growth.Warning()+" "+n.ceremonies.Warning()), " "),
		Notice: strings.Join(n.notices(), " "), Certificates: n.listCertificates(c), NearLimits: n.decided.growth.Near(), Keys: n.ceremonies.Status(), Resident: n.residentStatus(),
	}
	voters := n.replica.Members().Voters
	st.Learns = balance.Learns(n.decided.directory.Load().voters, st.Node, func(id coco.NodeID) bool { return slices.Contains(voters, consensus.IDOf(id)) })
	st.Problem = staleProblem(n.age())
	if s.Leader == 0 {
		st.Problem = "the network has no leader: fewer than a majority of the nodes reach each other"
	}
	return st
}

// votes reports whether this node is one of the voters, for good.
func (n *node) votes() bool {
	m := n.replica.Members()
	return len(m.Outgoing) == 0 && slices.Contains(m.Voters, consensus.IDOf(n.self.Identity.ID()))
}

// notices are what every user must be told of this network.
func (n *node) notices() []string {
	out := append(networkNotices(n.decided.constitution.Load()), n.grants.Notices()...)
	for _, l := range n.state.ledgers {
		if l, ok := l.Ledger.(adapter.Noticer); ok {
			out = append(out, l.Notices()...)
		}
	}
	return out
}

func networkNotices(c *constitution.Constitution) (out []string) {
	if c.Network.Insecure {
		out = append(out, "INSECURE: the TEE of this network is simulated; its host can read and change everything.")
	}
	return out
}

// Constitution implements gateway.Node.
func (n *node) Constitution() ([]byte, coco.Digest, error) {
	p := n.decided.pages.Of(n.decided.constitution.Load())
	return p.Text, p.Digest, nil
}

// Service implements gateway.Node.
func (n *node) Service() ([]byte, error) {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.certificates.OfService().Raw}), nil
}

// Evidence implements gateway.Node.
func (n *node) Evidence(ctx context.Context, nonce []byte) (wire.Evidence, error) {
	key := n.self.Identity.PublicKey()
	quote, err := n.cfg.Host.Quoter.Quote(ctx, attest.ReportData(ContextClient, key, nonce))
	if err != nil {
		return wire.Evidence{}, fmt.Errorf("attestation device: %w", err)
	}
	return wire.Evidence{Platform: n.cfg.Host.Quoter.Platform(), Quote: quote, Key: key}, nil
}

// Nodes implements gateway.Node.
func (n *node) Nodes() ([]wire.Node, error) {
	s := n.state.store.Snapshot()
	defer s.Release()
	nodes, err := query.Nodes(s, n.decided.constitution.Load())
	voters := n.replica.Members().Voters
	for i := range nodes {
		nodes[i].Voter = slices.Contains(voters, consensus.IDOf(nodes[i].Node))
	}
	return nodes, err
}

// TxStatus implements gateway.Node.
func (n *node) TxStatus(id coco.TxID) (wire.TxStatus, error) {
	last := n.replica.Last() // before looking: what is committed meanwhile is not to be called invalid
	if id.Seqno <= last.Seqno {
		switch b, err := n.state.history.Find(id.Seqno); {
		case err != nil:
			return wire.TxUnknown, err
		case b.View == id.View:
			return wire.TxCommitted, nil
		}
		return wire.TxInvalid, nil
	}
	if id.View < last.View {
		return wire.TxInvalid, nil // a later view begins at a lower seqno
	}
	if s := n.replica.State(); id.View == s.View && s.Role == consensus.Leader && id.Seqno <= n.state.store.Newest() {
		return wire.TxPending, nil
	}
	return wire.TxUnknown, nil
}

// lost is adapter.Env.Lost.
func (n *node) lost(id coco.TxID) bool {
	status, err := n.TxStatus(id)
	return err == nil && status == wire.TxInvalid
}

// StateDigest implements gateway.Node.
func (n *node) StateDigest(seqno uint64) (uint64, coco.Digest, error) {
	if seqno == 0 {
		seqno = n.state.store.Committed()
	}
	s, err := n.state.store.SnapshotAt(seqno)
	if err != nil {
		return 0, coco.Digest{}, err
	}
	defer s.Release()
	return seqno, n.state.store.Digest(s), nil
}

// Authorize implements gateway.Node: every ledger must agree, as a transaction may belong to any of them.
func (n *node) Authorize(caller coco.Caller, read adapter.Read) error {
	if n.closed() {
		return fmt.Errorf("%w: the network was recovered, and its members have yet to open it", coco.ErrBusy)
	}
	for _, l := range n.state.ledgers {
		if err := l.Ledger.Authorize(caller, read); err != nil {
			return err
		}
	}
	return nil
}

// Receipt implements gateway.Node.
func (n *node) Receipt(ctx context.Context, id coco.TxID) (receipt, claims []byte, err error) {
	if err := n.AwaitCommit(ctx, id); err != nil {
		return nil, nil, err
	}
	batch, before, err := n.state.history.Batch(ctx, id.Seqno)
	if err != nil {
		return nil, nil, err
	}
	if batch.Header.View != id.View {
		return nil, nil, fmt.Errorf("%w: transaction %s is not in the ledger; seqno %d was committed in view %d", coco.ErrNotFound, id, id.Seqno, batch.Header.View)
	}
	return n.receipt(batch, before, id)
}

// commitPatience is how long a receipt waits for its transaction: a client may have heard of it from a node that is ahead.
const commitPatience = 2 * time.Second

// AwaitCommit implements gateway.Node.
func (n *node) AwaitCommit(ctx context.Context, id coco.TxID) error {
	select {
	case <-n.replica.Reached(id.Seqno):
		return nil
	case <-ctx.Done():
	case <-n.cfg.Host.Clock.After(commitPatience):
	}
	kind := coco.ErrNotFound
	if s := n.replica.State(); ctx.Err() != nil || s.Leader == 0 || s.Role == consensus.Leader && id.Seqno <= n.state.store.Newest() {
		kind = coco.ErrBusy
	}
	return fmt.Errorf("%w: transaction %s is not committed on this node, whose last one is %s", kind, id, n.replica.Last())
}

// search is adapter.Env.Search.
func (n *node) search(ctx context.Context, table string, groups [][][]byte, from, to uint64, fn func(first, last uint64) error) (uint64, error) {
	return n.state.history.Search(ctx, table, groups, from, to, func(b history.Batch) error { return fn(b.First, b.Last) })
}

// past is adapter.Env.Past.
func (n *node) past(ctx context.Context, table string, key []byte, at uint64) (adapter.PastValue, error) {
	v, err := n.state.history.Get(ctx, table, key, at)
	return adapter.PastValue{Value: v.Value, Deleted: v.Deleted, TxID: v.TxID, Time: v.Time}, err
}
