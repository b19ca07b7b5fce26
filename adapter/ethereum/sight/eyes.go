package sight

import (
	"context"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/access"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/store"
)

// eyes are a caller's in a closed network, for one view.
type eyes struct {
	sights *Sights
	viewer access.Viewer
	now    *blocks.View // whose links and rules count
	src    store.Reader
	rules  rules
	given  []common.Address // of a viewer that is supposed; nil: those that are linked

	owned   verdicts
	grounds *grounds                      // of the decision that is being made; nil if they are not noted
	blocks  map[common.Hash]*blocks.Block // as they are, of those that the view has shown
}

// eyes returns nil for a caller who sees all.
func (s *Sights) eyes(now *blocks.View, caller *coco.Caller) *eyes {
	in := s.ledger.Settings()
	if seesAll(in, caller) {
		return nil
	}
	return s.eyesOf(in, now, caller)
}

// eyesOf returns those of a caller who does not see all by the settings.
func (s *Sights) eyesOf(in *settings.Settings, now *blocks.View, caller *coco.Caller) *eyes {
	e := &eyes{
		sights: s, viewer: access.Viewer{Actor: caller.Actor, User: caller.User, Name: caller.Name, Role: caller.Role}, now: now, src: now.Rows(),
	}
	e.rules = rules{eyes: e, settings: in, purse: purse{left: in.CallGasLimit, each: ruleGas}}
	return e
}

func (e *eyes) owns(addr common.Address) bool {
	if e.given != nil {
		return slices.Contains(e.given, addr)
	}
	owned, known := e.owned.get(addr)
	if !known {
		owned = e.viewer.Owns(e.src, addr)
		e.owned.put(addr, owned)
	}
	e.grounds.owns(addr, owned)
	return owned
}

// account decides about an account: its owner sees it, what the network itself needs is seen by all, and of a contract its rule decides.
func (e *eyes) account(ctx context.Context, q access.Ask) bool {
	if system[q.Contract] {
		return true
	}
	code, is := e.code(q.Contract)
	if !is { // without code only its owner may see it
		return e.owns(q.Contract)
	}
	return stateless[code] || e.rules.answer(ctx, &q, &e.rules.purse) == access.Admitted || e.owns(q.Contract)
}

// system are the contracts of the rules of Ethereum, which hold hashes of blocks and nothing of anybody.
var system = map[common.Address]bool{
	params.BeaconRootsAddress: true, params.HistoryStorageAddress: true, params.WithdrawalQueueAddress: true, params.ConsolidationQueueAddress: true,
}

// stateless are the hashes of the code of contracts that keep no state: what they do for a caller is what it could do itself.
var stateless = func() map[common.Hash]bool {
	out := map[common.Hash]bool{}
	for _, code := range settings.Predeployed() {
		out[crypto.Keccak256Hash(code)] = true
	}
	return out
}()

// code returns the hash of a contract's code. An account without code is none.
func (e *eyes) code(addr common.Address) (hash common.Hash, is bool) {
	row, ok := e.src.Get(rows.Accounts, addr[:])
	if !ok {
		return hash, false
	}
	r, err := rows.DecodeAccount(row)
	return r.CodeHash, err == nil && r.CodeHash != rows.NoAccount.CodeHash
}

// shown returns which accounts exist for what is executed. A contract that is called from outside is asked about that call, others whether any
// call that comes from another contract is admitted.
func (e *eyes) shown(ctx context.Context, q access.Question, to common.Address, input []byte) func(common.Address) bool {
	known := new(verdicts)
	return func(addr common.Address) bool {
		may, ok := known.get(addr)
		if !ok {
			ask := access.Ask{Question: q, Contract: addr}
			if addr == to {
				ask.Input = input
			}
			may = e.account(ctx, ask)
			known.put(addr, may)
		}
		return may
	}
}

// verdicts remembers decisions about accounts, of which a request has few as a rule.
type verdicts struct {
	few  [6]verdict
	n    int
	more map[common.Address]bool
}

type verdict struct {
	addr common.Address
	yes  bool
}

func (v *verdicts) get(addr common.Address) (yes, known bool) {
	for i := range v.n {
		if v.few[i].addr == addr {
			return v.few[i].yes, true
		}
	}
	yes, known = v.more[addr]
	return yes, known
}

func (v *verdicts) put(addr common.Address, yes bool) {
	switch {
	case v.n < len(v.few):
		v.few[v.n] = verdict{addr, yes}
		v.n++
	case v.more == nil:
		v.more = map[common.Address]bool{addr: yes}
	default:
		v.more[addr] = yes
	}
}

// transaction decides about a transaction with its receipt, of which used is the gas.
func (e *eyes) transaction(ctx context.Context, tx *types.Transaction, from common.Address, used uint64) bool {
	if access.Names(tx, from, e.owns) {
		return true
	}
	to := tx.To()
	if to == nil {
		created := crypto.CreateAddress(from, tx.Nonce())
		to = &created
	}
	return e.rules.answer(ctx, &access.Ask{Question: access.Receipt, Contract: *to, Input: tx.Data(), From: from}, share(used, 1)) == access.Admitted
}

// events decides about the logs of a transaction, which are encoded: each by the rule of its contract or, if that says nothing, with the transaction. Each
// contract pays for its own answers, so that what one uses closes no event of another.
func (e *eyes) events(ctx context.Context, r *rows.Tx, transaction bool) (hidden []bool, err error) {
	purses := map[common.Address]*purse{}
	count := 0
	var last *types.Log
	err = logs.Each(r.Logs, func(_ int, l *types.Log) error {
		purses[l.Address] = nil
		count++
		last = l
		return nil
	})
	if err != nil || count == 0 {
		return nil, err
	}
	hidden = make([]bool, count)
	decide := func(i int, l *types.Log) error {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p := purses[l.Address]
		if p == nil {
			p = share(r.GasUsed, len(purses))
			purses[l.Address] = p
		}
		switch e.rules.answer(ctx, &access.Ask{Question: access.Event, Contract: l.Address, Log: l, From: r.Sender, Visible: transaction}, p) {
		case access.Silent:
			hidden[i] = !transaction
		case access.Refused:
			hidden[i] = true
		}
		return nil
	}
	if count == 1 { // as most have: it is not decoded again
		return hidden, decide(0, last)
	}
	return hidden, logs.Each(r.Logs, decide)
}
