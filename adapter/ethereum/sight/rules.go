package sight

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter/ethereum/access"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// What a contract's rule may use, in gas, beside what the data of the call itself costs.
const (
	ruleGas  = 1_000_000 // for an answer, and to say its rule, as TEN gives it
	probeGas = 30_000    // to say which interfaces it implements: ERC-165 allows no more
)

// maxViewers bounds the addresses of a viewer that a contract is told.
const maxViewers = 256

// maxNested is how many contracts are asked for one question, each by the rule of the one before.
const maxNested = 2

// rule is what decides about a contract.
type rule struct {
	none bool // the account has no code, or its code states no rule
	ten  *access.TEN
	asks bool   // it implements CocoAccess
	gas  uint64 // that finding it out has used
}

// said is what a contract has answered.
type said struct {
	answer access.Answer
	gas    uint64 // that it has used, with what it asked of others
}

// asker is whose question it is: a viewer's, or that of a contract whose own rule is executed.
type asker struct {
	addresses []common.Address
	level     int // contracts that ask: 0 for a viewer
}

// purse is the gas that is left for questions. It is charged with what an answer has used, also where that is remembered: so what is answered
// depends on the state and the questions alone.
type purse struct {
	left uint64
	each uint64 // for one answer
}

// pay reports whether what an answer has used was left. A purse that it was not is empty.
func (p *purse) pay(gas uint64) bool {
	if gas > p.left {
		p.left = 0
		return false
	}
	p.left -= gas
	return true
}

// What the rules of contracts that a transaction comes to may use to decide who sees it, by what the transaction itself has used: so looking at a block
// costs in proportion to executing it.
const (
	shareOfUsed = 8
	leastShare  = 100_000
)

// share is the purse of one of some contracts that decide about a transaction.
func share(used uint64, contracts int) *purse {
	gas := max(leastShare, shareOfUsed*used/uint64(max(contracts, 1)))
	return &purse{left: gas, each: min(gas, ruleGas)}
}

// rules asks contracts for their rules, on the newest state of a view.
//
// A rule is code of whoever has created the contract. It executes on a state that has the contract itself, what the network needs, and those contracts
// whose own rules admit the contract that asks: so it tells nobody what the contract is not shown. In particular it does not
// depend on what the viewer may see.
type rules struct {
	eyes     *eyes
	settings *settings.Settings
	viewers  []common.Address
	listed   bool
	purse    purse // of questions about accounts, for this view

	caller   *policy.Caller // the viewer, as policies see it
	policies map[common.Address]*attached
}

// by says which rule has answered, and why if that is not plain.
type by struct {
	rule string
	why  error
}

// The rules of a contract, in the order in which they count. The first that the contract has decides alone: what a contract's own code says is a promise
// to whoever uses it, which its deployer cannot widen afterwards, and members can.
const (
	byVote     = "the policy that members have voted (the setting policies)"
	byCoco     = "the contract itself, by CocoAccess"
	byTEN      = "the contract itself, by visibilityRules()"
	byDeployer = "the policy that its deployer has attached"
	byNone     = "no rule of the contract"
)

// What is said of a contract's rule.
var (
	errNoTime = errors.New("the rule could not be found out in the time of the request")
	errNoGas  = errors.New("the rule needs more gas than was left for it")
	errEnded  = errors.New("members have voted that its deployer's policy does not count")
)

// answer is what the rule of a contract says to a question of the viewer, who pays for it from p.
func (r *rules) answer(ctx context.Context, q *access.Ask, p *purse) access.Answer {
	r.eyes.grounds.ask()
	answer, _ := r.decide(ctx, q, nil, p)
	return answer
}

// decide also says which rule it was. A contract asks unless from is nil.
func (r *rules) decide(ctx context.Context, q *access.Ask, from *asker, p *purse) (access.Answer, by) {
	if _, contract := r.eyes.code(q.Contract); !contract {
		r.eyes.grounds.stand(q.Contract, nil, from)
		return access.Silent, by{rule: byNone}
	}
	voted, ended := r.settings.Policies[q.Contract]
	if voted.Policy != "" {
		return r.judge(q, from, p, r.voted(q.Contract, voted), byVote)
	}
	level := 0
	if from != nil {
		level = from.level
	}
	of := r.of(ctx, q.Contract, level)
	switch {
	case of == nil:
		return access.Refused, by{byNone, errNoTime}
	case from != nil && !p.pay(of.gas):
		return access.Refused, by{byNone, errNoGas}
	case of.asks && p.left > 0:
		if from == nil {
			from = &asker{addresses: r.addresses()}
		}
		if s := r.ask(ctx, q, from, p.each); p.pay(s.gas) {
			return s.answer, by{rule: byCoco}
		}
		return access.Refused, by{byCoco, errNoGas}
	case of.asks:
		return access.Refused, by{byCoco, errNoGas}
	case of.ten != nil:
		r.eyes.grounds.stand(q.Contract, of, from)
		return of.ten.Answer(q, r.eyes.owns), by{rule: byTEN}
	case ended: // voted is empty
		return access.Silent, by{byNone, errEnded}
	}
	is := r.deployers(q.Contract)
	if !is.there {
		r.eyes.grounds.stand(q.Contract, of, from)
	}
	return r.judge(q, from, p, is, byDeployer)
}

// of returns the rule of a contract; nil if the request's time has ended.
func (r *rules) of(ctx context.Context, addr common.Address, level int) *rule {
	at := r.eyes.moment()
	cache, key := &r.eyes.sights.cache, ruleKey{addr, level}
	if known := cache.rule(at, r.settings, key); known != nil {
		return known
	}
	if known := r.constant(addr, level); known != nil {
		return known
	}
	var varying varies
	out := r.find(ctx, addr, level, &varying)
	if ctx.Err() != nil {
		return nil
	}
	if !varying {
		r.keepConstant(ctx, addr, level, out)
	}
	cache.keepRule(at, r.settings, key, out)
	return out
}

func (r *rules) find(ctx context.Context, addr common.Address, level int, watch *varies) *rule {
	out, others := new(rule), &purse{left: ruleGas, each: ruleGas}
	if out.asks = r.implements(ctx, addr, level, others, &out.gas, watch); out.asks {
		return out
	}
	returned, ok := r.call(ctx, addr, access.TENCall(), level, ruleGas, others, &out.gas, watch)
	if ok && len(returned) > 0 {
		if ten, err := access.ParseTEN(returned); err == nil {
			out.ten = ten
		}
	}
	out.none = out.ten == nil
	return out
}

// implements asks by ERC-165 whether a contract implements CocoAccess: one that answers everything with yes does not.
func (r *rules) implements(ctx context.Context, addr common.Address, level int, others *purse, used *uint64, watch *varies) bool {
	for _, probe := range access.Probes() {
		returned, ok := r.call(ctx, addr, probe.Input, level, probeGas, others, used, watch)
		if !ok || access.ParseBool(returned) != probe.Want {
			return false
		}
	}
	return true
}

// call asks a contract. Nothing that it writes stays, and it has no more gas than is given. Those whom it asks
// are paid from others. What it and they have used is added to used. What it executes itself is noted in watch, unless that is nil.
func (r *rules) call(ctx context.Context, addr common.Address, input []byte, level int, gas uint64, others *purse, used *uint64, watch *varies) ([]byte, bool) {
	data, before := dataGas(input), others.left
	var tracer *tracing.Hooks
	if watch != nil {
		tracer = watch.hooks()
	}
	msg := &core.Message{To: &addr, Value: new(uint256.Int), GasPrice: new(uint256.Int), GasFeeCap: new(uint256.Int), GasTipCap: new(uint256.Int), Data: input, GasLimit: gas + data}
	res, err := r.eyes.sights.ledger.Call(ctx, r.eyes.now.Through(r.shown(ctx, addr, level, others)), msg, &chain.CallOptions{GasCap: gas + data, Tracer: tracer})
	*used += before - others.left
	if err != nil {
		return nil, false
	}
	*used += res.GasUsed - min(res.GasUsed, data)
	return res.Return, res.Err == nil
}

// dataGas is at least what the data of a message costs before it is executed: the floor of EIP-7623, which no fork of the settings exceeds.
func dataGas(input []byte) uint64 {
	zeros := uint64(bytes.Count(input, []byte{0}))
	return params.TxGas + params.TxCostFloorPerToken*(zeros+params.TxTokenPerNonZeroByte*(uint64(len(input))-zeros))
}

// shown returns which accounts exist for the rule of a contract: itself, the network's own, and others whose rules admit calls that come from it.
// These are asked in the same way, each on a state that shows less; the last one sees itself alone.
func (r *rules) shown(ctx context.Context, of common.Address, level int, p *purse) func(common.Address) bool {
	known := new(verdicts)
	return func(addr common.Address) bool {
		if addr == of || system[addr] {
			return true
		}
		may, ok := known.get(addr)
		if !ok {
			code, contract := r.eyes.code(addr)
			may = contract && (stateless[code] || level < maxNested && r.admits(ctx, addr, &asker{[]common.Address{of}, level + 1}, p))
			known.put(addr, may)
		}
		return may
	}
}

// admits reports whether a contract admits calls that come from another one.
func (r *rules) admits(ctx context.Context, addr common.Address, from *asker, p *purse) bool {
	answer, _ := r.decide(ctx, &access.Ask{Question: access.Call, Contract: addr}, from, p)
	return answer == access.Admitted
}

// ask puts a question to a contract that implements CocoAccess. What fails is a no.
func (r *rules) ask(ctx context.Context, q *access.Ask, by *asker, gas uint64) said {
	input := access.Encode(q, by.addresses)
	at := r.eyes.moment()
	cache, key := &r.eyes.sights.cache, answerKey{q.Contract, sha256.Sum256(input), by.level, gas}
	if known := cache.answer(at, r.settings, key); known.answer != access.Silent {
		return known
	}
	var out said
	returned, ok := r.call(ctx, q.Contract, input, by.level, gas, &purse{left: gas, each: gas}, &out.gas, nil)
	out.answer = access.Admit(ok && access.ParseBool(returned) == access.True)
	if ctx.Err() == nil {
		cache.keepAnswer(at, r.settings, key, out)
	}
	return out
}

// addresses are those of the viewer, by which contracts know it.
func (r *rules) addresses() []common.Address {
	viewer := &r.eyes.viewer
	switch {
	case r.eyes.given != nil:
		return r.eyes.given
	case !r.listed:
		r.viewers, r.listed = links.OfCaller(r.eyes.src, viewer.Actor, viewer.User, maxViewers), true
	}
	return r.viewers
}
