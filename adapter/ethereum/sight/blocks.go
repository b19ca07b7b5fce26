package sight

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// blank returns the header that callers get who do not see all: number, time, the parent's hash, and what is the same in every block of
// the network. All that depends on the block's transactions has a fixed value. The block's hash commits to the true header, which has a
// salt (rows.Extra): nobody confirms a guess by it.
func blank(h *types.Header) *types.Header {
	out := &types.Header{
		ParentHash: h.ParentHash, Number: h.Number, Time: h.Time, UncleHash: types.EmptyUncleHash, Coinbase: h.Coinbase, Difficulty: h.Difficulty,
		GasLimit: h.GasLimit, BaseFee: h.BaseFee, WithdrawalsHash: h.WithdrawalsHash, ExcessBlobGas: h.ExcessBlobGas, ParentBeaconRoot: h.ParentBeaconRoot,
		Extra: []byte{},
	}
	if h.BlobGasUsed != nil {
		out.BlobGasUsed = new(uint64)
	}
	if h.RequestsHash != nil {
		out.RequestsHash = &types.EmptyRequestsHash
	}
	return out
}

// Shown returns a block as a caller may see its header, without its transactions, if the caller does not see all.
func (s *Sights) Shown(b *blocks.Block, caller *coco.Caller) *blocks.Block {
	if s.All(caller) || b.Number() == 0 { // block 0 is the constitution's
		return b
	}
	return &blocks.Block{Header: blank(b.Header), Hash: b.Hash}
}

// seen is what a caller sees of a block.
type seen struct {
	txs     []place
	visible []int  // the places in txs of those that it sees, in order
	logs    uint64 // that it sees, in the whole block
	version uint64 // of the store by which it is so
	grounds *grounds
}

// place is a transaction of the block, and what precedes it of what the caller sees.
type place struct {
	visible    bool
	index      uint64 // visible transactions before it
	cumulative uint64 // gas used by visible ones up to and with it
	firstLog   uint64 // visible logs before its own
	hidden     []bool // its logs that the caller does not see; nil if it sees them all
}

// seen decides about all transactions of a block and their logs. It takes the same work whatever is asked for, so that its
// time tells nothing of one item.
func (v *View) seen(ctx context.Context, b *blocks.Block) (*seen, error) {
	key := v.eyes.keyOf(b)
	version := v.eyes.moment().version
	if s := v.eyes.sights.cache.seen(key); s != nil {
		if s.version == version {
			return s, nil
		}
		if s.grounds.complete() && v.eyes.hold(ctx, s.grounds) {
			held := *s
			held.version = version
			v.eyes.sights.cache.keep(key, &held)
			return &held, nil
		}
	}
	s := &seen{txs: make([]place, len(b.Txs)), version: version, grounds: newGrounds()}
	v.eyes.grounds = s.grounds
	defer func() { v.eyes.grounds = nil }()
	var index, gas uint64
	for i := range b.Txs {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		r, tx, err := v.row(ctx, b, i)
		if err != nil {
			return nil, err
		}
		p := &s.txs[i]
		*p = place{visible: v.eyes.transaction(ctx, tx, r.Sender, r.GasUsed), index: index, firstLog: s.logs}
		if p.visible {
			index, gas = index+1, gas+r.GasUsed
			s.visible = append(s.visible, i)
		}
		hidden, err := v.eyes.events(ctx, &r, p.visible)
		if err != nil {
			return nil, err
		}
		p.cumulative = gas
		if slices.Contains(hidden, true) {
			p.hidden = hidden
		}
		for _, no := range hidden {
			if !no {
				s.logs++
			}
		}
	}
	if err := context.Cause(ctx); err != nil { // a rule that had no time left says no
		return nil, err
	}
	v.eyes.sights.cache.keep(key, s)
	return s, nil
}

// row reads a transaction of a true block.
func (v *View) row(ctx context.Context, b *blocks.Block, i int) (rows.Tx, *types.Transaction, error) {
	r, err := v.raw.TxRowOf(ctx, b, i)
	if err != nil {
		return r, nil, err
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(r.Raw); err != nil {
		return r, nil, fmt.Errorf("%w: transaction %v: %w", coco.ErrCorrupt, b.Txs[i], err)
	}
	return r, tx, nil
}

// show returns a block as the caller sees it.
func (v *View) show(ctx context.Context, b *blocks.Block) (*blocks.Block, error) {
	if v.eyes == nil || b.Number() == 0 { // block 0 is the constitution's
		return b, nil
	}
	s, err := v.seen(ctx, b)
	if err != nil {
		return nil, err
	}
	if v.eyes.blocks == nil {
		v.eyes.blocks = map[common.Hash]*blocks.Block{}
	}
	v.eyes.blocks[b.Hash] = b
	at := s.visible
	out := &blocks.Block{Header: blank(b.Header), Hash: b.Hash, Txs: make([]common.Hash, len(at))}
	for i, place := range at {
		out.Txs[i] = b.Txs[place]
	}
	if v.eyes.rules.settings.Counts {
		hidden := uint64(len(b.Txs) - len(at))
		out.Hidden = &hidden
	}
	return out, nil
}

// Block returns a block by its number, or coco.ErrNotFound.
func (v *View) Block(ctx context.Context, number uint64) (*blocks.Block, error) {
	b, err := v.raw.Block(ctx, number)
	if err != nil {
		return nil, err
	}
	return v.show(ctx, b)
}

// BlockByHash returns a block by its hash, or coco.ErrNotFound.
func (v *View) BlockByHash(ctx context.Context, hash common.Hash) (*blocks.Block, error) {
	b, err := v.raw.BlockByHash(ctx, hash)
	if err != nil {
		return nil, err
	}
	return v.show(ctx, b)
}

// NumberOf returns the number of the block with a hash, or coco.ErrNotFound.
func (v *View) NumberOf(ctx context.Context, hash common.Hash) (uint64, error) {
	b, err := v.raw.BlockByHash(ctx, hash)
	if err != nil {
		return 0, err
	}
	return b.Number(), nil
}

// Backwards calls fn for the headers of the blocks from..to, the newest first. A caller who does not see all gets no transactions with them.
func (v *View) Backwards(ctx context.Context, from, to uint64, fn func(*blocks.Block) error) error {
	if v.eyes == nil {
		return v.raw.Backwards(ctx, from, to, fn)
	}
	return v.raw.Backwards(ctx, from, to, func(b *blocks.Block) error {
		return fn(&blocks.Block{Header: blank(b.Header), Hash: b.Hash})
	})
}

// TransactionOf returns the i-th transaction of a block of this view.
func (v *View) TransactionOf(ctx context.Context, b *blocks.Block, i int) (*blocks.Transaction, error) {
	if v.eyes == nil {
		return v.raw.TransactionOf(ctx, b, i)
	}
	whole := v.eyes.blocks[b.Hash]
	if whole == nil {
		return nil, fmt.Errorf("%w: block %v is of another view", coco.ErrInvalid, b.Hash)
	}
	s, err := v.seen(ctx, whole)
	if err != nil {
		return nil, err
	}
	at := s.visible
	if i >= len(at) {
		return nil, fmt.Errorf("%w: transaction %d of block %d", coco.ErrNotFound, i, b.Number())
	}
	t, err := v.raw.TransactionOf(ctx, whole, at[i])
	if err != nil {
		return nil, err
	}
	return v.trim(t, &s.txs[at[i]])
}

// trim leaves out of a transaction what the caller does not see: logs, and the places in its block that tell of others.
func (v *View) trim(t *blocks.Transaction, p *place) (*blocks.Transaction, error) {
	out, receipt := *t, *t.Receipt
	out.Receipt, out.Index, out.FirstLog = &receipt, p.index, p.firstLog
	receipt.CumulativeGasUsed, receipt.TransactionIndex = p.cumulative, uint(p.index)
	if p.hidden == nil {
		return &out, nil
	}
	var list []*types.Log
	err := logs.Each(t.Logs, func(i int, l *types.Log) error {
		if !p.hidden[i] {
			list = append(list, l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Logs = rows.EncodeLogs(list)
	receipt.Bloom = types.CreateBloom(&types.Receipt{Logs: list})
	return &out, nil
}

// Transaction returns an included transaction by its hash, or coco.ErrNotFound.
func (v *View) Transaction(ctx context.Context, hash common.Hash) (*blocks.Transaction, error) {
	t, _, err := v.TransactionInBlock(ctx, hash)
	return t, err
}

// TransactionInBlock also returns the transaction's block, for a caller who does not see all without its transactions. One that the caller may not see takes the work of one that does not exist,
// and is answered in the same words: see unseen.
func (v *View) TransactionInBlock(ctx context.Context, hash common.Hash) (*blocks.Transaction, *blocks.Block, error) {
	t, b, err := v.raw.TransactionInBlock(ctx, hash)
	if v.eyes == nil {
		return t, b, err
	}
	switch {
	case err == nil && !v.eyes.transaction(ctx, t.Tx, t.From, t.Receipt.GasUsed):
		err = v.unseen(ctx, hash, b)
	case errors.Is(err, coco.ErrNotFound):
		_ = v.unseen(ctx, hash, nil)
	}
	if err != nil {
		return nil, nil, alike(err, hash)
	}
	s, err := v.seen(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	if t, err = v.trim(t, &s.txs[t.Index]); err != nil {
		return nil, nil, err
	}
	return t, &blocks.Block{Header: blank(b.Header), Hash: b.Hash}, nil
}

// alike is an error that says nothing but its kind and what was asked for.
func alike(err error, hash common.Hash) error {
	for _, kind := range []error{coco.ErrNotFound, coco.ErrPending, coco.ErrMissing, coco.ErrBusy} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: transaction %v", kind, hash)
		}
	}
	return err
}

// Logs calls fn with the logs of the blocks from..to that the filter selects: see blocks.View.Logs. For a caller who does not see all, neither blooms
// nor an index decide which blocks are looked into, because the time would tell what they hold of others.
func (v *View) Logs(ctx context.Context, from, to uint64, f *logs.Filter, look func(number uint64, archived bool) error, fn func(*types.Log) error) error {
	if v.eyes == nil {
		return v.raw.Logs(ctx, from, to, f, look, fn)
	}
	for n := from; n <= min(to, v.Number()) && from <= to; n++ {
		if err := look(n, !v.raw.InMemory(n)); err != nil {
			return err
		}
		b, err := v.raw.Block(ctx, n)
		if err != nil {
			return err
		}
		if err := v.logsOf(ctx, b, f, fn); err != nil {
			return err
		}
	}
	return nil
}

// LogsOf calls fn with the logs of a block that the filter selects.
func (v *View) LogsOf(ctx context.Context, number uint64, f *logs.Filter, fn func(*types.Log) error) error {
	b, err := v.raw.Block(ctx, number)
	switch {
	case err != nil:
		return err
	case v.eyes == nil:
		return v.raw.LogsOf(ctx, b, f, fn)
	}
	return v.logsOf(ctx, b, f, fn)
}

func (v *View) logsOf(ctx context.Context, b *blocks.Block, f *logs.Filter, fn func(*types.Log) error) error {
	s, err := v.seen(ctx, b)
	if err != nil || s.logs == 0 {
		return err
	}
	for i := range b.Txs {
		r, err := v.raw.TxRowOf(ctx, b, i)
		if err != nil {
			return err
		}
		p := &s.txs[i]
		next := p.firstLog
		err = logs.Each(r.Logs, func(at int, l *types.Log) error {
			if p.hidden != nil && p.hidden[at] {
				return nil
			}
			l.BlockNumber, l.BlockHash, l.BlockTimestamp = b.Number(), b.Hash, b.Header.Time
			l.TxHash, l.TxIndex, l.Index = b.Txs[i], uint(p.index), uint(next)
			next++
			if !f.Match(l) {
				return nil
			}
			return fn(l)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Authorize decides about the receipt of the transaction with a seqno of the ledger. The error is coco.ErrNotFound, for what does not exist, too;
// coco.ErrDenied for a transaction that the caller sees without all of its logs, as a receipt proves them all; nil for what is not of this chain.
//
// claims, unless they are nil, are what the transaction claims, and link is whose an address is by them, if they say so: by them is known what is of
// no block of the view.
func (s *Sights) Authorize(ctx context.Context, caller coco.Caller, id coco.TxID, link *links.Holder, claims []byte) error {
	v := s.View(s.ledger.PastReader().For(caller), &caller)
	defer v.Release()
	if v.eyes == nil {
		return nil
	}
	if v.raw.Head() == nil {
		return v.eyes.claimed(link, claims)
	}
	// Blocks follow one another in the ledger: the one that has the seqno is the last one that does not begin after it.
	low, high := uint64(0), v.Number()
	for low < high {
		middle := (low + high + 1) / 2
		b, err := v.raw.Block(ctx, middle)
		if err != nil {
			return err
		}
		if b.First <= id.Seqno {
			low = middle
		} else {
			high = middle - 1
		}
	}
	b, err := v.raw.Block(ctx, low)
	if err != nil {
		return err
	}
	if id.Seqno < b.First || id.Seqno-b.First >= uint64(len(b.Txs)) {
		return v.eyes.claimed(link, claims)
	}
	r, tx, err := v.row(ctx, b, int(id.Seqno-b.First))
	if err != nil {
		return err
	}
	if !v.eyes.transaction(ctx, tx, r.Sender, r.GasUsed) {
		return errUnknownTx
	}
	hidden, err := v.eyes.events(ctx, &r, true)
	if err == nil && slices.Contains(hidden, true) {
		return errPart
	}
	return err
}

// claimed decides by its claims about a transaction that is of no block of the view: a link is its holder's, and a transaction of a block
// that the view does not have is nobody's yet.
func (e *eyes) claimed(link *links.Holder, claims []byte) error {
	others := link != nil && !link.Is(e.viewer.Actor, e.viewer.User)
	if others || link == nil && rows.IsClaims(claims) {
		return errUnknownTx
	}
	return nil
}

var errPart = fmt.Errorf("%w: a receipt proves all logs of its transaction, and the rule of a contract does not show you one of them: eth_getTransactionReceipt answers with what you may see", coco.ErrDenied)

var errUnknownTx = fmt.Errorf("%w: no such transaction, as far as this caller may know", coco.ErrNotFound)
