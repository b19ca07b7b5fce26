package debug

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/dryrun"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/store"
)

// slotRange is a part of a contract's storage, by the hashes of its slots.
type slotRange struct {
	Storage map[common.Hash]slotEntry `json:"storage"`
	NextKey *common.Hash              `json:"nextKey"` // of the slot that follows; null if none does
}

type slotEntry struct {
	Key   *common.Hash `json:"key"`
	Value common.Hash  `json:"value"`
}

const (
	maxRange  = 1024 // slots of an answer
	slotBytes = 256
)

// StorageRangeAt is a contract's storage before a transaction of a block, from the hash of a slot on. The whole storage of the
// contract is read for it, from a state that must be in memory.
func (m *Methods) StorageRangeAt(ctx context.Context, at rpc.BlockNumberOrHash, index int, addr common.Address, from hexutil.Bytes, most int) (json.RawMessage, error) {
	if most <= 0 || most > maxRange {
		return nil, m.s.Fail(group.Errorf(group.CodeInvalidParams, "%d slots: expected 1 to %d", most, maxRange))
	}
	v, b, err := m.block(ctx, group.AnyState, at)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	if b.Number() == 0 {
		return nil, m.s.Fail(errors.New("no state of before the genesis block"))
	}
	if index < 0 || index >= max(1, len(b.Txs)) {
		return nil, m.s.Fail(fmt.Errorf("transaction index %d out of range for block %#x", index, b.Hash))
	}
	before := rpc.BlockNumberOrHashWithNumber(rpc.BlockNumber(b.Number() - 1))
	state, err := m.s.ViewAt(ctx, &before, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer state.Release()
	if state.Rows() == nil {
		return nil, m.s.Fail(fmt.Errorf("missing trie node %x (path ) state of block %d is not available: storage is listed of the newest states, which are in memory", b.Header.Root, state.Number()))
	}
	var out *slotRange
	err = m.s.Guarded(ctx, func(ctx context.Context) (err error) {
		run, over := dryrun.New(ctx, m.s.Ledger, state), dryrun.NewOverlay(state.Rows())
		run.DB.Sink = over
		run.Begin(b.Header)
		for i := 0; i < index; i++ {
			t, err := v.TransactionOf(ctx, b, i)
			if err != nil {
				return err
			}
			if err := run.Apply(b, t); err != nil {
				return err
			}
		}
		if err := run.Err(); err != nil {
			return err
		}
		out, err = m.slots(ctx, over, addr, from, most)
		return err
	})
	return m.s.Reply(ctx, out, err, "ask for fewer slots")
}

// slots lists a part of the storage that an overlay has of an account.
func (m *Methods) slots(ctx context.Context, over *dryrun.Overlay, addr common.Address, from []byte, most int) (*slotRange, error) {
	out := &slotRange{Storage: map[common.Hash]slotEntry{}}
	row, ok := over.Get(rows.Accounts, addr[:])
	if !ok {
		return out, nil
	}
	account, err := rows.DecodeAccount(row)
	if err != nil || !account.Exists || !account.Stored {
		return out, err
	}
	type slot struct{ hash, key, value common.Hash }
	var list []slot
	memory := m.s.Memory(ctx, "no other method lists the storage of a contract")
	defer memory.Release()
	over.Range(rows.Storage, addr[:], store.Behind(addr[:]), func(key, value []byte) bool {
		var s slot
		s.key = common.BytesToHash(key[common.AddressLength : common.AddressLength+common.HashLength])
		if !bytes.Equal(key, rows.AppendStorageKey(nil, &addr, &s.key, account.Gen)) {
			return true // of an earlier generation
		}
		s.hash = crypto.Keccak256Hash(s.key[:])
		if bytes.Compare(s.hash[:], from) < 0 {
			return true
		}
		if s.value, err = rows.DecodeWord(value); err == nil {
			err = memory.Take(slotBytes)
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		list = append(list, s)
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b slot) int { return a.hash.Cmp(b.hash) })
	for i, s := range list {
		if i == most {
			out.NextKey = &s.hash
			break
		}
		out.Storage[s.hash] = slotEntry{&s.key, s.value}
	}
	return out, nil
}
