package statedb

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	gethstate "github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/stateless"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/types/bal"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// This file is go-ethereum's vm.StateDB, as its own state.StateDB behaves: statedb_test.go compares
// the two over random operations.

var _ vm.StateDB = (*DB)(nil)

type changeKind uint8

const (
	changeCreate changeKind = iota
	changeContract
	changeDestruct
	changeTouch
	changeBalance
	changeNonce
	changeCode
	changeStorage
	changeTransient // from here on a change touches no account
	changeRefund
	changeLog
	changeWarmAccount
	changeWarmSlot
)

// mutates tells whether the change makes Finalise look at the account.
func (k changeKind) mutates() bool { return k < changeTransient && k != changeContract }

// change is how to undo one step.
type change struct {
	kind    changeKind
	account *account
	slot    *slot
	balance *uint256.Int
	number  uint64 // nonce, refund or warm
	word    common.Hash
	code    []byte
	loaded  bool
}

func (s *DB) note(c change) {
	s.journal = append(s.journal, c)
	if c.kind.mutates() {
		s.touch(c.account)
	}
}

// Snapshot implements vm.StateDB.
func (s *DB) Snapshot() int { return len(s.journal) }

// RevertToSnapshot implements vm.StateDB.
func (s *DB) RevertToSnapshot(id int) {
	for i := len(s.journal) - 1; i >= id; i-- {
		c := &s.journal[i]
		a := c.account
		switch c.kind {
		case changeCreate:
			a.Exists = false
			a.Nonce, a.Balance, a.CodeHash = 0, rows.ZeroBalance, types.EmptyCodeHash
			a.code, a.codeLoaded = nil, false
		case changeContract:
			a.newContract = false
		case changeDestruct:
			a.selfDestructed = false
		case changeTouch:
		case changeBalance:
			a.Balance = c.balance
		case changeNonce:
			a.Nonce = c.number
		case changeCode:
			a.CodeHash, a.code, a.codeLoaded = c.word, c.code, c.loaded
		case changeStorage, changeTransient:
			c.slot.value = c.word
		case changeRefund:
			s.refund = c.number
		case changeLog:
			s.logs = s.logs[:len(s.logs)-1]
			s.LogIndex--
		case changeWarmAccount:
			a.warm = 0
		case changeWarmSlot:
			c.slot.warm = 0
		}
		if c.kind.mutates() {
			a.mutations--
		}
		*c = change{}
	}
	s.journal = s.journal[:id]
}

// CreateAccount implements vm.StateDB.
func (s *DB) CreateAccount(addr common.Address) { s.create(s.account(addr)) }

// CreateContract implements vm.StateDB.
func (s *DB) CreateContract(addr common.Address) {
	if a := s.account(addr); !a.newContract {
		a.newContract = true
		s.note(change{kind: changeContract, account: a})
		// The flag ends with the transaction even if nothing else happens to the account.
		if !a.listed {
			a.listed = true
			s.touched = append(s.touched, a)
		}
	}
}

// IsNewContract implements vm.StateDB.
func (s *DB) IsNewContract(addr common.Address) bool { return s.account(addr).newContract }

// SubBalance implements vm.StateDB.
func (s *DB) SubBalance(addr common.Address, amount *uint256.Int, _ tracing.BalanceChangeReason) uint256.Int {
	a := s.Ensure(addr)
	if amount.IsZero() {
		return *a.Balance
	}
	return s.SetBalance(a, new(uint256.Int).Sub(a.Balance, amount))
}

// AddBalance implements vm.StateDB. Adding nothing to an empty account touches it (EIP-161).
func (s *DB) AddBalance(addr common.Address, amount *uint256.Int, _ tracing.BalanceChangeReason) uint256.Int {
	a := s.Ensure(addr)
	if amount.IsZero() {
		if a.Empty() {
			s.note(change{kind: changeTouch, account: a})
			if addr == precompile3 {
				a.mutations++ // outlives a revert, as it did on the mainnet
			}
		}
		return *a.Balance
	}
	return s.SetBalance(a, new(uint256.Int).Add(a.Balance, amount))
}

var precompile3 = common.BytesToAddress([]byte{3})

// SetBalance keeps value.
func (s *DB) SetBalance(a *account, value *uint256.Int) uint256.Int {
	prev := a.Balance
	s.note(change{kind: changeBalance, account: a, balance: prev})
	a.Balance = value
	return *prev
}

// GetBalance implements vm.StateDB. The result is never modified: a change makes a new one.
func (s *DB) GetBalance(addr common.Address) *uint256.Int { return s.account(addr).Balance }

// GetNonce implements vm.StateDB.
func (s *DB) GetNonce(addr common.Address) uint64 { return s.account(addr).Nonce }

// SetNonce implements vm.StateDB.
func (s *DB) SetNonce(addr common.Address, nonce uint64, _ tracing.NonceChangeReason) {
	a := s.Ensure(addr)
	s.note(change{kind: changeNonce, account: a, number: a.Nonce})
	a.Nonce = nonce
}

// GetCodeHash implements vm.StateDB.
func (s *DB) GetCodeHash(addr common.Address) common.Hash {
	if a := s.account(addr); a.Exists {
		return a.CodeHash
	}
	return common.Hash{}
}

// GetCode implements vm.StateDB.
func (s *DB) GetCode(addr common.Address) []byte { return s.codeOf(s.account(addr)) }

// GetCodeSize implements vm.StateDB.
func (s *DB) GetCodeSize(addr common.Address) int { return len(s.codeOf(s.account(addr))) }

// SetCode implements vm.StateDB.
func (s *DB) SetCode(addr common.Address, code []byte, _ tracing.CodeChangeReason) []byte {
	a := s.Ensure(addr)
	prev := a.code
	s.note(change{kind: changeCode, account: a, word: a.CodeHash, code: a.code, loaded: a.codeLoaded})
	a.code, a.codeLoaded, a.newCode = code, true, true
	a.CodeHash = types.EmptyCodeHash
	if len(code) > 0 {
		a.CodeHash = crypto.Keccak256Hash(code)
	}
	return prev
}

func ErrCorruptCode(hash common.Hash) error {
	return fmt.Errorf("%w: the code %v of an account is missing", coco.ErrCorrupt, hash)
}

// AddRefund implements vm.StateDB.
func (s *DB) AddRefund(gas uint64) {
	s.note(change{kind: changeRefund, number: s.refund})
	s.refund += gas
}

// SubRefund implements vm.StateDB.
func (s *DB) SubRefund(gas uint64) {
	s.note(change{kind: changeRefund, number: s.refund})
	if gas > s.refund {
		panic(fmt.Sprintf("ethereum: refund of %d taken from %d", gas, s.refund))
	}
	s.refund -= gas
}

// GetRefund implements vm.StateDB.
func (s *DB) GetRefund() uint64 { return s.refund }

// GetStateAndCommittedState implements vm.StateDB.
func (s *DB) GetStateAndCommittedState(addr common.Address, key common.Hash) (current, original common.Hash) {
	a := s.account(addr)
	if !a.Exists {
		return common.Hash{}, common.Hash{}
	}
	sl := s.slot(a, key)
	return sl.value, sl.base
}

// GetState implements vm.StateDB.
func (s *DB) GetState(addr common.Address, key common.Hash) common.Hash {
	a := s.account(addr)
	if !a.Exists {
		return common.Hash{}
	}
	return s.slot(a, key).value
}

// SetState implements vm.StateDB.
func (s *DB) SetState(addr common.Address, key, value common.Hash) common.Hash {
	a := s.Ensure(addr)
	sl := s.slot(a, key)
	prev := sl.value
	if prev == value {
		return prev
	}
	s.note(change{kind: changeStorage, account: a, slot: sl, word: prev})
	sl.value = value
	if !sl.listed {
		sl.listed = true
		a.changed = append(a.changed, sl)
	}
	return prev
}

// GetTransientState implements vm.StateDB.
func (s *DB) GetTransientState(addr common.Address, key common.Hash) common.Hash {
	if sl := s.transient[transientKey{addr, key}]; sl != nil {
		return sl.value
	}
	return common.Hash{}
}

// SetTransientState implements vm.StateDB.
func (s *DB) SetTransientState(addr common.Address, key, value common.Hash) {
	k := transientKey{addr, key}
	sl := s.transient[k]
	if sl == nil {
		sl = new(slot)
		s.transient[k] = sl
	}
	if sl.value == value {
		return
	}
	s.note(change{kind: changeTransient, slot: sl, word: sl.value})
	sl.value = value
}

// SelfDestruct implements vm.StateDB.
func (s *DB) SelfDestruct(addr common.Address) {
	if a := s.account(addr); a.Exists && !a.selfDestructed {
		s.note(change{kind: changeDestruct, account: a})
		a.selfDestructed = true
	}
}

// HasSelfDestructed implements vm.StateDB.
func (s *DB) HasSelfDestructed(addr common.Address) bool { return s.account(addr).selfDestructed }

// Exist implements vm.StateDB.
func (s *DB) Exist(addr common.Address) bool { return s.account(addr).Exists }

// Touch implements vm.StateDB; it matters for block access lists, which no fork here has.
func (s *DB) Touch(common.Address) {}

// Empty implements vm.StateDB.
func (s *DB) Empty(addr common.Address) bool {
	a := s.account(addr)
	return !a.Exists || a.Empty()
}

// AddressInAccessList implements vm.StateDB.
func (s *DB) AddressInAccessList(addr common.Address) bool {
	return s.object(addr).warm == s.epoch || s.isWarmPrecompile(&addr)
}

// isWarmPrecompile spares every transaction from listing the precompiles one by one.
func (s *DB) isWarmPrecompile(addr *common.Address) bool {
	if addr[0]|addr[1]|addr[2]|addr[17] != 0 {
		return false
	}
	for i := range s.warm {
		if s.warm[i] == *addr {
			return true
		}
	}
	return false
}

// SlotInAccessList implements vm.StateDB.
func (s *DB) SlotInAccessList(addr common.Address, key common.Hash) (addressOk, slotOk bool) {
	a := s.object(addr)
	return a.warm == s.epoch || s.isWarmPrecompile(&addr), a.slotObject(s, key).warm == s.epoch
}

// AddAddressToAccessList implements vm.StateDB.
func (s *DB) AddAddressToAccessList(addr common.Address) { s.warmAccount(s.object(addr)) }

func (s *DB) warmAccount(a *account) {
	if a.warm != s.epoch && !s.isWarmPrecompile(&a.addr) {
		a.warm = s.epoch
		s.note(change{kind: changeWarmAccount, account: a})
	}
}

// AddSlotToAccessList implements vm.StateDB.
func (s *DB) AddSlotToAccessList(addr common.Address, key common.Hash) {
	a := s.object(addr)
	s.warmAccount(a)
	if sl := a.slotObject(s, key); sl.warm != s.epoch {
		sl.warm = s.epoch
		s.note(change{kind: changeWarmSlot, account: a, slot: sl})
	}
}

// Prepare implements vm.StateDB: a new access list (EIP-2930, EIP-3651) and no transient storage.
func (s *DB) Prepare(rules params.Rules, sender, coinbase common.Address, dest *common.Address, precompiles []common.Address, list types.AccessList) {
	clear(s.transient)
	if !rules.IsEIP2929 {
		return
	}
	s.epoch++
	s.warm = precompiles
	s.object(sender).warm = s.epoch
	if dest != nil {
		s.object(*dest).warm = s.epoch
	}
	for i := range list {
		a := s.object(list[i].Address)
		a.warm = s.epoch
		for _, key := range list[i].StorageKeys {
			a.slotObject(s, key).warm = s.epoch
		}
	}
	if rules.IsShanghai {
		s.object(coinbase).warm = s.epoch
	}
}

// AddLog implements vm.StateDB.
func (s *DB) AddLog(log *types.Log) {
	s.note(change{kind: changeLog})
	log.TxHash, log.TxIndex, log.Index = s.txHash, s.txIndex, s.LogIndex
	s.logs = append(s.logs, log)
	s.LogIndex++
}

// AddPreimage implements vm.StateDB.
func (s *DB) AddPreimage(common.Hash, []byte) {}

// Witness implements vm.StateDB.
func (s *DB) Witness() *stateless.Witness { return nil }

// AccessEvents implements vm.StateDB.
func (s *DB) AccessEvents() *gethstate.AccessEvents { return nil }

// Finalise implements vm.StateDB: it ends a transaction.
func (s *DB) Finalise(rules params.Rules) *bal.ConstructionBlockAccessList {
	s.Finish(rules.IsEIP158)
	return nil
}

// SetTxContext implements vm.StateDB.
func (s *DB) SetTxContext(hash common.Hash, index int, _ uint32) {
	s.txHash, s.txIndex = hash, uint(index)
}
