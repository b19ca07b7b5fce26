package chain

import (
	"github.com/ethereum/go-ethereum/core"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/memo"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/store"
)

// longGas is the gas limit from which a transaction executes beside the executor: the same gas is 5 to 35 ns each, so that
// what executes in the executor's goroutine takes about 0.1 s at most.
const longGas = 4_000_000

// long is a transaction that executes in a goroutine of its own, as the first one of a block:
//
//	Execute: open the block on the newest state ──▶ goroutine: ApplyMessage ──▶ Execute: write, and go on with the block
//
// The chain executes nothing else meanwhile, so the newest state stays what it is: what the goroutine reads from a pinned
// snapshot of it is what the later Execute reads from its set. What precedes the transaction in the block has been
// written to early instead of a store.Tx. Whatever ends the state that it builds on abandons the transaction.
type long struct {
	b     *builder
	kept  *kept
	early writes

	done chan struct{} // closed once the fields below are set
	executed
}

// writes are a rows.Sink in memory.
type writes []write

type write struct {
	table      string
	key, value []byte
	deleted    bool
}

// Put implements rows.Sink.
func (w *writes) Put(table string, key, value []byte) {
	*w = append(*w, write{table: table, key: append([]byte(nil), key...), value: value})
}

// Delete implements rows.Sink.
func (w *writes) Delete(table string, key []byte) {
	*w = append(*w, write{table: table, key: append([]byte(nil), key...), deleted: true})
}

// start begins a block with a long transaction.
func (b *builder) start(k *kept) {
	l := &long{b: b, kept: k, done: make(chan struct{})}
	b.executor.long = l
	b.full = true // until it is done
	b.pinned = b.state.Newest()
	b.cache.Sink = &l.early
	b.open()
	l.gas, l.firstLog = *b.gas, b.cache.LogIndex
	b.cache.SetTxContext(k.checked.hash, 0, 0)
	began := b.clock.Elapsed()
	evm, state, gas, msg := b.evm, b.pinned, b.gas, &k.checked.msg
	b.ends.Go(func() {
		l.result, l.err = core.ApplyMessage(evm, msg, gas)
		l.took = b.clock.Elapsed() - began
		state.Release()
		close(l.done)
		b.wake()
	})
}

// Busy implements adapter.Keeper: a long transaction is under way.
func (l *Ledger) Busy() bool { return l.exec.long != nil && !l.exec.long.ended() }

// Ready implements adapter.Keeper: a long transaction has ended, or a block without transactions is due.
func (l *Ledger) Ready() bool {
	if l.exec.long != nil {
		return l.exec.long.ended()
	}
	return l.Idle() && l.exec.rhythm.EmptyNow(l.exec.chain.settings)
}

func (l *long) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// resume goes on with the block in a set.
func (b *builder) resume(l *long, set *store.Part, calls adapter.Calls) {
	b.set, b.calls, b.pinned, b.full, b.outcomes = set, calls, nil, false, nil
	b.cache.Src = b
	b.next()
	for _, w := range l.early {
		if w.deleted {
			b.out.Delete(w.table, w.key)
		} else {
			b.out.Put(w.table, w.key, w.value)
		}
	}
	if b.conclude(l.kept, &l.executed) {
		b.follow(l.kept)
	}
}

// abandon ends a long transaction without waiting for it. Its goroutine keeps the cache that it works on.
func (l *long) abandon(x *executor) {
	l.b.evm.Cancel()
	x.cache, x.jumps = statedb.New(nil), memo.Jumps{}
}
