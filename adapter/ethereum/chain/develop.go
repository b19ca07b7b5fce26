package chain

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/development"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/sending"
	"github.com/cocoframework/coco/store"
)

// This file is what package development asks of blocks: one for each transaction, at the times that it says, with those that wait, and a journal
// of what they replace. No header has a state root of its own then: the state may change between blocks.

// develops is what a builder has in development mode.
type develops struct {
	mode    *development.Mode // nil in all other networks
	journal *development.Journal
}

// table is the table that holds the rows of an archive.
func (c *chain) table(name string) string {
	if c.settings.Development {
		return rows.InDevelopment(name)
	}
	return name
}

// mode returns the mode of a state; nil in a network that is not in development mode.
func (c *chain) mode(src rows.Source) (*development.Mode, error) {
	if !c.settings.Development {
		return nil, nil
	}
	return development.Read(src)
}

// override gives the next block's header what the mode says.
func override(h *types.Header, m *development.Mode) {
	if m == nil {
		return
	}
	if m.GasLimit > 0 {
		h.GasLimit = m.GasLimit
	}
	if len(m.Coinbase) > 0 {
		h.Coinbase = common.BytesToAddress(m.Coinbase)
	}
	if len(m.Random) > 0 {
		h.MixDigest = common.BytesToHash(m.Random)
	}
}

func (b *builder) override() { override(b.header, b.mode) }

// develop reads the mode. What is cached is of no use once something has changed between blocks.
func (b *builder) develop(at rows.Head) (err error) {
	if b.mode, err = b.chain.mode(b.set); b.mode == nil || err != nil {
		return err
	}
	if b.mode.Changes != b.version {
		b.at = rows.Head{}
	}
	b.version = b.mode.Changes
	return nil
}

// gasLimit is the block's.
func (b *builder) gasLimit() uint64 {
	if b.mode != nil && b.mode.GasLimit > 0 {
		return b.mode.GasLimit
	}
	return b.chain.settings.GasLimit
}

// developed ends the journal of a block.
func (b *builder) developed() {
	if b.mode == nil {
		return
	}
	b.mode.Mined(b.header.Time, b.set.Time())
	b.journal.Close(b.tx, b.mode)
	b.version = b.mode.Changes
}

// holds refuses, postpones or holds back a call that is not executed in this block, and reports whether it did. Each transaction has a block of its own,
// unless blocks are mined by calls.
func (b *builder) holds(k *kept) bool {
	switch {
	case k.checked.msg.GasLimit > b.gasLimit():
		b.refuse(k.call, refuse(errGasLimit))
	case b.mode.Held:
		b.hold(k)
	case len(b.included) > 0:
		b.postpone(k)
	default:
		return false
	}
	return true
}

// hold has a transaction wait for a block. It is a transaction of the ledger of its own.
func (b *builder) hold(k *kept) {
	pool, err := b.waiting()
	if err != nil {
		b.refuse(k.call, err)
		return
	}
	at := slices.IndexFunc(pool, func(w waiting) bool {
		return w.checked.msg.From == k.checked.msg.From && w.checked.msg.Nonce == k.checked.msg.Nonce
	})
	switch {
	case at >= 0 && pool[at].checked.hash == k.checked.hash:
		b.refuse(k.call, refuse(errAlreadyKnown))
		return
	case at >= 0 && !outbids(k.checked, pool[at].checked):
		b.refuse(k.call, refuse(ErrReplaceUnderpriced))
		return
	}
	tx := b.set.Begin()
	j := development.NewJournal(tx).Over(tx)
	if at >= 0 {
		pool[at].Forget(j)
	}
	b.mode.Hold(j, k.call.Caller.Actor, k.checked.raw)
	j.Close(tx, b.mode)
	tx.Commit()
	b.version = b.mode.Changes
	b.outcomes = append(b.outcomes, adapter.Outcome{
		Call: k.call, Tx: tx, Reply: k.checked.hash.Bytes(), TxID: coco.TxID{View: b.set.View(), Seqno: tx.Seqno()},
	})
}

// waiting is a transaction that waits for a block.
type waiting struct {
	development.Waiting
	kept
}

// waiting returns what waits for a block, in the order in which it came.
func (b *builder) waiting() ([]waiting, error) {
	list, err := development.Pool(b.set)
	if err != nil {
		return nil, err
	}
	out := make([]waiting, 0, len(list))
	for _, w := range list {
		c, err := b.chain.check(w.Raw)
		if err != nil {
			continue // by other settings; it is dropped with the next block
		}
		out = append(out, waiting{w, kept{checked: c}})
	}
	return out, nil
}

// mine makes the blocks that a call asks for. Each is a transaction of the ledger at least; what waits is in the first ones.
func (b *builder) mine(c *adapter.Call, d *development.Call) {
	const each = 8 << 10 // of a block without transactions
	count := max(1, min(d.Number, development.MaxMined))
	if left, most := b.set.Room(); b.header != nil || left < int(count)*each && left < most {
		b.postpone(&kept{call: c})
		return
	}
	b.full = true
	step := d.Word.Big().Uint64()
	o := adapter.Outcome{Call: c, Reply: development.Reply(1).Encode()}
	for i := range count {
		one := &builder{executor: b.executor, source: source{set: b.set}}
		if err := one.begin(); err != nil {
			o.Err = err
			break
		}
		if i > 0 && step > 0 {
			one.time = one.parent.Time + step
		}
		one.fill()
		o.Tx, o.TxID = one.tx, coco.TxID{View: b.set.View(), Seqno: one.tx.Seqno()}
		one.seal()
	}
	b.outcomes = append(b.outcomes, o)
}

// tick makes a block if the mode has one made from time to time, and it is due.
func (b *builder) tick() {
	if b.mode.Interval > 0 && b.set.Time() >= b.mode.Due {
		b.fill()
	}
}

// fill opens the block and executes what waits, those who offer most first, as far as it fits. Without any it is an empty block.
func (b *builder) fill() {
	b.open()
	pool, err := b.waiting()
	if err != nil {
		b.chain.log.Error("ethereum: what waits for a block cannot be read", "err", err)
	}
	for !b.full {
		best := -1
		for i := range pool {
			m := &pool[i].checked.msg
			if m.Nonce == b.cache.GetNonce(m.From) && m.GasLimit <= b.gas.Available(false) && (best < 0 || m.GasPrice.Gt(pool[best].checked.msg.GasPrice)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		w := pool[best]
		pool = slices.Delete(pool, best, best+1)
		if b.apply(&w.kept) || !b.full {
			w.Forget(b.out) // executed, or it cannot be
		}
	}
	for _, w := range pool {
		if w.checked.msg.Nonce < b.cache.GetNonce(w.checked.msg.From) {
			w.Forget(b.out)
		}
	}
	if !b.filled {
		b.filled, b.empty = true, 1
	}
}

// advanceDevelopment has this node know what waits in a state, and when the next block is due.
func (l *Ledger) advanceDevelopment(state *store.Snapshot) error {
	m, err := l.chain().mode(state)
	if m == nil || err != nil {
		return err
	}
	due := m.Due
	if m.Interval == 0 {
		due = 0
	}
	l.due.Store(due)
	pool, err := development.Pool(state)
	if err != nil {
		return err
	}
	var held []sending.Tx
	for _, w := range pool {
		if c, err := l.chain().check(w.Raw); err == nil {
			held = append(held, sending.Tx{Hash: c.hash, From: c.msg.From, Nonce: c.msg.Nonce, Owner: w.Owner, Signed: c.tx})
		}
	}
	l.sending.Hold(held)
	return nil
}
