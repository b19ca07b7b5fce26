// Package simulate is eth_simulateV1: calls that build on each other, in blocks that follow a block of the chain, with
// overrides of both. It follows go-ethereum's implementation, which is internal there, step by step: what clients get are
// blocks as they would be, with hashes, receipts' roots and logs.
//
// All blocks of a request have the time and the place of one call, and the gas of one call altogether.
//
// Trust: enclave
package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/consensus/misc/eip1559"
	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/dryrun"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// Methods is the method, of the namespace eth.
type Methods struct{ s *group.Server }

// New returns the method.
func New(s *group.Server) *Methods { return &Methods{s} }

// instead is what to ask for if the blocks are too large.
const instead = "simulate fewer calls at a time, or ask for hashes of transactions only"

// What a result takes in memory beside its data.
const (
	callBytes = 512
	logBytes  = 1 << 10
	headBytes = 4 << 10
)

// SimulateV1 executes calls in blocks on top of a block; nil is the newest one.
func (m *Methods) SimulateV1(ctx context.Context, o Options, at *rpc.BlockNumberOrHash) (json.RawMessage, error) {
	if err := o.check(); err != nil {
		return nil, m.s.Fail(err)
	}
	if m.s.Ledger.Settings().Pin != nil {
		return nil, m.s.Fail(errors.New("eth_simulateV1 is not offered on a pinned network, where no block follows another"))
	}
	v, err := m.s.ViewAt(ctx, at, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	memory := m.s.Memory(ctx, instead)
	defer memory.Release()
	var results []json.RawMessage
	err = m.s.Guarded(ctx, func(ctx context.Context) error {
		l := m.s.Ledger
		base, err := v.HeaderFor(ctx, l, false)
		if err != nil {
			return err
		}
		s := &simulation{
			ctx: ctx, view: v, run: dryrun.New(ctx, l, v), config: l.ChainConfig(), base: base, baseHash: v.Hash(), options: &o,
			memory: memory, gas: l.Settings().CallGasLimit, roots: newRoots(ctx, v, m.s.Claim(ctx)),
		}
		s.run.DB.Sink = s.roots
		results, err = s.blocks(o.BlockStateCalls)
		return err
	})
	return m.s.Reply(ctx, results, err, instead)
}

// simulation is one request.
type simulation struct {
	ctx      context.Context
	view     *sight.View
	run      *dryrun.Run
	config   *params.ChainConfig
	base     *types.Header
	baseHash common.Hash
	options  *Options
	memory   *group.Memory
	gas      uint64 // that is left for all calls
	roots    *roots

	hashes map[uint64]common.Hash // of the blocks so far, and of the base
}

func (s *simulation) blocks(blocks []Block) ([]json.RawMessage, error) {
	blocks, err := complete(blocks, s.base)
	if err != nil {
		return nil, err
	}
	s.roots.blocks = len(blocks)
	s.hashes = map[uint64]common.Hash{s.base.Number.Uint64(): s.baseHash}
	parent, parentHash := s.base, s.baseHash
	out := make([]json.RawMessage, len(blocks))
	for i := range blocks {
		header, err := s.header(blocks[i].BlockOverrides, parent, parentHash)
		if err != nil {
			return nil, err
		}
		var hash common.Hash
		if header, hash, out[i], err = s.block(&blocks[i], header, parent); err != nil {
			return nil, err
		}
		s.hashes[header.Number.Uint64()] = hash
		parent, parentHash = header, hash
	}
	return out, nil
}

// header makes a block's header, but for what its calls decide.
func (s *simulation) header(o *callargs.BlockOverride, parent *types.Header, parentHash common.Hash) (*types.Header, error) {
	number, time := o.Number.ToInt(), uint64(*o.Time)
	h := &types.Header{
		ParentHash: parentHash, UncleHash: types.EmptyUncleHash, ReceiptHash: types.EmptyReceiptsHash, TxHash: types.EmptyTxsHash,
		Coinbase: parent.Coinbase, Difficulty: parent.Difficulty, GasLimit: parent.GasLimit, Number: number, Time: time,
	}
	if s.config.IsPostMerge(number.Uint64(), time) {
		h.Difficulty = new(big.Int)
	}
	switch {
	case o.Difficulty != nil && h.Difficulty.Sign() == 0:
		return nil, group.Errorf(codeInvalidParams, "block %d: difficulty override is not allowed after the merge", number)
	case o.Difficulty != nil:
		h.Difficulty = o.Difficulty.ToInt()
	}
	if o.GasLimit != nil {
		h.GasLimit = uint64(*o.GasLimit)
	}
	if o.FeeRecipient != nil {
		h.Coinbase = *o.FeeRecipient
	}
	if o.PrevRandao != nil {
		h.MixDigest = *o.PrevRandao
	}
	if s.config.IsShanghai(number, time) {
		h.WithdrawalsHash = &types.EmptyWithdrawalsHash
	}
	if s.config.IsCancun(number, time) {
		h.ParentBeaconRoot = new(common.Hash)
		if o.BeaconRoot != nil {
			h.ParentBeaconRoot = o.BeaconRoot
		}
		excess := uint64(0)
		if s.config.IsCancun(parent.Number, parent.Time) {
			excess = eip4844.CalcExcessBlobGas(s.config, parent, time)
		}
		h.ExcessBlobGas = &excess
	}
	if s.config.IsLondon(number) {
		h.BaseFee = s.baseFee(o, parent)
	}
	return h, nil
}

// baseFee is 0 without validation, so that calls need not pay. The base fee of a network here never moves; that of a chain
// from elsewhere follows EIP-1559.
func (s *simulation) baseFee(o *callargs.BlockOverride, parent *types.Header) *big.Int {
	switch network := s.run.Ledger.BaseFee(); {
	case o.BaseFeePerGas != nil:
		return o.BaseFeePerGas.ToInt()
	case !s.options.Validation:
		return new(big.Int)
	case network != nil && parent.BaseFee != nil && network.Cmp(parent.BaseFee) == 0:
		return network
	}
	return eip1559.CalcBaseFee(s.config, parent)
}

// hash returns the hash of a block for BLOCKHASH.
func (s *simulation) hash(before vm.GetHashFunc) vm.GetHashFunc {
	return func(n uint64) common.Hash {
		if n >= s.base.Number.Uint64() {
			return s.hashes[n]
		}
		return before(n)
	}
}

// called is what the reply says of a call.
type called struct {
	ReturnData hexutil.Bytes  `json:"returnData"`
	Logs       []*types.Log   `json:"logs"`
	GasUsed    hexutil.Uint64 `json:"gasUsed"`
	MaxUsedGas hexutil.Uint64 `json:"maxUsedGas"`
	Status     hexutil.Uint64 `json:"status"`
	Error      *callError     `json:"error,omitempty"`
}

type callError struct {
	Message string `json:"message"`
	Code    int    `json:"code"`
	Data    string `json:"data,omitempty"`
}

// executed is what the calls of a block have come to.
type executed struct {
	txs      []*types.Transaction
	senders  []common.Address
	receipts []*types.Receipt
	calls    []called
	logs     []*types.Log
	blobs    uint64
}

// block executes a block. It returns the whole header, its hash, and the block as the reply has it.
func (s *simulation) block(b *Block, h, parent *types.Header) (*types.Header, common.Hash, json.RawMessage, error) {
	fail := func(err error) (*types.Header, common.Hash, json.RawMessage, error) {
		return nil, common.Hash{}, nil, err
	}
	if err := s.memory.Take(headBytes); err != nil {
		return fail(err)
	}
	context := s.run.BlockContext(h)
	context.GetHash = s.hash(s.run.BlockContext(s.base).GetHash)
	if fee := b.BlockOverrides.BlobBaseFee; fee != nil {
		context.BlobBaseFee = fee.ToInt()
	}
	rules := s.config.Rules(h.Number, h.Difficulty.Sign() == 0, h.Time)
	s.run.Precompiles = vm.ActivePrecompiledContracts(rules)
	if err := s.run.DB.OverrideAll(s.view.Prepare(b.StateOverrides.Accounts()), s.run.Precompiles); err != nil {
		return fail(err)
	}
	rec := &recorder{transfers: s.options.TraceTransfers, memory: s.memory, at: types.Log{BlockNumber: h.Number.Uint64(), BlockTimestamp: h.Time}}
	evm, release := s.run.EVM(context, vm.Config{NoBaseFee: !s.options.Validation, Tracer: rec.hooks()})
	defer release()
	chain.SystemCalls(evm, h)
	done, gas := &executed{calls: []called{}}, core.NewGasPool(context.GasLimit)
	for i := range b.Calls {
		if err := s.call(evm, rec, h, gas, &b.Calls[i], done); err != nil {
			return fail(err)
		}
	}
	h.GasUsed = gas.Used()
	body := &types.Body{Transactions: done.txs}
	if rules.IsCancun {
		h.BlobGasUsed = &done.blobs
	}
	if rules.IsShanghai {
		body.Withdrawals = *b.BlockOverrides.Withdrawals
	}
	rec.begin(common.Hash{}, 0)
	requests, _, err := core.PostExecution(s.ctx, s.config, h.Number, h.Time, done.logs, body.Withdrawals, evm, 0)
	if err != nil {
		return fail(err)
	}
	if requests != nil {
		hash := types.CalcRequestsHash(requests)
		h.RequestsHash = &hash
	}
	s.run.Finish(evm)
	if h.Root, err = s.roots.next(parent.Root); err != nil {
		return fail(err)
	}
	if err := s.run.Err(); err != nil {
		return fail(err)
	}
	block := types.NewBlock(h, body, done.receipts, trie.NewStackTrie(nil))
	text, err := s.text(block, done)
	return block.Header(), block.Hash(), text, err
}

// call executes a call as a transaction of a block.
func (s *simulation) call(evm *vm.EVM, rec *recorder, h *types.Header, gas *core.GasPool, args *callargs.Args, done *executed) error {
	index := len(done.txs)
	msg, capped, err := s.message(h, gas, args)
	if err != nil {
		return err
	}
	tx := args.Transaction(msg, h.BaseFee, s.config.ChainID)
	hash := tx.Hash()
	rec.begin(hash, index)
	s.run.DB.SetTxContext(hash, index, 0)
	msg.SkipEOACheck().SkipGasLimitCapCheck()
	if !s.options.Validation {
		msg.SkipNonceCheck()
		if s.run.DB.GetNonce(msg.From) == math.MaxUint64 { // EIP-2681 limits nonces nevertheless
			return invalid(fmt.Errorf("%w: address %v, nonce: %d", core.ErrNonceMax, msg.From.Hex(), uint64(math.MaxUint64)))
		}
	}
	result, err := core.ApplyMessage(evm, msg, gas)
	if failed := errors.Join(s.memory.Err(), s.run.Err()); failed != nil {
		return failed
	}
	if err != nil {
		return invalid(fmt.Errorf("err: %w (supplied gas %d)", err, msg.GasLimit))
	}
	logs := s.run.Finish(evm)
	r := &types.Receipt{
		Type: tx.Type(), Status: types.ReceiptStatusSuccessful, CumulativeGasUsed: gas.CumulativeUsed(), TxHash: hash, GasUsed: result.UsedGas, Logs: logs,
	}
	if n := len(tx.BlobHashes()); n > 0 {
		r.BlobGasUsed = uint64(n) * params.BlobTxBlobGasPerBlob
		done.blobs += r.BlobGasUsed
	}
	if msg.To == nil {
		r.ContractAddress = crypto.CreateAddress(msg.From, tx.Nonce())
	}
	if result.UsedGas > s.gas {
		return fmt.Errorf("RPC gas cap exhausted: need %d, remaining %d", result.UsedGas, s.gas)
	}
	s.gas -= result.UsedGas
	c := called{ReturnData: result.Return(), Logs: rec.logs(), GasUsed: hexutil.Uint64(result.UsedGas), MaxUsedGas: hexutil.Uint64(result.MaxUsedGas), Status: 1}
	if result.Failed() {
		r.Status, c.Status = types.ReceiptStatusFailed, 0
		c.Error = failure(result, capped)
	} else {
		done.logs = append(done.logs, c.Logs...)
	}
	r.Bloom = types.CreateBloom(r)
	done.txs, done.senders = append(done.txs, tx), append(done.senders, msg.From)
	done.receipts, done.calls = append(done.receipts, r), append(done.calls, c)
	return s.memory.Take(callBytes + 2*len(c.ReturnData) + 2*len(msg.Data) + 4*len(result.Revert()))
}

// failure says why a call has failed.
func failure(result *core.ExecutionResult, capped bool) *callError {
	if !errors.Is(result.Err, vm.ErrExecutionReverted) {
		e := &callError{Message: result.Err.Error(), Code: codeExecution}
		if capped {
			e.Message += " (gas limit was capped by the RPC server's global gas cap)"
		}
		return e
	}
	e := &callError{Message: vm.ErrExecutionReverted.Error(), Code: codeReverted, Data: hexutil.Encode(result.Revert())}
	if reason, err := abi.UnpackRevert(result.Revert()); err == nil {
		e.Message += ": " + reason
	}
	return e
}

// message makes a message of a call's arguments: its nonce is the sender's next, and its gas what is left of the block's,
// unless they say otherwise. It reports whether the gas that is left for all calls has made it less.
func (s *simulation) message(h *types.Header, gas *core.GasPool, args *callargs.Args) (msg *core.Message, capped bool, err error) {
	if args.Nonce == nil {
		from, err := s.view.From(args.From)
		if err != nil {
			return nil, false, err
		}
		nonce := hexutil.Uint64(s.run.DB.GetNonce(from))
		args.Nonce = &nonce
	}
	left := gas.Available(false)
	if args.Gas == nil {
		args.Gas = (*hexutil.Uint64)(&left)
	}
	if left < uint64(*args.Gas) {
		return nil, false, group.Errorf(codeBlockGasLimit, "block gas limit reached: remaining: %d, required: %d", left, uint64(*args.Gas))
	}
	if args.BlobHashes == nil {
		args.BlobFeeCap = nil // as in go-ethereum, which refuses it in calls only
	}
	limit := hexutil.Uint64(min(uint64(*args.Gas), s.gas))
	capped = limit < *args.Gas
	args.Gas = &limit
	msg, err = args.Message(s.view, h.BaseFee, s.config.ChainID)
	return msg, capped, err
}

// text is the block as the reply has it.
func (s *simulation) text(block *types.Block, done *executed) (json.RawMessage, error) {
	hash := block.Hash()
	b := &blocks.Block{Header: block.Header(), Hash: hash, Size: block.Size()}
	txs := make([]json.RawMessage, len(done.txs))
	for i, tx := range done.txs {
		if !s.options.ReturnFullTransactions {
			h := tx.Hash()
			txs[i] = encode.AppendData(nil, h[:])
			continue
		}
		t := &blocks.Transaction{Tx: tx, Hash: tx.Hash(), From: done.senders[i], BlockNumber: block.NumberU64(), Index: uint64(i)}
		txs[i] = encode.AppendTransaction(nil, t, b)
	}
	for i := range done.calls {
		for _, l := range done.calls[i].Logs {
			l.BlockHash = hash
		}
	}
	fields := map[string]any{}
	var head map[string]json.RawMessage
	if err := json.Unmarshal(encode.AppendHead(nil, b), &head); err != nil {
		return nil, err
	}
	for name, value := range head {
		fields[name] = value
	}
	fields["size"], fields["transactions"], fields["uncles"], fields["calls"] = hexutil.Uint64(b.Size), txs, []string{}, done.calls
	if w := block.Withdrawals(); w != nil {
		fields["withdrawals"] = w
	}
	return json.Marshal(fields)
}
