package chain

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core"

	"github.com/cocoframework/coco"
)

// refusal is why a transaction is not executed. Its text is go-ethereum's own, which wallets and
// web3 libraries look for; its kind is one of coco's.
type refusal struct {
	kind  error
	cause error
}

func (r *refusal) Error() string   { return r.cause.Error() }
func (r *refusal) Unwrap() []error { return []error{r.cause, r.kind} }

// refuse returns a refusal that no repetition can change.
func refuse(cause error) error { return &refusal{coco.ErrInvalid, cause} }

func nonceTooLow(next, nonce uint64) error {
	return refusef("%w: next nonce %v, tx nonce %v", core.ErrNonceTooLow, next, nonce)
}

func refusef(format string, args ...any) error { return refuse(fmt.Errorf(format, args...)) }

// Texts of go-ethereum's transaction pool, which is no part of this program.
var (
	errAlreadyKnown   = errors.New("already known")
	errInvalidSender  = errors.New("invalid sender")
	errOversizedData  = errors.New("oversized data")
	errGasLimit       = errors.New("exceeds block gas limit")
	errGasPriceTooLow = errors.New("transaction gas price below minimum")
	errUnprotected    = errors.New("only replay-protected (EIP-155) transactions allowed over RPC")

	// ErrReplaceUnderpriced is the refusal of a transaction whose nonce another one has that waits for lower ones.
	ErrReplaceUnderpriced = errors.New("replacement transaction underpriced")
)
