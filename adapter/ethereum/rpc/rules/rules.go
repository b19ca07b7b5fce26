// Package rules is the methods by which a contract's deployer attaches a policy to it, reads and removes it, and is told which rule answers a
// question and why, in the namespace coco.
//
// Trust: enclave
package rules

import (
	"context"
	"encoding/json"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/access"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/policies"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// Methods is the methods.
type Methods struct {
	s      *group.Server
	sights *sight.Sights
	env    *adapter.Env
}

// New returns the methods. What they commit and read is the ledger's of env.
func New(s *group.Server, sights *sight.Sights, env *adapter.Env) *Methods {
	return &Methods{s, sights, env}
}

// Deployer says by which transaction a contract was created. Both may be absent: then the node looks for it among the caller's addresses.
type Deployer struct {
	Address *common.Address `json:"address"`
	Nonce   *hexutil.Uint64 `json:"nonce"`
}

// SetAccessPolicy attaches a policy to a contract of its caller's, in the place of the one that is attached. The result is the transaction's id.
func (m *Methods) SetAccessPolicy(ctx context.Context, contract common.Address, text policy.Text, by *Deployer) (string, error) {
	d, err := m.deployer(ctx, contract, by)
	if err != nil {
		return "", m.s.Refuse(err)
	}
	c, err := policies.New(contract, d, text)
	if err != nil {
		return "", m.s.Refuse(err)
	}
	return m.s.Submit(ctx, m.env, c)
}

// RemoveAccessPolicy removes the policy that is attached to a contract of its caller's.
func (m *Methods) RemoveAccessPolicy(ctx context.Context, contract common.Address, by *Deployer) (string, error) {
	d, err := m.deployer(ctx, contract, by)
	if err != nil {
		return "", m.s.Refuse(err)
	}
	return m.s.Submit(ctx, m.env, &policies.Call{Contract: contract, Deployer: d, Remove: true})
}

// deployer returns how its caller has created a contract. The error is coco.ErrDenied, and the same whatever others have done.
func (m *Methods) deployer(ctx context.Context, contract common.Address, by *Deployer) (d policies.Deployer, err error) {
	caller := m.s.Caller(ctx)
	state := m.env.State.Snapshot()
	defer state.Release()
	if row, ok, err := policies.Read(state, contract); err == nil && ok && policies.Check(state, contract, row.Deployer, caller) == nil {
		return row.Deployer, nil
	}
	if by != nil && by.Address != nil && by.Nonce != nil {
		d = policies.Deployer{Address: *by.Address, Nonce: uint64(*by.Nonce)}
	} else {
		d, _ = policies.Find(state, contract, links.OfCaller(state, caller.Actor, caller.User, maxOwn))
	}
	return d, policies.Check(state, contract, d, caller)
}

// maxOwn is how many addresses of a caller are looked through for the deployer.
const maxOwn = 1000

// attached is the policy of a contract, as clients see it.
type attached struct {
	Contract common.Address  `json:"contract"`
	By       string          `json:"by"` // vote or deployer: whose counts
	Policy   string          `json:"policy"`
	ABI      json.RawMessage `json:"abi,omitempty"`
	Deployer *common.Address `json:"deployer,omitempty"`
	User     string          `json:"user,omitempty"`
	Since    *hexutil.Uint64 `json:"since,omitempty"` // seqno of the transaction that attached it
}

var stateOfPolicies = adapter.Read{Subject: adapter.State, Table: rows.Policies, Range: true}

// AccessPolicy returns the policy of a contract: the one that members have voted, or else the one that its deployer has attached; null if there is
// none, or if the caller may not know it.
func (m *Methods) AccessPolicy(ctx context.Context, contract common.Address) (json.RawMessage, error) {
	v, err := m.s.View(ctx, stateOfPolicies)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	if text, ok := m.s.Ledger.Settings().Policies[contract]; ok { // everybody reads the constitution
		return m.s.Reply(ctx, attached{Contract: contract, By: "vote", Policy: text.Policy, ABI: text.ABI}, nil, "")
	}
	state := m.env.State.Snapshot()
	defer state.Release()
	row, ok, err := policies.Read(state, contract)
	if err != nil || !ok || !v.All() && policies.Check(state, contract, row.Deployer, m.s.Caller(ctx)) != nil {
		return m.s.Reply(ctx, nil, nil, "")
	}
	since := hexutil.Uint64(row.Since)
	return m.s.Reply(ctx, attached{contract, "deployer", row.Policy, row.ABI, &row.Deployer.Address, row.User, &since}, nil, "")
}

// As is a caller of whom an explanation is.
type As struct {
	Actor     coco.ActorID     `json:"actor"`
	Name      string           `json:"name"`
	Role      coco.Role        `json:"role"`
	User      string           `json:"user"`
	Addresses []common.Address `json:"addresses"`
}

// Asked is a question to a contract.
type Asked struct {
	Contract common.Address `json:"contract"`
	Question string         `json:"question"`
	As       As             `json:"as"`
	Input    hexutil.Bytes  `json:"input"`  // of a call or a receipt
	Topics   []common.Hash  `json:"topics"` // of an event
	Data     hexutil.Bytes  `json:"data"`   // of an event
	From     common.Address `json:"from"`   // who sent the transaction of an event or a receipt
	Visible  bool           `json:"visible"`
	Deployer *Deployer      `json:"deployer"`
}

// Bounds of a question.
const (
	maxAddresses = 256
	maxTopics    = 4
)

var questions = map[string]access.Question{
	"call": access.Call, "state": access.State, "code": access.Code, "event": access.Event, "receipt": access.Receipt,
}

// ExplainAccess says what a caller would be answered to a question, which rule decides it, and why. Its own caller is the contract's deployer, or
// sees everything.
func (m *Methods) ExplainAccess(ctx context.Context, q Asked) (json.RawMessage, error) {
	v, err := m.s.View(ctx, stateOfPolicies)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	if !v.All() {
		if _, err := m.deployer(ctx, q.Contract, q.Deployer); err != nil {
			return nil, m.s.Refuse(err)
		}
	}
	kind, ok := questions[q.Question]
	switch {
	case !ok:
		return nil, m.s.Fail(group.Errorf(group.CodeInvalidParams, "question %.40q: expected call, state, code, event or receipt", q.Question))
	case len(q.As.Addresses) > maxAddresses || len(q.Topics) > maxTopics:
		return nil, m.s.Fail(group.Errorf(group.CodeInvalidParams, "expected at most %d addresses and %d topics", maxAddresses, maxTopics))
	}
	ask := access.Ask{Question: kind, Contract: q.Contract, Input: q.Input, From: q.From, Visible: q.Visible}
	if kind == access.Event {
		ask.Log = &types.Log{Address: q.Contract, Topics: q.Topics, Data: q.Data}
	}
	as := &sight.Supposed{Caller: coco.Caller{Actor: q.As.Actor, Name: q.As.Name, Role: q.As.Role, User: q.As.User}, Addresses: q.As.Addresses}
	var out sight.Explanation
	err = m.s.Guarded(ctx, func(ctx context.Context) error {
		out = m.sights.Explain(ctx, v, as, ask)
		return context.Cause(ctx)
	})
	return m.s.Reply(ctx, out, err, "")
}
