package resume

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/basis"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/succession"
)

// Machine is what a node resumes on.
type Machine struct {
	Log       *slog.Logger
	Host      host.Host
	Verifiers attest.Verifiers
	Vault     Vault
	Files     *ledger.Log // the node's ledger
	Dir       string      // where on the disk it is
	Extra     []host.Disk // folders of chunks that were moved away
	Snapshots string      // where on the disk snapshots are
	Service   []byte      // the certificate of the service that the operator named; nil if none is named
	Attestor  *join.Attestor
	Waits     func(Waiting) // Config.Waits; may be nil
}

// Node is a node that has kept what it needs to resume.
type Node struct {
	Process  *Process
	Attestor *join.Attestor // with the identity that the node had
	state    *State
	ledger   *Ledger
	service  *channel.Service
	local    catchup.Local // its snapshots; they are fetched from other nodes that wait
}

// Others returns the addresses of the other nodes that the node's ledger trusts, in order.
func (n *Node) Others() (out []string) {
	for id, address := range n.ledger.Nodes {
		if id != n.Attestor.Identity.ID() {
			out = append(out, address)
		}
	}
	slices.Sort(out)
	return out
}

// Open returns the node that resumes on a machine; nil if nothing is kept there. It cuts off what follows the ledger's last batch: that holds no
// transactions, and no node has signed it. An error says why what is kept is of no use.
func (m Machine) Open(ctx context.Context) (*Node, error) {
	state, err := m.Vault.Load(ctx)
	if state == nil {
		return nil, err
	}
	if len(m.Service) > 0 {
		if id, err := table.NetworkID(m.Service); err != nil || id != state.Network {
			return nil, fmt.Errorf("%w: what is kept is of another network than the one that the operator named (%w)", coco.ErrVerify, err)
		}
		if followed, err := follows(m.Service, state.Service); followed || err != nil {
			return nil, errors.Join(fmt.Errorf("%w: members have recovered the network, and the operator named its new service: what was kept is of the time before, and is removed", coco.ErrDenied), err, m.Vault.Wipe())
		}
	}
	from := basis.Ledger{Log: m.Log, Disk: m.Host.Disk, Dir: m.Dir, Extra: m.Extra, Snapshots: m.Snapshots, Progress: basis.Told(m.Log, m.Host.Clock, "verifying the ledger before this node resumes")}
	l, err := Read(ctx, from, state.Service, m.Verifiers)
	if err != nil {
		return nil, err
	}
	n := &Node{state: state, ledger: l}
	if n.service, err = channel.ParseService(l.Service, state.ServiceKey); err != nil {
		return nil, err
	}
	insecure, now := l.Constitution.Network.Insecure, m.Host.Clock.Now()
	id, err := channel.ParseIdentity(state.Key, insecure)
	if err != nil {
		return nil, err
	}
	certificate, err := n.service.Endorse(id.PublicKey(), id.ID(), []string{m.Attestor.PeerAddress, m.Attestor.ClientAddress}, insecure, now, now)
	if err == nil {
		err = id.SetCertificate(certificate)
	}
	if err == nil && m.Files.Last() > l.End.Index {
		if err = m.Files.TruncateAfter(l.End.Index); err == nil {
			err = m.Files.Sync()
		}
	}
	if err != nil {
		return nil, err
	}
	judge, err := state.judge(l)
	if err != nil {
		return nil, err
	}
	attestor := *m.Attestor
	attestor.Identity = id
	n.Attestor = &attestor
	n.local = catchup.Local{Log: m.Log, Clock: m.Host.Clock, Disk: m.Host.Disk, Snapshots: m.Snapshots, Ledger: m.Files}
	cfg := Config{
		Log: m.Log, Net: m.Host.Net, Clock: m.Host.Clock, Verifiers: m.Verifiers, Vault: m.Vault, State: state, Ledger: l, Constitution: judge, Identity: id, Evidence: attestor.Evidence, Waits: m.Waits,
	}
	if l.lacks(state.Secrets) {
		cfg.Fetch = n.fetch
	}
	n.Process = New(cfg)
	return n, nil
}

// follows reports whether a service follows another one, given both certificates (DER).
func follows(service, old []byte) (bool, error) {
	s, err1 := x509.ParseCertificate(service)
	o, err2 := x509.ParseCertificate(old)
	if err := errors.Join(err1, err2); err != nil || bytes.Equal(s.RawSubjectPublicKeyInfo, o.RawSubjectPublicKeyInfo) {
		return false, err
	}
	return succession.Leads(o, s)
}

// Basis is the snapshot that the node begins with; nil: its ledger's first entry.
func (n *Node) Basis() *basis.Snapshot { return n.ledger.Basis }

// Begin returns what the node takes part in a network with, and how its consensus begins: with the nodes that the longest ledger trusts, whatever changes of members
// the ledger holds, and with that ledger's end as the floor. The error is coco.ErrMissing if neither a snapshot nor the secrets are there that it could begin with.
func (n *Node) Begin(g *peer.ResumeAsk, ring *keys.Ring) (join.Network, raft.Config, error) {
	if n.ledger.lacks(g.Secrets) {
		return join.Network{}, raft.Config{}, n.unopened()
	}
	for epoch, secret := range g.Secrets {
		ring.Add(epoch, secret)
	}
	origin := n.state.Origin
	machine := raft.Config{
		Members: consensus.Membership{Voters: []consensus.ID{consensus.IDOf(origin)}},
		Last:    n.ledger.End.Index, Fixed: g.Floor.Index, View: g.View, Floor: raft.Base{Index: g.Floor.Index, View: g.Floor.View},
	}
	for id := range g.Nodes {
		machine.Voters = append(machine.Voters, consensus.IDOf(id))
	}
	return join.Network{Constitution: n.ledger.Constitution, Service: n.service, Origin: origin, Nodes: g.Nodes, Seqno: g.Floor.Seqno + 1}, machine, nil
}

// State returns what the node keeps from when it has begun.
func (n *Node) State(g *peer.ResumeAsk) *State {
	s := *n.state
	s.Secrets, s.Offers = maps.Clone(g.Secrets), g.Offers
	return &s
}

// Foreign reports whether the far end of a connection, which the service vouches for, is a node that a generation was gathered from, and not the process that is
// of it. Own is the certificate that this process began with: one that was renewed since, and is recorded, ends later.
func Foreign(g *peer.ResumeAsk, c channel.PeerCert, own *x509.Certificate, state func() *store.Snapshot) bool {
	if _, of := g.Nodes[c.ID]; !of || slices.Contains(g.Members, MemberAt(c)) {
		return false
	}
	s := state()
	defer s.Release()
	rec, err := table.Node(s, c.ID)
	return err != nil || !bytes.Equal(rec.Certificate, c.Certificate.Raw) || !c.Certificate.NotAfter.After(own.NotAfter)
}
