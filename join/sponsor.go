package join

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// Sponsor answers nodes that join. Its functions are called by several goroutines at a time.
type Sponsor struct {
	Log       *slog.Logger
	Clock     host.Clock
	Verifiers attest.Verifiers
	Attestor  *Attestor

	// Network returns what this node knows of the network, with the constitution, the service's certificate and the
	// list of nodes as they are now.
	Network func() Network
	// Page returns the constitution of Network as a page. Any stranger asks for it, so it is not made anew for each.
	Page func() []byte
	// Secrets returns the secrets of epochs that a node which joins is given. The caller wipes them.
	Secrets func(context.Context) (map[uint64]keys.Secret, error)
	// State returns the committed state, which is released afterwards.
	State func() *store.Snapshot
	// Applied is the seqno up to which transactions are committed and applied here.
	Applied func() uint64
	// Now returns the time that a transaction would have.
	Now func() time.Time
	// Leads reports whether this node leads. If not, it returns the address of the node that does, if one does.
	Leads func() (leads bool, leader string)
	// Commit runs a transaction, and returns its seqno and what run returned once it is committed. It fails with
	// coco.ErrNotCommitted if this node does not lead.
	// The transaction waits for its turn with others of the organisation.
	Commit func(ctx context.Context, by coco.ActorID, run func(*store.Tx) ([]byte, error)) (seqno uint64, reply []byte, err error)
	// Shared returns the index of the newest of the samples that is in this node's ledger, too.
	Shared func([]peer.Sample) (uint64, error)

	proving sync.Mutex // the one turn of those who have not shown whose node they are
}

// Serve answers one joiner. See peer.Config for heard.
func (s *Sponsor) Serve(ctx context.Context, conn *channel.Conn, heard peer.Heard) {
	log := s.Log.With("node", conn.Peer().ID.Short())
	answer, err := s.answer(ctx, conn, heard)
	if err != nil {
		_, leader := s.Leads()
		answer = refuse(err, leader)
		if !errors.Is(err, coco.ErrNotCommitted) {
			log.Warn("node refused", "error", err)
		}
	}
	err = peer.WriteMessage(conn, answer)
	if answer.Grant != nil {
		keys.Wipe(answer.Grant.Secrets)
	}
	if err != nil {
		log.Debug("answer to a joiner", "error", err)
	}
}

func (s *Sponsor) answer(ctx context.Context, conn *channel.Conn, heard peer.Heard) (peer.JoinAnswer, error) {
	none := peer.JoinAnswer{}
	var hello peer.JoinHello
	if err := peer.ReadMessage(conn, &hello); err != nil {
		return none, err
	}
	if hello.Version != version {
		return none, fmt.Errorf("%w: joining by version %d, this node speaks %d", coco.ErrInvalid, hello.Version, version)
	}
	ev, err := s.Attestor.Evidence(ctx, conn.Binding())
	if err != nil {
		return none, err
	}
	if err := peer.WriteMessage(conn, peer.JoinWelcome{Evidence: ev, Constitution: s.Page()}); err != nil {
		return none, err
	}
	var request peer.JoinRequest
	if err := peer.ReadMessage(conn, &request); err != nil {
		return none, err
	}
	rec, err := readRecord(conn, request.Record)
	if err != nil {
		return none, err
	}
	if err := s.prove(rec); err != nil {
		return none, err
	}
	leave, err := heard(ctx, rec.Owner)
	if err != nil {
		return none, err
	}
	defer leave()
	seqno, cert, err := s.admit(ctx, rec)
	if err != nil {
		return none, err
	}
	s.Log.Info("node admitted", logevent.NodeAdmitted.Attr(), "node", rec.ID.Short(), "owner", s.Network().Constitution.Name(rec.Owner), "address", rec.Address)
	grant, err := s.grant(ctx, seqno, cert, request.Samples)
	if err != nil {
		return none, err
	}
	return peer.JoinAnswer{Grant: grant}, nil
}

// prove checks that a node is of the organisation that its record names, before it waits for a turn: turns are shared by organisation,
// and anybody can name one. Those who have not shown it yet are checked one at a time, however many they are. Their connections may be closed meanwhile.
func (s *Sponsor) prove(rec table.NodeRecord) error {
	s.proving.Lock()
	defer s.proving.Unlock()
	rec.Time = uint64(max(0, s.Now().UnixMilli()))
	err := members.CheckForm(&rec)
	if err == nil {
		err = members.VerifyOwner(s.Network().Constitution, &rec)
	}
	if leads, _ := s.Leads(); err != nil && !leads { // what members have decided may not be known here
		return fmt.Errorf("%w: this node does not lead, and cannot tell whose node %s is: %v", coco.ErrNotCommitted, rec.ID.Short(), err)
	}
	return err
}

// readRecord reads the record of the node at the other end of a connection.
func readRecord(conn *channel.Conn, raw canon.Raw) (table.NodeRecord, error) {
	var rec table.NodeRecord
	sender := conn.Peer()
	if err := canon.Unmarshal(raw, &rec, canon.Limits{Bytes: len(raw)}); err != nil {
		return rec, fmt.Errorf("%w: the record of node %s: %v", coco.ErrCorrupt, sender.ID.Short(), err)
	}
	if rec.ID != sender.ID || !bytes.Equal(rec.Key, sender.Key) || !bytes.Equal(rec.Nonce, conn.Binding()) {
		return rec, fmt.Errorf("%w: the record is of node %s, the connection of %s", coco.ErrDenied, rec.ID.Short(), sender.ID.Short())
	}
	return rec, nil
}

// grant makes what an admitted node gets.
func (s *Sponsor) grant(ctx context.Context, seqno uint64, cert []byte, samples []peer.Sample) (*peer.Grant, error) {
	shared, err := s.Shared(samples)
	if err != nil {
		return nil, err
	}
	network := s.Network()
	serviceKey, err := network.Service.MarshalKey()
	if err != nil {
		return nil, err
	}
	state := s.State()
	defer state.Release()
	recorded, err := table.Snapshots(state)
	if err != nil {
		return nil, err
	}
	secrets, err := s.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	g := &peer.Grant{
		Certificate: cert, Service: network.Service.Certificate().Raw, ServiceKey: serviceKey, Secrets: secrets,
		Origin: network.Origin, Nodes: network.Nodes, Seqno: seqno, Shared: shared, Sponsor: s.Attestor.Identity.ID(),
	}
	for i := len(recorded) - 1; i >= 0; i-- {
		raw, err := canon.Marshal(recorded[i])
		if err != nil {
			return nil, err
		}
		g.Snapshots = append(g.Snapshots, raw)
	}
	return g, nil
}

// admit commits a node's record, on the leader, and returns the seqno and the node's certificate.
func (s *Sponsor) admit(ctx context.Context, rec table.NodeRecord) (uint64, []byte, error) {
	claims, err := s.Verifiers.Verify(rec.Evidence, s.Clock.Now())
	if err != nil {
		return 0, nil, err
	}
	network := s.Network()
	if s.Applied() < network.Seqno {
		// The first transaction of a network, or of a recovery, is this node's own.
		return 0, nil, fmt.Errorf("%w: node %s is starting", coco.ErrNotCommitted, s.Attestor.Identity.ID().Short())
	}
	if !s.sponsors() {
		return 0, nil, fmt.Errorf("%w: node %s is no node of this network any more", coco.ErrNotCommitted, s.Attestor.Identity.ID().Short())
	}
	if old, ok := s.trusted(rec); ok {
		// It was admitted before, and the answer got lost. Its evidence is of this connection.
		err := network.Constitution.CheckEvidence(claims, rec.Key, rec.Nonce)
		return old.Since, old.Certificate, err
	}
	seqno, cert, err := s.Commit(ctx, rec.Owner, func(tx *store.Tx) ([]byte, error) {
		cert, err := Endorse(s.Network(), rec, tx.Time(), s.Clock.Now())
		if err != nil {
			return nil, err
		}
		rec.Certificate, rec.Time = cert, tx.Time()
		return cert, members.AdmitNode(tx, rec, claims)
	})
	if reasonOf(err) == members.NotVotedIn {
		if perr := s.pend(ctx, rec, claims); perr != nil {
			s.Log.Warn("a node that waits for a vote is not in the list", "node", rec.ID.Short(), "error", perr)
		}
	}
	return seqno, cert, err
}

// sponsors reports whether the network trusts this node: one that is removed knows the network's secrets, and grants them to none.
func (s *Sponsor) sponsors() bool {
	state := s.State()
	defer state.Release()
	rec, err := table.Node(state, s.Attestor.Identity.ID())
	return err == nil && rec.State == table.Trusted
}

// pend shows members a node that waits for their vote, once: they vote on its place, which has one row however often a process is
// started there, unless what is voted on has changed with it.
func (s *Sponsor) pend(ctx context.Context, rec table.NodeRecord, claims attest.Claims) error {
	state := s.State()
	waiting, err := table.NodesOf(state, table.Pending)
	state.Release()
	if err != nil {
		return err
	}
	measurement := cmp.Or(rec.Measurement, claims.Measurement)
	for _, old := range waiting {
		if old.Owner == rec.Owner && old.Address == rec.Address && old.ClientAddress == rec.ClientAddress && old.Measurement == measurement {
			return nil
		}
	}
	_, _, err = s.Commit(ctx, rec.Owner, func(tx *store.Tx) ([]byte, error) { return nil, members.PendNode(tx, rec, claims) })
	return err
}

// trusted returns the record of a node that asks again, if this node leads and trusts it.
func (s *Sponsor) trusted(rec table.NodeRecord) (table.NodeRecord, bool) {
	if leads, _ := s.Leads(); !leads {
		return table.NodeRecord{}, false
	}
	state := s.State()
	defer state.Release()
	old, err := table.Node(state, rec.ID)
	return old, err == nil && old.State == table.Trusted && old.Owner == rec.Owner && bytes.Equal(old.Key, rec.Key) &&
		old.Address == rec.Address && old.ClientAddress == rec.ClientAddress
}

// Endorse makes a node's certificate at a time of the ledger (milliseconds since 1970), while this host's clock says day. Either may be ahead: the
// certificate begins at the earlier one.
func Endorse(network Network, rec table.NodeRecord, now uint64, day time.Time) ([]byte, error) {
	return network.Service.Endorse(rec.Key, rec.ID, []string{rec.Address, rec.ClientAddress},
		network.Constitution.Network.Insecure, time.UnixMilli(int64(now)), day)
}
