// Package states is what is asked about a state beside single values: slots of several accounts, Merkle proofs, lists of accounts,
// and which slots a call is going to need.
//
// Trust: enclave
package states

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/store"
)

// Methods is the methods, of the namespace eth.
type Methods struct{ s *group.Server }

// New returns the methods.
func New(s *group.Server) *Methods { return &Methods{s} }

// Limits of a request, go-ethereum's.
const (
	maxSlots = 1024
	maxKeys  = 1024
)

const codeTooMany = -38026

// GetStorageValues is slots of several accounts.
func (m *Methods) GetStorageValues(ctx context.Context, asked map[common.Address][]common.Hash, at *rpc.BlockNumberOrHash) (json.RawMessage, error) {
	total := 0
	for _, slots := range asked {
		if total += len(slots); total > maxSlots {
			return nil, m.s.Fail(group.Errorf(codeTooMany, "too many slots (max %d)", maxSlots))
		}
	}
	if total == 0 {
		return nil, m.s.Fail(group.Errorf(group.CodeInvalidParams, "empty request"))
	}
	v, err := m.s.ViewAt(ctx, at, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	values := make(map[common.Address][]hexutil.Bytes, len(asked))
	for addr, slots := range asked {
		list := make([]hexutil.Bytes, len(slots))
		for i, slot := range slots {
			value, err := v.Storage(ctx, addr, slot)
			if err != nil {
				return nil, m.s.Fail(err)
			}
			list[i] = value[:]
		}
		values[addr] = list
	}
	return m.s.Reply(ctx, values, nil, "ask for fewer slots")
}

// account is the reply to eth_getProof.
type account struct {
	Address      common.Address  `json:"address"`
	AccountProof []hexutil.Bytes `json:"accountProof"`
	Balance      *hexutil.Big    `json:"balance"`
	CodeHash     common.Hash     `json:"codeHash"`
	Nonce        hexutil.Uint64  `json:"nonce"`
	StorageHash  common.Hash     `json:"storageHash"`
	StorageProof []slot          `json:"storageProof"`
}

type slot struct {
	Key   string          `json:"key"`
	Value *hexutil.Big    `json:"value"`
	Proof []hexutil.Bytes `json:"proof"`
}

// maxRows is how many rows are read for one proof, which is made from all rows of a state.
const maxRows = 1 << 20

// GetProof proves an account and slots of it against the state root after a block, which some later header carries: see
// docs/json-rpc.md.
func (m *Methods) GetProof(ctx context.Context, addr common.Address, keys []string, at *rpc.BlockNumberOrHash) (json.RawMessage, error) {
	if len(keys) > maxKeys {
		return nil, m.s.Fail(group.Errorf(group.CodeInvalidParams, "too many storage keys requested (max %d, got %d)", maxKeys, len(keys)))
	}
	slots, names := make([]common.Hash, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		var err error
		if slots[i], names[i], err = parseKey(key); err != nil {
			return nil, m.s.Fail(group.Errorf(group.CodeInvalidParams, "%v: %q", err, key))
		}
	}
	v, err := m.s.ViewAt(ctx, at, group.AnyState)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	src, err := m.rows(v, "proofs are made")
	if err != nil {
		return nil, m.s.Fail(err)
	}
	var p *stateroot.Proof
	err = m.hashing(ctx, func(_ context.Context, more func() bool) error {
		p, err = stateroot.Prove(src, addr, slots, more)
		return err
	})
	if err != nil {
		return nil, m.s.Fail(err)
	}
	out := &account{Address: addr, AccountProof: nodes(p.Account), Balance: (*hexutil.Big)(p.Record.Balance.ToBig()), Nonce: hexutil.Uint64(p.Record.Nonce), StorageProof: make([]slot, len(keys))}
	if p.Record.Exists {
		out.CodeHash, out.StorageHash = p.Record.CodeHash, p.StorageRoot
	}
	for i := range keys {
		out.StorageProof[i] = slot{names[i], (*hexutil.Big)(p.Values[i].Big()), nodes(p.Slots[i])}
	}
	return m.s.Reply(ctx, out, nil, "ask for fewer keys")
}

// rows are all rows of a state, for callers who see all: hashes of accounts confirm a guess at them.
func (m *Methods) rows(v *sight.View, what string) (store.Reader, error) {
	raw, err := v.Raw()
	if err != nil {
		return nil, err
	}
	src := raw.Rows()
	if src == nil {
		return nil, fmt.Errorf("missing trie node %x (path ) state of block %d is not available: %s of the newest states, which are in memory", raw.Head().Header.Root, v.Number(), what)
	}
	return src, nil
}

// hashing runs what hashes all rows of a state and asks now and then whether to go on, within the time of a call and the memory of its caller.
func (m *Methods) hashing(ctx context.Context, fn func(ctx context.Context, more func() bool) error) error {
	return m.s.Guarded(ctx, func(ctx context.Context) error {
		claim, read := m.s.Claim(ctx), 0
		var refused error
		defer func() { claim.Give(read * stateroot.RowBytes) }()
		err := fn(ctx, func() bool {
			if refused = claim.Take(stateroot.AskEvery * stateroot.RowBytes); refused == nil {
				read += stateroot.AskEvery
			}
			if read > maxRows {
				refused = fmt.Errorf("the state has more than %d rows, accounts and slots: all of them are hashed for this, and no more are read for one request", maxRows)
			}
			return refused == nil && ctx.Err() == nil
		})
		if refused != nil {
			return refused
		}
		if errors.Is(err, stateroot.ErrStopped) {
			return ctx.Err()
		}
		return err
	})
}

func nodes(list [][]byte) []hexutil.Bytes {
	out := make([]hexutil.Bytes, len(list))
	for i := range list {
		out[i] = list[i]
	}
	return out
}

// parseKey reads a slot leniently, and returns how the reply names it: as it came if it has 32 bytes, else as a quantity.
func parseKey(s string) (key common.Hash, name string, err error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X")
	if len(digits)&1 > 0 {
		digits = "0" + digits
	}
	if len(digits) > 2*common.HashLength {
		return key, "", errors.New("storage key too long (want at most 32 bytes)")
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return key, "", errors.New("invalid hex in storage key")
	}
	key = common.BytesToHash(b)
	if len(b) == common.HashLength {
		return key, key.Hex(), nil
	}
	return key, hexutil.EncodeBig(key.Big()), nil
}
