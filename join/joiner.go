package join

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/succession"
)

// Joiner asks for admission.
type Joiner struct {
	Log       *slog.Logger
	Net       host.Net
	Clock     host.Clock
	Verifiers attest.Verifiers
	Attestor  *Attestor
	// Ask are the addresses of nodes to ask, again and again until one admits this node.
	Ask []string
	// Approve is the digest of the constitution that the operator approved.
	Approve coco.Digest
	// Service is the certificate (DER) of the service that the network answers under; empty if it is not known. No node of
	// another service is asked for admission, and a node of this one is believed what members have changed since Approve.
	Service []byte
	// Held is the service whose ledger is on this node's disk, on the word of its host; nil if there is none. No node of another
	// service is asked for admission.
	Held *x509.Certificate
	// Samples describes the ledger on this node's disk.
	Samples func() ([]peer.Sample, error)
	// Ends has Join end with a RecoveredError once a node shows that members have recovered the network. Otherwise it goes on asking.
	Ends bool
	// Refused, if set, is told each time that the reason changes why this node is not admitted. It MUST NOT wait.
	Refused func(*RefusedError)
}

// Admission is what a node gets from the network that it joins.
type Admission struct {
	Identity *channel.Identity // with the network's certificate
	Network  Network
	Secrets  map[uint64]keys.Secret // of the epochs
	Sponsor  coco.NodeID            // that admitted it, and led then
	// Shared is the index up to which the ledger on this node's disk is the network's.
	Shared    uint64
	Snapshots []table.SnapshotRecord // that the ledger records, the newest first
}

// Join asks node after node until one admits this node, or ctx ends.
func (j *Joiner) Join(ctx context.Context) (*Admission, error) {
	said := map[string]string{}
	for i := 0; ; i++ {
		address := j.Ask[i%len(j.Ask)]
		a, leader, err := j.ask(ctx, address)
		if err == nil {
			return a, nil
		}
		if leader != "" && leader != address {
			address = leader
			if a, _, err = j.ask(ctx, leader); err == nil {
				return a, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if recovered, ok := errors.AsType[*RecoveredError](err); ok && j.Ends {
			return nil, recovered
		}
		if reason := err.Error(); reason != said[address] {
			j.Log.Warn("not admitted yet, trying again", logevent.NodeNotAdmitted.Attr(), "at", address, "error", err)
			j.tell(address, err)
			said[address] = reason
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-j.Clock.After(pauseAfter(err)):
		}
	}
}

// ask asks one node. If that one does not lead, it returns the leader's address with the error.
func (j *Joiner) ask(ctx context.Context, address string) (_ *Admission, leader string, err error) {
	ctx, cancel := context.WithTimeout(ctx, peer.JoinPatience)
	defer cancel()
	raw, err := j.Net.Dial(ctx, address)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %v", coco.ErrUnreachable, err)
	}
	// The node that answers proves its code below, before it is told or believed anything.
	conn, err := channel.PeerClient(ctx, raw, j.Attestor.Identity, func(channel.PeerCert) error { return nil }, channel.Options{})
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	var welcome peer.JoinWelcome
	if err := peer.WriteMessage(conn, peer.JoinHello{Version: version}); err != nil {
		return nil, "", err
	}
	if err := peer.ReadMessage(conn, &welcome); err != nil {
		return nil, "", err
	}
	c, err := j.check(conn, welcome)
	if err != nil {
		return nil, "", fmt.Errorf("the node at %s: %w", address, err)
	}
	request, err := j.request(ctx, c, conn.Binding())
	if err != nil {
		return nil, "", err
	}
	var answer peer.JoinAnswer
	if err := peer.WriteMessage(conn, request); err != nil {
		return nil, "", err
	}
	if err := peer.ReadMessage(conn, &answer); err != nil {
		return nil, "", err
	}
	_ = conn.Close()
	_, _ = conn.ReadFrame() // fails, and clears what the connection holds of the grant
	if answer.Grant == nil {
		return nil, answer.Address, refusal(&answer, address)
	}
	a, err := j.accept(c, conn.Peer(), answer.Grant)
	return a, "", err
}

// AskToo adds addresses to those that are asked.
func (j *Joiner) AskToo(more []string) {
	j.Ask = slices.Clone(j.Ask)
	for _, address := range more {
		if !slices.Contains(j.Ask, address) {
			j.Ask = append(j.Ask, address)
		}
	}
}

// request makes the request for a connection, to a network with a constitution.
func (j *Joiner) request(ctx context.Context, c *constitution.Constitution, binding []byte) (rq peer.JoinRequest, err error) {
	rec, err := j.Attestor.Record(ctx, c, binding)
	if err != nil {
		return rq, err
	}
	if rq.Record, err = canon.Marshal(rec); err != nil {
		return rq, err
	}
	rq.Samples, err = j.Samples()
	return rq, err
}

// check checks the constitution that a node shows against the approved digest, the service that vouches for the node, and the
// node's code against that constitution.
func (j *Joiner) check(conn *channel.Conn, w peer.JoinWelcome) (*constitution.Constitution, error) {
	c, err := constitution.Parse(w.Constitution)
	if err != nil {
		return nil, err
	}
	known, err := j.checkService(conn.Peer())
	if d := c.Digest(); err == nil && d != j.Approve && !known {
		err = errors.New("and no service certificate is given, under which the constitution might have been changed by votes")
	}
	if d := c.Digest(); err != nil && d != j.Approve {
		err = fmt.Errorf("%w: its constitution has digest %s, the operator approved %s; %w", coco.ErrVerify, d, j.Approve, err)
	}
	if err != nil {
		return nil, err
	}
	claims, err := j.Verifiers.Verify(w.Evidence, j.Clock.Now())
	if err != nil {
		return nil, err
	}
	return c, c.CheckEvidence(claims, conn.Peer().Key, conn.Binding())
}

// follows reports whether the service that the operator named follows the one whose ledger a node has: members have recovered the network since.
func follows(named, held *x509.Certificate) bool {
	if named == nil {
		return false
	}
	leads, err := succession.Leads(held, named)
	return err == nil && leads
}

// checkService checks that a node belongs to the network that the operator named, and to the one whose ledger this node has. Two
// networks may have been started from one constitution, so its digest does not tell. Known says that the operator named a
// network: a node of it follows a constitution that its members have changed by their votes.
func (j *Joiner) checkService(p channel.PeerCert) (known bool, _ error) {
	if p.SelfSigned() {
		return false, fmt.Errorf("%w: node %s is starting", coco.ErrNotCommitted, p.ID.Short())
	}
	named, err := j.named()
	if err != nil {
		return false, err
	}
	for _, known := range []*x509.Certificate{named, j.Held} {
		if known == nil || known == j.Held && follows(named, j.Held) {
			continue
		}
		if last, ok := p.Succeeds(known, j.Clock.Now()); ok {
			return false, &RecoveredError{Last: last}
		}
	}
	if j.Held != nil && !follows(named, j.Held) {
		if err := p.EndorsedBy(j.Held, j.Clock.Now()); err != nil {
			return false, fmt.Errorf("%w: it is not a node of %s, whose ledger is on this node's disk: %w", coco.ErrVerify, showService(j.Held), err)
		}
	}
	if named == nil {
		return false, nil
	}
	if err := p.EndorsedBy(named, j.Clock.Now()); err != nil {
		return false, fmt.Errorf("%w: it is not a node of %s, which the operator named: %w", coco.ErrVerify, showService(named), err)
	}
	return true, nil
}

// named is the certificate of the service that the operator named; nil if there is none.
func (j *Joiner) named() (*x509.Certificate, error) {
	if len(j.Service) == 0 {
		return nil, nil
	}
	named, err := x509.ParseCertificate(j.Service)
	if err != nil {
		return nil, fmt.Errorf("%w: the service certificate given: %w", coco.ErrInvalid, err)
	}
	return named, nil
}

// accept reads what the node at the other end grants.
func (j *Joiner) accept(c *constitution.Constitution, p channel.PeerCert, g *peer.Grant) (*Admission, error) {
	service, err := channel.ParseService(g.Service, g.ServiceKey)
	if err != nil {
		return nil, err
	}
	if err := j.checkGrant(p, g, service.Certificate()); err != nil {
		return nil, err
	}
	if err := j.Attestor.Identity.SetCertificate(g.Certificate); err != nil {
		return nil, err
	}
	a := &Admission{
		Identity: j.Attestor.Identity,
		Network:  Network{Constitution: c, Service: service, Origin: g.Origin, Nodes: g.Nodes, Seqno: g.Seqno},
		Secrets:  g.Secrets, Sponsor: g.Sponsor, Shared: g.Shared, Snapshots: make([]table.SnapshotRecord, len(g.Snapshots)),
	}
	for i, raw := range g.Snapshots {
		if err := canon.Unmarshal(raw, &a.Snapshots[i], canon.Limits{Bytes: len(raw)}); err != nil {
			return nil, fmt.Errorf("%w: the record of a snapshot from node %s: %v", coco.ErrCorrupt, g.Sponsor.Short(), err)
		}
	}
	return a, nil
}

// checkGrant checks that a grant is of the service that vouches for the node which gave it, that this is the service which the operator
// named and whose ledger this node has, and that the certificate in it is this node's.
func (j *Joiner) checkGrant(p channel.PeerCert, g *peer.Grant, service *x509.Certificate) error {
	named, err := j.named()
	if err != nil {
		return err
	}
	for _, want := range []*x509.Certificate{named, j.Held} {
		if want != nil && !SameService(want, service) {
			return fmt.Errorf("%w: node %s grants a place in %s, this node asked for %s", coco.ErrVerify, p.ID.Short(), showService(service), showService(want))
		}
	}
	if err := p.EndorsedBy(service, j.Clock.Now()); err != nil || g.Sponsor != p.ID {
		return fmt.Errorf("%w: node %s grants a place in %s in the name of node %s: %w", coco.ErrVerify, p.ID.Short(), showService(service), g.Sponsor.Short(), err)
	}
	if _, listed := g.Nodes[p.ID]; !listed {
		return fmt.Errorf("%w: node %s grants a place in %s, and is not in the list of nodes that it sends", coco.ErrVerify, p.ID.Short(), showService(service))
	}
	own, err := x509.ParseCertificate(g.Certificate)
	if err != nil {
		return fmt.Errorf("%w: the certificate that node %s grants: %w", coco.ErrCorrupt, p.ID.Short(), err)
	}
	return channel.CheckEndorsed(own, service, time.Time{})
}
