package chain

import (
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/misc"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/genesis"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/store"
)

// Genesis implements adapter.Ledger: it writes the initial accounts and block 0.
func (l *Ledger) Genesis(tx *store.Tx) error { return l.inForce.Load().genesis(tx) }

func (c *chain) genesis(tx *store.Tx) error {
	s := statedb.New(tx)
	s.Sink = tx
	if err := allocate(s, c.genesisSpec().Alloc); err != nil {
		return err
	}
	h := c.genesisHeader()
	if c.settings.Pin != nil {
		c.precedePinned(s, h)
	} else if err := c.tryBlock(tx, h); err != nil {
		return err
	}
	if s.Corrupt != nil {
		return s.Corrupt
	}
	t := stateroot.NewTrie()
	if err := t.Load(tx, func() bool { return true }); err != nil {
		return err
	}
	var err error
	if h.Root, err = t.Root(); err != nil {
		return err
	}
	row, err := c.blockRow(h, 0, nil)
	if err != nil {
		return err
	}
	row.First = tx.Seqno()
	tx.Put(rows.Meta, rows.KeyTerms, rows.EncodeTerms(h))
	c.writeBlock(tx, h, row)
	return nil
}

// genesisHeader is block 0 but for its state root: that of genesisSpec, unless it is pinned.
func (c *chain) genesisHeader() *types.Header {
	h := &types.Header{
		UncleHash: types.EmptyUncleHash, TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash,
		Coinbase: c.settings.Coinbase, Difficulty: c.difficulty(), Number: new(big.Int),
		GasLimit: c.settings.GasLimit, BaseFee: c.baseFee, Extra: []byte{},
	}
	if p := c.settings.Pin; p != nil {
		h.MixDigest = p.MixHash
	}
	c.forkFields(h)
	return h
}

// GenesisSpec is what unmodified go-ethereum needs to make the same block 0, unless it is pinned.
func (l *Ledger) GenesisSpec() *core.Genesis { return l.inForce.Load().genesisSpec() }

func (c *chain) genesisSpec() *core.Genesis {
	g := &core.Genesis{
		Config:     c.config,
		GasLimit:   c.settings.GasLimit,
		Difficulty: c.difficulty(),
		Coinbase:   c.settings.Coinbase,
		BaseFee:    c.baseFee,
		Alloc:      maps.Clone(c.settings.Alloc),
	}
	if g.Alloc == nil {
		g.Alloc = types.GenesisAlloc{}
	}
	if c.settings.Pin != nil {
		return g // the mainnet's state has the system contracts already
	}
	genesis.AddSystem(g.Alloc, &c.rules)
	return g
}

// allocate creates the accounts, empty ones too.
func allocate(s *statedb.DB, alloc types.GenesisAlloc) error {
	for _, addr := range slices.SortedFunc(maps.Keys(alloc), common.Address.Cmp) {
		a := alloc[addr]
		o := s.Ensure(addr)
		balance, overflow := uint256.FromBig(a.Balance)
		if overflow {
			return fmt.Errorf("%w: alloc.%v.balance exceeds 256 bits", coco.ErrInvalid, addr)
		}
		if balance != nil {
			s.SetBalance(o, balance)
		}
		s.SetNonce(addr, a.Nonce, 0)
		s.SetCode(addr, a.Code, 0)
		for _, slot := range slices.SortedFunc(maps.Keys(a.Storage), common.Hash.Cmp) {
			s.SetState(addr, slot, a.Storage[slot])
		}
	}
	s.Finish(false)
	return nil
}

// precedePinned makes the state changes that precede the pinned block's transactions, once and for
// all.
func (c *chain) precedePinned(s *statedb.DB, h *types.Header) {
	p := c.settings.Pin
	evm := vm.NewEVM(c.blockContext(h, s.Src, nil), s, c.config, vm.Config{})
	defer evm.Release()
	if num := evm.Context.BlockNumber; c.config.DAOForkSupport && c.config.DAOForkBlock.Cmp(num) == 0 {
		misc.ApplyDAOHardFork(s)
		s.Finish(c.rules.IsEIP158)
	}
	if p.ParentBeaconRoot != nil {
		core.ProcessBeaconBlockRoot(*p.ParentBeaconRoot, evm, nil)
	}
	if c.rules.IsPrague {
		core.ProcessParentBlockHash(p.ParentHash, evm, nil)
	}
}

// tryBlock makes a block's system calls without effect: settings whose alloc replaces a system
// contract by something else would otherwise stop the network at its first block.
func (c *chain) tryBlock(src rows.Source, h *types.Header) error {
	if !c.rules.IsPrague {
		return nil
	}
	evm := vm.NewEVM(c.blockContext(h, src, nil), statedb.New(src), c.config, vm.Config{})
	defer evm.Release()
	var requests [][]byte
	for _, call := range []func() error{
		func() error { return core.ProcessWithdrawalQueue(&requests, c.rules, evm, 0, nil) },
		func() error { return core.ProcessConsolidationQueue(&requests, c.rules, evm, 0, nil) },
	} {
		if err := call(); err != nil {
			return fmt.Errorf("%w: alloc: a system contract is not what it must be: %w", coco.ErrInvalid, err)
		}
	}
	return nil
}
