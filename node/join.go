package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Joining is a conversation of four messages on one TLS connection. Both sides prove their code by
// evidence over the node key and the connection's exported keying material, so evidence cannot
// be replayed or relayed.
//
//	joiner                                  node
//	   ── hello {version, approved digest} ──▶
//	   ◀── welcome {evidence, constitution} ──    the joiner checks code and constitution, or leaves
//	   ── request {signed node record} ──────▶    the leader checks it and commits it
//	   ◀── grant {secrets, certificate} ──────    or a refusal, with the leader's address
//
// A joiner that crashes after the commit is a trusted node that never speaks; its successor, with
// the same owner and address, replaces it.

// joinVersion is the version of this conversation.
const joinVersion = 2

// joinPause is how long a joiner waits before it asks the next node.
const joinPause = 100 * time.Millisecond

type joinRequest struct {
	Record  gov.NodeRecord `cbor:"1,keyasint"`
	Samples []sample       `cbor:"2,keyasint"` // newest first
}

type joinHello struct {
	Version uint64 `cbor:"1,keyasint"`
}

type joinWelcome struct {
	Evidence     attest.Evidence `cbor:"1,keyasint"`
	Constitution []byte          `cbor:"2,keyasint"` // TOML
}

type joinAnswer struct {
	Grant   *joinGrant `cbor:"1,keyasint,omitempty"`
	Kind    uint8      `cbor:"2,keyasint,omitempty"` // of the refusal
	Reason  string     `cbor:"3,keyasint,omitempty"`
	Address string     `cbor:"4,keyasint,omitempty"` // whom to ask instead
	Rule    gov.Reason `cbor:"5,keyasint,omitempty"` // of the constitution, by which the node is refused
}

// joinGrant is all that a trusted node knows. It exists only inside TLS between two enclaves.
type joinGrant struct {
	Certificate []byte                 `cbor:"1,keyasint"`
	Service     []byte                 `cbor:"2,keyasint"`
	ServiceKey  keys.SecretBytes       `cbor:"3,keyasint"`
	Secrets     map[uint64]keys.Secret `cbor:"4,keyasint"`
	Origin      coco.NodeID            `cbor:"5,keyasint"`           // who started the network
	Nodes       map[coco.NodeID]string `cbor:"6,keyasint"`           // trusted, with addresses
	Seqno       uint64                 `cbor:"7,keyasint"`           // of the admission
	Shared      uint64                 `cbor:"8,keyasint"`           // index up to which the joiner's ledger is the network's
	Snapshots   []gov.SnapshotRecord   `cbor:"9,keyasint,omitempty"` // those that the ledger records, the newest first
	Sponsor     coco.NodeID            `cbor:"10,keyasint"`          // who grants this
}

// evidence proves this node's code. The nonce is a connection's binding, where there is one.
func (n *node) evidence(ctx context.Context, nonce []byte) (attest.Evidence, error) {
	return attest.Quote(ctx, n.cfg.Host.Quoter, gov.EvidenceContext, n.id.PublicKey(), nonce)
}

// record makes this node's entry for the constitution, signed by its owner.
func (n *node) record(ctx context.Context, ev attest.Evidence, nonce []byte) (gov.NodeRecord, error) {
	rec := gov.NodeRecord{
		ID: n.id.ID(), Owner: n.cfg.Owner.Actor(), Address: n.peerAddress, ClientAddress: n.clientAddress,
		Key: n.id.PublicKey(), OwnerCertificates: n.cfg.Owner.Certificates(), Evidence: ev, Nonce: nonce,
		Measurement: n.measurement,
	}
	sig, err := n.cfg.Owner.Sign(ctx, gov.NodeTuple(rec.Owner, rec.Address, rec.ClientAddress, rec.Key))
	if err != nil {
		return rec, fmt.Errorf("the owner's signature on this node: %w", err)
	}
	rec.OwnerSignature = sig
	return rec, nil
}

// admission is what a node gets from the network that it joins.
type admission struct {
	id           *channel.Identity
	constitution *gov.Constitution
	grant        *joinGrant
}

// join asks node after node until one admits this node.
func (n *node) join(ctx context.Context) (*admission, error) {
	addresses, said := n.cfg.Join, map[string]string{}
	for i := 0; ; i++ {
		address := addresses[i%len(addresses)]
		a, next, err := n.joinAt(ctx, address)
		if err == nil {
			return a, nil
		}
		if next != "" && next != address { // who leads
			address = next
			if a, _, err = n.joinAt(ctx, next); err == nil {
				return a, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if reason := err.Error(); reason != said[address] {
			n.log.Warn("not admitted yet, trying again", logevent.NodeNotAdmitted.Attr(), "at", address, "error", err)
			n.tellRefused(address, err)
			said[address] = reason
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-n.cfg.Host.Clock.After(pauseAfter(err)):
		}
	}
}

// joinAt asks one node. If that one does not lead, it returns the leader's address with the error.
func (n *node) joinAt(ctx context.Context, address string) (_ *admission, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, peer.JoinPatience)
	defer cancel()
	raw, err := n.cfg.Host.Net.Dial(ctx, address)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %v", coco.ErrUnreachable, err)
	}
	// Whoever answers proves its code below, before it is told or believed anything.
	conn, err := channel.PeerClient(ctx, raw, n.id, func(channel.PeerCert) error { return nil }, channel.Options{})
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	var welcome joinWelcome
	if err := peer.WriteMessage(conn, joinHello{Version: joinVersion}); err != nil {
		return nil, "", err
	}
	if err := peer.ReadMessage(conn, &welcome); err != nil {
		return nil, "", err
	}
	c, err := n.checkWelcome(conn, welcome)
	if err != nil {
		return nil, "", fmt.Errorf("the node at %s: %w", address, err)
	}
	ev, err := n.evidence(ctx, conn.Binding())
	if err != nil {
		return nil, "", err
	}
	rec, err := n.record(ctx, ev, conn.Binding())
	if err != nil {
		return nil, "", err
	}
	samples, err := n.samples()
	if err != nil {
		return nil, "", err
	}
	var answer joinAnswer
	if err := peer.WriteMessage(conn, joinRequest{Record: rec, Samples: samples}); err != nil {
		return nil, "", err
	}
	if err := peer.ReadMessage(conn, &answer); err != nil {
		return nil, "", err
	}
	if answer.Grant == nil {
		return nil, answer.Address, answer.refusal(address)
	}
	return &admission{id: n.id, constitution: c, grant: answer.Grant}, "", nil
}

// checkWelcome checks the constitution that a node shows against the approved digest, and the node's
// code against that constitution.
func (n *node) checkWelcome(conn *channel.Conn, w joinWelcome) (*gov.Constitution, error) {
	c, err := gov.ParseConstitution(w.Constitution)
	if err != nil {
		return nil, err
	}
	if d := c.Digest(); d != n.cfg.Approve {
		if err := n.checkService(conn.Peer()); err != nil {
			return nil, fmt.Errorf("%w: its constitution has digest %s, the operator approved %s; %w", coco.ErrVerify, d, n.cfg.Approve, err)
		}
	}
	claims, err := n.cfg.Verifiers.Verify(w.Evidence, n.cfg.Host.Clock.Now())
	if err != nil {
		return nil, err
	}
	return c, c.CheckEvidence(claims, conn.Peer().Key, conn.Binding())
}

// checkService says whether a node belongs to the network that this one knows: such a node follows a constitution that
// members have changed by their votes.
func (n *node) checkService(p channel.PeerCert) error {
	der := n.cfg.Service
	if len(der) == 0 {
		der = n.cfg.known.service
	}
	if len(der) == 0 {
		return errors.New("and no service certificate is given, under which the constitution might have been changed by votes")
	}
	service, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("the service certificate given: %w", err)
	}
	return p.EndorsedBy(service, n.cfg.Host.Clock.Now())
}

// accept takes what the network grants.
func (n *node) accept(a *admission) error {
	c, g := a.constitution, a.grant
	service, err := channel.ParseService(g.Service, g.ServiceKey)
	if err != nil {
		return err
	}
	if err := n.id.SetCertificate(g.Certificate); err != nil {
		return err
	}
	n.cfg.known.service = g.Service
	for epoch, secret := range g.Secrets {
		n.keys.Add(epoch, secret)
	}
	if last := n.ledgerLog.Last(); g.Shared < last && g.Shared > 0 { // with nothing in common the ledger is set aside
		n.log.Info("the end of this node's ledger is not the network's, or not known to be: fetching it again", logevent.LedgerEndReplaced.Attr(), "entry", g.Shared+1, "to", last)
		if err := n.ledgerLog.TruncateAfter(g.Shared); err != nil {
			return fmt.Errorf("cut the ledger after entry %d: %w", g.Shared, err)
		}
	}
	n.charter = charter{constitution: c, service: service, origin: g.Origin, nodes: g.Nodes, seqno: g.Seqno}
	n.constitution.Store(c)
	n.granted, n.sponsor = g, g.Sponsor
	n.directory.Store(newDirectory(g.Nodes, nil))
	return n.ledgerLog.SetChunkBytes(c.Ledger.ChunkBytes)
}

// serveJoin is the other side of joinAt.
func (n *node) serveJoin(ctx context.Context, conn *channel.Conn) {
	log := n.log.With("node", conn.Peer().ID.Short())
	answer, err := n.admit(ctx, conn)
	if err != nil {
		answer = joinAnswer{Kind: wire.Number(err), Reason: err.Error(), Rule: reasonOf(err)}
		if state := n.replica.State(); state.Role != consensus.Leader {
			dir := n.directory.Load()
			answer.Address = dir.addresses[dir.byConsensus[state.Leader]]
		}
		if !errors.Is(err, coco.ErrNotCommitted) {
			log.Warn("node refused", "error", err)
		}
	}
	if err := peer.WriteMessage(conn, answer); err != nil {
		log.Debug("answer to a joiner", "error", err)
	}
}

func (n *node) admit(ctx context.Context, conn *channel.Conn) (joinAnswer, error) {
	var hello joinHello
	if err := peer.ReadMessage(conn, &hello); err != nil {
		return joinAnswer{}, err
	}
	if hello.Version != joinVersion {
		return joinAnswer{}, fmt.Errorf("%w: joining by version %d, this node speaks %d", coco.ErrInvalid, hello.Version, joinVersion)
	}
	ev, err := n.evidence(ctx, conn.Binding())
	if err != nil {
		return joinAnswer{}, err
	}
	if err := peer.WriteMessage(conn, joinWelcome{Evidence: ev, Constitution: n.constitution.Load().TOML()}); err != nil {
		return joinAnswer{}, err
	}
	var request joinRequest
	if err := peer.ReadMessage(conn, &request); err != nil {
		return joinAnswer{}, err
	}
	rec, sender := request.Record, conn.Peer()
	if rec.ID != sender.ID || string(rec.Key) != string(sender.Key) || string(rec.Nonce) != string(conn.Binding()) {
		return joinAnswer{}, fmt.Errorf("%w: the record is of node %s, the connection of %s", coco.ErrDenied, rec.ID.Short(), sender.ID.Short())
	}
	seqno, cert, err := n.trust(ctx, rec)
	if err != nil {
		return joinAnswer{}, err
	}
	shared, err := n.shared(request.Samples)
	if err != nil {
		return joinAnswer{}, err
	}
	n.log.Info("node admitted", logevent.NodeAdmitted.Attr(), "node", rec.ID.Short(), "owner", n.constitution.Load().Name(rec.Owner), "address", rec.Address)
	serviceKey, err := n.service().MarshalKey()
	if err != nil {
		return joinAnswer{}, err
	}
	snapshots, err := n.recordedSnapshots()
	if err != nil {
		return joinAnswer{}, err
	}
	return joinAnswer{Grant: &joinGrant{
		Certificate: cert, Service: n.serviceCertificate().Raw, ServiceKey: serviceKey,
		Secrets: n.keys.All(), Origin: n.charter.origin, Nodes: n.directory.Load().addresses, Seqno: seqno,
		Shared: shared, Snapshots: snapshots, Sponsor: n.id.ID(),
	}}, nil
}

// trust commits a node's record, on the leader, and returns the seqno and the node's certificate.
func (n *node) trust(ctx context.Context, rec gov.NodeRecord) (uint64, []byte, error) {
	claims, err := n.cfg.Verifiers.Verify(rec.Evidence, n.cfg.Host.Clock.Now())
	if err != nil {
		return 0, nil, err
	}
	if n.replica.Last().Seqno < n.charter.seqno {
		// The first transaction of a network, or of a recovery, is this node's own.
		return 0, nil, fmt.Errorf("%w: node %s is starting", coco.ErrNotCommitted, n.id.ID().Short())
	}
	if old, ok := n.trusted(rec); ok {
		// It was admitted before, and the answer got lost. Its evidence is of this connection.
		err := n.constitution.Load().CheckEvidence(claims, rec.Key, rec.Nonce)
		return old.Since, old.Certificate, err
	}
	result, err := n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		cert, err := n.endorse(rec, tx.Time())
		if err != nil {
			return nil, err
		}
		rec.Certificate, rec.Time = cert, tx.Time()
		return cert, gov.AdmitNode(tx, rec, claims)
	})
	if refused := (*gov.Refusal)(nil); errors.As(err, &refused) && refused.Reason == gov.NotVotedIn {
		if perr := n.pend(ctx, rec, claims); perr != nil {
			n.log.Warn("a node that waits for a vote is not in the list", "node", rec.ID.Short(), "error", perr)
		}
	}
	return result.TxID.Seqno, result.Reply, err
}

// pend shows members a node that waits for their vote, once.
func (n *node) pend(ctx context.Context, rec gov.NodeRecord, claims attest.Claims) error {
	s := n.store.Snapshot()
	old, err := gov.Node(s, rec.ID)
	s.Release()
	if err == nil && old.State == gov.Pending {
		return nil
	}
	_, err = n.replica.Do(ctx, func(tx *store.Tx) ([]byte, error) { return nil, gov.PendNode(tx, rec, claims) })
	return err
}

// trusted returns the record of a node that asks again, if this node leads and trusts it.
func (n *node) trusted(rec gov.NodeRecord) (gov.NodeRecord, bool) {
	if !n.replica.Leads() {
		return gov.NodeRecord{}, false
	}
	s := n.store.Snapshot()
	defer s.Release()
	old, err := gov.Node(s, rec.ID)
	return old, err == nil && old.State == gov.Trusted && old.Owner == rec.Owner && bytes.Equal(old.Key, rec.Key) &&
		old.Address == rec.Address && old.ClientAddress == rec.ClientAddress
}

// endorse makes a node's certificate, valid from the ledger's time on: this host's clock may be wrong.
func (n *node) endorse(rec gov.NodeRecord, now uint64) ([]byte, error) {
	insecure := n.constitution.Load().Network.Insecure
	return n.service().Endorse(rec.Key, rec.ID, []string{rec.Address, rec.ClientAddress}, insecure, time.UnixMilli(int64(now)))
}

// networkID is gov.NetworkID: the constitution may change and certificates are renewed, the service's key stays.
func (n *node) networkID() coco.Digest {
	return sha256.Sum256(n.serviceCertificate().RawSubjectPublicKeyInfo)
}
