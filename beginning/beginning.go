// Package beginning finds out what a life of a node begins with, before there is a node.
//
//	found    a new network: its service, its first epoch, its genesis transaction
//	join     a network admits the node; or the nodes of one that has stopped go on together (package resume)
//	recover  the node's own ledger, of which no node is left that holds the keys (package reopen)
//
// Prepare does one of the three. Its result, Start, is all that a node is made of: the identity, the network, the epochs' secrets, what
// consensus begins at, and the state to begin with. Once the node runs, Start.Begin does what is left: the
// first transaction of a new network, or of one that was recovered. A node that is admitted has none to make.
//
// A crash before the first transaction leaves an empty ledger, or the one that was to be recovered with empty entries of new views.
//
// Trust: enclave
package beginning

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/basis"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/reopen"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/resume"
)

// Way is how a node becomes part of a network. Exactly one of Genesis, Join and Recover is set.
type Way struct {
	Genesis *constitution.Constitution // start a new network; its adapters' settings are complete
	Join    []string                   // addresses of nodes to ask, again and again until one admits this node
	Recover *reopen.How                // go on from this node's own ledger, alone

	// Approve is the digest of the constitution that the operator approved: a network with
	// another one is not joined or recovered. Not used with Genesis; a recovery may do with Service alone.
	Approve coco.Digest
	// Service is the certificate (DER) of the service that the network answers under, if it is known: no other network is joined or
	// recovered, and a node that the service endorsed is believed what members have changed in the constitution since
	// it was approved. Not used with Genesis.
	Service []byte
}

// Validate fails with coco.ErrInvalid if the fields do not say one way.
func (w *Way) Validate() error {
	ways := 0
	for _, given := range []bool{w.Genesis != nil, len(w.Join) > 0, w.Recover != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return fmt.Errorf("%w: a node starts a network, joins one or recovers one: exactly one way, found %d", coco.ErrInvalid, ways)
	case w.Genesis == nil && w.Approve == (coco.Digest{}) && (w.Recover == nil || len(w.Service) == 0):
		return fmt.Errorf("%w: no approved constitution: give the digest that the operator has checked", coco.ErrInvalid)
	case w.Genesis != nil && len(w.Service) > 0:
		return fmt.Errorf("%w: a new network has no service yet: the certificate of one is given", coco.ErrInvalid)
	}
	return nil
}

// Config is what a life begins from.
type Config struct {
	Way
	Log       *slog.Logger
	Host      host.Host
	Verifiers attest.Verifiers
	Owner     join.Owner
	Vault     resume.Vault // where the node keeps what it needs to resume
	// PeerAddress and ClientAddress are what others dial.
	PeerAddress, ClientAddress string
	Admitted                   *join.Admission // by the life before; nil if the node has yet to be admitted
	// Joined is told the certificate (DER) of the service whose network has admitted the node, before anything of that network is fetched.
	Joined func(service []byte)
	// Refused, NotKept and Waits may be nil: see node.Config.
	Refused func(*join.RefusedError)
	NotKept func(error)
	Waits   func(resume.Waiting)
}

// Start is what a life begins with.
type Start struct {
	Log     *slog.Logger
	Self    *join.Attestor
	Local   catchup.Local // the ledger and the snapshots on the node's disk
	Keys    *keys.Ring
	Network join.Network // that the node becomes part of
	Machine raft.Config
	Basis   *catchup.Basis // the snapshot to begin with; nil: the ledger's first entry
	Resumed Resumed

	cfg    Config
	ledger *join.OwnLedger
	peers  *peer.Transport // that is not open yet
	first  func(context.Context, Running) error
}

// Running is what Start.Begin needs of a node that runs.
type Running struct {
	Replica *replica.Replica
	Ledgers []replica.Ledger    // of the adapters
	Network func() join.Network // as members have changed it since the node was admitted
}

// Prepare finds out about the network, in one of the three ways. ledger is open, and local is of the same files. peers is not open yet. It
// waits until the network has admitted the node, or members have opened the ledger.
func Prepare(ctx context.Context, cfg Config, self *join.Attestor, ledger *join.OwnLedger, local catchup.Local, peers *peer.Transport) (*Start, error) {
	s := &Start{cfg: cfg, Log: local.Log, Self: self, ledger: ledger, Local: local, Keys: keys.NewRing(), peers: peers}
	switch {
	case cfg.Genesis != nil:
		return s, s.found()
	case len(cfg.Join) > 0:
		return s, s.join(ctx)
	}
	return s, s.recover(ctx)
}

// Begin commits the node's first transaction, if there is one to make. The replica MUST run.
func (s *Start) Begin(ctx context.Context, n Running) error {
	if s.first == nil {
		return nil
	}
	return s.first(ctx, n)
}

// Time returns the time that the members say in a recovery, in milliseconds since 1970; 0 if there is none.
func (s *Start) Time() uint64 {
	if s.cfg.Recover == nil || s.cfg.Recover.Time == nil {
		return 0
	}
	return uint64(max(0, s.cfg.Recover.Time().UnixMilli()))
}

// NewAttestor makes an identity for one life of a node, and what proves it.
func NewAttestor(ctx context.Context, cfg Config) (*join.Attestor, error) {
	claims, err := ownClaims(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var id *channel.Identity
	if cfg.Admitted != nil {
		id = cfg.Admitted.Identity
	} else if id, err = channel.NewIdentity(claims.Insecure); err != nil {
		return nil, err
	}
	return &join.Attestor{
		Identity: id, Owner: cfg.Owner, Quoter: cfg.Host.Quoter, Measurement: claims.Measurement,
		PeerAddress: cfg.PeerAddress, ClientAddress: cfg.ClientAddress,
	}, nil
}

// ownClaims asks the platform what this program is, before it has a key: the evidence is bound to
// none, and this node alone reads it.
func ownClaims(ctx context.Context, cfg Config) (attest.Claims, error) {
	ev, err := attest.Quote(ctx, cfg.Host.Quoter, "coco self", nil, join.NewNonce())
	if err != nil {
		return attest.Claims{}, err
	}
	claims, err := cfg.Verifiers.Verify(ev, cfg.Host.Clock.Now())
	if err != nil {
		return attest.Claims{}, fmt.Errorf("this node's own evidence: %w", err)
	}
	return claims, nil
}

// beginAfter sets up consensus after the snapshot.
func (s *Start) beginAfter(b *catchup.Basis) {
	cfg := &s.Machine
	cfg.First = min(s.Local.Ledger.First(), b.Header.Index+1)
	cfg.Base = raft.Base{Index: b.Header.Index, View: b.Header.View}
	cfg.Members = consensus.Membership{
		Voters: consensus.IDs(b.Header.Voters), Learners: consensus.IDs(b.Header.Learners), Outgoing: consensus.IDs(b.Header.Outgoing),
	}
}

// beginAt has the node begin with a snapshot that its own ledger proves; nil for none.
func (s *Start) beginAt(own *basis.Snapshot) {
	if own == nil {
		return
	}
	rec := own.Record
	s.Basis = &catchup.Basis{
		Record: catchup.Record{Index: rec.Index, View: rec.View, Seqno: rec.Seqno, Digest: rec.Digest, Bytes: rec.Bytes}, Header: own.Header, Path: own.Path, Tree: own.Tree,
	}
	s.beginAfter(s.Basis)
}
