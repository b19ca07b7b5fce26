package sight

import (
	"context"
	"crypto/sha256"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter/ethereum/access"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// ruleGas is the gas that a contract has to say its rule, or to answer a question by it: a million, as TEN gives it, beside what the call itself costs.
const ruleGas = 1_100_000

// maxViewers bounds the addresses of a viewer that a contract is told.
const maxViewers = 256

// rule is what decides about a contract.
type rule struct {
	none bool // the account has no code, or its code states no rule
	ten  *access.TEN
	asks bool // it implements CocoAccess
}

// rules asks contracts for their rules, on the newest state of a view.
type rules struct {
	eyes     *eyes
	settings *settings.Settings
	viewers  []common.Address
	listed   bool
	gas      uint64 // that the rules have used for this view
	spent    bool   // more than the rules of one request may use
}

// answer is what the rule of a contract says to a question.
func (r *rules) answer(ctx context.Context, q *access.Ask) access.Answer {
	if code, there := r.eyes.code(q.Contract); !there || code == rows.NoAccount.CodeHash {
		return access.Silent
	}
	switch of := r.of(ctx, q.Contract); {
	case of == nil: // it could not be found out in the time of the request
		return access.Refused
	case of.asks:
		return r.ask(ctx, q)
	case of.ten != nil:
		return of.ten.Answer(q, r.eyes.owns)
	}
	return access.Silent
}

// of returns the rule of a contract; nil if the request's time has ended.
func (r *rules) of(ctx context.Context, addr common.Address) *rule {
	at := r.eyes.now.Head().Hash
	cache := &r.eyes.sights.cache
	if known := cache.rule(at, r.settings, addr); known != nil {
		return known
	}
	out := r.find(ctx, addr)
	if ctx.Err() != nil || r.spent {
		return nil
	}
	cache.keepRule(at, r.settings, addr, out)
	return out
}

func (r *rules) find(ctx context.Context, addr common.Address) *rule {
	if r.implements(ctx, addr) {
		return &rule{asks: true}
	}
	if returned, ok := r.call(ctx, addr, access.TENCall()); ok && len(returned) > 0 {
		if ten, err := access.ParseTEN(returned); err == nil {
			return &rule{ten: ten}
		}
	}
	return &rule{none: true}
}

// implements asks by ERC-165 whether a contract implements CocoAccess: one that answers everything with yes does not.
func (r *rules) implements(ctx context.Context, addr common.Address) bool {
	for _, probe := range access.Probes() {
		returned, ok := r.call(ctx, addr, probe.Input)
		if !ok || access.ParseBool(returned) != probe.Want {
			return false
		}
	}
	return true
}

// call asks a contract. Nothing that it writes stays, and it has no more gas than a rule may use.
func (r *rules) call(ctx context.Context, addr common.Address, input []byte) ([]byte, bool) {
	if r.spent = r.spent || r.gas > r.settings.CallGasLimit; r.spent {
		return nil, false
	}
	msg := &core.Message{To: &addr, Value: new(uint256.Int), GasPrice: new(uint256.Int), GasFeeCap: new(uint256.Int), GasTipCap: new(uint256.Int), Data: input, GasLimit: ruleGas}
	res, err := r.eyes.sights.ledger.Call(ctx, r.eyes.now, msg, &chain.CallOptions{GasCap: ruleGas})
	if err != nil {
		return nil, false
	}
	r.gas += res.GasUsed
	return res.Return, res.Err == nil
}

// ask puts a question to a contract that implements CocoAccess. What fails is a no.
func (r *rules) ask(ctx context.Context, q *access.Ask) access.Answer {
	if !r.listed {
		r.viewers, r.listed = r.addresses(), true
	}
	input := access.Encode(q, r.viewers)
	at := r.eyes.now.Head().Hash
	cache, key := &r.eyes.sights.cache, answerKey{q.Contract, sha256.Sum256(input)}
	if known := cache.answer(at, r.settings, key); known != access.Silent {
		return known
	}
	returned, ok := r.call(ctx, q.Contract, input)
	answer := access.Admit(ok && access.ParseBool(returned) == access.True)
	if ctx.Err() == nil && !r.spent {
		cache.keepAnswer(at, r.settings, key, answer)
	}
	return answer
}

// addresses are those of the viewer, by which contracts know it.
func (r *rules) addresses() (out []common.Address) {
	viewer := &r.eyes.viewer
	if viewer.User != "" {
		return links.Addresses(r.eyes.src, viewer.Actor, viewer.User)
	}
	links.OfActor(r.eyes.src, viewer.Actor, func(l links.Linked) bool {
		out = append(out, l.Address)
		return len(out) < maxViewers
	})
	return out
}
