package states

import (
	"context"
	"encoding/hex"
	"encoding/json"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/store"
)

// Lists is the methods of the namespace debug that list a state.
type Lists struct{ m *Methods }

// NewLists returns the methods.
func NewLists(s *group.Server) *Lists { return &Lists{New(s)} }

// dump is a part of the accounts of a state, as go-ethereum writes it.
type dump struct {
	Root     string            `json:"root"` // without 0x
	Accounts map[string]dumped `json:"accounts"`
	Next     hexutil.Bytes     `json:"next,omitempty"` // the hash of the account that follows
}

type dumped struct {
	Balance  string                 `json:"balance"` // in decimal
	Nonce    uint64                 `json:"nonce"`
	Root     common.Hash            `json:"root"`
	CodeHash hexutil.Bytes          `json:"codeHash"`
	Code     hexutil.Bytes          `json:"code,omitempty"`
	Storage  map[common.Hash]string `json:"storage,omitempty"` // without 0x and leading zeros
	Address  common.Address         `json:"address"`
	Key      common.Hash            `json:"key"` // the hash of the address
}

const (
	maxAccounts  = 256 // of an answer, as go-ethereum has it
	accountBytes = 1024
	slotBytes    = 256
	ask          = "ask for fewer accounts, or without code and storage"
)

// AccountRange is accounts of the state after a block, by the hashes of their addresses, from a hash on. The whole state is hashed for it, and must be in
// memory. The last parameter is about accounts whose address is not known: here there are none.
func (l *Lists) AccountRange(ctx context.Context, at rpc.BlockNumberOrHash, start hexutil.Bytes, most int, nocode, nostorage bool, _ *bool) (json.RawMessage, error) {
	m := l.m
	if most <= 0 || most > maxAccounts {
		most = maxAccounts
	}
	if len(start) > common.HashLength {
		return nil, m.s.Fail(group.Errorf(group.CodeInvalidParams, "the start has %d bytes: expected the hash of an address, or its first bytes", len(start)))
	}
	v, err := m.s.ViewAt(ctx, &at, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	src, err := m.rows(v, "accounts are listed")
	if err != nil {
		return nil, m.s.Fail(err)
	}
	memory := m.s.Memory(ctx, ask)
	defer memory.Release()
	out := &dump{Accounts: map[string]dumped{}}
	err = m.hashing(ctx, func(ctx context.Context, more func() bool) error {
		var from common.Hash
		copy(from[:], start)
		root, page, next, err := stateroot.List(src, from, most, more)
		if err != nil {
			return err
		}
		out.Root = hex.EncodeToString(root[:])
		if next != nil {
			out.Next = next[:]
		}
		for i := range page {
			a := &page[i]
			d, err := dumpOf(ctx, src, a, memory, nocode, nostorage)
			if err != nil {
				return err
			}
			out.Accounts[a.Addr.Hex()] = d
		}
		return nil
	})
	return m.s.Reply(ctx, out, err, ask)
}

func dumpOf(ctx context.Context, src store.Reader, a *stateroot.Listed, memory *group.Memory, nocode, nostorage bool) (dumped, error) {
	d := dumped{Balance: a.Balance.Dec(), Nonce: a.Nonce, Root: a.Root, CodeHash: a.CodeHash, Address: a.Addr, Key: a.Hash}
	if err := memory.Take(accountBytes); err != nil {
		return d, err
	}
	if hash := common.BytesToHash(a.CodeHash); !nocode && hash != types.EmptyCodeHash {
		code, _ := src.Get(rows.Code, a.CodeHash)
		if err := memory.Take(4 * len(code)); err != nil {
			return d, err
		}
		d.Code = code
	}
	if nostorage || a.Root == types.EmptyRootHash {
		return d, nil
	}
	d.Storage = map[common.Hash]string{}
	err := stateroot.Slots(src, a.Addr, a.Gen, func(key, value common.Hash) error {
		d.Storage[key] = hex.EncodeToString(common.TrimLeftZeroes(value[:]))
		if err := memory.Take(slotBytes); err != nil {
			return err
		}
		return context.Cause(ctx)
	})
	return d, err
}
