package kv

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/store"
)

var (
	alpha = coco.Caller{Actor: coco.ActorID{0xa1}, Name: "Alpha", Role: coco.Member}
	beta  = coco.Caller{Actor: coco.ActorID{0xb2}, Name: "Beta", Role: coco.Participant}
	gamma = coco.Caller{Actor: coco.ActorID{0xc3}, Name: "Gamma", Role: coco.Member}
)

const testView = 2

// core is a network of one node: it executes calls on a real store and commits them at once.
type core struct {
	fresh func(context.Context, adapter.Reading) (adapter.Age, error) // nil: nothing is old
	*ledger
	store  *store.Store
	scope  *store.Scope
	mux    *http.ServeMux
	clock  *fakeClock
	submit func(context.Context, ...*adapter.Call) []adapter.Result // instead of its own
	caller coco.Caller                                              // of the requests of do

	mu     sync.Mutex
	claims [][]byte // of every transaction
	writes [][]byte // of every transaction, public ones first

	past     map[string][]adapter.PastValue // versions of every key, oldest first
	pastFail error                          // what Past answers, if set
}

// T is what a core needs of a test; both testing and rapid have it.
type T interface {
	Helper()
	Fatal(args ...any)
}

func newCore(t T, settings string) *core {
	t.Helper()
	complete, err := Adapter{}.CompleteSettings([]byte(cmp.Or(settings, "{}")))
	if err != nil {
		t.Fatal(err)
	}
	return newStoredCore(t, complete)
}

// newStoredCore has settings as they are stored.
func newStoredCore(t T, settings []byte) *core {
	t.Helper()
	c := &core{store: store.New(), mux: http.NewServeMux(), clock: &fakeClock{}, caller: alpha, past: map[string][]adapter.PastValue{}}
	var err error
	if c.scope, err = c.store.Scope("kv", (Adapter{}).Manifest().Tables...); err != nil {
		t.Fatal(err)
	}
	c.submit = c.execute
	l, err := Adapter{}.Open(adapter.Env{
		Settings: settings,
		Submit: func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
			return c.submit(ctx, calls...)
		},
		State: c.scope,
		Past:  adapter.OwnPast(c.scope, c.readPast), PastFor: adapter.OwnPastFor(c.scope, c.readPast),
		Receipt: func(_ context.Context, id coco.TxID) (receipt, claims []byte, err error) {
			if c.pastFail != nil {
				return nil, nil, c.pastFail
			}
			claims = c.claims[id.Seqno-1]
			receipt, err = json.Marshal(map[string]any{"transaction_id": id, "claims": claims})
			return receipt, claims, err
		},
		Actor: func(name string) (coco.ActorID, bool) {
			for _, a := range []coco.Caller{alpha, beta, gamma} {
				if a.Name == name {
					return a.Actor, true
				}
			}
			return coco.ActorID{}, false
		},
		Fresh: func(ctx context.Context, rd adapter.Reading) (adapter.Age, error) {
			if c.fresh == nil {
				return adapter.Age{}, nil
			}
			return c.fresh(ctx, rd)
		},
		Status: func() adapter.Status { return adapter.Status{Role: "leader", View: 7} },
		Clock:  c.clock,
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.ledger = l.(*ledger)
	for _, e := range l.Endpoints() {
		c.mux.HandleFunc(e.Pattern, func(w http.ResponseWriter, r *http.Request) { e.Handler(c.caller, w, r) })
	}
	set := c.store.Begin(testView, 1)
	tx := set.Begin()
	if err := tx.In(c.scope, l.Genesis); err != nil {
		t.Fatal(err)
	}
	tx.Commit()
	c.finish(set)
	return c
}

// finish makes a set the newest commit.
func (c *core) finish(set *store.Set) {
	if set.Len() == 0 {
		return
	}
	first, last := set.First(), set.Next()-1
	for i, r := range set.Records() {
		c.claims = append(c.claims, r.Claims)
		c.writes = append(c.writes, slices.Concat(r.Public, r.Private))
		c.record(coco.TxID{View: testView, Seqno: first + uint64(i)}, r.Private)
	}
	if err := set.Install(); err != nil {
		panic(err)
	}
	c.store.Commit(last)
	c.Committed(adapter.Commit{View: testView, First: first, Last: last, Time: 1})
}

// record keeps what a transaction wrote, as the ledger does.
func (c *core) record(id coco.TxID, private []byte) {
	if len(private) == 0 {
		return
	}
	writes, err := store.DecodeWrites(private)
	if err != nil {
		panic(err)
	}
	for _, w := range writes {
		v := adapter.PastValue{Value: w.Value, Deleted: w.Delete, TxID: id, Time: 1_700_000_000_000 + id.Seqno}
		c.past[pastKey(w.Table, w.Key)] = append(c.past[pastKey(w.Table, w.Key)], v)
	}
}

func pastKey(name string, key []byte) string {
	if name == table {
		return string(key)
	}
	return name + "/" + string(key)
}

// readPast is what the core's Env.Past and Env.PastFor read.
func (c *core) readPast(_ context.Context, name string, key []byte, at uint64) (adapter.PastValue, error) {
	if c.pastFail != nil {
		return adapter.PastValue{}, c.pastFail
	}
	versions := c.past[pastKey(name, key)]
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].TxID.Seqno <= at {
			return versions[i], nil
		}
	}
	return adapter.PastValue{}, fmt.Errorf("%w: never written", coco.ErrNotFound)
}

// execute runs calls as one batch, after they have travelled from another node.
func (c *core) execute(_ context.Context, calls ...*adapter.Call) []adapter.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range calls {
		decoded, err := c.Decode(call.Payload)
		if err != nil {
			panic(err) // the handler checked it
		}
		call.Decoded = decoded
	}
	set := c.store.Begin(testView, 1)
	results := make([]adapter.Result, len(calls))
	next := set.First()
	for i, o := range c.Execute(context.Background(), set.Part(c.scope), adapter.Queue(calls...)) {
		results[i] = adapter.Result{TxID: o.TxID, Reply: o.Reply, Err: o.Err}
		if o.Tx != nil {
			results[i].TxID = coco.TxID{View: testView, Seqno: next}
			next++
		}
	}
	c.finish(set)
	return results
}

func (c *core) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.mux.ServeHTTP(w, r)
	return w
}

// fakeClock tells the machine's time and never lets a wait end by itself.
type fakeClock struct {
	local.Clock
	hurry atomic.Bool // waits end at once
	mu    sync.Mutex
	waits []chan time.Time
}

var _ host.Clock = (*fakeClock)(nil)

func (c *fakeClock) After(time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	if c.hurry.Load() {
		ch <- time.Time{}
		return ch
	}
	c.waits = append(c.waits, ch)
	return ch
}

// expire ends the waits that have begun and says how many there were.
func (c *fakeClock) expire() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.waits)
	for _, ch := range c.waits {
		ch <- time.Time{}
	}
	c.waits = nil
	return n
}

// encodeWrite is encodeWriteTo for rows that all callers see.
func encodeWrite(ops []operation) []byte { return encodeWriteTo(nil, ops) }
