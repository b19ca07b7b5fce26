package sight

import (
	"context"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"

	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// constantKey is a contract with its code. A rule that was found by executing nothing that reads more than the code is the contract's as long as it has the code: so it is not
// found anew after each block.
type constantKey struct {
	contract common.Address
	code     common.Hash
	level    int
	in       *settings.Settings
}

// varies notes whether what is executed may come to something else on another state, or in another block. It comes to no other contract, nor to that one's rule, but
// by what is noted.
type varies bool

func (v *varies) hooks() *tracing.Hooks {
	return &tracing.Hooks{OnOpcode: func(_ uint64, op byte, _, _ uint64, _ tracing.OpContext, _ []byte, _ int, _ error) {
		switch vm.OpCode(op) {
		case vm.SLOAD, vm.SSTORE, vm.TLOAD, vm.TSTORE, vm.BALANCE, vm.SELFBALANCE, vm.EXTCODESIZE, vm.EXTCODECOPY, vm.EXTCODEHASH,
			vm.CALL, vm.CALLCODE, vm.DELEGATECALL, vm.STATICCALL, vm.CREATE, vm.CREATE2, vm.SELFDESTRUCT,
			vm.BLOCKHASH, vm.COINBASE, vm.TIMESTAMP, vm.NUMBER, vm.PREVRANDAO, vm.GASLIMIT, vm.BASEFEE, vm.BLOBBASEFEE, vm.BLOBHASH:
			*v = true
		}
	}}
}

// constant returns the rule of a contract that has it by its code alone; nil if it is not known to.
func (r *rules) constant(addr common.Address, level int) *rule {
	code, contract := r.eyes.code(addr)
	if !contract {
		return nil
	}
	return r.eyes.sights.cache.constant(constantKey{addr, code, level, r.settings})
}

// keepConstant remembers a rule. An account that delegates (EIP-7702) executes other code than its own.
func (r *rules) keepConstant(ctx context.Context, addr common.Address, level int, found *rule) {
	hash, contract := r.eyes.code(addr)
	code, err := r.eyes.now.Code(ctx, addr)
	if _, delegated := types.ParseDelegation(code); !contract || err != nil || delegated {
		return
	}
	r.eyes.sights.cache.keepConstant(constantKey{addr, hash, level, r.settings}, found)
}
