package grants

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/granting"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/grant"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

// world is a network of three members with a node each, which hold the packages of a committee.
type world struct {
	*govtest.Network
	t        testing.TB
	nodes    []table.NodeRecord
	drivers  []*Driver
	packages map[coco.NodeID]map[uint32]*committee.Package // of the committee in force
	secrets  map[uint64]keys.Secret
	leader   int
	away     map[coco.NodeID]bool
	auditor  *govtest.Org
	// fails is asked before a transaction commits: its error is the asker's. After says that the transaction commits, and the asker does not hear of it.
	fails func() (err error, after bool)
}

func newWorld(t testing.TB) *world {
	w := &world{
		Network: govtest.New(t), t: t, secrets: map[uint64]keys.Secret{}, away: map[coco.NodeID]bool{},
		auditor: govtest.Issue(t, "auditor", nil, true, nil), fails: func() (error, bool) { return nil, false },
	}
	w.nodes = append(w.nodes, w.Genesis())
	for i, address := range []string{"b:1", "c:1"} {
		rec := w.Node(w.Members[i+1], address)
		w.Admit(rec)
		w.nodes = append(w.nodes, rec)
	}
	for epoch := uint64(1); epoch <= 200; epoch++ {
		w.secrets[epoch] = keys.Secret{byte(epoch), 7}
	}
	w.replace()
	for _, rec := range w.nodes {
		w.drivers = append(w.drivers, w.driver(rec.ID))
	}
	return w
}

// replace puts another committee in force, as a ceremony does.
func (w *world) replace() {
	w.t.Helper()
	var actors []coco.ActorID
	var nodes []coco.NodeID
	for _, rec := range w.nodes {
		actors, nodes = append(actors, rec.Owner), append(nodes, rec.ID)
	}
	c, packages, err := committee.Deal(actors, 2)
	if err != nil {
		w.t.Fatal(err)
	}
	w.packages = map[coco.NodeID]map[uint32]*committee.Package{}
	err = w.Transact(func(tx *store.Tx) error {
		rec := table.CommitteeRecord{Number: table.LastCommittee(tx) + 1, Version: 4, Session: coco.Digest{1}, Ceremony: 1, Since: tx.Seqno(), Commitment: c.Key().Commitment()}
		for i, s := range c.Seats() {
			rec.Seats = append(rec.Seats, table.SeatRecord{Actor: s.Actor, Node: nodes[i], Encryption: s.Encryption})
			w.packages[nodes[i]] = map[uint32]*committee.Package{uint32(i + 1): packages[i]}
		}
		return table.PutCommittee(tx, rec)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) newest() (n uint64) {
	w.Read(func(r store.Reader) { n = table.LastCommittee(r) })
	return n
}

func (w *world) driver(id coco.NodeID) *Driver {
	return New(Config{
		Log: slog.New(slog.DiscardHandler), Clock: local.Clock{}, Store: w.Store, Self: id,
		Now: func() time.Time { return w.Now }, Leads: func() bool { return w.leads(id) },
		Do: func(_ context.Context, run func(*store.Tx) ([]byte, error)) (adapter.Result, error) {
			err := w.commit(id, func(tx *store.Tx) error { _, err := run(tx); return err })
			return adapter.Result{Err: err}, err
		},
		Ask: func(_ context.Context, rq peer.Request) adapter.Result {
			if rq.Kind != peer.Grants {
				w.t.Fatalf("a request of the kind %s", rq.Kind)
			}
			leader := w.nodes[w.leader].ID
			return adapter.Result{Err: w.commit(leader, func(tx *store.Tx) error { return granting.Give(tx, id, rq.Body) })}
		},
		Give: func(g seats.Granted) ([]byte, error) {
			p := w.packages[id][g.Seat]
			if p == nil || g.Committee != w.newest() {
				return nil, fmt.Errorf("%w: no package", coco.ErrNotFound)
			}
			return g.Part(p)
		},
		Open: func(epoch uint64, _ []uint64) (keys.Secret, error) {
			s, ok := w.secrets[epoch]
			if !ok {
				return s, fmt.Errorf("%w: epoch %d", coco.ErrNotFound, epoch)
			}
			return s, nil
		},
	})
}

func (w *world) leads(id coco.NodeID) bool { return w.nodes[w.leader].ID == id && !w.away[id] }

// commit commits a transaction on the node that leads.
func (w *world) commit(on coco.NodeID, run func(*store.Tx) error) error {
	if !w.leads(on) {
		return coco.ErrNotCommitted
	}
	err, after := w.fails()
	if err != nil && !after {
		return err
	}
	if failed := w.Transact(run); failed != nil {
		return failed
	}
	return err
}

func (w *world) vote(epochs string) {
	w.t.Helper()
	out := w.Decide(govtest.Act(action.GrantEpochs, action.Args{Name: "kpmg", Certificate: w.auditor.Cert.Raw, EncryptionKey: w.auditor.Encryption.Public(), Epochs: epochs}))
	if out.State != table.Accepted {
		w.t.Fatalf("the proposal is %s", out.State)
	}
}

// announce makes the network have so many epochs.
func (w *world) announce(n uint64) {
	w.t.Helper()
	err := w.Transact(func(tx *store.Tx) error {
		for epoch := table.LastEpoch(tx) + 1; epoch <= n; epoch++ {
			if err := table.Put(tx, table.EpochsTable, table.EpochKey(epoch), table.EpochRecord{Epoch: epoch, Since: tx.Seqno()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// step has a node look once, and do what it owes. It returns how much that is.
func (w *world) step(node int) int {
	w.t.Helper()
	if w.away[w.nodes[node].ID] {
		return 0
	}
	list, err := w.drivers[node].look()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, owed := range list {
		w.drivers[node].carryOut(context.Background(), &owed)
	}
	return len(list)
}

func (w *world) load(number uint64) (out *granting.Grant) {
	w.t.Helper()
	w.Read(func(r store.Reader) {
		var err error
		if out, err = granting.Load(r, number); err != nil {
			w.t.Fatal(err)
		}
	})
	return out
}

// reads says which epochs the auditor reads by a grant.
func (w *world) reads(number uint64) (out []uint64) {
	w.t.Helper()
	g := w.load(number)
	c, err := g.Sealing.ToCombine()
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := grant.Parse(g.Sealing.Sealing)
	if err != nil {
		w.t.Fatal(err)
	}
	parts := map[uint32][]byte{}
	for seat, p := range g.Parts {
		parts[seat] = p.Box
	}
	private, faults, err := s.Open(c, g.Of(w.Audience(), g.Sealing.Committee, g.Sealing.Key), w.auditor.Encryption, parts)
	if err != nil || len(faults) > 0 {
		w.t.Fatal(faults, err)
	}
	w.Read(func(r store.Reader) {
		for epoch := range uint64(300) {
			row, ok := r.Get(table.GrantsTable, table.GrantKey(number, epoch+1, 0))
			if !ok {
				continue
			}
			box, err := table.DecodeGrantBox(row)
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := private.OpenGrant(w.Audience(), epoch+1, box.Box); err != nil {
				w.t.Fatal(err)
			}
			out = append(out, epoch+1)
		}
	})
	return out
}

func (w *world) settle() {
	w.t.Helper()
	for range 20 {
		owed := 0
		for node := range w.nodes {
			owed += w.step(node)
		}
		if owed == 0 {
			return
		}
	}
	w.t.Fatal("nodes owe something still")
}

func TestNodesBringAGrantToItsEndWithoutMembersKeys(t *testing.T) {
	w := newWorld(t)
	w.announce(150)
	w.vote("3-140") // more than one transaction has
	w.settle()
	if g := w.load(1); !g.Whole() {
		t.Fatalf("missing %v, parts %d", g.Missing, len(g.Parts))
	}
	if got := w.reads(1); len(got) != 138 || got[0] != 3 || got[137] != 140 {
		t.Errorf("the auditor reads %v", got)
	}
	if w.drivers[0].given.Load() != 1 || w.drivers[0].pending.Load() != 0 || !w.drivers[2].told[1] {
		t.Errorf("given %d, pending %d", w.drivers[0].given.Load(), w.drivers[0].pending.Load())
	}
}

// A node that is away gives its part once it is back, and a grant is complete without it.
func TestANodeThatWasAwayGivesItsPartLater(t *testing.T) {
	w := newWorld(t)
	w.away[w.nodes[1].ID] = true
	w.vote("1")
	if w.step(2); len(w.drivers[2].Notices()) != 1 {
		t.Errorf("while it is not complete: %q", w.drivers[2].Notices())
	}
	w.settle()
	if g := w.load(1); !g.Complete() || g.Whole() || g.Parts[2] != nil || len(w.drivers[2].Notices()) != 0 {
		t.Fatalf("parts %v, %q", len(g.Parts), w.drivers[2].Notices())
	}
	w.away = map[coco.NodeID]bool{}
	w.settle()
	if g := w.load(1); !g.Whole() {
		t.Errorf("parts %v", len(g.Parts))
	}
}

// An epoch whose secret cannot be had holds up no other one, and follows once it can be had.
func TestAnEpochThatDoesNotOpenComesLater(t *testing.T) {
	w := newWorld(t)
	w.announce(9)
	secret := w.secrets[4]
	delete(w.secrets, 4)
	w.vote("3-5")
	for range 5 {
		for node := range w.nodes {
			w.step(node)
		}
	}
	if g := w.load(1); !slices.Equal(g.Missing, []uint64{4}) || !g.Enough() || g.Complete() {
		t.Fatalf("missing %v", g.Missing)
	}
	if got := w.reads(1); !slices.Equal(got, []uint64{3, 5}) {
		t.Errorf("the auditor reads %v", got)
	}
	w.secrets[4] = secret
	w.settle()
	if got := w.reads(1); !slices.Equal(got, []uint64{3, 4, 5}) {
		t.Errorf("the auditor reads %v", got)
	}
}

// Whatever is lost, whoever leads, and whenever the committee is replaced: a grant comes to its end, and what it leaves is bounded.
// Each grant's completion is told, in whatever order grants become complete.
func TestAGrantThatBecomesCompleteAfterALaterOneIsTold(t *testing.T) {
	w := newWorld(t)
	w.announce(9)
	secret := w.secrets[3]
	delete(w.secrets, 3)
	w.vote("3")
	w.vote("4")
	for range 5 {
		for node := range w.nodes {
			w.step(node)
		}
	}
	if d := w.drivers[2]; d.told[1] || !d.told[2] {
		t.Fatalf("told %v, expected the later one alone", d.told)
	}
	w.secrets[3] = secret
	w.settle()
	if d := w.drivers[2]; !w.load(1).Complete() || !d.told[1] {
		t.Errorf("told %v, and the first grant is complete", d.told)
	}
}

func TestAGrantComesToItsEndWhateverFails(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 12
	}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		w.announce(9)
		w.fails = func() (error, bool) {
			switch rng.IntN(4) {
			case 0:
				return coco.ErrNotCommitted, false
			case 1:
				return coco.ErrUnknown, rng.IntN(2) == 0
			}
			return nil, false
		}
		w.vote("2-8")
		replaced := 0
		for range 60 {
			switch rng.IntN(8) {
			case 0:
				w.leader = rng.IntN(3)
			case 1:
				id := w.nodes[rng.IntN(3)].ID
				w.away[id] = !w.away[id]
			case 2:
				if replaced++; replaced < 4 {
					w.replace()
				}
			}
			w.step(rng.IntN(3))
		}
		w.fails, w.away = func() (error, bool) { return nil, false }, map[coco.NodeID]bool{}
		w.settle()
		if got := w.reads(1); !slices.Equal(got, []uint64{2, 3, 4, 5, 6, 7, 8}) {
			t.Fatalf("seed %d: the auditor reads %v", seed, got)
		}
		rows := 0
		w.Read(func(r store.Reader) {
			r.Range(table.GrantsTable, nil, nil, func(_, _ []byte) bool { rows++; return true })
		})
		if g := w.load(1); !g.Complete() || rows != 1+1+7+len(g.Parts) {
			t.Fatalf("seed %d: %d rows", seed, rows)
		}
	}
}

func TestBeforeRules3NothingIsOwed(t *testing.T) {
	n := govtest.New(t).ByRules2()
	n.Genesis()
	d := New(Config{Store: n.Store, Now: func() time.Time { return n.Now }, Leads: func() bool { return true }})
	if list, err := d.look(); err != nil || len(list) != 0 {
		t.Errorf("%d things are owed, %v", len(list), err)
	}
}
