package ethereum

import (
	"bytes"
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
)

// chain is what stays the same from block to block. It is immutable.
type chain struct {
	settings *Settings
	config   *params.ChainConfig
	rules    params.Rules
	baseFee  *big.Int // nil before London
	blobFee  *big.Int // nil before Cancun
	jumps    vm.JumpDestCache
	log      *slog.Logger
}

func newChain(s *Settings, log *slog.Logger) *chain {
	c := &chain{settings: s, config: s.chainConfig(), jumps: core.NewJumpDestCache(), log: log}
	num, time, merged := new(big.Int), uint64(0), s.Pin == nil && forkIndex(s.Fork) >= forkIndex("paris")
	if p := s.Pin; p != nil {
		num.SetUint64(p.Number)
		time, merged = p.Timestamp, p.Difficulty.Sign() == 0
		c.baseFee = p.BaseFee
	} else if forkIndex(s.Fork) >= forkIndex("london") {
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
	return c
}

// newHeader returns a block's header but for what its transactions decide. PREVRANDAO is
// randomness of the enclave.
func (c *chain) newHeader(parent head, time uint64, random io.Reader) *types.Header {
	h := c.plainHeader(parent.number+1, time, parent.hash)
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

// bareHeader is the newest block's header as far as the state tells it: what calls on top of it see.
func (c *chain) bareHeader(src source, at *head) *types.Header {
	parent := common.Hash{}
	if at.number > 0 {
		parent = recentHash(src, at.number-1)
	}
	h := c.plainHeader(at.number, at.time, parent)
	h.MixDigest = at.mix
	c.forkFields(h)
	return h
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
func (c *chain) blockContext(h *types.Header, src source, older vm.GetHashFunc) vm.BlockContext {
	ctx := vm.BlockContext{
		CanTransfer:      core.CanTransfer,
		Transfer:         core.Transfer,
		GetHash:          blockHashes(h, src, older),
		Coinbase:         h.Coinbase,
		GasLimit:         h.GasLimit,
		BlockNumber:      h.Number,
		Time:             h.Time,
		Difficulty:       h.Difficulty,
		BaseFee:          c.baseFee,
		BlobBaseFee:      c.blobFee,
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

// recentHashes is how many blocks' hashes the state holds: more than BLOCKHASH reaches back.
const recentHashes = 512

func recentKey(number uint64) []byte {
	return binary.BigEndian.AppendUint16(nil, uint16(number%recentHashes))
}

// recentHash returns the hash of one of the newest recentHashes blocks.
func recentHash(src source, number uint64) common.Hash {
	row, _ := src.Get(tableRecent, recentKey(number))
	return common.BytesToHash(row)
}

func blockHashes(h *types.Header, src source, older vm.GetHashFunc) vm.GetHashFunc {
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

// preExecution makes the system calls that precede a block's transactions (EIP-4788 with a zero
// root, EIP-2935).
func (c *chain) preExecution(evm *vm.EVM, h *types.Header) {
	if c.rules.IsCancun {
		core.ProcessBeaconBlockRoot(*h.ParentBeaconRoot, evm, nil)
	}
	if c.rules.IsPrague {
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
			return fmt.Errorf("block %d: %w", b.number, err)
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
	h.Root, h.Extra = b.carried.root, binary.BigEndian.AppendUint64(nil, b.carried.number)
	row, err := b.chain.blockRow(h, b.bytes, hashes)
	if err != nil {
		return err
	}
	row.view = b.set.View()
	row.first = b.tx.Seqno() - uint64(len(b.included)-1)
	b.at = writeBlock(b.tx, h, row)
	b.tx.Commit()
	b.changes.number, b.changes.hash = b.number, b.at.hash
	b.roots.add(b.changes)
	return nil
}

// blockRow returns the row of a block whose transactions take txBytes in its RLP.
func (c *chain) blockRow(h *types.Header, txBytes int, hashes []byte) (*blockRow, error) {
	enc, err := rlp.EncodeToBytes(h)
	if err != nil {
		return nil, fmt.Errorf("header of block %d: %w", h.Number, err)
	}
	size := len(enc) + lengthLen(txBytes) + txBytes + 1 // no uncles
	if c.rules.IsShanghai {
		size++ // no withdrawals
	}
	return &blockRow{hash: crypto.Keccak256Hash(enc), size: uint64(lengthLen(size) + size), header: enc, txs: hashes}, nil
}

// writeBlock writes a block and makes it the newest.
func writeBlock(out sink, h *types.Header, row *blockRow) head {
	at := head{number: h.Number.Uint64(), time: h.Time, hash: row.hash, mix: h.MixDigest, carried: carriedBy(h)}
	key := blockKey(at.number)
	out.Put(tableBlocks, key, row.encode())
	out.Put(tableBlockHashes, row.hash[:], key)
	out.Put(tableRecent, recentKey(at.number), row.hash[:])
	out.Put(tableMeta, keyHead, at.encode())
	if at.number%milestones == milestones-1 {
		out.Put(tableMeta, milestoneKey(at.number), binary.BigEndian.AppendUint64(nil, row.last()))
	}
	return at
}

// rawList is a list of encoded transactions or receipts, as types.DeriveSha wants it.
type rawList [][]byte

func (l rawList) Len() int                           { return len(l) }
func (l rawList) EncodeIndex(i int, w *bytes.Buffer) { w.Write(l[i]) }
func (l rawList) root() common.Hash                  { return types.DeriveSha(l, trie.NewStackTrie(nil)) }

// bloomCache remembers the bits of addresses and topics, which recur.
type bloomCache map[common.Hash][3]uint16

// maxBlooms bounds the cache.
const maxBlooms = 1 << 16

func (c bloomCache) add(bloom *types.Bloom, logs []*types.Log) {
	for _, l := range logs {
		key := common.BytesToHash(l.Address[:])
		key[0] = 1 // apart from a topic that looks like the address
		c.set(bloom, key, l.Address[:])
		for i := range l.Topics {
			c.set(bloom, l.Topics[i], l.Topics[i][:])
		}
	}
}

func (c bloomCache) set(bloom *types.Bloom, key common.Hash, data []byte) {
	bits, ok := c[key]
	if !ok {
		sum := crypto.Keccak256(data)
		for i := range bits {
			bits[i] = binary.BigEndian.Uint16(sum[2*i:]) & 0x7ff
		}
		if len(c) >= maxBlooms {
			clear(c)
		}
		c[key] = bits
	}
	for _, bit := range bits {
		bloom[types.BloomByteLength-1-bit/8] |= 1 << (bit % 8)
	}
}
