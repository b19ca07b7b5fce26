package chain

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/development"
	"github.com/cocoframework/coco/adapter/ethereum/memo"
	"github.com/cocoframework/coco/adapter/ethereum/rhythm"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/store"
)

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
	blooms memo.Blooms
	jumps  memo.Jumps

	roots   *stateroot.Worker
	carried rows.KnownRoot // by the header of the block at

	made

	state *store.Scope
	clock host.Clock
	wake  func()         // adapter.Env.Wake
	long  *long          // under way, or done and not in a block; nil if there is none
	short uint64         // the gas limit up to which a transaction is no long one
	ends  sync.WaitGroup // goroutines of long transactions
}

func newExecutor(c *chain, env *adapter.Env, roots *stateroot.Worker) *executor {
	wake := env.Wake
	if wake == nil {
		wake = func() {}
	}
	return &executor{
		chain: c, roots: roots, pool: newPool(c.settings), cache: statedb.New(nil), blooms: memo.Blooms{}, jumps: memo.Jumps{},
		state: env.State, clock: env.Clock, wake: wake, short: longGas, made: made{rhythm: rhythm.New(env.Clock, wake)},
	}
}

// made is what is known of the last block that was made here.
type made struct {
	rhythm  *rhythm.Rhythm
	version uint64 // in development mode: Mode.Changes of the state that the cache holds
}

// builder is one Execute: it becomes one block if at least one call is a transaction.
//
// The last transaction's store.Tx stays open until the next one is accepted, or until the block is
// sealed: the header and the index of the block are written with it.
type builder struct {
	*executor
	source
	filled bool   // tx holds a transaction, not only what precedes the first
	full   bool   // the rest waits for the next block
	time   uint64 // seconds
	empty  uint64 // the block is without transactions, as the last so many with it; 0: it has some
	parent rows.Head
	header *types.Header // nil until the first execution
	evm    *vm.EVM
	gas    *core.GasPool
	contents
	develops // in development mode only
	changes  statedb.Changes
	outcomes []adapter.Outcome
}

// contents is the transactions of a block.
type contents struct {
	bytes    int // in the block's RLP
	included []included
	logs     []*types.Log
}

// source is where a builder's calls come from, and its state.
type source struct {
	set    *store.Part
	calls  adapter.Calls
	tx     *store.Tx       // nil: none is open
	out    rows.Sink       // writes to tx
	pinned *store.Snapshot // read instead of set and tx while the block's first transaction is a long one under way
}

// number is the block's.
func (b *builder) number() uint64 { return b.parent.Number + 1 }

// included is what the block's roots and index need of a transaction.
type included struct {
	hash    common.Hash
	raw     []byte
	receipt []byte // consensus encoding
}

// Execute implements adapter.Ledger. A call without an outcome is kept: it waits for lower nonces, or executes as a long
// one. It waits for nothing.
func (l *Ledger) Execute(_ context.Context, set *store.Part, calls adapter.Calls) []adapter.Outcome {
	return l.exec.execute(set, calls)
}

func (x *executor) execute(set *store.Part, calls adapter.Calls) []adapter.Outcome {
	x.rhythm.Tell(set.Time())
	if x.long != nil && !x.long.ended() {
		return nil
	}
	b, err := x.builder(set, calls)
	if err != nil {
		for c := calls.Next(); c != nil; c = calls.Next() {
			b.outcomes = append(b.outcomes, adapter.Outcome{Call: c, Err: err})
		}
		return append(b.outcomes, x.drain(err)...)
	}
	b.sweep(set.Time())
	none := true
	for !b.full {
		c := calls.Next()
		if c == nil {
			break
		}
		none = false
		if m, ok := c.Decoded.(*development.Call); ok {
			b.mine(c, m)
			continue
		}
		d, ok := c.Decoded.(*checked)
		if !ok {
			b.refuse(c, refusef("internal: the call carries no Ethereum transaction"))
			continue
		}
		b.offer(&kept{call: c, checked: d, since: set.Time()})
	}
	if x.long == nil {
		if none {
			b.confirm()
		}
		b.seal()
	}
	return b.outcomes
}

// Idle implements adapter.Idler: blocks without transactions are due.
func (l *Ledger) Idle() bool {
	h, s := l.Head(), l.Settings()
	if s.Development {
		due := l.due.Load()
		return due > 0 && uint64(l.env.Clock.Now().UnixMilli()) >= due
	}
	return h != nil && h.Number() > 0 && (s.EmptyBlocks || l.empty.Load() < s.ConfirmationBlocks)
}

// Gathers implements adapter.Gatherer: where the constitution has blocks wait, calls wait with them. A long transaction has begun its block.
func (l *Ledger) Gathers(waiting int) bool {
	return l.exec.rhythm.Gathers(l.exec.chain.settings, waiting) && l.exec.long == nil
}

// confirm makes a block without transactions if one is due. Clients count blocks on top of a transaction's, and
// wait for so many; on a chain without traffic none would come. A chain that nobody uses comes to rest, unless the constitution says otherwise.
func (b *builder) confirm() {
	if b.mode != nil {
		b.tick()
		return
	}
	n, s := rows.EmptyBlocks(b.set, b.parent.Number), b.chain.settings
	if b.header != nil || b.parent.Number == 0 || !s.EmptyBlocks && n >= s.ConfirmationBlocks || !b.rhythm.Empty(s, b.set.Time()) {
		return
	}
	b.open()
	b.filled, b.empty = true, n+1
}

// builder begins a block, or goes on with the one that a long transaction has begun.
func (x *executor) builder(set *store.Part, calls adapter.Calls) (*builder, error) {
	if l := x.long; l != nil {
		x.long = nil
		if at, ok, err := rows.ReadHead(set); err == nil && ok && at == x.at {
			l.b.resume(l, set, calls)
			return l.b, nil
		}
		l.abandon(x)
		calls.Back(l.kept.call)
	}
	b := &builder{executor: x, source: source{set: set, calls: calls}}
	return b, b.begin()
}

// forget has the next Execute begin with the state that it finds, and execute a long transaction again.
func (x *executor) forget() {
	x.at = rows.Head{}
	x.roots.Stop()
	if x.long != nil {
		x.long.b.evm.Cancel() // what it comes to is of no use
	}
}

// drain removes everything that is kept, with the same outcome.
func (x *executor) drain(err error) []adapter.Outcome {
	out := x.pool.drain(err)
	if l := x.long; l != nil {
		x.long = nil
		l.abandon(x)
		out = append(out, adapter.Outcome{Call: l.kept.call, Err: err})
	}
	return out
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
	if err := b.develop(at); err != nil {
		return err
	}
	if at != b.at {
		b.cache.Reset()
		b.at, b.carried = at, at.Carried
		if b.mode == nil {
			b.roots.Restart(at)
		}
	}
	if b.cache.Size > maxCached {
		b.cache.Reset()
	}
	b.cache.Src = b
	b.parent = at
	b.time = b.chain.nextTime(b.mode, at.Time, b.set.Time())
	b.chain = b.chain.at(b.time)
	b.gas = core.NewGasPool(b.gasLimit())
	return nil
}

// Get implements source: the newest state, the open transaction included.
func (b *builder) Get(table string, key []byte) ([]byte, bool) {
	switch {
	case b.pinned != nil:
		return b.pinned.Get(table, key)
	case b.tx != nil:
		return b.tx.Get(table, key)
	}
	return b.set.Get(table, key)
}

func (b *builder) refuse(c *adapter.Call, err error) {
	if c == nil {
		return // it waited for the block: its sender was answered before
	}
	b.outcomes = append(b.outcomes, adapter.Outcome{Call: c, Err: err})
}

// offer executes, keeps or refuses a call. The one that waited for it goes back into the queue, where its organisation
// waits for its turn like any other.
func (b *builder) offer(k *kept) {
	if b.try(k) {
		b.follow(k)
	}
}

// follow looks in the pool for what an executed call's nonce has decided.
func (b *builder) follow(k *kept) {
	from, nonce := k.checked.msg.From, k.checked.msg.Nonce
	if rival := b.pool.take(from, nonce); rival != nil {
		b.try(rival) // its nonce is used now
	}
	if next := b.pool.take(from, nonce+1); next != nil {
		b.calls.Back(next.call)
	}
}

// try reports whether the call became a transaction.
func (b *builder) try(k *kept) bool {
	if k.abandoned() {
		b.refuse(k.call, errAbandoned)
		return false
	}
	msg := &k.checked.msg
	if k.checked.by != b.chain {
		if err := b.chain.again(k.checked); err != nil {
			b.refuse(k.call, err)
			return false
		}
	}
	switch nonce := b.cache.GetNonce(msg.From); {
	case msg.Nonce < nonce:
		b.known(k, nonce)
		return false
	case !b.vouched(k):
		return false
	case b.mode != nil && b.holds(k):
		return false
	case msg.Nonce > nonce:
		if replaced, err := b.pool.keep(k, nonce); err != nil {
			b.refuse(k.call, err)
		} else if replaced != nil {
			b.refuse(replaced.call, refusef("replaced by transaction %v of the same nonce", k.checked.hash))
		}
		return false
	case b.gas.Available(false) < msg.GasLimit, uint64(len(b.included)) >= b.chain.settings.BlockTransactions,
		len(b.included) > 0 && uint64(b.bytes+len(k.checked.raw)) > b.chain.settings.BlockBytes:
		b.postpone(k)
		return false
	case msg.GasLimit > b.short && b.header != nil:
		b.postpone(k)
		return false
	case msg.GasLimit > b.short:
		b.start(k)
		return false
	}
	return b.apply(k)
}

// postpone leaves a call to the next block, and ends this one.
func (b *builder) postpone(k *kept) {
	b.full = true
	if k.call != nil {
		b.calls.Back(k.call)
	}
}

// known answers a call whose nonce is used. If it is used by that very transaction, the reply says so: only the node
// that the client reached knows whether the core has sent the call again, or the client has. After a long time the
// row has left memory, and only the nonce says that the transaction is not executed twice.
func (b *builder) known(k *kept, nonce uint64) {
	if row, ok := b.Get(b.chain.table(rows.Txs), k.checked.hash[:]); ok {
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
	gas, firstLog := *b.gas, b.cache.LogIndex
	b.cache.SetTxContext(k.checked.hash, len(b.included), 0)
	result, err := core.ApplyMessage(b.evm, &k.checked.msg, b.gas)
	return b.conclude(k, &executed{result: result, err: err, gas: gas, firstLog: firstLog})
}

// executed is what ApplyMessage has left, and what was before it.
type executed struct {
	result   *core.ExecutionResult
	err      error
	gas      core.GasPool // before
	firstLog uint
	took     time.Duration // beside Execute
}

// conclude puts an executed transaction into the block, or undoes it.
func (b *builder) conclude(k *kept, e *executed) bool {
	s, err := b.cache, e.err
	if err == nil && s.Corrupt != nil {
		err = s.Corrupt
	}
	if err == nil {
		fits := false
		if fits, err = b.fits(k); err == nil && !fits {
			s.Discard()
			*b.gas = e.gas
			b.postpone(k)
			return false
		}
	}
	if err != nil {
		s.Discard()
		*b.gas = e.gas
		if k.call != nil {
			b.outcomes = append(b.outcomes, adapter.Outcome{Call: k.call, Err: refuse(err), Beside: e.took})
		}
		return false
	}
	if b.filled {
		b.tx.Commit()
		b.next()
	}
	b.filled = true
	s.Finish(b.chain.rules.IsEIP158)
	b.include(k, e, s.TakeLogs())
	return true
}

// What a block adds to the last transaction's record: header and fixed rows, and for each transaction its hash.
const (
	blockBytes = 4096
	txBytes    = 640 // of a transaction's row and claims beside its encoding and its logs
)

// fits reports whether the writes of an executed transaction have room in this batch. The error is for one that no batch
// has room for.
func (b *builder) fits(k *kept) (bool, error) {
	need := b.cache.Written() + len(k.checked.raw) + txBytes
	for _, l := range b.cache.Logs() {
		need += 2 * (64 + 33*len(l.Topics) + len(l.Data)) // in the row and in the claims
	}
	block := blockBytes + common.HashLength*(len(b.included)+1)
	if b.journal != nil { // what is replaced is written, too
		need, block = 2*need, 2*block+b.journal.Size()
	}
	left, most := b.set.Room()
	switch open := b.tx.Size(); {
	case need+block+open <= left:
		return true, nil
	case need+2*blockBytes <= most:
		return false, nil
	}
	return false, fmt.Errorf("the transaction writes %d bytes, expected at most %d: it exceeds what one batch of the ledger holds", need, most)
}

// include writes the transaction's row and claims.
func (b *builder) include(k *kept, e *executed, logs []*types.Log) {
	c := k.checked
	row := rows.Tx{
		Sender: c.msg.From, View: b.set.View(), Seqno: b.tx.Seqno(), Block: b.number(),
		Index: uint64(len(b.included)), FirstLog: uint64(e.firstLog), GasUsed: e.result.UsedGas,
		Cumulative: b.gas.CumulativeUsed(), Status: types.ReceiptStatusSuccessful,
		Logs: rows.EncodeLogs(logs), Raw: c.raw,
	}
	if k.call != nil {
		row.By = rows.ByCaller(&k.call.Caller, c.how)
	}
	if e.result.Failed() {
		row.Status = types.ReceiptStatusFailed
	}
	var bloom types.Bloom
	b.blooms.Add(&bloom, logs)
	for i := 0; i < types.BloomByteLength; i += 8 {
		at := b.header.Bloom[i : i+8]
		binary.NativeEndian.PutUint64(at, binary.NativeEndian.Uint64(at)|binary.NativeEndian.Uint64(bloom[i:]))
	}
	claims, receipt := rows.EncodeClaims(&c.hash, c.tx.Type(), &row, &bloom)
	b.out.Put(b.chain.table(rows.Txs), c.hash[:], row.Encode())
	b.tx.Claim(claims)
	b.included = append(b.included, included{hash: c.hash, raw: c.raw, receipt: receipt})
	b.logs = append(b.logs, logs...)
	if n := len(c.msg.BlobHashes); n > 0 {
		*b.header.BlobGasUsed += uint64(n) * params.BlobTxBlobGasPerBlob
	}
	b.bytes += txSize(c)
	if k.call == nil {
		return
	}
	b.outcomes = append(b.outcomes, adapter.Outcome{
		Call: k.call, Tx: b.tx, Reply: c.hash.Bytes(), Beside: e.took,
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
	if b.mode != nil {
		b.journal = development.NewJournal(b)
	}
	if b.pinned == nil {
		b.next()
	}
	b.changes.Accounts = make([]statedb.AccountChange, 0, 4+cap(b.outcomes))
	b.changes.Slots = make([]statedb.SlotChange, 0, 8+2*cap(b.outcomes))
	b.cache.Diff = &b.changes
	b.cache.LogIndex = 0
	b.header = b.chain.newHeader(b.parent, b.time, b.set.Rand())
	b.override()
	b.evm = vm.NewEVM(b.chain.blockContext(b.header, b, nil), b.cache, b.chain.config, vm.Config{})
	b.evm.SetJumpDestCache(b.jumps)
	if b.chain.settings.Pin == nil {
		SystemCalls(b.evm, b.header)
	}
}

// next begins a transaction of the ledger, to which belongs what is written from now on.
func (b *builder) next() {
	b.tx = b.set.Begin()
	b.out = b.tx
	if b.journal != nil {
		b.out = b.journal.Over(b.tx)
	}
	b.cache.Sink = b.out
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
		if k.checked.msg.Nonce == next && !k.abandoned() {
			b.calls.Back(k.call)
			continue
		}
		b.try(k)
	}
}

// seal ends the block.
func (b *builder) seal() {
	defer func() { b.cache.Src, b.cache.Sink, b.cache.Diff, b.tx, b.out = nil, nil, nil, nil, nil }()
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
	b.rhythm.Sealed(b.set.Time())
}
