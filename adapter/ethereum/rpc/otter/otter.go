// Package otter is the JSON-RPC namespace ots, by which the block explorer Otterscan shows a chain without an index of its
// own (API level 8, https://docs.otterscan.io/api-docs/ots-api).
//
// What would need an index of accounts is found otherwise: the transaction of a nonce and the creator of a contract by
// halving the chain, because nonces only grow, and code comes once as a rule; and the transactions of an account by looking through blocks, of which a
// request gets so many and no more.
//
// Trust: enclave
package otter

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/debug"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/internal/budget"
)

// Methods is the namespace.
type Methods struct{ s *group.Server }

// New returns the methods.
func New(s *group.Server) *Methods { return &Methods{s} }

const (
	apiLevel = 8
	instead  = "ask for smaller pages"
	// maxPage is how many transactions a page may have.
	maxPage = 100
	// maxSearched is how many blocks are looked through for one page.
	maxSearched = 2000
)

var null = json.RawMessage("null")

// GetApiLevel is the version of the namespace.
func (m *Methods) GetApiLevel() int { return apiLevel }

// HasCode reports whether an account is a contract.
func (m *Methods) HasCode(ctx context.Context, addr common.Address, at rpc.BlockNumberOrHash) (bool, error) {
	v, err := m.s.ViewAt(ctx, &at, group.AnyState)
	if err != nil {
		return false, m.s.Fail(err)
	}
	defer v.Release()
	code, err := v.Code(ctx, addr)
	return len(code) > 0, m.s.Fail(err)
}

// calls returns the calls of a transaction; nil if there is no such transaction.
func (m *Methods) calls(ctx context.Context, hash common.Hash) (*debug.Frame, error) {
	v, err := m.s.View(ctx, group.AnyState)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	t, b, err := v.TransactionInBlock(ctx, hash)
	if err != nil {
		return nil, err
	}
	list, err := debug.Calls(ctx, m.s, v, b, int(t.Index), int(t.Index))
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// reply is null for what does not exist.
func (m *Methods) reply(ctx context.Context, v any, err error) (json.RawMessage, error) {
	if errors.Is(err, coco.ErrNotFound) {
		return null, nil
	}
	return m.s.Reply(ctx, v, err, instead)
}

// GetTransactionError is what a transaction that failed has returned; 0x if it did not fail.
func (m *Methods) GetTransactionError(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	f, err := m.calls(ctx, hash)
	out := hexutil.Bytes{}
	if err == nil && f.Error != "" {
		out = f.Output
	}
	return m.reply(ctx, out, err)
}

// entry is a call of ots_traceTransaction.
type entry struct {
	Type   string          `json:"type"`
	Depth  int             `json:"depth"`
	From   common.Address  `json:"from"`
	To     *common.Address `json:"to"`
	Value  *hexutil.Big    `json:"value"`
	Input  hexutil.Bytes   `json:"input"`
	Output hexutil.Bytes   `json:"output"`
}

// TraceTransaction is the calls of a transaction in their order.
func (m *Methods) TraceTransaction(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	f, err := m.calls(ctx, hash)
	list := []entry{}
	if err == nil {
		f.Walk(0, func(depth int, f *debug.Frame) {
			list = append(list, entry{f.Type, depth, f.From, f.To, f.Value, f.Input, f.Output})
		})
	}
	return m.reply(ctx, list, err)
}

// operation is a transfer of ether within a transaction, a contract that it creates, or one that ends.
type operation struct {
	Type  int            `json:"type"`
	From  common.Address `json:"from"`
	To    common.Address `json:"to"`
	Value *hexutil.Big   `json:"value"`
}

// operations are the types of operations by those of calls.
var operations = map[string]int{"CALL": 0, "SELFDESTRUCT": 1, "CREATE": 2, "CREATE2": 3}

// GetInternalOperations is the operations below a transaction's own call.
func (m *Methods) GetInternalOperations(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	f, err := m.calls(ctx, hash)
	list := []operation{}
	if err == nil {
		internal(f, 0, &list)
	}
	return m.reply(ctx, list, err)
}

// internal leaves out what has failed, with everything below it.
func internal(f *debug.Frame, depth int, list *[]operation) {
	if f.Error != "" {
		return
	}
	kind, ok := operations[f.Type]
	if ok && depth > 0 && f.To != nil && (kind > 0 || f.Value != nil && f.Value.ToInt().Sign() > 0) {
		*list = append(*list, operation{kind, f.From, *f.To, valueOf(f)})
	}
	for i := range f.Calls {
		internal(&f.Calls[i], depth+1, list)
	}
}

func valueOf(f *debug.Frame) *hexutil.Big {
	if f.Value == nil {
		return new(hexutil.Big)
	}
	return f.Value
}

// details is a block without its transactions.
type details struct {
	Block     map[string]any `json:"block"`
	Issuance  issuance       `json:"issuance"`
	TotalFees *hexutil.Big   `json:"totalFees"`
}

// issuance is nothing: no ether is made.
type issuance struct {
	BlockReward hexutil.Uint64 `json:"blockReward"`
	UncleReward hexutil.Uint64 `json:"uncleReward"`
	Issuance    hexutil.Uint64 `json:"issuance"`
}

// GetBlockDetails is a block without its transactions, and what they have paid; null if there is none.
func (m *Methods) GetBlockDetails(ctx context.Context, n rpc.BlockNumber) (json.RawMessage, error) {
	return m.details(ctx, rpc.BlockNumberOrHashWithNumber(n))
}

// GetBlockDetailsByHash is GetBlockDetails by a hash.
func (m *Methods) GetBlockDetailsByHash(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	return m.details(ctx, rpc.BlockNumberOrHashWithHash(hash, false))
}

func (m *Methods) details(ctx context.Context, at rpc.BlockNumberOrHash) (json.RawMessage, error) {
	v, err := m.s.View(ctx, group.Blocks)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	defer v.Release()
	b, err := group.BlockAt(ctx, v, at)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	fees := new(big.Int)
	for i := range b.Txs {
		t, err := v.TransactionOf(ctx, b, i)
		if err != nil {
			return m.reply(ctx, nil, err)
		}
		fees.Add(fees, new(big.Int).Mul(t.Receipt.EffectiveGasPrice, new(big.Int).SetUint64(t.Receipt.GasUsed)))
	}
	block, err := head(b)
	return m.reply(ctx, &details{Block: block, TotalFees: (*hexutil.Big)(fees)}, err)
}

// head is the members of a block but for its transactions, without the bloom.
func head(b *blocks.Block) (map[string]any, error) {
	out := map[string]any{}
	if err := json.Unmarshal(encode.AppendHead(nil, b), &out); err != nil {
		return nil, err
	}
	out["size"], out["transactionCount"], out["uncles"], out["logsBloom"] = hexutil.Uint64(b.Size), len(b.Txs), []string{}, nil
	return out, nil
}

// page is transactions with their receipts.
type page struct {
	Txs       []json.RawMessage `json:"txs"`
	Receipts  []map[string]any  `json:"receipts"`
	FirstPage bool              `json:"firstPage"`
	LastPage  bool              `json:"lastPage"`
}

// GetBlockTransactions is a page of a block's transactions, with four bytes of their inputs, and their receipts without logs.
func (m *Methods) GetBlockTransactions(ctx context.Context, n rpc.BlockNumber, number, size uint) (json.RawMessage, error) {
	if size > maxPage {
		return nil, m.s.Fail(tooLong(size))
	}
	v, err := m.s.View(ctx, group.Blocks)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	defer v.Release()
	b, err := group.BlockAt(ctx, v, rpc.BlockNumberOrHashWithNumber(n))
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	block, err := head(b)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	p := &page{Txs: []json.RawMessage{}, Receipts: []map[string]any{}}
	memory := m.s.Memory(ctx, instead)
	defer memory.Release()
	first := min(uint64(number)*uint64(size), uint64(len(b.Txs)))
	for i := first; i < min(first+uint64(size), uint64(len(b.Txs))); i++ {
		t, err := v.TransactionOf(ctx, b, int(i))
		if err == nil {
			err = p.add(memory, t, b, false)
		}
		if err != nil {
			return m.reply(ctx, nil, err)
		}
	}
	for i, tx := range p.Txs {
		var fields map[string]any
		if err := json.Unmarshal(tx, &fields); err != nil {
			return m.reply(ctx, nil, err)
		}
		if input, ok := fields["input"].(string); ok {
			fields["input"] = input[:min(len(input), 10)]
		}
		if p.Txs[i], err = json.Marshal(fields); err != nil {
			return m.reply(ctx, nil, err)
		}
	}
	block["transactions"] = p.Txs
	return m.reply(ctx, map[string]any{"fullblock": block, "receipts": p.Receipts}, nil)
}

func tooLong(size uint) error {
	return group.Errorf(group.CodeInvalidParams, "a page of %d transactions: expected at most %d", size, maxPage)
}

// add adds a transaction and its receipt, whose logs and bloom are left out unless they are wanted.
func (p *page) add(memory *group.Memory, t *blocks.Transaction, b *blocks.Block, logs bool) error {
	if err := memory.Take(4096 + 4*int(t.Tx.Size()) + 4*len(t.Logs)); err != nil {
		return err
	}
	r, out := map[string]any{}, budget.NewBuffer(nil, 0)
	err := encode.WriteReceipt(out, t, b)
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &r)
	}
	if err != nil {
		return err
	}
	r["timestamp"], r["logsBloom"] = hexutil.Uint64(b.Header.Time), nil
	if !logs {
		r["logs"] = nil
	}
	p.Txs, p.Receipts = append(p.Txs, encode.AppendTransaction(nil, t, b)), append(p.Receipts, r)
	return nil
}

// after returns the first block for whose state ok holds, which it does from some block on; found is false if it does for none.
func (m *Methods) after(ctx context.Context, newest uint64, ok func(*sight.View) (bool, error)) (number uint64, found bool, err error) {
	if found, err = m.s.Holds(ctx, newest, group.AnyState, ok); err != nil || !found {
		return 0, false, err
	}
	number, err = m.s.First(ctx, 0, newest, group.AnyState, ok)
	return number, err == nil, err
}

// GetTransactionBySenderAndNonce is the hash of a transaction; null if there is none.
func (m *Methods) GetTransactionBySenderAndNonce(ctx context.Context, sender common.Address, nonce uint64) (json.RawMessage, error) {
	v, err := m.s.View(ctx, group.AnyState)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	defer v.Release()
	n, found, err := m.after(ctx, v.Number(), func(v *sight.View) (bool, error) {
		next, err := v.Nonce(ctx, sender)
		return next > nonce, err
	})
	if err != nil || !found {
		return m.reply(ctx, nil, err)
	}
	b, err := v.Block(ctx, n)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	for i := range b.Txs {
		t, err := v.TransactionOf(ctx, b, i)
		if err != nil {
			return m.reply(ctx, nil, err)
		}
		if t.From == sender && t.Tx.Nonce() == nonce {
			return m.reply(ctx, t.Hash, nil)
		}
	}
	return null, nil // a contract's nonce, or one that a delegation has used
}

// creator is who has created a contract.
type creator struct {
	Hash    common.Hash    `json:"hash"`
	Creator common.Address `json:"creator"`
}

// GetContractCreator is the transaction that has created a contract, and the account; null for other accounts and those of block 0.
func (m *Methods) GetContractCreator(ctx context.Context, addr common.Address) (json.RawMessage, error) {
	v, err := m.s.View(ctx, group.AnyState)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	defer v.Release()
	n, found, err := m.after(ctx, v.Number(), func(v *sight.View) (bool, error) {
		code, err := v.Code(ctx, addr)
		return len(code) > 0, err
	})
	if err != nil || !found || n == 0 {
		return m.reply(ctx, nil, err)
	}
	b, err := v.Block(ctx, n)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	list, err := debug.Calls(ctx, m.s, v, b, 0, len(b.Txs)-1)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	var by *creator
	for i := range list {
		list[i].Walk(0, func(_ int, f *debug.Frame) {
			if strings.HasPrefix(f.Type, "CREATE") && f.Error == "" && f.To != nil && *f.To == addr {
				by = &creator{b.Txs[i], f.From}
			}
		})
	}
	return m.reply(ctx, by, nil)
}

// SearchTransactionsBefore is the transactions of an account in blocks before one, the newest first; block 0 stands for the newest.
func (m *Methods) SearchTransactionsBefore(ctx context.Context, addr common.Address, block uint64, size uint) (json.RawMessage, error) {
	return m.search(ctx, addr, size, func(newest uint64) (from, to uint64, first bool) {
		if block == 0 || block > newest {
			return 0, newest, true
		}
		return 0, block - 1, false
	}, true)
}

// SearchTransactionsAfter is the transactions of an account in blocks after one, the newest first; block 0 stands for the first.
func (m *Methods) SearchTransactionsAfter(ctx context.Context, addr common.Address, block uint64, size uint) (json.RawMessage, error) {
	return m.search(ctx, addr, size, func(newest uint64) (from, to uint64, first bool) { return block + 1, newest, block == 0 }, false)
}

// search looks through blocks for transactions that an account has sent or received, or that created it, or whose logs it has made. A page ends
// with a whole block.
func (m *Methods) search(ctx context.Context, addr common.Address, size uint, within func(newest uint64) (from, to uint64, edge bool), back bool) (json.RawMessage, error) {
	if size == 0 || size > maxPage {
		return nil, m.s.Fail(tooLong(size))
	}
	v, err := m.s.View(ctx, group.AnyState)
	if err != nil {
		return m.reply(ctx, nil, err)
	}
	defer v.Release()
	memory := m.s.Memory(ctx, instead)
	defer memory.Release()
	from, to, edge := within(v.Number())
	p := &page{Txs: []json.RawMessage{}, Receipts: []map[string]any{}}
	end := true
	err = m.s.Guarded(ctx, func(ctx context.Context) error {
		for i := uint64(0); from+i <= to; i++ {
			n := from + i
			if back {
				n = to - i
			}
			if len(p.Txs) >= int(size) {
				end = false
				return nil
			}
			if i == maxSearched {
				return group.Errorf(group.CodeLimit, "%d blocks have been searched, and no more are for one page: go on with block %d", maxSearched, n)
			}
			if err := m.searchBlock(ctx, memory, v, n, addr, p, back); err != nil {
				return err
			}
		}
		return nil
	})
	if !back { // pages are shown with the newest first
		slices.Reverse(p.Txs)
		slices.Reverse(p.Receipts)
		p.FirstPage, p.LastPage = end, edge
	} else {
		p.FirstPage, p.LastPage = edge, end
	}
	return m.reply(ctx, p, err)
}

// searchBlock adds the transactions of an account in a block, the last first if back.
func (m *Methods) searchBlock(ctx context.Context, memory *group.Memory, v *sight.View, n uint64, addr common.Address, p *page, back bool) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	b, err := v.Block(ctx, n)
	if err != nil {
		return err
	}
	for i := range b.Txs {
		if back {
			i = len(b.Txs) - 1 - i
		}
		t, err := v.TransactionOf(ctx, b, i)
		if err != nil {
			return err
		}
		of := t.From == addr || t.Tx.To() != nil && *t.Tx.To() == addr || t.Receipt.ContractAddress == addr
		if !of && types.BloomLookup(t.Receipt.Bloom, addr) {
			err = t.EachLog(b, func(l *types.Log) error { of = of || l.Address == addr; return nil })
		}
		if err == nil && of {
			err = p.add(memory, t, b, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Erigon is the one method of the namespace erigon that Otterscan asks for, to find out what the node is.
type Erigon struct{ m *Methods }

// NewErigon returns the method.
func NewErigon(s *group.Server) *Erigon { return &Erigon{New(s)} }

// GetHeaderByNumber is the header of a block; null if there is none.
func (e *Erigon) GetHeaderByNumber(ctx context.Context, n rpc.BlockNumber) (json.RawMessage, error) {
	v, err := e.m.s.View(ctx, group.Blocks)
	if err != nil {
		return e.m.reply(ctx, nil, err)
	}
	defer v.Release()
	b, err := group.BlockAt(ctx, v, rpc.BlockNumberOrHashWithNumber(n))
	if err != nil {
		return e.m.reply(ctx, nil, err)
	}
	return encode.AppendHead(nil, b), nil
}
