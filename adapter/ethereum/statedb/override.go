package statedb

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/holiman/uint256"
)

// Override says what to replace; nil means to leave it.
type Override struct {
	Nonce            *uint64
	Code             *[]byte
	Balance          *uint256.Int
	State            map[common.Hash]common.Hash // the whole storage
	StateDiff        map[common.Hash]common.Hash
	MovePrecompileTo *common.Address
}

// Override replaces parts of an account for a call. It MUST come before the transaction, and ends
// in finish so that nothing of it can be reverted.
func (s *DB) Override(addr common.Address, o *Override) {
	a := s.Ensure(addr)
	if o.Nonce != nil {
		s.SetNonce(addr, *o.Nonce, 0)
	}
	if o.Balance != nil {
		s.SetBalance(a, new(uint256.Int).Set(o.Balance))
	}
	if o.Code != nil {
		s.SetCode(addr, *o.Code, 0)
	}
	if o.State != nil {
		s.Size -= len(a.slots)
		a.slots, a.lastSlot, a.wiped = nil, nil, true
		if a.Stored { // rows of the override are of a generation that has none before
			a.Gen++
			a.Stored = false
		}
		s.note(change{kind: changeTouch, account: a})
	}
	slots := o.State
	if slots == nil {
		slots = o.StateDiff
	}
	for k, v := range slots {
		s.SetState(addr, k, v)
	}
}

// OverrideAll replaces parts of accounts for a call, and removes or moves precompiles. The errors are go-ethereum's.
func (s *DB) OverrideAll(list map[common.Address]Override, precompiles vm.PrecompiledContracts) error {
	moved := map[common.Address]bool{}
	for _, addr := range slices.SortedFunc(maps.Keys(list), common.Address.Cmp) {
		o := list[addr]
		p, isPrecompile := precompiles[addr]
		switch {
		case moved[addr]:
			return fmt.Errorf("account %s has already been overridden by a precompile", addr.Hex())
		case o.State != nil && o.StateDiff != nil:
			return fmt.Errorf("account %s has both 'state' and 'stateDiff'", addr.Hex())
		case o.MovePrecompileTo != nil && !isPrecompile:
			return fmt.Errorf("account %s is not a precompile", addr.Hex())
		}
		if to := o.MovePrecompileTo; to != nil {
			if _, ok := list[*to]; ok {
				return fmt.Errorf("account %s is already overridden", to.Hex())
			}
			precompiles[*to] = p
			moved[*to] = true
		}
		if isPrecompile {
			delete(precompiles, addr)
		}
		s.Override(addr, &o)
	}
	s.Finish(false)
	return nil
}
