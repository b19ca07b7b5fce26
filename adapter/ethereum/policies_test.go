package ethereum

import (
	"errors"
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
	"github.com/cocoframework/coco/store"
)

// A policy is attached to a contract by its deployer, in a transaction of its own, and is explained and exported.
func TestAContractsDeployerAttachesItsPolicy(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	address, acme, other := crypto.PubkeyToAddress(key.PublicKey), coco.Caller{Actor: coco.ActorID{1}, Name: "acme"}, coco.Caller{Actor: coco.ActorID{2}, Name: "other"}
	l := begin(t, map[string]any{"links": map[string]any{address.Hex(): map[string]any{"actor": acme.Actor.String(), "user": "kim"}}})

	contract := crypto.CreateAddress(address, 0)
	by := policies.Deployer{Address: address}
	text := policy.Text{Policy: `question == "code"`, ABI: []byte(`[ {"type": "event", "name": "E", "inputs": []} ]`)}
	attach, err := policies.New(contract, by, text)
	l.must(err)
	elsewhere, err := policies.New(common.Address{5}, by, text)
	l.must(err)
	remove := (&policies.Call{Contract: contract, Deployer: by, Remove: true}).Payload()
	kim, lee := acme, acme
	kim.User, lee.User = "kim", "lee"
	creation := &types.DynamicFeeTx{Gas: 100_000, Data: common.FromHex("0x600160005360016000f3")} // PUSH1 1 PUSH1 0 MSTORE8 PUSH1 1 PUSH1 0 RETURN
	steps := []struct {
		call *adapter.Call
		kind error
	}{
		{l.call(acme, attach.Payload()), coco.ErrNotFound}, // there is no contract yet
		{l.transaction(kim, key, creation), nil},
		{l.call(other, attach.Payload()), coco.ErrDenied},
		{l.call(lee, attach.Payload()), coco.ErrDenied},
		{l.call(acme, elsewhere.Payload()), coco.ErrDenied},
		{l.call(acme, remove), coco.ErrNotFound},
		{l.call(kim, attach.Payload()), nil},
		{l.call(lee, remove), coco.ErrDenied},
		{l.call(acme, remove), nil},
		{l.call(acme, attach.Payload()), nil},
	}
	var queue []*adapter.Call
	for _, s := range steps {
		queue = append(queue, s.call)
	}
	outcome := l.execute(queue...)
	for i, s := range steps {
		o, done := outcome[s.call]
		if !done || !errors.Is(o.Err, s.kind) || s.kind == nil && o.TxID.Seqno == 0 {
			t.Errorf("call %d: done %t, %v, %v; expected %v", i, done, o.TxID, o.Err, s.kind)
		}
	}
	state := l.scope.Snapshot()
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
