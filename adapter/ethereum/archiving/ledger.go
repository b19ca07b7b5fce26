package archiving

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// Collector makes blocks of the transactions of a ledger. It is not safe for concurrent use.
type Collector struct {
	// Block is given each block that is complete, in their order, block 0 too.
	Block func(*archive.Item) error

	txs    map[common.Hash]rows.Tx
	states []archive.State
	stray  []archive.Stray
}

// Add is given the writes of a transaction of the ledger, one after the other and without gaps. The error is coco.ErrCorrupt, or that of Block.
func (c *Collector) Add(id coco.TxID, writes []store.Write) error {
	if c.txs == nil {
		c.txs = map[common.Hash]rows.Tx{}
	}
	state, err := stateOf(writes)
	if err != nil {
		return fmt.Errorf("transaction %s: %w", id, err)
	}
	var block []byte
	ours := false
	for i := range writes {
		w := &writes[i]
		switch {
		case w.Delete:
		case w.Table == rows.Txs:
			if c.txs[common.BytesToHash(w.Key)], err = rows.DecodeTx(w.Value); err != nil {
				return fmt.Errorf("transaction %s: %w", id, err)
			}
			ours = true
		case w.Table == rows.Blocks:
			block, ours = w.Value, true
		}
	}
	switch {
	case ours:
		c.states = append(c.states, state)
	case len(state.Accounts)+len(state.Storage) > 0:
		c.stray = append(c.stray, archive.Stray{Transaction: id.String(), State: state})
	}
	if block == nil {
		return nil
	}
	b, err := Assemble(block, c.txs)
	if err != nil {
		return fmt.Errorf("transaction %s: %w", id, err)
	}
	it := &archive.Item{Block: blockOf(b.Header, b.Transactions), Receipts: b.Receipts, Writes: &archive.Writes{Number: b.Number, Transactions: c.states, Stray: c.stray}}
	clear(c.txs)
	c.states, c.stray = nil, nil
	return c.Block(it)
}

// Rest is what follows the last block: what was written outside of all blocks.
func (c *Collector) Rest() []archive.Stray { return c.stray }

func blockOf(h *types.Header, txs types.Transactions) *types.Block {
	body := types.Body{Transactions: txs}
	if h.WithdrawalsHash != nil {
		body.Withdrawals = types.Withdrawals{}
	}
	return types.NewBlockWithHeader(h).WithBody(body)
}

// stateOf reads what was written to the state.
func stateOf(writes []store.Write) (archive.State, error) {
	var s archive.State
	gens := map[common.Address]uint64{} // of the accounts that were written
	for i := range writes {
		w := &writes[i]
		switch w.Table {
		case rows.Accounts:
			addr := common.BytesToAddress(w.Key)
			if s.Accounts == nil {
				s.Accounts = map[common.Address]*archive.Account{}
			}
			if s.Accounts[addr] = nil; w.Delete {
				continue
			}
			a, err := rows.DecodeAccount(w.Value)
			if err != nil {
				return s, err
			}
			if gens[addr] = a.Gen; a.Exists {
				s.Accounts[addr] = &archive.Account{Balance: (*hexutil.Big)(a.Balance.ToBig()), Nonce: hexutil.Uint64(a.Nonce), CodeHash: a.CodeHash}
			}
		case rows.Code:
			if found := crypto.Keccak256Hash(w.Value); !w.Delete && found != common.BytesToHash(w.Key) {
				return s, fmt.Errorf("%w: the code with the hash %x has the hash %v", coco.ErrCorrupt, w.Key, found)
			}
		}
	}
	newest := map[common.Address]map[common.Hash]uint64{}
	for i := range writes {
		w := &writes[i]
		if w.Table != rows.Storage {
			continue
		}
		addr, key, gen, err := storageKey(w.Key)
		if err != nil {
			return s, err
		}
		if a, ok := s.Accounts[addr]; ok && (a == nil || gen != gens[addr]) || gen < newest[addr][key] {
			continue // of an earlier life of the account
		}
		var value common.Hash
		if !w.Delete {
			if value, err = rows.DecodeWord(w.Value); err != nil {
				return s, err
			}
		}
		if s.Storage == nil {
			s.Storage = map[common.Address]map[common.Hash]common.Hash{}
		}
		if s.Storage[addr] == nil {
			s.Storage[addr], newest[addr] = map[common.Hash]common.Hash{}, map[common.Hash]uint64{}
		}
		s.Storage[addr][key], newest[addr][key] = value, gen
	}
	return s, nil
}

func storageKey(b []byte) (addr common.Address, key common.Hash, gen uint64, err error) {
	const plain = common.AddressLength + common.HashLength
	if len(b) >= plain {
		addr, key = common.BytesToAddress(b[:common.AddressLength]), common.BytesToHash(b[common.AddressLength:plain])
		n := 0
		if len(b) == plain {
			return addr, key, 0, nil
		}
		if gen, n = binary.Uvarint(b[plain:]); n == len(b)-plain && gen > 0 {
			return addr, key, gen, nil
		}
	}
	return addr, key, 0, fmt.Errorf("%w: key of a slot of %d bytes", coco.ErrCorrupt, len(b))
}
