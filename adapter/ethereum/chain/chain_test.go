package chain

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/store"
)

const testChainID = 4242

// testChain is a network of one node without consensus: every set is installed and committed.
type testChain struct {
	t testing.TB
	*Ledger
	env     *adapter.Env
	store   *store.Store
	scope   *store.Scope
	view    uint64
	now     uint64
	keys    []*ecdsa.PrivateKey
	past    *recording
	records []store.Record  // of all transactions
	queue   []*adapter.Call // as the core's
	given   int             // calls of the queue that one batch may have; 0: all
}

// newTestChain opens a chain with funded accounts; settings override the defaults.
func newTestChain(t testing.TB, accounts int, settings map[string]any) *testChain {
	c := &testChain{t: t, store: store.New(), view: 2, now: 1_700_000_000_000, past: new(recording)}
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
	c.begin()
	return c
}

// begin commits the genesis.
func (c *testChain) begin() {
	set := c.store.Begin(1, c.now)
	tx := set.Begin()
	must(c.t, tx.In(c.scope, c.Genesis))
	tx.Commit()
	c.commit(set)
}

func (c *testChain) open(page []byte) {
	scope, err := c.store.Scope("ethereum", rows.Tables()...)
	must(c.t, err)
	c.scope = scope
	c.reopen(page)
}

func (c *testChain) reopen(page []byte) {
	complete, err := settings.Complete(page)
	must(c.t, err)
	c.openStored(complete)
}

// openStored opens a ledger whose settings are stored.
func (c *testChain) openStored(stored []byte) {
	clock := host.Clock(hurriedClock{})
	if _, ok := c.t.(*testing.B); ok {
		clock = local.Clock{}
	}
	c.env = &adapter.Env{
		Settings: stored, Insecure: true, State: c.scope, Submit: c.submit, Clock: clock, Past: c.past.read,
		Status: func() adapter.Status { return adapter.Status{Role: "leader"} },
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	l, err := Open(c.env)
	must(c.t, err)
	c.Ledger = l
	c.t.Cleanup(func() { l.Close() })
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

// execute runs one batch and commits it. If that begins a long transaction, the next batch follows once it is done.
func (c *testChain) execute(calls ...*adapter.Call) []adapter.Outcome {
	set := c.store.Begin(c.view, c.now)
	out := c.run(set, calls...)
	c.commit(set)
	if l := c.exec.long; l != nil {
		<-l.done
		out = append(out, c.execute()...)
	}
	return out
}

// run executes calls, after those that are in the queue, on top of a set.
func (c *testChain) run(set *store.Set, calls ...*adapter.Call) []adapter.Outcome {
	part := set.Part(c.scope)
	defer part.End()
	c.queue = append(c.queue, calls...)
	n := 0
	return c.Execute(context.Background(), part, adapter.Calls{
		Next: func() *adapter.Call {
			if n++; len(c.queue) == 0 || c.given > 0 && n > c.given {
				return nil
			}
			next := c.queue[0]
			c.queue = c.queue[1:]
			return next
		},
		Back: func(call *adapter.Call) { c.queue = append([]*adapter.Call{call}, c.queue...) },
	})
}

func (c *testChain) commit(set *store.Set) {
	if set.Len() == 0 {
		return
	}
	if _, ok := c.t.(*testing.B); !ok {
		c.past.add(c.t, set)
	}
	c.records = append(c.records, set.Records()...)
	must(c.t, set.Install())
	c.store.Commit(set.Next() - 1)
	c.Committed(adapter.Commit{View: set.View(), First: set.First(), Last: set.Next() - 1, Time: set.Time()})
}

// call wraps a signed transaction as the node that a client reached does.
func (c *testChain) call(tx *types.Transaction) *adapter.Call {
	raw, err := tx.MarshalBinary()
	must(c.t, err)
	d, err := c.DecodeAndCheck(raw)
	must(c.t, err)
	return &adapter.Call{Payload: d.payload(), Decoded: d}
}

// forwarded wraps it as the leader sees one from another node.
func (c *testChain) forwarded(tx *types.Transaction) *adapter.Call {
	call := c.call(tx)
	d, err := c.Decode(call.Payload)
	must(c.t, err)
	call.Decoded = d
	return call
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

func sameBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %x, want %x", what, got, want)
	}
}

// balanceIn and nonceIn read an account of a view.
func (c *testChain) balanceIn(v *blocks.View, addr common.Address) uint64 {
	c.t.Helper()
	balance, err := v.Balance(c.t.Context(), addr)
	must(c.t, err)
	return balance.Uint64()
}

func (c *testChain) nonceIn(v *blocks.View, addr common.Address) uint64 {
	c.t.Helper()
	nonce, err := v.Nonce(c.t.Context(), addr)
	must(c.t, err)
	return nonce
}

func (c *testChain) pendingNonce(addr common.Address) uint64 {
	c.t.Helper()
	v := c.Latest()
	defer v.Release()
	return c.Sending().Next(addr, c.nonceIn(v, addr))
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

func transferData(to common.Address, value int64) []byte {
	return contracts.Transfer(to, big.NewInt(value))
}

// tryGenesis writes a genesis into a store of its own.
func (c *chain) tryGenesis(t testing.TB) error {
	db := store.New()
	must(t, db.Create(rows.Tables()...))
	return c.genesis(db.Begin(1, 1).Begin())
}

// awaitRoot waits until the root of a block is known.
func (c *testChain) awaitRoot(number uint64) {
	for {
		if k, _ := c.exec.roots.Newest(0); k.Number >= number {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
