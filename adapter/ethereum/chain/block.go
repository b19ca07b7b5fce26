package chain

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/development"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// chain is what stays the same from block to block. It is immutable: with other settings there is another one. What is fixed with
// block 0 is the same in all of a ledger.
type chain struct {
	settings *settings.Settings
	opened   *settings.Settings // with which this node began
	config   *params.ChainConfig
	rules    params.Rules
	signer   types.Signer
	baseFee  *big.Int // nil before London
	blobFee  *big.Int // nil before Cancun
	jumps    vm.JumpDestCache
	log      *slog.Logger
	since    uint64   // the time of the first block with these rules, in seconds; 0 of block 0's
	stages   []*chain // by the time of their first block: those of all upgrades, this one among them
}

func newChain(s *settings.Settings, log *slog.Logger) *chain {
	return stages(s, &chain{opened: s, jumps: core.NewJumpDestCache(), log: log})
}

// with returns the chain by other settings that members have decided on.
func (c *chain) with(s *settings.Settings) *chain { return stages(s, c) }

// stages returns the chain of the first blocks, and behind it that of each upgrade.
func stages(s *settings.Settings, of *chain) *chain {
	config := s.ChainConfig()
	all := make([]*chain, 1+len(s.Upgrades))
	for i := range all {
		c := &chain{settings: s, opened: of.opened, config: config, jumps: of.jumps, log: of.log, stages: all}
		if i > 0 {
			c.since = s.Upgrades[i-1].Time
		}
		c.follow()
		all[i] = c
	}
	return all[0]
}

// at is the chain of a block of some time, in seconds.
func (c *chain) at(time uint64) *chain {
	for i := len(c.stages) - 1; i > 0; i-- {
		if c.stages[i].since <= time {
			return c.stages[i]
		}
	}
	return c.stages[0]
}

// follow derives the rules that hold since the chain's time.
func (c *chain) follow() {
	s := c.settings
	num, time, merged := new(big.Int), c.since, s.Pin == nil && settings.ForkIndex(s.Fork) >= settings.ForkIndex("paris")
	if p := s.Pin; p != nil {
		num.SetUint64(p.Number)
		time, merged = p.Timestamp, p.Difficulty.Sign() == 0
		c.baseFee = p.BaseFee
	} else if settings.ForkIndex(s.Fork) >= settings.ForkIndex("london") {
		c.baseFee = new(big.Int)
	}
	c.rules = c.config.Rules(num, merged, time)
	if c.rules.IsCancun {
		h := &types.Header{Number: num, Time: time, ExcessBlobGas: new(uint64)}
		if s.Pin != nil {
			h.ExcessBlobGas = s.Pin.ExcessBlobGas
		}
		c.blobFee = eip4844.CalcBlobFee(c.config, h)
	}
	c.signer = types.MakeSigner(c.config, num, time)
	if s.Development {
		c.signer = development.Signer{Signer: c.signer}
	}
}

// newHeader returns a block's header but for what its transactions decide. PREVRANDAO is
// randomness of the enclave.
func (c *chain) newHeader(parent rows.Head, time uint64, random io.Reader) *types.Header {
	h := c.plainHeader(parent.Number+1, time, parent.Hash)
	if p := c.settings.Pin; p != nil {
		h.MixDigest = p.MixHash
	} else if c.rules.IsMerge {
		if _, err := io.ReadFull(random, h.MixDigest[:]); err != nil {
			panic(fmt.Sprintf("ethereum: the set's randomness fails: %v", err)) // it is the enclave's own
		}
	}
	c.forkFields(h)
	return h
}

func (c *chain) plainHeader(number, time uint64, parent common.Hash) *types.Header {
	return &types.Header{
		ParentHash: parent,
		UncleHash:  types.EmptyUncleHash,
		Coinbase:   c.settings.Coinbase,
		Number:     new(big.Int).SetUint64(number),
		Difficulty: c.difficulty(),
		GasLimit:   c.settings.GasLimit,
		Time:       time,
		BaseFee:    c.baseFee,
	}
}

// bareHeader is the newest block's header as far as the state tells it: what calls on top of it see. If it is not told its terms, those are
// of the settings in force, which may be newer than the block.
func (c *chain) bareHeader(src rows.Source, at *rows.Head) (h *types.Header, told bool, err error) {
	parent := common.Hash{}
	if at.Number > 0 {
		parent = recentHash(src, at.Number-1)
	}
	h = c.plainHeader(at.Number, at.Time, parent)
	h.MixDigest = at.Mix
	c.forkFields(h)
	limit, coinbase, ok, err := rows.ReadTerms(src)
	if ok {
		h.GasLimit, h.Coinbase = limit, coinbase
	}
	return h, ok, err
}

// nextHeader is what a transaction that is sent now meets of its block, as far as that can be known: the number, the time
// and the hash before it. PREVRANDAO is drawn by the leader, so a value stands for it that no block has.
func (c *chain) nextHeader(src rows.Source, at *blocks.Block, now uint64) (*types.Header, error) {
	m, err := c.mode(src)
	if err != nil {
		return nil, err
	}
	time := c.nextTime(m, at.Header.Time, now)
	c = c.at(time)
	h := c.plainHeader(at.Number()+1, time, at.Hash)
	if p := c.settings.Pin; p != nil {
		h.MixDigest = p.MixHash
	} else if c.rules.IsMerge {
		h.MixDigest = crypto.Keccak256Hash(at.Hash[:])
	}
	c.forkFields(h)
	override(h, m)
	return h, nil
}

// nextTime is the timestamp of the block after one of the time parent, in seconds; now is in milliseconds.
func (c *chain) nextTime(m *development.Mode, parent, now uint64) uint64 {
	if m != nil {
		return m.Time(parent, now)
	}
	if c.settings.Timestamps == settings.Increasing {
		parent++
	}
	return max(parent, now/1000)
}

// difficulty is 0 from the merge on. Before, it says nothing here, but must not be 0.
func (c *chain) difficulty() *big.Int {
	switch p := c.settings.Pin; {
	case p != nil:
		return p.Difficulty
	case c.rules.IsMerge:
		return new(big.Int)
	}
	return big.NewInt(1)
}

// forkFields fills what a header has from some fork on.
func (c *chain) forkFields(h *types.Header) {
	if c.rules.IsShanghai {
		h.WithdrawalsHash = &types.EmptyWithdrawalsHash
	}
	if c.rules.IsCancun {
		h.BlobGasUsed, h.ExcessBlobGas = new(uint64), new(uint64)
		h.ParentBeaconRoot = new(common.Hash) // there is no beacon chain
		if c.settings.Pin != nil {
			h.ExcessBlobGas = c.settings.Pin.ExcessBlobGas
		}
	}
	if c.rules.IsPrague {
		h.RequestsHash = &types.EmptyRequestsHash
	}
}

// blockContext is what the EVM sees of a block. A pinned network shows the pinned block. older finds
// hashes that BLOCKHASH cannot ask for, unless a call pretends to be in another block; it may be nil.
func (c *chain) blockContext(h *types.Header, src rows.Source, older vm.GetHashFunc) vm.BlockContext {
	c = c.at(h.Time)
	ctx := vm.BlockContext{
		CanTransfer:      core.CanTransfer,
		Transfer:         core.Transfer,
		GetHash:          blockHashes(h, src, older),
		Coinbase:         h.Coinbase,
		GasLimit:         h.GasLimit,
		BlockNumber:      h.Number,
		Time:             h.Time,
		Difficulty:       h.Difficulty,
		BaseFee:          cmp.Or(h.BaseFee, c.baseFee),
		BlobBaseFee:      c.blobFeeOf(h),
		CostPerStateByte: params.CostPerStateByte,
	}
	if p := c.settings.Pin; p != nil {
		ctx.BlockNumber, ctx.Time = new(big.Int).SetUint64(p.Number), p.Timestamp
		ctx.GetHash = func(n uint64) common.Hash { return p.BlockHashes[n] }
	}
	if c.rules.IsMerge {
		ctx.Random = &h.MixDigest
	}
	return ctx
}

// blobFeeOf is the price of blobs in a block, which is that of every block of a network.
func (c *chain) blobFeeOf(h *types.Header) *big.Int {
	if c.settings.Pin != nil || h.ExcessBlobGas == nil || *h.ExcessBlobGas == 0 {
		return c.blobFee
	}
	return eip4844.CalcBlobFee(c.config, h)
}

// recentHashes is how many blocks' hashes the state holds: more than BLOCKHASH reaches back.
const recentHashes = 512

func recentKey(number uint64) []byte {
	return binary.BigEndian.AppendUint16(nil, uint16(number%recentHashes))
}

// recentHash returns the hash of one of the newest recentHashes blocks.
func recentHash(src rows.Source, number uint64) common.Hash {
	row, _ := src.Get(rows.Recent, recentKey(number))
	return common.BytesToHash(row)
}

func blockHashes(h *types.Header, src rows.Source, older vm.GetHashFunc) vm.GetHashFunc {
	const reach = 256
	number := h.Number.Uint64()
	return func(n uint64) common.Hash {
		switch {
		case n+1 == number:
			return h.ParentHash
		case n < number && number-n <= reach:
			return recentHash(src, n)
		case n < number && older != nil:
			return older(n)
		}
		return common.Hash{}
	}
}

// SystemCalls makes those that precede the transactions of a block with a header (EIP-4788, EIP-2935).
func SystemCalls(evm *vm.EVM, h *types.Header) {
	if h.ParentBeaconRoot != nil {
		core.ProcessBeaconBlockRoot(*h.ParentBeaconRoot, evm, nil)
	}
	if evm.GetRules().IsPrague {
		core.ProcessParentBlockHash(h.ParentHash, evm, nil)
	}
}

// finishBlock makes the system calls that follow the transactions, completes the header and
// commits the last transaction with the block's rows.
func (b *builder) finishBlock() error {
	h := b.header
	if b.chain.rules.IsPrague && b.chain.settings.Pin == nil {
		requests, _, err := core.PostExecution(context.Background(), b.chain.config, h.Number, h.Time, b.logs, nil, b.evm, 0)
		if err != nil {
			return fmt.Errorf("block %d: %w", b.number(), err)
		}
		hash := types.CalcRequestsHash(requests)
		h.RequestsHash = &hash
	}
	h.GasUsed = b.gas.Used()
	txs, receipts := make(rawList, len(b.included)), make(rawList, len(b.included))
	hashes := make([]byte, 0, common.HashLength*len(b.included))
	for i := range b.included {
		in := &b.included[i]
		txs[i], receipts[i] = in.raw, in.receipt
		hashes = append(hashes, in.hash[:]...)
	}
	h.TxHash, h.ReceiptHash = txs.root(), receipts.root()
	b.nextRoot()
	h.Root, h.Extra = b.carried.Root, rows.Extra(b.carried.Number, b.chain.settings.Closed(), b.set.Rand())
	row, err := b.chain.blockRow(h, b.bytes, hashes)
	if err != nil {
		return err
	}
	row.View = b.set.View()
	row.First = b.tx.Seqno() - uint64(max(len(b.included), 1)-1)
	if b.empty > 0 {
		b.out.Put(rows.Meta, rows.KeyEmpty, rows.EncodeEmpty(b.number(), b.empty))
	}
	limit, coinbase, ok, err := rows.ReadTerms(b)
	if !ok { // the ledger is from before: until a vote changes them, it says nothing of its terms, as its program did
		limit, coinbase = b.chain.opened.GasLimit, b.chain.opened.Coinbase
	}
	if err != nil || limit != h.GasLimit || coinbase != h.Coinbase {
		b.out.Put(rows.Meta, rows.KeyTerms, rows.EncodeTerms(h))
	}
	b.at = b.chain.writeBlock(b.out, h, row)
	b.developed()
	b.tx.Commit()
	b.changes.Number, b.changes.Hash = b.number(), b.at.Hash
	b.roots.Add(b.changes)
	return nil
}

// nextRoot chooses the root that the next header carries.
func (b *builder) nextRoot() {
	if k, ok := b.roots.Newest(b.parent.Number); ok && k.Number > b.carried.Number {
		b.carried = k
	}
}

// blockRow returns the row of a block whose transactions take txBytes in its RLP.
func (c *chain) blockRow(h *types.Header, txBytes int, hashes []byte) (*rows.Block, error) {
	enc, err := rlp.EncodeToBytes(h)
	if err != nil {
		return nil, fmt.Errorf("header of block %d: %w", h.Number, err)
	}
	size := len(enc) + rows.LengthLen(txBytes) + txBytes + 1 // no uncles
	if c.rules.IsShanghai {
		size++ // no withdrawals
	}
	return &rows.Block{Hash: crypto.Keccak256Hash(enc), Size: uint64(rows.LengthLen(size) + size), Header: enc, Txs: hashes}, nil
}

// writeBlock writes a block and makes it the newest.
func (c *chain) writeBlock(out rows.Sink, h *types.Header, row *rows.Block) rows.Head {
	at := rows.Head{Number: h.Number.Uint64(), Time: h.Time, Hash: row.Hash, Mix: h.MixDigest, Carried: rows.CarriedBy(h)}
	key := rows.BlockKey(at.Number)
	out.Put(c.table(rows.Blocks), key, row.Encode())
	out.Put(c.table(rows.BlockHashes), row.Hash[:], key)
	out.Put(rows.Recent, recentKey(at.Number), row.Hash[:])
	out.Put(rows.Meta, rows.KeyHead, at.Encode())
	if rows.EndsMilestone(at.Number) {
		out.Put(rows.Meta, rows.MilestoneKey(at.Number), rows.EncodeMilestone(row.Last()))
	}
	return at
}

// rawList is a list of encoded transactions or receipts, as types.DeriveSha wants it.
type rawList [][]byte

func (l rawList) Len() int                           { return len(l) }
func (l rawList) EncodeIndex(i int, w *bytes.Buffer) { w.Write(l[i]) }
func (l rawList) root() common.Hash                  { return types.DeriveSha(l, trie.NewStackTrie(nil)) }
