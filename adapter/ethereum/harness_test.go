package ethereum

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"log/slog"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/store"
)

// began is when the network of a test began, in milliseconds.
const began = 1_800_000_000_000

// opened is the ledger of a network of chain 7, over a state in memory. It answers what reads.
type opened struct {
	adapter.Ledger
	t     *testing.T
	db    *store.Store
	scope *store.Scope
}

// begin opens the ledger of a network that begins with settings.
func begin(t *testing.T, settings map[string]any) *opened {
	t.Helper()
	o := &opened{t: t, db: store.New()}
	settings["chain_id"] = 7
	page, err := json.Marshal(settings)
	o.must(err)
	complete, err := New().CompleteSettings(page)
	o.must(err)
	o.scope, err = o.db.Scope("ethereum", rows.Tables()...)
	o.must(err)
	o.Ledger, err = New().Open(adapter.Env{
		Settings: complete, State: o.scope, Clock: local.Clock{}, Log: slog.New(slog.DiscardHandler),
		Status: func() adapter.Status { return adapter.Status{Role: "leader"} },
		Fresh:  func(context.Context, adapter.Reading) (adapter.Age, error) { return adapter.Age{Stale: true}, nil },
	})
	o.must(err)
	t.Cleanup(func() { o.must(o.Close()) })
	set := o.db.Begin(1, began)
	tx := set.Begin()
	o.must(tx.In(o.scope, o.Genesis))
	tx.Commit()
	o.commit(set)
	return o
}

func (o *opened) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *opened) commit(set *store.Set) {
	o.t.Helper()
	o.must(set.Install())
	o.db.Commit(set.Next() - 1)
	o.Committed(adapter.Commit{View: set.View(), First: set.First(), Last: set.Next() - 1, Time: set.Time()})
}

// call is a call as a node passes it on.
func (o *opened) call(caller coco.Caller, payload []byte) *adapter.Call {
	o.t.Helper()
	decoded, err := o.Decode(payload)
	o.must(err)
	return &adapter.Call{Caller: caller, Payload: payload, Decoded: decoded}
}

// transaction is a call with a signed transaction.
func (o *opened) transaction(caller coco.Caller, key *ecdsa.PrivateKey, tx *types.DynamicFeeTx) *adapter.Call {
	o.t.Helper()
	tx.ChainID, tx.GasFeeCap, tx.GasTipCap = big.NewInt(7), new(big.Int), new(big.Int)
	if tx.Value == nil {
		tx.Value = new(big.Int)
	}
	raw, err := types.MustSignNewTx(key, types.LatestSignerForChainID(tx.ChainID), tx).MarshalBinary()
	o.must(err)
	return o.call(caller, append(crypto.PubkeyToAddress(key.PublicKey).Bytes(), raw...))
}

// execute executes calls a second after the beginning, in as many sets as they need, and returns what became of each.
func (o *opened) execute(calls ...*adapter.Call) map[*adapter.Call]adapter.Outcome {
	o.t.Helper()
	queue, outcome := adapter.Queue(calls...), map[*adapter.Call]adapter.Outcome{}
	for range len(calls) { // each set has one of them at least
		set := o.db.Begin(2, began+1000)
		part := set.Part(o.scope)
		for _, out := range o.Execute(context.Background(), part, queue) {
			outcome[out.Call] = out
		}
		part.End()
		if set.Len() > 0 {
			o.commit(set)
		}
	}
	return outcome
}
