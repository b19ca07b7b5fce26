package ethereum

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/policies"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/store"
)

// A policy is attached to a contract by its deployer, in a transaction of its own, and is explained and exported.
func TestAContractsDeployerAttachesItsPolicy(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := crypto.GenerateKey()
	must(err)
	address, acme, other := crypto.PubkeyToAddress(key.PublicKey), coco.Caller{Actor: coco.ActorID{1}, Name: "acme"}, coco.Caller{Actor: coco.ActorID{2}, Name: "other"}
	page, err := json.Marshal(map[string]any{"chain_id": 7, "links": map[string]any{address.Hex(): map[string]any{"actor": acme.Actor.String(), "user": "kim"}}})
	must(err)
	settings, err := New().CompleteSettings(page)
	must(err)
	db := store.New()
	scope, err := db.Scope("ethereum", rows.Tables()...)
	must(err)
	l, err := New().Open(adapter.Env{Settings: settings, State: scope, Clock: local.Clock{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(err)
	defer func() { must(l.Close()) }()
	commit := func(set *store.Set) {
		must(set.Install())
		db.Commit(set.Next() - 1)
		l.Committed(adapter.Commit{View: set.View(), First: set.First(), Last: set.Next() - 1, Time: set.Time()})
	}
	set := db.Begin(1, 1_800_000_000_000)
	tx := set.Begin()
	must(tx.In(scope, l.Genesis))
	tx.Commit()
	commit(set)

	contract := crypto.CreateAddress(address, 0)
	by := policies.Deployer{Address: address}
	text := policy.Text{Policy: `question == "code"`, ABI: []byte(`[ {"type": "event", "name": "E", "inputs": []} ]`)}
	attach, err := policies.New(contract, by, text)
	must(err)
	elsewhere, err := policies.New(common.Address{5}, by, text)
	must(err)
	call := func(caller coco.Caller, payload []byte) *adapter.Call {
		t.Helper()
		decoded, err := l.Decode(payload)
		must(err)
		return &adapter.Call{Caller: caller, Payload: payload, Decoded: decoded}
	}
	remove := (&policies.Call{Contract: contract, Deployer: by, Remove: true}).Payload()
	signed, err := types.SignNewTx(key, types.LatestSignerForChainID(big.NewInt(7)), &types.DynamicFeeTx{ // PUSH1 1 PUSH1 0 MSTORE8 PUSH1 1 PUSH1 0 RETURN
		ChainID: big.NewInt(7), Gas: 100_000, Value: new(big.Int), GasFeeCap: new(big.Int), GasTipCap: new(big.Int), Data: common.FromHex("0x600160005360016000f3"),
	})
	must(err)
	raw, err := signed.MarshalBinary()
	must(err)
	kim, lee := acme, acme
	kim.User, lee.User = "kim", "lee"
	steps := []struct {
		call *adapter.Call
		kind error
	}{
		{call(acme, attach.Payload()), coco.ErrNotFound}, // there is no contract yet
		{call(kim, append(address.Bytes(), raw...)), nil},
		{call(other, attach.Payload()), coco.ErrDenied},
		{call(lee, attach.Payload()), coco.ErrDenied},
		{call(acme, elsewhere.Payload()), coco.ErrDenied},
		{call(acme, remove), coco.ErrNotFound},
		{call(kim, attach.Payload()), nil},
		{call(lee, remove), coco.ErrDenied},
		{call(acme, remove), nil},
		{call(acme, attach.Payload()), nil},
	}
	var queue []*adapter.Call
	for _, s := range steps {
		queue = append(queue, s.call)
	}
	calls, outcome := adapter.Queue(queue...), map[*adapter.Call]adapter.Outcome{}
	for range len(steps) {
		set := db.Begin(2, 1_800_000_001_000)
		part := set.Part(scope)
		for _, o := range l.Execute(context.Background(), part, calls) {
			outcome[o.Call] = o
		}
		part.End()
		if set.Len() > 0 {
			commit(set)
		}
	}
	for i, s := range steps {
		o, done := outcome[s.call]
		if !done || !errors.Is(o.Err, s.kind) || s.kind == nil && o.TxID.Seqno == 0 {
			t.Errorf("call %d: done %t, %v, %v; expected %v", i, done, o.TxID, o.Err, s.kind)
		}
	}
	state := scope.Snapshot()
	defer state.Release()
	row, ok, err := policies.Read(state, contract)
	if err != nil || !ok || row.Policy != text.Policy || string(row.ABI) != `[{"type":"event","name":"E","inputs":[]}]` || row.Deployer != by || row.Actor != acme.Actor || row.Since != outcome[steps[9].call].TxID.Seqno {
		t.Errorf("row %+v %t %v", row, ok, err)
	}

	out, err := ethereum{}.Export()([]store.Write{{Table: rows.Policies, Key: contract[:], Value: row.Encode()}, {Table: rows.Policies, Key: contract[:], Delete: true}})
	if err != nil || len(out) != 2 || out[0].Kind != "ethereum.policy" || !strings.Contains(string(out[0].Value), `"policy":"question == \"code\""`) || !strings.Contains(string(out[1].Value), `"organisation":null`) {
		t.Errorf("exported as %s %v", out, err)
	}
	for _, kind := range []string{policies.KindAttach, policies.KindRemove} {
		claim := policies.Claim{Kind: kind, Contract: contract, Deployer: address, Actor: acme.Actor, User: "kim", Digest: common.Hash{3}}
		facts, err := ethereum{}.Explain(claim.Encode(), nil)
		if err != nil || len(facts) < 5 || facts[0].Value != kind || facts[1].Value != contract.Hex() || (facts[len(facts)-1].Name == "policy_digest") != (kind == policies.KindAttach) {
			t.Errorf("explained as %v %v", facts, err)
		}
	}
}

// What does not decode is refused, and is no transaction of Ethereum.
func TestPayloadsOfPoliciesAreBounded(t *testing.T) {
	big := policies.Call{Policy: strings.Repeat("x", policy.MaxBytes+1)}
	if _, is, err := policies.Decode(big.Payload()); !is || !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("%t %v", is, err)
	}
	if _, is, err := policies.Decode(append(make([]byte, 20), 0xfd, 1)); !is || !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("%t %v", is, err)
	}
	if _, is, _ := policies.Decode(make([]byte, 30)); is {
		t.Error("a payload of something else is a policy's")
	}
}
