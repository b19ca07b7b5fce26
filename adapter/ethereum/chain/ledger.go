// Package chain makes Ethereum blocks of calls, and reads them.
//
// A batch of Coco is a block. State is kept flat (package statedb): no trie is in the way of a
// transaction. Headers are real Ethereum headers, so that unmodified go-ethereum can execute any
// block again. Gas is metered and free. Blocks appear when there are transactions, and are final
// at once.
//
// The state is in memory. Blocks, transactions and receipts leave it after a while, and so do older
// states: views read those from the ledger (package blocks). Execution never does, so a node that begins
// with a snapshot can lead.
//
// The way of a transaction: DecodeAndCheck on the node that the client reached (payload.go),
// Execute on the leader (execute.go, block.go; pool.go keeps what must wait), Committed on every
// node (ledger.go). Calls are executed on top of a view (call.go).
//
// Trust: enclave
package chain

import (
	"fmt"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/development"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/sending"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/store"
)

// Ledger is an open Ethereum chain.
type Ledger struct {
	*blocks.Archive // what is committed
	env             *adapter.Env
	inForce         atomic.Pointer[chain]
	exec            *executor     // the core's goroutine only
	empty           atomic.Uint64 // how many of the newest committed blocks are without transactions
	due             atomic.Uint64 // in development mode: when the next block is, in milliseconds; 0 for none
	roots           *stateroot.Sampler
	sending         *sending.Table
}

// Open returns the ledger that the settings describe, on the node's state.
func Open(env *adapter.Env) (*Ledger, error) {
	settings, err := settings.Parse(env.Settings)
	if err != nil {
		return nil, err
	}
	if settings.Development && !env.Insecure {
		return nil, fmt.Errorf("%w: ethereum settings: development: this network is not marked insecure (network.insecure of its constitution): everybody could spend what others hold", coco.ErrInvalid)
	}
	c := newChain(settings, env.Log)
	l := &Ledger{env: env, sending: sending.New()}
	l.inForce.Store(c)
	l.Archive = blocks.New(env, blocks.Facts{
		Bare: func(src rows.Source, at *rows.Head) (*types.Header, bool, error) {
			return l.inForce.Load().at(at.Time).bareHeader(src, at)
		},
		BlobFee:     func(h *types.Header) *big.Int { return l.inForce.Load().at(h.Time).blobFeeOf(h) },
		CallTimeout: func() time.Duration { return l.Settings().RPC.CallTimeout() },
		Development: settings.Development,
	})
	worker := stateroot.NewWorker(env.Clock, env.Log, env.State.Snapshot)
	l.exec = newExecutor(c, env, worker)
	l.roots = stateroot.NewSampler(env.Clock, env.Log, l.StateAfter, worker.Doubt)
	state := env.State.Snapshot()
	defer state.Release()
	if err := l.advance(state); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// chain is the chain by the settings in force, as far as this node's clock knows which upgrades have come. A block's own time decides when it is made.
func (l *Ledger) chain() *chain {
	c := l.inForce.Load()
	if len(c.stages) > 1 {
		now := uint64(l.env.Clock.Now().Unix())
		if h := l.Head(); h != nil {
			now = max(now, h.Header.Time)
		}
		c = c.at(now)
	}
	return c
}

// Configure implements adapter.Ledger. A long transaction that is under way would end in a block by the settings before:
// like one that has lost the state that it builds on, it is executed again.
func (l *Ledger) Configure(section []byte) error {
	s, err := settings.Parse(section)
	if err != nil {
		return err
	}
	c := l.chain().with(s)
	l.inForce.Store(c)
	l.exec.chain = c
	l.exec.pool.configure(s)
	l.exec.forget()
	return nil
}

// Decode implements adapter.Ledger.
func (l *Ledger) Decode(payload []byte) (any, error) { return l.chain().decodePayload(payload) }

// Committed implements adapter.Ledger.
func (l *Ledger) Committed(c adapter.Commit) {
	state, err := l.env.State.SnapshotAt(c.Last)
	if err != nil {
		l.env.Log.Error("ethereum: a committed batch is not readable", "seqno", c.Last, "err", err)
		return
	}
	defer state.Release()
	before := l.Head()
	if err := l.advance(state); err != nil {
		l.env.Log.Error("ethereum: a committed block is not readable", "seqno", c.Last, "err", err)
	}
	if l.Head() != before {
		l.exec.rhythm.Sealed(c.Time)
	}
}

// advance makes the block at the head of a state, which a batch has just committed, the newest.
func (l *Ledger) advance(state *store.Snapshot) error {
	at, ok, err := rows.ReadHead(state)
	if err != nil || !ok {
		return err
	}
	l.empty.Store(rows.EmptyBlocks(state, at.Number))
	if err := l.advanceDevelopment(state); err != nil {
		return err
	}
	block, err := l.Advance(state, &at)
	if err == nil && block != nil && !block.Bare {
		l.roots.Saw(block.View, block.Number(), rows.CarriedBy(block.Header))
	}
	return err
}

// Rollback implements adapter.Ledger. What was executed may be committed nevertheless, by another
// leader: the executor finds out when it is asked again.
func (l *Ledger) Rollback(uint64) []adapter.Outcome {
	l.exec.forget()
	return l.exec.drain(fmt.Errorf("%w: the node that was to execute the transaction does not lead any more", coco.ErrNotCommitted))
}

// Close ends the chain's goroutines and all subscriptions.
func (l *Ledger) Close() {
	l.Archive.Close()
	l.roots.Close()
	l.exec.drain(blocks.ErrClosed)
	l.exec.ends.Wait()
	l.exec.rhythm.Close()
	l.exec.roots.Close()
}

// Settings returns the settings in force, which MUST NOT be modified.
func (l *Ledger) Settings() *settings.Settings { return l.chain().settings }

// ChainConfig returns go-ethereum's form of the rules, which MUST NOT be modified.
func (l *Ledger) ChainConfig() *params.ChainConfig { return l.chain().config }

// ChainID returns a fresh copy of the chain's id.
func (l *Ledger) ChainID() *big.Int { return new(big.Int).Set(l.chain().config.ChainID) }

// Sending is what is under way on this node.
func (l *Ledger) Sending() *sending.Table { return l.sending }

// Signer returns what transactions of this network are signed by.
func (l *Ledger) Signer() types.Signer { return l.chain().signer }

// BaseFee is the same for every block: 0, or the pinned one; nil before London.
func (l *Ledger) BaseFee() *big.Int {
	if l.chain().baseFee == nil {
		return nil
	}
	return new(big.Int).Set(l.chain().baseFee)
}

// Tip is the least price above the base fee that is accepted.
func (l *Ledger) Tip() *big.Int {
	tip := new(big.Int)
	if least := l.Settings().MinGasPrice; least != nil {
		tip.Set(least)
	}
	return tip
}

// BlobFee is the same for every block; nil before Cancun. It MUST NOT be modified.
func (l *Ledger) BlobFee() *big.Int { return l.chain().blobFee }

// Notices implements adapter.Noticer.
func (l *Ledger) Notices() []string {
	s := l.Settings()
	if p := s.Pin; p != nil {
		return []string{fmt.Sprintf("PINNED: every transaction is evaluated as if it were in Ethereum mainnet's block %d of %d (a test network, not for use)", p.Number, p.Timestamp)}
	}
	if s.Development {
		return []string{development.Notice, s.Notice()}
	}
	return []string{s.Notice()}
}
