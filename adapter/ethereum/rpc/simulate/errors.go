package simulate

import (
	"errors"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/vm"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// Codes of eth_simulateV1, by the execution-apis.
const (
	codeNonceTooLow         = -38010
	codeNonceTooHigh        = -38011
	codeBaseFeeTooLow       = -38012
	codeIntrinsicGas        = -38013
	codeInsufficientFunds   = -38014
	codeBlockGasLimit       = -38015
	codeBlockNumber         = -38020
	codeBlockTimestamp      = -38021
	codeSenderIsNoEOA       = -38024
	codeInitCodeTooLarge    = -38025
	codeTooMany             = -38026
	codeExecution           = -32015 // of a call that failed, in its result
	codeReverted            = 3
	codeInvalidParams       = group.CodeInvalidParams
	codeCannotBeTransaction = group.CodeInternal
)

// codes are those of messages that cannot be transactions of their block; the first that fits counts.
var codes = []struct {
	err  error
	code int
}{
	{core.ErrNonceTooHigh, codeNonceTooHigh},
	{core.ErrNonceTooLow, codeNonceTooLow},
	{core.ErrSenderNoEOA, codeSenderIsNoEOA},
	{core.ErrFeeCapVeryHigh, codeInvalidParams},
	{core.ErrTipVeryHigh, codeInvalidParams},
	{core.ErrTipAboveFeeCap, codeInvalidParams},
	{core.ErrFeeCapTooLow, codeBaseFeeTooLow},
	{core.ErrInsufficientFunds, codeInsufficientFunds},
	{core.ErrIntrinsicGas, codeIntrinsicGas},
	{core.ErrInsufficientFundsForTransfer, codeInsufficientFunds},
	{vm.ErrMaxInitCodeSizeExceeded, codeInitCodeTooLarge},
}

// invalid is the error for a message that cannot be a transaction of its block.
func invalid(err error) error {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return group.Errorf(c.code, "%v", err)
		}
	}
	return group.Errorf(codeCannotBeTransaction, "%v", err)
}
