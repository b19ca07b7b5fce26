// Package reexecute executes a chain again with unmodified go-ethereum, as an auditor does who has its blocks: it knows the genesis and go-ethereum's
// state processor, and nothing of how Coco executes. What a header says of its transactions must be what go-ethereum comes to.
//
// A header carries the state root of an earlier block, which the first 8 bytes of its extra data name. In a closed network 24 random bytes follow
// them: the salt, which nothing executes and only the block's hash depends on.
//
// Trust: either
package reexecute

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	gethstate "github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/ethereum/go-ethereum/triedb"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
)

// Chain is what was executed so far. It is not safe for concurrent use.
type Chain struct {
	config *params.ChainConfig
	blocks []*types.Block
	roots  []common.Hash // after each block
	state  gethstate.Database
}

// New begins with a genesis.
func New(spec *core.Genesis) (*Chain, error) {
	c := &Chain{config: spec.Config, state: gethstate.NewDatabase(triedb.NewDatabase(rawdb.NewMemoryDatabase(), nil), nil)}
	s, err := gethstate.New(types.EmptyRootHash, c.state)
	if err != nil {
		return nil, err
	}
	for addr, account := range spec.Alloc {
		balance, overflow := uint256.FromBig(account.Balance)
		if overflow {
			return nil, fmt.Errorf("%w: genesis: the balance of %v exceeds 256 bits", coco.ErrInvalid, addr)
		}
		s.SetBalance(addr, balance, tracing.BalanceIncreaseGenesisBalance)
		s.SetCode(addr, account.Code, 0)
		s.SetNonce(addr, account.Nonce, 0)
		for k, v := range account.Storage {
			s.SetState(addr, k, v)
		}
	}
	root, err := s.Commit(params.Rules{}, 0)
	if err != nil {
		return nil, err
	}
	genesis := spec.ToBlock()
	if genesis.Root() != root {
		return nil, differs(0, "state root", root, genesis.Root())
	}
	c.blocks, c.roots = []*types.Block{genesis}, []common.Hash{root}
	return c, nil
}

// Next is the number of the block that is executed next.
func (c *Chain) Next() uint64 { return uint64(len(c.blocks)) }

// Newest is the newest block, and the state root after it.
func (c *Chain) Newest() (*types.Block, common.Hash) {
	return c.blocks[len(c.blocks)-1], c.roots[len(c.roots)-1]
}

func differs(number uint64, what string, found, says any) error {
	return fmt.Errorf("%w: block %d: go-ethereum comes to the %s %v, and the header says %v", coco.ErrVerify, number, what, found, says)
}

// Execute executes the next block. salted says that its header must have a salt; without, it must have none. The error is coco.ErrVerify if the header says
// anything else than go-ethereum comes to; the chain cannot be used after an error.
func (c *Chain) Execute(block *types.Block, salted bool) error {
	h, number := block.Header(), block.NumberU64()
	parent, before := c.Newest()
	extra := 8
	if salted {
		extra = int(params.MaximumExtraDataSize)
	}
	switch txs := types.DeriveSha(block.Transactions(), trie.NewStackTrie(nil)); {
	case number != c.Next():
		return fmt.Errorf("%w: expected block %d, found %d", coco.ErrInvalid, c.Next(), number)
	case h.ParentHash != parent.Hash():
		return differs(number, "parent", parent.Hash(), h.ParentHash)
	case txs != h.TxHash:
		return differs(number, "transactions root", txs, h.TxHash)
	case len(h.Extra) != extra:
		return fmt.Errorf("%w: block %d: expected extra data of %d bytes, found %d", coco.ErrVerify, number, extra, len(h.Extra))
	}
	s, err := gethstate.New(before, c.state)
	if err != nil {
		return err
	}
	r, err := core.NewStateProcessor((*headers)(c)).Process(context.Background(), block, s, nil, nil, vm.Config{}, nil)
	if err != nil {
		return fmt.Errorf("%w: block %d: go-ethereum refuses it: %w", coco.ErrVerify, number, err)
	}
	rules := c.config.Rules(h.Number, h.Difficulty.Sign() == 0, h.Time)
	root, err := s.Commit(rules, number)
	if err != nil {
		return err
	}
	c.blocks, c.roots = append(c.blocks, block), append(c.roots, root)
	switch receipts, carried := types.DeriveSha(r.Receipts, trie.NewStackTrie(nil)), binary.BigEndian.Uint64(h.Extra); {
	case r.GasUsed != h.GasUsed:
		return differs(number, "gas used", r.GasUsed, h.GasUsed)
	case receipts != h.ReceiptHash:
		return differs(number, "receipts root", receipts, h.ReceiptHash)
	case types.MergeBloom(r.Receipts) != h.Bloom:
		return differs(number, "bloom", types.MergeBloom(r.Receipts).Big(), h.Bloom.Big())
	case rules.IsPrague && (h.RequestsHash == nil || types.CalcRequestsHash(r.Requests) != *h.RequestsHash):
		return differs(number, "requests", types.CalcRequestsHash(r.Requests), h.RequestsHash)
	case carried >= number:
		return fmt.Errorf("%w: block %d names block %d as the one whose state root it carries", coco.ErrVerify, number, carried)
	case h.Root != c.roots[carried]:
		return differs(number, fmt.Sprintf("state root after block %d", carried), c.roots[carried], h.Root)
	}
	return nil
}

// headers is the chain as go-ethereum asks for it.
type headers Chain

func (c *headers) Config() *params.ChainConfig  { return c.config }
func (c *headers) CurrentHeader() *types.Header { return c.blocks[len(c.blocks)-1].Header() }
func (c *headers) Engine() consensus.Engine     { return beacon.New(ethash.NewFaker()) }

func (c *headers) GetHeader(_ common.Hash, number uint64) *types.Header {
	return c.GetHeaderByNumber(number)
}

func (c *headers) GetHeaderByNumber(number uint64) *types.Header {
	if number < uint64(len(c.blocks)) {
		return c.blocks[number].Header()
	}
	return nil
}

func (c *headers) GetHeaderByHash(hash common.Hash) *types.Header {
	for _, b := range c.blocks {
		if b.Hash() == hash {
			return b.Header()
		}
	}
	return nil
}
