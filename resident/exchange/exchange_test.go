package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/resident/folder"
	"github.com/cocoframework/coco/store"
)

const testTable = "kv.resident"

// planted is in every value, and in no disk and no frame of an outsider.
const planted = "planted shipment"

// clock is the time of a bubble of synctest.
type clock struct {
	local.Clock
	start time.Time
}

func (c clock) Elapsed() time.Duration { return time.Since(c.start) + 1 }

// network is what consensus and connections are to exchanges: rows are committed on all nodes at once, and frames may get lost.
type network struct {
	t     *testing.T
	rand  *rand.Rand
	loss  float64
	clock clock
	seqno uint64
	nodes map[coco.NodeID]*machine

	epoch  atomic.Uint64
	closed atomic.Bool // keys of epochs before the newest are not there

	mu sync.Mutex // of what frames change
}

// machine is a node with its disk.
type machine struct {
	id    coco.NodeID
	owner coco.ActorID
	disk  *mem.Disk
	store *store.Store
	x     *Exchange
	stop  func()
	up    bool
	got   [][]byte // payloads that came in frames

	logging sync.Mutex
	log     []byte // under logging
}

// Write takes what the node logs.
func (m *machine) Write(b []byte) (int, error) {
	m.logging.Lock()
	defer m.logging.Unlock()
	m.log = append(m.log, b...)
	return len(b), nil
}

// said returns the events that the node has logged since it was asked last.
func (m *machine) said() []string {
	m.logging.Lock()
	defer m.logging.Unlock()
	events := regexp.MustCompile(`event=.*`).FindAllString(string(m.log), -1)
	m.log = nil
	return events
}

func org(n byte) coco.ActorID { return coco.ActorID{n} }

// newNetwork has one node for each of these owners.
func newNetwork(t *testing.T, seed uint64, owners ...byte) *network {
	n := &network{t: t, rand: rand.New(rand.NewPCG(seed, 0)), clock: clock{start: time.Now()}, nodes: map[coco.NodeID]*machine{}, seqno: 1}
	n.epoch.Store(1)
	for i, o := range owners {
		m := &machine{id: coco.NodeID{byte(i + 1)}, owner: org(o), disk: mem.New(), store: store.New()}
		if err := m.store.Create(store.Table{Name: testTable, Private: true, Ordered: true, Audience: true, Resident: true}); err != nil {
			t.Fatal(err)
		}
		n.nodes[m.id] = m
	}
	for _, m := range n.sorted() {
		n.start(m)
	}
	t.Cleanup(func() {
		for _, m := range n.nodes {
			if m.up {
				m.stop()
			}
		}
	})
	return n
}

func (n *network) sorted() []*machine {
	return slices.SortedFunc(maps.Values(n.nodes), func(a, b *machine) int { return bytes.Compare(a.id[:], b.id[:]) })
}

func (n *network) start(m *machine) {
	of := func(epoch uint64) *batch.Keys { return batch.NewKeys(epoch, [32]byte{byte(epoch)}) }
	held := func(epoch uint64) (*batch.Keys, error) {
		if epoch < n.epoch.Load() && n.closed.Load() {
			return nil, fmt.Errorf("%w: members open it", coco.ErrPending)
		}
		return of(epoch), nil
	}
	x, err := New(Config{
		Log: slog.New(slog.NewTextHandler(m, nil)), Clock: n.clock, Disk: m.disk, Dir: "resident", Store: m.store, Self: m.id, Owner: m.owner,
		Keys: folder.Keys{Current: func() (uint64, *batch.Keys) { return n.epoch.Load(), of(n.epoch.Load()) }, Of: held, Held: held, Now: time.Now},
		Nodes: func() map[coco.NodeID]coco.ActorID {
			all := map[coco.NodeID]coco.ActorID{}
			for id, m := range n.nodes {
				all[id] = m.owner
			}
			return all
		},
		Retention: func() time.Duration { return time.Hour },
		Left:      func(coco.ActorID) bool { return true }, Name: func(a coco.ActorID) string { return fmt.Sprint("organisation ", a[0]) },
		Send: func(to coco.NodeID, f peer.Message) bool { return n.send(m.id, to, f) },
		Now:  func() time.Time { return time.Now() },
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan struct{})
	n.mu.Lock()
	m.x, m.up = x, true
	n.mu.Unlock()
	go func() {
		defer close(done)
		_ = x.Run(ctx)
	}()
	m.stop = func() { cancel(); <-done }
}

// lose has a share of all frames get lost from now on.
func (n *network) lose(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// send delivers a frame after a while, or loses it. A frame to an outsider that is about its contents is a failure.
func (n *network) send(from, to coco.NodeID, f peer.Message) bool {
	n.mu.Lock()
	a, b := n.nodes[from], n.nodes[to]
	if !a.up || !b.up {
		n.mu.Unlock()
		return false
	}
	if p, ok := f.(*peer.Payload); ok {
		b.got = append(b.got, p.Payload)
	}
	lost, delay := n.rand.Float64() < n.loss, time.Duration(n.rand.IntN(20))*time.Millisecond
	n.mu.Unlock()
	if !lost {
		time.AfterFunc(delay, func() {
			n.mu.Lock()
			x, up := b.x, b.up
			n.mu.Unlock()
			if up {
				x.Receive(from, f)
			}
		})
	}
	return true
}

// commit has all nodes apply a row.
func (n *network) commit(a store.Audience, name string, r *resident.Row) {
	n.seqno++
	w := store.Write{Table: testTable, Key: append(a.Append(nil), name...), Delete: r == nil}
	if r != nil {
		r.Version = n.seqno
		w.Value = r.Append(make([]byte, store.SaltSize))
	}
	for _, m := range n.nodes {
		if err := m.store.Apply(n.seqno, []store.Write{w}); err != nil {
			n.t.Fatal(err)
		}
		m.store.Commit(n.seqno)
	}
}

// crash stops a machine, which loses what its disk has not synced.
func (n *network) crash(m *machine, disk *mem.Disk) {
	n.mu.Lock()
	m.up = false
	n.mu.Unlock()
	m.stop()
	m.disk = disk
}

var unsynced = mem.Loss{
	Name:    func(string) bool { return false },
	Changes: func(string, []mem.Change) []mem.Change { return nil },
	Removal: func(string) bool { return true },
}

// has reports whether a disk, as a crash leaves it, has a payload that opens.
func (n *network) has(m *machine, c coco.Digest) bool {
	of := func(epoch uint64) (*batch.Keys, error) { return batch.NewKeys(epoch, [32]byte{byte(epoch)}), nil }
	f, _, err := folder.New(m.disk.Crashed(unsynced), "resident", folder.Keys{Current: func() (uint64, *batch.Keys) { return n.epoch.Load(), nil }, Of: of, Held: of, Now: time.Now})
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = f.Get(c)
	return err == nil
}

// outside fails the test if a node has anything of an audience that its organisation is not in: in its frames or on its disk.
func (n *network) outside() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.nodes {
		for _, b := range m.got {
			if p, err := resident.Parse(b); err != nil || !p.Audience.Has(m.owner) {
				n.t.Errorf("node %s of %d got a payload of %v", m.id.Short(), m.owner[0], p.Audience)
			}
		}
		for _, name := range m.disk.Names() {
			if strings.Contains(string(m.disk.Data(name)), planted) {
				n.t.Errorf("file %s of node %s has a value in the clear", name, m.id.Short())
			}
		}
		m.x.mu.Lock()
		files := maps.Clone(m.x.files)
		m.x.mu.Unlock()
		for c := range files {
			_, p, err := m.x.load(c)
			if err == nil && !p.Audience.Has(m.owner) {
				n.t.Errorf("node %s of %d has a payload of %v", m.id.Short(), m.owner[0], p.Audience)
			}
		}
	}
}

func newPayload(a store.Audience, n uint64) *resident.Payload {
	p := &resident.Payload{Audience: a, Key: fmt.Append(nil, "key ", n%8), Value: fmt.Append(nil, planted, " ", n)}
	copy(p.Salt[:], fmt.Append(nil, "salt ", n))
	return p
}

func audienceOf(t *testing.T, orgs ...byte) store.Audience {
	t.Helper()
	var actors []coco.ActorID
	for _, o := range orgs {
		actors = append(actors, org(o))
	}
	a, err := store.NewAudience(actors...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (n *network) node(i byte) *machine { return n.nodes[coco.NodeID{i}] }

// The invariant, under lost frames, crashes, lost disks and rows that are replaced: a payload is on no disk and in no frame of a node outside its
// audience; each committed one is, when it is committed, on the disks of nodes of enough of its parties; and once everything runs every node of the
// audience has it.
func TestPayloadsAreWithEnoughOfTheirPartiesAndWithNobodyElse(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 6
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t, seed, 1, 2, 3, 1, 4)
			audiences := []store.Audience{audienceOf(t, 1, 2), audienceOf(t, 1, 2, 3), audienceOf(t, 3), audienceOf(t, 1, 3, 4)}
			n.lose(0.05)
			steps := rand.New(rand.NewPCG(seed, 1))
			rows, committed := map[string]resident.Ref{}, 0
			var down *machine
			for step := range uint64(60) {
				m := n.sorted()[steps.IntN(5)]
				a := audiences[steps.IntN(len(audiences))]
				switch {
				case steps.IntN(8) == 0: // a machine fails, or comes back
					if down != nil {
						n.start(down)
						down = nil
					} else {
						disk := m.disk.Crashed(unsynced)
						n.crash(m, disk)
						down = m
					}
				case !m.up || !m.x.Here(a):
				default:
					p := newPayload(a, step)
					c, nodes, err := m.x.Keep(t.Context(), p)
					if err != nil {
						if !errors.Is(err, coco.ErrBusy) {
							t.Fatal(err)
						}
						continue
					}
					holders, enough := n.node(5).x.Holders(a, nodes)
					if !enough {
						t.Fatalf("seed %d: nodes %v are not enough of %v", seed, nodes, a)
					}
					for _, id := range nodes {
						if !n.has(n.nodes[id], c) {
							t.Fatalf("seed %d: node %s says that it keeps a payload that its disk does not have", seed, id.Short())
						}
					}
					name := fmt.Sprint(a, string(p.Key))
					r := resident.Row{Commitment: c, Holders: holders}
					n.commit(a, name[:32], &r)
					rows[fmt.Sprint(a, name[:32])] = resident.Ref{Audience: a, Row: r}
					committed++
				}
				time.Sleep(time.Duration(steps.IntN(2000)) * time.Millisecond)
			}
			if committed < 10 {
				t.Fatalf("seed %d: only %d rows were committed", seed, committed)
			}
			if down != nil {
				n.start(down)
			}
			m := n.sorted()[steps.IntN(5)] // whose disk is lost, while all others have what they lack
			time.Sleep(time.Minute)
			n.crash(m, mem.New())
			n.start(m)
			n.lose(0)
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, ref := range rows {
				alone := len(ref.Audience) == 1 // whoever shares with nobody loses with its only disk
				for _, other := range n.nodes {
					if ref.Audience.Has(other.owner) && !n.has(other, ref.Row.Commitment) && !(alone && m == other) {
						t.Errorf("seed %d: node %s of %d lacks a payload of %v", seed, other.id.Short(), other.owner[0], ref.Audience)
					}
				}
			}
			n.outside()
			time.Sleep(2 * resident.Grace)
			synctest.Wait()
			for _, m := range n.nodes {
				for c := range m.x.files {
					if !slices.ContainsFunc(slices.Collect(maps.Values(rows)), func(r resident.Ref) bool { return r.Row.Commitment == c }) {
						t.Errorf("seed %d: a payload that no row names stays", seed)
					}
				}
			}
		})
	}
}

func TestAWriteWaitsForNodesOfBothOfTwoParties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, 1, 2, 3, 3)
		two, three := audienceOf(t, 1, 2), audienceOf(t, 1, 2, 3)
		n.crash(n.node(2), n.node(2).disk)
		p := newPayload(two, 1)
		if _, _, err := n.node(1).x.Keep(t.Context(), p); !errors.Is(err, coco.ErrBusy) || !strings.Contains(err.Error(), "organisation 2") {
			t.Errorf("without the other party: %v", err)
		}
		synctest.Wait()
		if names := n.node(1).disk.Names(); len(names) != 0 {
			t.Errorf("what was refused stays on the disk: %v", names)
		}
		_, nodes, err := n.node(1).x.Keep(t.Context(), newPayload(three, 2))
		if err != nil || len(nodes) != 2 {
			t.Errorf("two of three parties: %v, %v", nodes, err)
		}
		if _, enough := n.node(4).x.Holders(three, []coco.NodeID{{3}, {4}}); enough {
			t.Error("two nodes of one party count as two parties")
		}
		if _, enough := n.node(4).x.Holders(two, []coco.NodeID{{1}, {9}}); enough {
			t.Error("a node that is not trusted counts")
		}
	})
}

func TestALostPayloadIsFetchedWhenItIsReadAndMissingIfNobodyHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, 1, 2, 3)
		a := audienceOf(t, 1, 2)
		c, nodes, err := n.node(1).x.Keep(t.Context(), newPayload(a, 1))
		if err != nil {
			t.Fatal(err)
		}
		holders, _ := n.node(3).x.Holders(a, nodes)
		r := resident.Row{Commitment: c, Holders: holders}
		n.commit(a, strings.Repeat("n", 32), &r)
		ref := resident.Ref{Audience: a, Row: r}
		n.crash(n.node(2), mem.New())
		n.start(n.node(2))
		if p, err := n.node(2).x.Get(t.Context(), ref); err != nil || !strings.HasPrefix(string(p.Value), planted) {
			t.Errorf("a lost payload: %q, %v", p.Value, err)
		}
		// The host changes a file: it counts as absent.
		name := n.node(2).disk.Names()[0]
		n.node(2).disk.Put(name, []byte("something else"))
		if p, err := n.node(2).x.Get(t.Context(), ref); err != nil || !strings.HasPrefix(string(p.Value), planted) {
			t.Errorf("a damaged payload: %q, %v", p.Value, err)
		}
		// Frames get lost: the read is told to ask again.
		n.crash(n.node(2), mem.New())
		n.start(n.node(2))
		n.lose(1)
		if _, err := n.node(2).x.Get(t.Context(), ref); !errors.Is(err, coco.ErrPending) {
			t.Errorf("while nobody answers: %v", err)
		}
		n.lose(0)
		backup := n.node(1).disk.Clone()
		n.crash(n.node(2), mem.New())
		n.crash(n.node(1), mem.New())
		n.start(n.node(1))
		n.start(n.node(2))
		if _, err := n.node(2).x.Get(t.Context(), ref); !errors.Is(err, coco.ErrMissing) || !strings.Contains(err.Error(), "organisation 1, organisation 2") {
			t.Errorf("without a holder: %v", err)
		}
		time.Sleep(10 * time.Second)
		if s := n.node(1).x.Status(); s != (Status{Rows: 1, Lacking: 1, Unheld: 1}) {
			t.Errorf("the status without a holder: %+v", s)
		}
		if here, outside := n.node(1).x.Lacks(), n.node(3).x.Lacks(); here != 1 || outside != 0 {
			t.Errorf("a node of the audience lacks %d, expected 1, and one outside %d, expected none", here, outside)
		}
		if s := n.node(3).x.Status(); s != (Status{}) {
			t.Errorf("the status of an outsider: %+v", s)
		}
		// Operators of the audience's nodes are told once, and when a copy turns up.
		time.Sleep(time.Minute)
		if said := n.node(1).said(); !slices.Equal(said, []string{"event=resident_missing rows=1"}) {
			t.Errorf("without a holder the operator is told %q", said)
		}
		n.crash(n.node(2), backup)
		n.start(n.node(2))
		time.Sleep(time.Minute)
		if said := n.node(1).said(); !slices.Equal(said, []string{"event=resident_found"}) || n.node(1).x.Status().Lacking+n.node(1).x.Lacks() != 0 {
			t.Errorf("when a copy has turned up the operator is told %q: %+v", said, n.node(1).x.Status())
		}
		if said := n.node(3).said(); said != nil {
			t.Errorf("an outsider's operator is told %q", said)
		}
		n.outside()
	})
}

// Keys expire. What a row names is sealed again before, so that no member need open anything. A node that was down for longer says that its file must be
// opened, which is not that nobody has it.
func TestWhatRowsNameOutlivesTheKeysOfItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, 1, 2)
		a := audienceOf(t, 1, 2)
		c, nodes, err := n.node(1).x.Keep(t.Context(), newPayload(a, 1))
		if err != nil {
			t.Fatal(err)
		}
		holders, _ := n.node(1).x.Holders(a, nodes)
		r := resident.Row{Commitment: c, Holders: holders}
		n.commit(a, strings.Repeat("n", 32), &r)
		ref := resident.Ref{Audience: a, Row: r}
		n.epoch.Store(2)
		old := n.node(2).disk.Clone()
		time.Sleep(31 * time.Minute)
		n.closed.Store(true)
		for i := range byte(2) {
			if p, err := n.node(i+1).x.Get(t.Context(), ref); err != nil || !strings.HasPrefix(string(p.Value), planted) {
				t.Errorf("node %d: %q, %v", i+1, p.Value, err)
			}
		}
		n.crash(n.node(2), old) // as one that was down for so long
		n.crash(n.node(1), mem.New())
		n.start(n.node(1))
		n.start(n.node(2))
		time.Sleep(10 * time.Second)
		if _, err := n.node(1).x.Get(t.Context(), ref); !errors.Is(err, coco.ErrPending) || n.node(1).x.Status().Unheld != 0 {
			t.Errorf("while the other node has its file opened: %v, %+v", err, n.node(1).x.Status())
		}
		n.closed.Store(false)
		time.Sleep(10 * time.Second)
		if p, err := n.node(1).x.Get(t.Context(), ref); err != nil || !strings.HasPrefix(string(p.Value), planted) {
			t.Errorf("once it is open: %q, %v", p.Value, err)
		}
	})
}

// A node outside the audience that asks, sends or says something gets nothing and changes nothing.
func TestAnOutsiderGetsNoPayloadAndKeepsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, 1, 2, 3)
		a := audienceOf(t, 1, 2)
		c, _, err := n.node(1).x.Keep(t.Context(), newPayload(a, 1))
		if err != nil {
			t.Fatal(err)
		}
		got := len(n.node(3).got)
		for _, word := range []uint64{peer.PayloadWanted, peer.PayloadDropped, peer.PayloadKept, 99} {
			n.node(1).x.Receive(coco.NodeID{3}, &peer.PayloadWord{Commitment: c, Word: word})
		}
		n.node(1).x.Receive(coco.NodeID{3}, &peer.Payload{Payload: newPayload(a, 2).Append(nil)})
		n.node(3).x.Receive(coco.NodeID{1}, &peer.Payload{Payload: newPayload(a, 3).Append(nil)})
		n.node(1).x.Receive(coco.NodeID{2}, &peer.Payload{Payload: []byte("something else")})
		time.Sleep(time.Second)
		synctest.Wait()
		if len(n.node(3).got) != got || len(n.node(3).disk.Names()) != 0 {
			t.Error("an outsider has a payload")
		}
		if len(n.node(1).disk.Names()) != 1 || !n.has(n.node(1), c) {
			t.Errorf("files after an outsider's frames: %v", n.node(1).disk.Names())
		}
		// The writer's own word that a call was not executed removes it everywhere.
		n.node(1).x.Drop(a, c)
		time.Sleep(time.Second)
		synctest.Wait()
		if n.has(n.node(1), c) || n.has(n.node(2), c) {
			t.Error("a payload of a call that was not executed stays")
		}
	})
}

func TestAnOrganisationHasAShareOfWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, 1, 2)
		a := audienceOf(t, 1, 2)
		n.node(2).x.shares[org(1)] = maxWaiting
		if _, _, err := n.node(1).x.Keep(t.Context(), newPayload(a, 1)); !errors.Is(err, coco.ErrBusy) {
			t.Errorf("beyond the share of the other node: %v", err)
		}
		if _, _, err := n.node(2).x.Keep(t.Context(), newPayload(a, 2)); err != nil {
			t.Errorf("another organisation has its own: %v", err)
		}
	})
}

func TestARowThatIsWrittenOftenTakesNoShareOfWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, 1, 2)
		a := audienceOf(t, 1, 2)
		for i := range uint64(100) { // several times between two plans
			c, nodes, err := n.node(1).x.Keep(t.Context(), newPayload(a, 8*i))
			if err != nil {
				t.Fatal(err)
			}
			holders, _ := n.node(2).x.Holders(a, nodes)
			n.commit(a, strings.Repeat("n", resident.NameSize), &resident.Row{Commitment: c, Holders: holders})
			time.Sleep(time.Second)
		}
		time.Sleep(underWay + 10*tick)
		for _, m := range n.sorted() {
			m.x.mu.Lock()
			if bytes, count := m.x.shares[org(1)], len(m.x.waiting); bytes != 0 || count != 0 {
				t.Errorf("node %s: %d bytes of %d payloads wait for calls that are over", m.id.Short(), bytes, count)
			}
			m.x.mu.Unlock()
		}
	})
}

func TestANodeWithoutRoomForAPayloadSaysSoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, 1, 2)
		n.node(2).x.queued.Store(maxInboxBytes)
		since := time.Now()
		_, _, err := n.node(1).x.Keep(t.Context(), newPayload(audienceOf(t, 1, 2), 1))
		if !errors.Is(err, coco.ErrBusy) || time.Since(since) >= keepPatience {
			t.Errorf("after %v: %v", time.Since(since), err)
		}
		if got := n.node(2).x.queued.Load(); got != maxInboxBytes {
			t.Errorf("%d bytes are counted of a payload that was not taken", got-maxInboxBytes)
		}
	})
}

func TestAFullDiskRefusesAWriteAsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, 1, 2)
		for i := range byte(2) { // of the node that is asked, and of the other party's
			disk := n.node(i + 1).disk
			disk.SetCapacity(100)
			if _, _, err := n.node(1).x.Keep(t.Context(), newPayload(audienceOf(t, 1, 2), 1)); !errors.Is(err, coco.ErrBusy) || strings.Contains(err.Error(), "resident/") {
				t.Errorf("with a full disk of node %d: %v", i+1, err)
			}
			disk.SetCapacity(1 << 30)
		}
		synctest.Wait()
		for _, m := range n.sorted() {
			if names := m.disk.Names(); len(names) != 0 || m.x.shares[org(1)] != 0 {
				t.Errorf("node %s keeps %v of what was refused, and counts %d bytes", m.id.Short(), names, m.x.shares[org(1)])
			}
		}
	})
}
