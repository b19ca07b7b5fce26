package history

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/store"
)

const (
	ledgerDir = "ledger"
	indexDir  = "history"
	awayDir   = "away"
)

// testClock passes only where somebody waits.
type testClock struct {
	host.Clock
	mu  sync.Mutex
	now time.Duration
}

func (c *testClock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
	ready := make(chan time.Time, 1)
	ready <- time.Time{}
	return ready
}

// fatal is what rapid's, the test's and the benchmark's T have in common.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// network writes a ledger as the nodes of a network would, and remembers all of it.
type network struct {
	t      fatal
	world  *sim.World
	disk   host.Disk
	log    *ledger.Log
	chunk  int64
	signer *ecdsa.PrivateKey
	epochs uint64 // keys up to this epoch are known

	view  uint64
	last  uint64 // entry
	chain coco.Digest
	tree  merkle.Frontier
	done  []recorded
	past  map[string][]Version // by table and key, in order
}

// recorded is a batch as it was committed.
type recorded struct {
	at     Position
	chain  coco.Digest
	first  uint64
	before merkle.Frontier
}

func newNetwork(t fatal, chunkBytes int64) *network {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, world: sim.New(1), chunk: chunkBytes, signer: signer, epochs: 1, view: 1, past: map[string][]Version{}}
	n.disk = n.world.Host("n").Disk
	n.openLog()
	return n
}

func (n *network) openLog() {
	n.t.Helper()
	var err error
	if n.log, err = ledger.Open(n.disk, ledgerDir, ledger.Options{ChunkBytes: n.chunk}); err != nil {
		n.t.Fatal(err)
	}
}

func (n *network) keys(epoch uint64) (*batch.Keys, error) {
	if epoch > n.epochs {
		return nil, fmt.Errorf("%w: no key of epoch %d", coco.ErrNotFound, epoch)
	}
	return batch.NewKeys(epoch, [32]byte{byte(epoch)}), nil
}

func private(table string) bool { return table == "private" }

// commit writes a batch of transactions.
func (n *network) commit(txs ...[]store.Write) recorded {
	n.t.Helper()
	n.last++
	first := n.tree.Size() + 1
	h := batch.Header{
		View: n.view, Index: n.last, First: first, Time: 1000 * n.last, Epoch: n.epochs, Prev: n.chain,
	}
	var records []batch.Record
	for i, writes := range txs {
		split := map[bool][]store.Write{}
		for _, w := range writes {
			split[private(w.Table)] = append(split[private(w.Table)], w)
			id := w.Table + "/" + string(w.Key)
			seqno := first + uint64(i)
			v := Version{Seqno: seqno, TxID: coco.TxID{View: n.view, Seqno: seqno}, Value: w.Value, Deleted: w.Delete, Time: h.Time}
			n.past[id] = append(n.past[id], v)
		}
		records = append(records, batch.Record{Public: store.EncodeWrites(split[false]), Private: store.EncodeWrites(split[true])})
	}
	before := n.tree.Clone()
	keys, _ := n.keys(n.epochs)
	data, err := batch.Seal(h, records, &n.tree, keys, n.signer)
	if err != nil {
		n.t.Fatal(err)
	}
	n.write(batch.Entry{View: n.view, Index: n.last, Kind: batch.KindBatch, Data: data})
	b := recorded{at: Position{Index: n.last, View: n.view, Seqno: n.tree.Size(), Tree: n.tree.Clone()}, chain: n.chain, first: first, before: before}
	n.done = append(n.done, b)
	return b
}

// lead writes a new leader's first entry.
func (n *network) lead() {
	n.view++
	n.last++
	n.write(batch.Entry{View: n.view, Index: n.last, Kind: batch.KindView})
}

func (n *network) write(e batch.Entry) {
	n.t.Helper()
	if err := n.log.Append([]batch.Entry{e}); err != nil {
		n.t.Fatal(err)
	}
	if err := n.log.Sync(); err != nil {
		n.t.Fatal(err)
	}
	n.chain = e.Chain(n.chain)
}

// cut drops batches from one on: a recovery began without them.
func (n *network) cut(i int) {
	n.t.Helper()
	n.rewind(i)
	n.epochs++
	n.lead()
}

// rewind drops batches from one on, and goes on in another view.
func (n *network) rewind(i int) {
	n.t.Helper()
	n.done = n.done[:i]
	n.last, n.chain, n.tree = 0, coco.Digest{}, merkle.Frontier{}
	if i > 0 {
		b := n.done[i-1]
		n.last, n.chain, n.tree = b.at.Index, b.chain, b.at.Tree.Clone()
	}
	if err := n.log.TruncateAfter(n.last); err != nil {
		n.t.Fatal(err)
	}
	for id, versions := range n.past {
		n.past[id] = slices.DeleteFunc(versions, func(v Version) bool { return v.Seqno > n.tree.Size() })
	}
	n.view++
}

// index returns a new index that begins at a batch (0 is the empty state) and has heard of the others.
func (n *network) index(from int) *Index {
	x := New(Config{
		Disk: n.disk, Dir: indexDir, Ledger: n.log, Keys: n.keys, Clock: &testClock{},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	x.limits.keep = 0
	x.limits.slice = 1000
	var at Position
	if from > 0 {
		at = n.done[from-1].at
	}
	x.Start(at)
	for _, b := range n.done[from:] {
		x.Committed(b.at, b.first)
	}
	return x
}

// runOn steps an index until it has nothing more to do.
func runOn(x *Index) {
	for waited := 0; waited < 8; {
		if wait := x.step(context.Background()); wait > 0 {
			<-x.cfg.Clock.After(min(wait, poll))
			waited++
		}
	}
}

// chunks returns the complete chunks' files, in order.
func (n *network) chunks() (names []string) {
	for _, c := range n.log.Chunks() {
		name := fmt.Sprintf("ledger_%d-%d", c.First, c.Last)
		if _, here := n.world.Files("n", ledgerDir)[ledgerDir+"/"+name]; here {
			names = append(names, name)
		}
	}
	return names
}

func (n *network) move(from, to, name string) {
	n.t.Helper()
	if err := n.disk.Rename(from+"/"+name, to+"/"+name); err != nil {
		n.t.Fatal(err)
	}
}

// want is what Get must return.
func (n *network) want(table, key string, at uint64) (v Version, ok bool) {
	for _, v := range slices.Backward(n.past[table+"/"+key]) {
		if v.Seqno <= at {
			return v, true
		}
	}
	return v, false
}

// checkGet compares an answer with what was written. It says whether there was one.
func (n *network) checkGet(x *Index, table, key string, at uint64) bool {
	n.t.Helper()
	got, err := x.Get(context.Background(), table, []byte(key), at)
	if errors.Is(err, coco.ErrPending) || errors.Is(err, coco.ErrMissing) {
		return false
	}
	want, ok := n.want(table, key, at)
	switch {
	case errors.Is(err, coco.ErrNotFound):
		if ok {
			n.t.Fatalf("%s/%s at %d: not found, but seqno %d wrote it", table, key, at, want.Seqno)
		}
	case err != nil:
		n.t.Fatalf("%s/%s at %d: %v", table, key, at, err)
	case !ok:
		n.t.Fatalf("%s/%s at %d: found %+v, but nobody had written it", table, key, at, got)
	case got.Seqno != want.Seqno || got.TxID != want.TxID || got.Deleted != want.Deleted || got.Time != want.Time || string(got.Value) != string(want.Value):
		n.t.Fatalf("%s/%s at %d: found %+v, expected %+v", table, key, at, got, want)
	}
	return true
}

// checkPlace compares what Find and Batch say of a transaction. It says whether both answered.
func (n *network) checkPlace(x *Index, seqno uint64) bool {
	n.t.Helper()
	i, _ := slices.BinarySearchFunc(n.done, seqno, func(b recorded, seqno uint64) int {
		if b.at.Seqno < seqno {
			return -1
		}
		return 1
	})
	want := n.done[i]
	unable := func(err error) bool { return errors.Is(err, coco.ErrPending) || errors.Is(err, coco.ErrMissing) }
	at, err := x.Find(seqno)
	if unable(err) {
		return false
	}
	if (err != nil || at != Batch{First: want.first, Last: want.at.Seqno, Index: want.at.Index, View: want.at.View}) {
		n.t.Fatalf("seqno %d: found %+v, %v, expected %+v", seqno, at, err, want.at.Index)
	}
	b, before, err := x.Batch(context.Background(), seqno)
	if unable(err) {
		return false
	}
	if err != nil || b.Header.Index != want.at.Index || b.Header.Root != want.at.Tree.Root() || before.Root() != want.before.Root() {
		n.t.Fatalf("seqno %d: the batch or the tree before it is wrong: %v", seqno, err)
	}
	return true
}

func put(table, key, value string) store.Write {
	return store.Write{Table: table, Key: []byte(key), Value: []byte(value)}
}

func del(table, key string) store.Write {
	return store.Write{Table: table, Key: []byte(key), Delete: true}
}
