package join_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/catchup"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

var verifiers = attest.Verifiers{virtual.Verifier{}}

// network is a network of one node, the sponsor, whose transactions are committed at once.
type network struct {
	*sim.World
	t       *testing.T
	members []*nettest.Member
	guest   *nettest.Member
	network join.Network
	secret  keys.Secret
	state   *store.Store
	leads   bool
	leader  string // of a sponsor that does not lead: the address of the node that does
	shared  uint64
	sponsor *join.Sponsor
	forged  func(*peer.Grant)  // changes what the sponsor grants; nil for none
	turn    func(coco.ActorID) // runs when a joiner waits for its turn; nil: nothing
}

const sponsorAddress = "sponsor:7000"

// withNetwork runs a test in virtual time.
func withNetwork(t *testing.T, test func(t *testing.T, n *network)) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{World: sim.New(1), t: t, leads: true, state: store.New()}
		ctx, stop := context.WithCancel(t.Context())
		wait := n.found(ctx)
		test(t, n)
		stop()
		wait()
	})
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// found makes the network's genesis and starts the sponsor. It returns what waits for its end.
func (n *network) found(ctx context.Context) (wait func()) {
	c := &constitution.Constitution{
		Network: constitution.Network{Name: "test", Insecure: true}, Adapters: map[string]map[string]any{"kv": {}},
		Code: []constitution.Code{{Measurement: sim.Measurement, Note: "simulated"}}, TEE: []constitution.TEE{{Platform: virtual.Platform}},
	}
	for _, name := range []string{"alpha", "beta"} {
		m, err := nettest.NewMember(name)
		n.must(err)
		n.members = append(n.members, m)
		c.Members = append(c.Members, m.Entry())
	}
	var err error
	n.guest, err = nettest.NewMember("guest")
	n.must(err)
	c.Participants = []constitution.Participant{{Name: "guest", Certificate: n.guest.Cert}}
	n.must(c.Complete())
	service, err := channel.NewService("test", true, time.Now())
	n.must(err)

	at := n.attestor("sponsor", n.members[0])
	n.network = join.Network{
		Constitution: c, Service: service, Origin: at.Identity.ID(),
		Nodes: map[coco.NodeID]string{at.Identity.ID(): at.PeerAddress}, Seqno: 1,
	}
	_, err = n.state.Scope("coco", table.All()...)
	n.must(err)
	rec, err := at.Record(ctx, c, join.NewNonce())
	n.must(err)
	_, _, err = n.commit(ctx, coco.ActorID{}, func(tx *store.Tx) ([]byte, error) {
		rec.Time = tx.Time()
		if rec.Certificate, err = join.Endorse(n.network, rec, rec.Time, time.Now()); err != nil {
			return nil, err
		}
		key, err := service.MarshalKey()
		if err != nil {
			return nil, err
		}
		n.secret, err = members.WriteGenesis(tx, c, rec, service.Certificate().Raw, key)
		return nil, err
	})
	n.must(err)
	n.must(at.Identity.SetCertificate(rec.Certificate))

	h := n.Host("sponsor")
	n.sponsor = &join.Sponsor{
		Log: slog.New(slog.DiscardHandler), Clock: h.Clock, Verifiers: verifiers, Attestor: at,
		Network: func() join.Network { return n.network }, Page: func() []byte { return n.network.Constitution.TOML() },
		Secrets: func(context.Context) (map[uint64]keys.Secret, error) { return map[uint64]keys.Secret{1: n.secret}, nil },
		State:   n.state.Snapshot, Applied: n.state.Committed, Now: time.Now,
		Leads:  func() (bool, string) { return n.leads, n.leader },
		Commit: n.commit,
		Shared: func([]peer.Sample) (uint64, error) { return n.shared, nil },
	}
	t := peer.New(n.sponsor.Log, h.Clock)
	t.Open(ctx, peer.Config{Dialer: peer.Dialer{Net: h.Net, Identity: at.Identity}, Join: n.serve}, nil)
	l, err := h.Net.Listen(sponsorAddress)
	n.must(err)
	go func() { _ = t.Serve(ctx, l) }()
	return t.Wait
}

// serve has the sponsor answer, unless its grants are forged.
func (n *network) serve(ctx context.Context, conn *channel.Conn, heard peer.Heard) {
	if n.forged == nil {
		n.sponsor.Serve(ctx, conn, func(ctx context.Context, owner coco.ActorID) (func(), error) {
			if n.turn != nil {
				n.turn(owner)
			}
			return heard(ctx, owner)
		})
		return
	}
	var hello peer.JoinHello
	n.must(peer.ReadMessage(conn, &hello))
	ev, err := n.sponsor.Attestor.Evidence(ctx, conn.Binding())
	n.must(err)
	n.must(peer.WriteMessage(conn, peer.JoinWelcome{Evidence: ev, Constitution: n.network.Constitution.TOML()}))
	var request peer.JoinRequest
	n.must(peer.ReadMessage(conn, &request))
	key, err := n.network.Service.MarshalKey()
	n.must(err)
	joiner := conn.Peer()
	cert, err := n.network.Service.Endorse(joiner.Key, joiner.ID, []string{"beta:7000"}, true, time.Now(), time.Now())
	n.must(err)
	g := &peer.Grant{
		Certificate: cert, Service: n.network.Service.Certificate().Raw, ServiceKey: key, Secrets: map[uint64]keys.Secret{1: n.secret},
		Origin: n.network.Origin, Nodes: n.network.Nodes, Seqno: 1, Sponsor: n.network.Origin,
	}
	n.forged(g)
	n.must(peer.WriteMessage(conn, peer.JoinAnswer{Grant: g}))
}

func (n *network) attestor(host string, owner *nettest.Member) *join.Attestor {
	id, err := channel.NewIdentity(true)
	n.must(err)
	return &join.Attestor{
		Identity: id, Owner: owner, Quoter: n.Host(host).Quoter, PeerAddress: host + ":7000", ClientAddress: host + ":8000",
		Measurement: sim.Measurement,
	}
}

// commit runs a transaction, if the sponsor leads.
func (n *network) commit(_ context.Context, _ coco.ActorID, run func(*store.Tx) ([]byte, error)) (uint64, []byte, error) {
	if !n.leads {
		return 0, nil, coco.ErrNotCommitted
	}
	set := n.state.Begin(2, uint64(time.Now().UnixMilli()))
	tx := set.Begin()
	reply, err := run(tx)
	if err != nil {
		tx.Abort()
		return 0, nil, err
	}
	tx.Commit()
	if err := set.Install(); err != nil {
		return 0, nil, err
	}
	n.state.Commit(set.Next() - 1)
	return set.Next() - 1, reply, nil
}

// joiner makes a joiner that knows the network, and what it is told.
func (n *network) joiner(host string, owner *nettest.Member) (*join.Joiner, *[]*join.RefusedError) {
	var told []*join.RefusedError
	h := n.Host(host)
	return &join.Joiner{
		Log: slog.New(slog.DiscardHandler), Net: h.Net, Clock: h.Clock, Verifiers: verifiers, Attestor: n.attestor(host, owner),
		Ask: []string{sponsorAddress}, Approve: n.network.Constitution.Digest(),
		Samples: func() ([]peer.Sample, error) { return nil, nil },
		Refused: func(err *join.RefusedError) { told = append(told, err) },
	}, &told
}

// record returns what the sponsor's state says of a node.
func (n *network) record(id coco.NodeID) (table.NodeRecord, error) {
	s := n.state.Snapshot()
	defer s.Release()
	return table.Node(s, id)
}

func TestAnAdmissionHoldsWhatANodeNeeds(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		n.shared = 7
		j, told := n.joiner("beta", n.members[1])
		a, err := j.Join(t.Context())
		if err != nil || len(*told) > 0 {
			t.Fatal(err, *told)
		}
		id := j.Attestor.Identity
		if rec, err := n.record(id.ID()); err != nil || rec.State != table.Trusted || rec.Since != a.Network.Seqno {
			t.Errorf("admitted at seqno %d, the list of nodes says %+v (%v)", a.Network.Seqno, rec, err)
		}
		leaf := id.Certificate().Leaf
		if err := leaf.CheckSignatureFrom(n.network.Service.Certificate()); err != nil {
			t.Errorf("its certificate is not the service's: %v", err)
		}
		if a.Network.ID() != n.network.ID() || a.Network.Origin != n.network.Origin || a.Network.Nodes[n.network.Origin] != sponsorAddress ||
			a.Network.Constitution.Digest() != n.network.Constitution.Digest() {
			t.Errorf("the network is %+v", a.Network)
		}
		if a.Secrets[1] != n.secret || a.Sponsor != n.network.Origin || a.Shared != 7 || a.Identity != id {
			t.Error("a part of the admission is not what the sponsor granted")
		}
	})
}

func TestAnAnswerThatIsLostIsGivenAgain(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		j, _ := n.joiner("beta", n.members[1])
		lost := n.converse(j.Attestor.Identity, func(binding []byte) any {
			rec, err := j.Attestor.Record(t.Context(), n.network.Constitution, binding)
			n.must(err)
			raw, err := canon.Marshal(rec)
			n.must(err)
			return peer.JoinRequest{Record: raw}
		}, 2)
		if lost.Grant == nil {
			t.Fatalf("refused: %+v", lost)
		}
		if a, err := j.Join(t.Context()); err != nil || a.Network.Seqno != lost.Grant.Seqno || n.state.Committed() != a.Network.Seqno {
			t.Errorf("asked again, it is admitted by another transaction (%v)", err)
		}
	})
}

func TestAJoinerAsksTheLeader(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		n.leads, n.leader = false, "leader:7000"
		l, err := n.Host("leader").Net.Listen("leader:7000")
		n.must(err)
		asked := make(chan struct{})
		go func() {
			c, err := l.Accept()
			if err == nil {
				close(asked)
				_ = c.Close()
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		j, told := n.joiner("beta", n.members[1])
		go func() {
			<-asked
			cancel()
		}()
		if _, err := j.Join(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the leader was not asked: %v", err)
		}
		if len(*told) > 0 {
			t.Errorf("that another node leads was told as a refusal: %v", *told)
		}
	})
}

func TestAConstitutionThatWasNotApprovedIsRefused(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		j, told := n.joiner("beta", n.members[1])
		j.Approve = coco.Digest{1}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := j.Join(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if len(*told) != 1 || !errors.Is((*told)[0], coco.ErrVerify) {
			t.Errorf("told %v, expected one failed verification", *told)
		}
		if _, err := n.record(j.Attestor.Identity.ID()); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("a node that refuses the network is in its list: %v", err)
		}
		// Members have changed it since: the service vouches for the node that follows it.
		j.Service = n.network.Service.Certificate().Raw
		if _, err := j.Join(t.Context()); err != nil {
			t.Errorf("the service is known: %v", err)
		}
	})
}

// pretender signs by its own key for a node that it says is another's.
type pretender struct {
	*nettest.Member
	of *nettest.Member
}

func (p pretender) Actor() coco.ActorID    { return p.of.Actor() }
func (p pretender) Certificates() [][]byte { return p.of.Certificates() }

// Turns are shared by organisation, so a node gets one when it has shown whose it is: not one that names an owner that is in no
// constitution, nor one that names another's owner.
func TestANodeGetsTheTurnOfItsOwnerOnly(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		stranger, err := nettest.NewMember("stranger")
		n.must(err)
		for name, tc := range map[string]struct {
			owner join.Owner
			turns int
		}{
			"an owner that is not listed":           {stranger, 0},
			"another's owner":                       {pretender{stranger, n.members[1]}, 0},
			"another's owner, as a participant":     {pretender{n.guest, n.members[1]}, 0},
			"its owner, who has no vote for it yet": {n.guest, 1},
		} {
			var turns []coco.ActorID
			n.turn = func(owner coco.ActorID) { turns = append(turns, owner) }
			j, told := n.joiner("gamma", nil)
			j.Attestor.Owner = tc.owner
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			if _, err := j.Join(ctx); err == nil || len(*told) != 1 || len(turns) != tc.turns {
				t.Errorf("%s: %v, told %v, after the turns %v, expected %d", name, err, *told, turns, tc.turns)
			}
			cancel()
		}
		j, _ := n.joiner("beta", n.members[1])
		var turns []coco.ActorID
		n.turn = func(owner coco.ActorID) { turns = append(turns, owner) }
		if _, err := j.Join(t.Context()); err != nil || len(turns) != 1 || turns[0] != n.members[1].Actor() {
			t.Errorf("%v, after the turns %v", err, turns)
		}

		// A node that does not lead may know an older constitution: it sends the joiner on.
		n.leads, n.leader = false, "leader:7000"
		j, told := n.joiner("delta", nil)
		j.Attestor.Owner = stranger
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := j.Join(ctx); !errors.Is(err, context.DeadlineExceeded) || slices.ContainsFunc(*told, func(e *join.RefusedError) bool { return e.Address == sponsorAddress }) {
			t.Errorf("%v, told %v", err, *told)
		}
	})
}

func TestANodeThatWaitsForAVoteIsInTheListAndAsksOn(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		j, told := n.joiner("guest", n.guest)
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		if _, err := j.Join(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if len(*told) != 1 || (*told)[0].Reason != members.NotVotedIn || (*told)[0].Address != sponsorAddress {
			t.Errorf("told %+v, expected that no vote has admitted it", *told)
		}
		if rec, err := n.record(j.Attestor.Identity.ID()); err != nil || rec.State != table.Pending {
			t.Errorf("the list of nodes says %q (%v)", rec.State, err)
		}
		if at := n.state.Committed(); at != 2 {
			t.Errorf("%d transactions, expected the genesis and one that shows the node", at)
		}
	})
}

func TestANodeThatIsStartedAgainAndAgainWaitsInOneRow(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		for range 30 {
			j, _ := n.joiner("guest", n.guest) // each with a key of its own
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			if _, err := j.Join(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
		s := n.state.Snapshot()
		defer s.Release()
		nodes, err := table.Nodes(s)
		if err != nil {
			t.Fatal(err)
		}
		if at := n.state.Committed(); len(nodes) != 2 || at != 2 {
			t.Errorf("%d nodes after %d transactions, expected the sponsor, the one that waits, and the genesis with one that shows it", len(nodes), at)
		}
	})
}

// A request that another node made, for another connection, is of no use.
func TestARequestHoldsForOneConnection(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		for name, record := range map[string]func(at *join.Attestor, binding []byte) (table.NodeRecord, error){
			"another node's record": func(_ *join.Attestor, binding []byte) (table.NodeRecord, error) {
				return n.attestor("beta", n.members[1]).Record(t.Context(), n.network.Constitution, binding)
			},
			"another connection's evidence": func(at *join.Attestor, _ []byte) (table.NodeRecord, error) {
				return at.Record(t.Context(), n.network.Constitution, join.NewNonce())
			},
		} {
			at := n.attestor("beta", n.members[1])
			answer := n.converse(at.Identity, func(binding []byte) any {
				rec, err := record(at, binding)
				n.must(err)
				raw, err := canon.Marshal(rec)
				n.must(err)
				return peer.JoinRequest{Record: raw}
			}, 2)
			if answer.Grant != nil || answer.Kind == 0 {
				t.Errorf("%s: the answer is %+v", name, answer)
			}
		}
	})
}

func TestAnotherVersionIsRefused(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		if answer := n.converse(n.attestor("beta", n.members[1]).Identity, nil, 3); answer.Grant != nil || answer.Kind == 0 {
			t.Errorf("the answer is %+v", answer)
		}
	})
}

// converse speaks with the sponsor. Without a request it expects the answer to its hello.
func (n *network) converse(id *channel.Identity, request func(binding []byte) any, version uint64) (answer peer.JoinAnswer) {
	raw, err := n.Host("beta").Net.Dial(n.t.Context(), sponsorAddress)
	n.must(err)
	conn, err := channel.PeerClient(n.t.Context(), raw, id, func(channel.PeerCert) error { return nil }, channel.Options{})
	n.must(err)
	defer conn.Close()
	n.must(peer.WriteMessage(conn, peer.JoinHello{Version: version}))
	if request != nil {
		var welcome peer.JoinWelcome
		n.must(peer.ReadMessage(conn, &welcome))
		n.must(peer.WriteMessage(conn, request(conn.Binding())))
	}
	n.must(peer.ReadMessage(conn, &answer))
	return answer
}

func TestALedgerIsCutToWhatIsShared(t *testing.T) {
	withNetwork(t, func(t *testing.T, n *network) {
		j, _ := n.joiner("beta", n.members[1])
		a, err := j.Join(t.Context())
		n.must(err)
		h := n.Host("beta")
		log := n.ledger(h, 5)
		defer log.Close()
		local := catchup.Local{Log: j.Log, Clock: h.Clock, Disk: h.Disk, Snapshots: "snapshots", Ledger: log}
		folder := join.Folder{Disk: h.Disk, Dir: "ledger"}
		if _, err := a.Prepare(t.Context(), h.Net, local, folder); !errors.Is(err, coco.ErrVerify) || log.Last() != 5 {
			t.Errorf("nothing is shared, and nothing says whose ledger it is: %v, and the ledger ends with entry %d", err, log.Last())
		}
		n.must(folder.Note(n.network.Service.Certificate()))
		var unusable *catchup.UnusableError
		if _, err := a.Prepare(t.Context(), h.Net, local, folder); !errors.As(err, &unusable) || log.Last() != 5 {
			t.Errorf("nothing is shared: %v, and the ledger ends with entry %d", err, log.Last())
		}
		a.Shared = 3
		if basis, err := a.Prepare(t.Context(), h.Net, local, folder); err != nil || basis != nil || log.Last() != 3 {
			t.Errorf("entries up to 3 are shared: %v, and the ledger ends with entry %d", err, log.Last())
		}
	})
}

// ledger makes a ledger of entries that carry no transactions.
func (n *network) ledger(h host.Host, count uint64) *ledger.Log {
	log, err := ledger.Open(h.Disk, "ledger", ledger.Options{ChunkBytes: 1 << 20})
	n.must(err)
	for i := range count {
		n.must(log.Append([]batch.Entry{{Index: i + 1, View: 1, Kind: batch.KindView}}))
	}
	n.must(log.Sync())
	return log
}
