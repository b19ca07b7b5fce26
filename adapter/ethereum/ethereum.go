// Package ethereum is the Ethereum ledger: go-ethereum's EVM, transaction types and rules as a
// library, over the store's tables. This package is the adapter itself: its name, its tables, and how its
// parts are put together.
//
//	ethereum ── rpc ──┬── rpc/scan, rpc/encode    what web3 clients send and get
//	                  ├── rpc/debug, rpc/simulate, rpc/states, rpc/otter, …
//	                  │     │                     groups of methods, which know the server by rpc/group
//	                  │   rpc/dryrun              executing on a view without effect
//	                │   sight                   the chain as one caller may see it
//	                │     └── access            who may see what: the decisions alone
//	                  │
//	                chain                         blocks: execution, pool, views, subscriptions
//	                  ├── stateroot               the Merkle-Patricia root, behind the executor's back
//	                  ├── memo                    what the executor computes once
//	                  ├── sending                 what is under way on this node
//	                  ├── statedb                 the EVM's state over flat tables
//	                  ├── logs                    selecting logs, and their terms in the index of the past
//	                  ├── sessions                sign-ins of users in browsers, and what they are good for
//	                  │     └── siwe              the messages that wallets sign for it
//	                  ├── development             what nodes of Hardhat and Foundry do for tests, and what to take back
//	                  ├── calls                   transactions that their sender has not signed
//	                  ├── linking                 statements that change whose an address is
//	                  ├── links                   whose an address is
//	                  ├── policies                what deployers attach to contracts
//	                  ├── policy                  the language of policies: CEL in bounds
//	                  ├── rows                    what the rows of the tables hold
//	                  └── settings                the adapter's section of the constitution
//
// Each package imports those below it only.
//
// Trust: enclave
package ethereum

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/calls"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/development"
	"github.com/cocoframework/coco/adapter/ethereum/linking"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
	"github.com/cocoframework/coco/adapter/ethereum/policies"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc"
	"github.com/cocoframework/coco/adapter/ethereum/sessions"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/adapter/setting"
	"github.com/cocoframework/coco/store"
)

// New returns the adapter.
func New() adapter.Adapter { return ethereum{} }

type ethereum struct{}

// Manifest implements adapter.Adapter.
func (ethereum) Manifest() adapter.Manifest {
	return adapter.Manifest{Name: "ethereum", Tables: rows.Tables()}
}

// CompleteSettings implements adapter.Adapter.
func (ethereum) CompleteSettings(page []byte) ([]byte, error) { return settings.CompleteNew(page) }

// Open implements adapter.Adapter.
func (ethereum) Open(env adapter.Env) (adapter.Ledger, error) {
	l, err := chain.Open(&env)
	if err != nil {
		return nil, err
	}
	sights := sight.New(l)
	judge := &sessions.Judge{State: env.State, Network: sessions.Network{ChainID: l.ChainID(), ID: env.Network}, Now: env.Clock.Now, Elapsed: env.Clock.Elapsed, Origin: env.Origin}
	if judge.Origin == nil {
		judge.Origin = func(string) (uint64, bool) { return 0, false }
	}
	return &ledger{Ledger: l, sights: sights, sessions: judge, rpc: rpc.New(l, sights, &env)}, nil
}

// Terms implements adapter.Indexer: logs are found by their addresses and topics.
func (ethereum) Terms(table string, _, value []byte, add func(term []byte)) {
	if table == rows.Txs {
		logs.Terms(value, add)
	}
}

// Settings implements adapter.Adapter.
func (ethereum) Settings() setting.Table { return settings.Table() }

// CheckSettings implements adapter.Adapter.
func (ethereum) CheckSettings(section []byte) error { return settings.Check(section) }

// ledger is a chain with its JSON-RPC.
type ledger struct {
	*chain.Ledger
	sights   *sight.Sights
	sessions *sessions.Judge
	rpc      *rpc.Server
}

// Authorize implements adapter.Ledger. What JSON-RPC answers is decided in package sight, item by item; here is what the node's other routes
// answer: receipts, and digests of the whole state, by which a guess at a part of it is confirmed. What became of a transaction, by its view and seqno, follows from what
// everybody is told of the ledger; a refusal would tell whose a seqno is.
func (l *ledger) Authorize(caller coco.Caller, read adapter.Read) error {
	if l.sights.All(&caller) {
		return nil
	}
	switch read.Subject {
	case adapter.Receipt:
		var link *links.Holder
		if c, ok := linking.DecodeClaim(read.Claims); ok {
			link = &links.Holder{Actor: c.Actor, User: c.User}
		} else if c, ok := sessions.DecodeClaim(read.Claims); ok {
			link = &links.Holder{Actor: c.Actor, User: c.User}
		} else if c, ok := policies.DecodeClaim(read.Claims); ok {
			link = &links.Holder{Actor: c.Actor, User: c.User}
		}
		return l.sights.Authorize(context.Background(), caller, read.TxID, link, read.Claims)
	case adapter.Digest, adapter.Measures:
		return sight.ErrWhole
	}
	return nil
}

var (
	_ adapter.Indexer = ethereum{}
	_ adapter.Ledger  = (*ledger)(nil)
	_ adapter.Keeper  = (*ledger)(nil)
	_ adapter.Idler   = (*ledger)(nil)
	_ adapter.Noticer = (*ledger)(nil)
)

// document describes the endpoints in OpenAPI: that they are there, and that JSON-RPC has the rest.
//
//go:embed openapi.json
var document []byte

// Genesis implements adapter.Ledger.
func (l *ledger) Genesis(tx *store.Tx) error {
	if err := l.Ledger.Genesis(tx); err != nil {
		return err
	}
	for _, x := range l.Settings().Links {
		if err := links.Link(tx, x.Address, links.Holder{Actor: x.Actor, User: x.User, Since: tx.Seqno()}, 0); err != nil {
			return err
		}
	}
	return nil
}

// Decode implements adapter.Ledger.
func (l *ledger) Decode(payload []byte) (any, error) {
	if c, is, err := linking.Decode(payload); is {
		return c, err
	}
	if c, is, err := sessions.Decode(payload); is {
		return c, err
	}
	if c, is, err := policies.Decode(payload); is {
		return c, err
	}
	if c, is, err := development.Decode(payload); is {
		if !l.Settings().Development {
			return nil, fmt.Errorf("%w: a call of the development mode, which this network is not in", coco.ErrCorrupt)
		}
		return c, err
	}
	return l.Ledger.Decode(payload)
}

// Execute implements adapter.Ledger. What the chain executes becomes a block, whose transactions follow one another in the ledger: calls that
// change links, sessions or policies are executed after it, and end it.
func (l *ledger) Execute(ctx context.Context, set *store.Part, calls adapter.Calls) []adapter.Outcome {
	var waiting *adapter.Call // for the end of the block
	out := l.Ledger.Execute(ctx, set, adapter.Calls{
		Next: func() *adapter.Call {
			if waiting != nil {
				return nil
			}
			c := calls.Next()
			if c != nil && isStatement(c) {
				waiting, c = c, nil
			}
			return c
		},
		Back: calls.Back,
	})
	for c := waiting; c != nil; c = calls.Next() {
		if left, most := set.Room(); !isStatement(c) || left < statementBytes || isRevert(c) && left < most/2 {
			calls.Back(c)
			break
		}
		out = append(out, l.executeStatement(set, c))
	}
	return out
}

// statement is a call about addresses and their holders, which is no transaction of the chain.
type statement interface {
	Execute(tx owncall.Transaction, caller coco.Caller, now uint64) error
}

// statementBytes is how much a call that is no transaction of the chain writes at most: the addresses of two holders, a user's sessions, or a policy.
const statementBytes = policies.MaxWritten

// isStatement reports whether a call is of no block: it changes links, sessions or a policy.
func isStatement(c *adapter.Call) bool {
	switch d := c.Decoded.(type) {
	case statement, *policies.Call:
		return true
	case *development.Call:
		return d.Kind != development.Mine
	}
	return false
}

// isRevert reports whether a call may write as much as a batch holds.
func isRevert(c *adapter.Call) bool {
	d, ok := c.Decoded.(*development.Call)
	return ok && d.Kind == development.Revert
}

func (l *ledger) executeStatement(set *store.Part, c *adapter.Call) adapter.Outcome {
	tx := set.Begin()
	var err error
	var reply []byte
	switch d := c.Decoded.(type) {
	case statement:
		err = d.Execute(tx, c.Caller, set.Time())
	case *policies.Call:
		if err = l.Settings().MayAttach(); err == nil {
			err = d.Execute(tx, c.Caller)
		}
	case *development.Call:
		left, _ := set.Room()
		var r development.Reply
		r, err = d.Execute(tx, development.Context{Now: set.Time(), Room: left - statementBytes/2, GasLimit: l.Settings().GasLimit})
		reply = r.Encode()
	}
	if err != nil {
		tx.Abort()
		return adapter.Outcome{Call: c, Err: err}
	}
	tx.Commit()
	return adapter.Outcome{Call: c, Tx: tx, Reply: reply, TxID: coco.TxID{View: set.View(), Seqno: tx.Seqno()}}
}

// Endpoints implements adapter.Ledger.
func (l *ledger) Endpoints() []adapter.Endpoint {
	endpoints := l.rpc.Endpoints()
	for i := range endpoints {
		endpoints[i].OpenAPI, endpoints[i].Sessions = document, l.sessions
		next := endpoints[i].Handler
		endpoints[i].Handler = func(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
			next(caller, w, r.WithContext(calls.With(r.Context(), calls.HowOf(r))))
		}
	}
	return endpoints
}

// Close implements adapter.Ledger.
func (l *ledger) Close() error {
	err := l.rpc.Close()
	l.Ledger.Close()
	return err
}
