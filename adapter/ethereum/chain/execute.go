package chain

import (
	"context"
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/store"
)

// maxBlockTxs bounds the transactions of a block, and so of a batch.
const maxBlockTxs = 5000

// maxCached is how many accounts and slots the executor keeps in memory between blocks.
const maxCached = 1 << 18

// executor turns calls into blocks, on the leader. It belongs to the core's one goroutine.
type executor struct {
	chain *chain
	pool  *pool
	// cache is the state after the block that at names: it is of use as long as that block is the
	// newest, which a rollback or another leader's block ends. The same holds for the roots.
	cache  *statedb.DB
	at     rows.Head
	blooms bloomCache
	jumps  jumpCache

	roots   *stateroot.Worker
	carried rows.KnownRoot // by the header of the block at
}

// jumpCache remembers the analysis of contracts' code. go-ethereum's own is made for many readers,
// and costs more than the executor's one lookup a call.
type jumpCache map[common.Hash]vm.BitVec

// maxJumps bounds the cache: code of the greatest size has an analysis of 3 KiB.
const maxJumps = 4096

// Load implements vm.JumpDestCache.
func (c jumpCache) Load(code common.Hash) (vm.BitVec, bool) {
	v, ok := c[code]
	return v, ok
}

// Store implements vm.JumpDestCache.
func (c jumpCache) Store(code common.Hash, v vm.BitVec) {
	if len(c) >= maxJumps {
		clear(c)
	}
	c[code] = v
}

func newExecutor(c *chain, roots *stateroot.Worker) *executor {
	return &executor{chain: c, roots: roots, pool: newPool(c.settings), cache: statedb.New(nil), blooms: bloomCache{}, jumps: jumpCache{}}
}

// builder is one Execute: it becomes one block if at least one call is a transaction.
//
// The last transaction's store.Tx stays open until the next one is accepted, or until the block is
// sealed: the header and the index of the block are written with it.
type builder struct {
	*executor
	set      *store.Part
	tx       *store.Tx // nil: none is open
	filled   bool      // tx holds a transaction, not only what precedes the first
	full     bool      // the rest waits for the next block
	time     uint64    // seconds
	parent   rows.Head
	header   *types.Header // nil until the first execution
	evm      *vm.EVM
	gas      *core.GasPool
	bytes    int // of the transactions in the block's RLP
	included []included
	logs     []*types.Log
	changes  statedb.Changes
	outcomes []adapter.Outcome
}

// number is the block's.
func (b *builder) number() uint64 { return b.parent.Number + 1 }

// included is what the block's roots and index need of a transaction.
type included struct {
	hash    common.Hash
	raw     []byte
	receipt []byte // consensus encoding
}

// Execute implements adapter.Ledger. A call without an outcome is kept: it waits for lower nonces,
// or, as Ready tells, for the next block. It waits for nothing: what it may cost is bounded by the
// block's gas limit.
func (l *Ledger) Execute(_ context.Context, set *store.Part, calls []*adapter.Call) []adapter.Outcome {
	return l.exec.execute(set, calls)
}

// Ready implements adapter.Keeper: there are calls that only did not fit into the last block.
func (l *Ledger) Ready() bool { return len(l.exec.pool.backlog) > 0 }

func (x *executor) execute(set *store.Part, calls []*adapter.Call) []adapter.Outcome {
	b := &builder{executor: x, set: set, outcomes: make([]adapter.Outcome, 0, len(calls))}
	if err := b.begin(); err != nil {
		for _, c := range calls {
			b.outcomes = append(b.outcomes, adapter.Outcome{Call: c, Err: err})
		}
		return append(b.outcomes, x.pool.drain(err)...)
	}
	b.included = make([]included, 0, len(calls))
	now := set.Time()
	for _, k := range x.pool.takeBacklog() {
		b.offer(k)
	}
	for _, c := range calls {
		d, ok := c.Decoded.(*checked)
		if !ok {
			b.refuse(c, refusef("internal: the call carries no Ethereum transaction"))
			continue
		}
		b.offer(&kept{call: c, checked: d, since: now})
	}
	b.sweep(now)
	b.seal()
	return b.outcomes
}

// begin makes the cached state that of the newest block.
func (b *builder) begin() error {
	at, ok, err := rows.ReadHead(b.set)
	if err != nil {
		return err
	}
	if !ok {
		return refusef("the Ethereum ledger has no genesis block")
	}
	if at != b.at {
		b.cache.Reset()
		b.at, b.carried = at, at.Carried
		b.roots.Restart(at)
	}
	if b.cache.Size > maxCached {
		b.cache.Reset()
	}
	b.cache.Src = b
	b.parent = at
	b.time = b.chain.nextTime(at.Time, b.set.Time())
	b.gas = core.NewGasPool(b.chain.settings.GasLimit)
	return nil
}

// Get implements source: the newest state, the open transaction included.
func (b *builder) Get(table string, key []byte) ([]byte, bool) {
	if b.tx != nil {
		return b.tx.Get(table, key)
	}
	return b.set.Get(table, key)
}

func (b *builder) refuse(c *adapter.Call, err error) {
	b.outcomes = append(b.outcomes, adapter.Outcome{Call: c, Err: err})
}

// offer executes, keeps or refuses a call, and then those that waited for it.
func (b *builder) offer(k *kept) {
	for k != nil {
		next := k.checked.msg.Nonce + 1
		if !b.try(k) {
			return
		}
		from := k.checked.msg.From
		if rival := b.pool.take(from, next-1); rival != nil {
			b.try(rival) // its nonce is used now
		}
		k = b.pool.take(from, next)
	}
}

// try reports whether the call became a transaction.
func (b *builder) try(k *kept) bool {
	if k.abandoned() {
		b.refuse(k.call, errAbandoned)
		return false
	}
	msg := &k.checked.msg
	switch nonce := b.cache.GetNonce(msg.From); {
	case b.full:
		b.postpone(k)
		return false
	case msg.Nonce < nonce:
		b.known(k, nonce)
		return false
	case msg.Nonce > nonce:
		if replaced, err := b.pool.keep(k, nonce); err != nil {
			b.refuse(k.call, err)
		} else if replaced != nil {
			b.refuse(replaced.call, refusef("replaced by transaction %v of the same nonce", k.checked.hash))
		}
		return false
	case b.gas.Available(false) < msg.GasLimit, len(b.included) == maxBlockTxs,
		b.bytes+len(k.checked.raw) > params.MaxBlockSize-maxHeaderSize:
		b.full = true
		b.postpone(k)
		return false
	}
	return b.apply(k)
}

// maxHeaderSize bounds what a block's RLP holds beside the transactions.
const maxHeaderSize = 2048

func (b *builder) postpone(k *kept) {
	if err := b.pool.postpone(k); err != nil {
		b.refuse(k.call, err)
	}
}

// known answers a call whose nonce is used. If it is used by that very transaction, the reply says so: only the node
// that the client reached knows whether the core has sent the call again, or the client has. After a long time the
// row has left memory, and only the nonce says that the transaction is not executed twice.
func (b *builder) known(k *kept, nonce uint64) {
	if row, ok := b.Get(rows.Txs, k.checked.hash[:]); ok {
		r, err := rows.DecodeTx(row)
		if err != nil {
			b.refuse(k.call, err)
			return
		}
		b.outcomes = append(b.outcomes, adapter.Outcome{Call: k.call, TxID: r.TxID(), Reply: knownReply(k.checked.hash, nonce)})
		return
	}
	b.refuse(k.call, nonceTooLow(nonce, k.checked.msg.Nonce))
}

// apply executes a transaction whose turn it is.
func (b *builder) apply(k *kept) bool {
	b.open()
	s, c := b.cache, k.checked
	s.SetTxContext(c.hash, len(b.included), 0)
	gas := *b.gas
	firstLog := s.LogIndex
	result, err := core.ApplyMessage(b.evm, &c.msg, b.gas)
	if err == nil && s.Corrupt != nil {
		err = s.Corrupt
	}
	if err != nil {
		s.Discard()
		*b.gas = gas
		b.refuse(k.call, refuse(err))
		return false
	}
	if b.filled {
		b.tx.Commit()
		b.tx = b.set.Begin()
		s.Sink = b.tx
	}
	b.filled = true
	s.Finish(b.chain.rules.IsEIP158)
	b.include(k, result, s.TakeLogs(), firstLog)
	return true
}

// include writes the transaction's row and claims.
func (b *builder) include(k *kept, result *core.ExecutionResult, logs []*types.Log, firstLog uint) {
	c := k.checked
	row := rows.Tx{
		Sender: c.msg.From, View: b.set.View(), Seqno: b.tx.Seqno(), Block: b.number(),
		Index: uint64(len(b.included)), FirstLog: uint64(firstLog), GasUsed: result.UsedGas,
		Cumulative: b.gas.CumulativeUsed(), Status: types.ReceiptStatusSuccessful,
		Logs: rows.EncodeLogs(logs), Raw: c.raw,
	}
	if result.Failed() {
		row.Status = types.ReceiptStatusFailed
	}
	var bloom types.Bloom
	b.blooms.add(&bloom, logs)
	for i := 0; i < types.BloomByteLength; i += 8 {
		at := b.header.Bloom[i : i+8]
		binary.NativeEndian.PutUint64(at, binary.NativeEndian.Uint64(at)|binary.NativeEndian.Uint64(bloom[i:]))
	}
	claims, receipt := rows.EncodeClaims(&c.hash, c.tx.Type(), &row, &bloom)
	b.tx.Put(rows.Txs, c.hash[:], row.Encode())
	b.tx.Claim(claims)
	b.included = append(b.included, included{hash: c.hash, raw: c.raw, receipt: receipt})
	b.logs = append(b.logs, logs...)
	if n := len(c.msg.BlobHashes); n > 0 {
		*b.header.BlobGasUsed += uint64(n) * params.BlobTxBlobGasPerBlob
	}
	b.bytes += txSize(c)
	b.outcomes = append(b.outcomes, adapter.Outcome{
		Call: k.call, Tx: b.tx, Reply: c.hash.Bytes(),
		TxID: coco.TxID{View: row.View, Seqno: row.Seqno},
	})
}

// txSize is a transaction's size within a block: a typed one is wrapped in a string.
func txSize(c *checked) int {
	if c.tx.Type() == types.LegacyTxType {
		return len(c.raw)
	}
	return rows.StringSize(c.raw)
}

// open begins the block, with the system calls that precede its transactions.
func (b *builder) open() {
	if b.header != nil {
		return
	}
	b.tx = b.set.Begin()
	b.cache.Sink = b.tx
	b.changes.Accounts = make([]statedb.AccountChange, 0, 4+cap(b.outcomes))
	b.changes.Slots = make([]statedb.SlotChange, 0, 8+2*cap(b.outcomes))
	b.cache.Diff = &b.changes
	b.cache.LogIndex = 0
	b.header = b.chain.newHeader(b.parent, b.time, b.set.Rand())
	b.evm = vm.NewEVM(b.chain.blockContext(b.header, b, nil), b.cache, b.chain.config, vm.Config{})
	b.evm.SetJumpDestCache(b.jumps)
	if b.chain.settings.Pin == nil {
		b.chain.preExecution(b.evm, b.header)
	}
}

// sweep refuses kept calls whose time is over, and tries those whose nonce has become the next by
// other ways than a transaction (EIP-7702).
func (b *builder) sweep(now uint64) {
	for _, k := range b.pool.sweep(now, b.cache.GetNonce) {
		next := b.cache.GetNonce(k.checked.msg.From)
		if k.checked.msg.Nonce > next && !k.abandoned() {
			b.refuse(k.call, refusef("%w: next nonce %d, tx nonce %d: waited %v for the transactions between",
				core.ErrNonceTooHigh, next, k.checked.msg.Nonce, b.chain.settings.GapWait))
			continue
		}
		b.offer(k)
	}
}

// seal ends the block.
func (b *builder) seal() {
	defer func() { b.cache.Src, b.cache.Sink, b.cache.Diff, b.tx = nil, nil, nil, nil }()
	if b.header == nil {
		return
	}
	defer b.evm.Release()
	if !b.filled {
		b.tx.Abort()
		b.cache.Reset() // of the system calls
		return
	}
	if err := b.finishBlock(); err != nil {
		// Nothing of the last transaction is committed, and the block is not complete without it.
		b.chain.log.Error("block not sealed", "number", b.number(), "err", err)
		panic(err)
	}
}
