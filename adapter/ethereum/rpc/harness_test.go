package rpc

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/store"
)

const testChainID = 4242

// testChain is a network of one node without consensus: every set is installed and committed.
type testChain struct {
	t testing.TB
	*chain.Ledger
	env   *adapter.Env
	rpc   *Server
	store *store.Store
	scope *store.Scope
	view  uint64
	now   uint64
	keys  []*ecdsa.PrivateKey
	past  *recording
	clock *testClock

	log    io.Writer                      // nil: nowhere
	status atomic.Pointer[adapter.Status] // nil: a leader's
}

// newTestChain opens a chain with funded accounts; settings override the defaults.
func newTestChain(t testing.TB, accounts int, settings map[string]any) *testChain {
	c := &testChain{t: t, store: store.New(), view: 2, now: 1_700_000_000_000, past: new(recording), clock: new(testClock)}
	all := map[string]any{"chain_id": testChainID, "visibility": "network"}
	alloc := map[string]any{}
	for i := range accounts {
		key, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "account %d", i)))
		must(t, err)
		c.keys = append(c.keys, key)
		alloc[c.address(i).Hex()] = map[string]any{"balance": "1000000000000000000000"}
	}
	all["alloc"] = alloc
	for k, v := range settings {
		all[k] = v
	}
	enc, err := json.Marshal(all)
	must(t, err)
	c.open(enc)
	set := c.store.Begin(1, c.now)
	tx := set.Begin()
	must(t, tx.In(c.scope, c.Genesis))
	tx.Commit()
	c.commit(set)
	return c
}

func (c *testChain) open(page []byte) {
	scope, err := c.store.Scope("ethereum", rows.Tables()...)
	must(c.t, err)
	c.scope = scope
	c.reopen(page)
}

func (c *testChain) reopen(page []byte) {
	clock := host.Clock(hurriedClock{})
	if c.clock != nil {
		clock = c.clock
	}
	if _, ok := c.t.(*testing.B); ok {
		clock = local.Clock{}
	}
	complete, err := settings.Complete(page)
	must(c.t, err)
	c.env = &adapter.Env{
		Insecure: true,
		Settings: complete, State: c.scope, Submit: c.submit, Clock: clock, Past: c.past.read,
		Status: func() adapter.Status { return *cmp.Or(c.status.Load(), &adapter.Status{Role: "leader"}) },
		Log:    slog.New(slog.NewTextHandler(cmp.Or(c.log, io.Discard), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	l, err := chain.Open(c.env)
	must(c.t, err)
	c.Ledger = l
	c.rpc = New(l, sight.New(l), c.env)
	c.t.Cleanup(func() { c.rpc.Close(); l.Close() })
}

func (c *testChain) address(i int) common.Address { return crypto.PubkeyToAddress(c.keys[i].PublicKey) }

// submit executes calls as a batch of their own.
func (c *testChain) submit(_ context.Context, calls ...*adapter.Call) []adapter.Result {
	out := make([]adapter.Result, len(calls))
	for _, o := range c.execute(calls...) {
		for i := range calls {
			if calls[i] == o.Call {
				out[i] = adapter.Result{TxID: o.TxID, Reply: o.Reply, Err: o.Err}
			}
		}
	}
	return out
}

// execute runs one batch and commits it, and more until nothing is left.
func (c *testChain) execute(calls ...*adapter.Call) (out []adapter.Outcome) {
	queue := adapter.Queue(calls...)
	for {
		set := c.store.Begin(c.view, c.now)
		part := set.Part(c.scope)
		out = append(out, c.Execute(context.Background(), part, queue)...)
		part.End()
		c.commit(set)
		for c.Busy() {
			runtime.Gosched()
		}
		next := queue.Next()
		if next == nil && !c.Ready() {
			return out
		}
		if next != nil {
			queue.Back(next)
		}
	}
}

func (c *testChain) commit(set *store.Set) {
	if set.Len() == 0 {
		return
	}
	if _, ok := c.t.(*testing.B); !ok {
		c.past.add(c.t, set)
	}
	must(c.t, set.Install())
	c.store.Commit(set.Next() - 1)
	c.Committed(adapter.Commit{View: set.View(), First: set.First(), Last: set.Next() - 1, Time: set.Time()})
}

// call wraps a signed transaction as the node that a client reached does.
func (c *testChain) call(tx *types.Transaction) *adapter.Call {
	raw, err := tx.MarshalBinary()
	must(c.t, err)
	sender, err := types.Sender(c.Signer(), tx)
	must(c.t, err)
	payload := append(sender.Bytes(), raw...)
	d, err := c.Decode(payload)
	must(c.t, err)
	return &adapter.Call{Payload: payload, Decoded: d}
}

// sign makes a dynamic-fee transaction without fees.
func (c *testChain) sign(from int, nonce uint64, to *common.Address, gas uint64, value int64, data []byte) *types.Transaction {
	tx, err := types.SignNewTx(c.keys[from], c.Signer(), &types.DynamicFeeTx{
		ChainID: big.NewInt(testChainID), Nonce: nonce, To: to, Gas: gas, Value: big.NewInt(value), Data: data,
		GasFeeCap: new(big.Int), GasTipCap: new(big.Int),
	})
	must(c.t, err)
	return tx
}

func (c *testChain) transfer(from int, nonce uint64, value int64) *types.Transaction {
	to := common.BytesToAddress([]byte{0xaa, byte(from)})
	return c.sign(from, nonce, &to, 21000, value, nil)
}

// included checks that the outcomes are all transactions.
func included_(t testing.TB, out []adapter.Outcome, n int) {
	t.Helper()
	if len(out) != n {
		t.Fatalf("%d outcomes, want %d", len(out), n)
	}
	for i, o := range out {
		if o.Err != nil || o.Tx == nil || o.TxID == (coco.TxID{}) || len(o.Reply) != 32 {
			t.Fatalf("outcome %d: %+v", i, o)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// settingsOf returns the settings of newTestChain(t, accounts, nil).
func settingsOf(t testing.TB, accounts int) []byte {
	alloc := map[string]any{}
	for i := range accounts {
		key, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "account %d", i)))
		must(t, err)
		alloc[crypto.PubkeyToAddress(key.PublicKey).Hex()] = map[string]any{"balance": "1000000000000000000000"}
	}
	enc, err := json.Marshal(map[string]any{"chain_id": testChainID, "visibility": "network", "alloc": alloc})
	must(t, err)
	return enc
}

// restored opens the chain on a node that has begun with a snapshot of the state, and whose ledger is
// that of this one.
func (c *testChain) restored(settings []byte) *testChain {
	s := c.store.Snapshot()
	defer s.Release()
	n := &testChain{t: c.t, store: store.New(), view: c.view + 1, now: c.now, keys: c.keys, past: c.past}
	all := rows.Tables()
	scope, err := n.store.Scope("ethereum", all...)
	must(c.t, err)
	n.scope = scope
	r := n.store.Restore(s.Version())
	for _, table := range all {
		if !table.Archive {
			must(c.t, s.Each(table.Name, func(key string, value []byte) error { return r.Put(table.Name, key, value) }))
		}
	}
	must(c.t, r.Done())
	n.reopen(settings)
	return n
}

// testClock is a hurried clock that a test sets: 0 is the time of this machine.
type testClock struct {
	hurriedClock
	now atomic.Int64 // milliseconds since 1970
}

func (c *testClock) Now() time.Time {
	if now := c.now.Load(); now > 0 {
		return time.UnixMilli(now)
	}
	return c.hurriedClock.Now()
}

// hurriedClock waits for nothing.
type hurriedClock struct{ local.Clock }

func (hurriedClock) After(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return c
}
