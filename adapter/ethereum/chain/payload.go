package chain

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/calls"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// checked is a transaction whose form, signature and limits are in order: all that does not
// depend on the state. It is a Call's Decoded. The payload of a Call is the sender's address and
// the signed transaction: the leader takes the sender from the node that recovered it.
type checked struct {
	tx   *types.Transaction
	hash common.Hash
	raw  []byte
	msg  core.Message
	size int    // of the payload
	by   *chain // whose settings it is checked by
	// how the call was authenticated whose transaction nobody has signed (package calls); 0: it is signed.
	how rows.How
}

// DecodeAndCheck decodes a signed transaction and checks everything that does not depend on the
// state, the dearest part being the recovery of its sender. Errors have go-ethereum's texts.
func (l *Ledger) DecodeAndCheck(raw []byte) (*checked, error) { return l.chain().check(raw) }

func (k *chain) check(raw []byte) (*checked, error) {
	tx, err := k.decode(raw)
	if err != nil {
		return nil, err
	}
	if calls.Marked(tx) { // a call that is authenticated otherwise comes another way
		return nil, refusef("%w: %w", errInvalidSender, types.ErrInvalidSig)
	}
	sender, err := types.Sender(k.signer, tx)
	if err != nil {
		return nil, refusef("%w: %w", errInvalidSender, err)
	}
	c, err := k.message(tx, raw, sender)
	if err != nil {
		return nil, err
	}
	return c, k.limits(c)
}

func (k *chain) decode(raw []byte) (*types.Transaction, error) {
	// The type comes first: a blob transaction with its sidecar is too large for any limit, and no smaller one is accepted.
	if len(raw) > 0 && raw[0] == types.BlobTxType && (k.settings.Pin == nil || len(raw) > k.settings.MaxTxBytes) {
		return nil, k.refuseBlob()
	}
	if len(raw) > k.settings.MaxTxBytes {
		return nil, refusef("%w: transaction size %v, limit %v", errOversizedData, len(raw), k.settings.MaxTxBytes)
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(raw); err != nil {
		return nil, refuse(err)
	}
	return tx, k.admits(tx, len(raw))
}

// admits says why no transaction of a type and size is accepted; nil if such are.
func (k *chain) admits(tx *types.Transaction, size int) error {
	if size > k.settings.MaxTxBytes {
		return refusef("%w: transaction size %v, limit %v", errOversizedData, size, k.settings.MaxTxBytes)
	}
	r := &k.rules
	switch kind := tx.Type(); {
	case kind == types.BlobTxType && (tx.BlobTxSidecar() != nil || k.settings.Pin == nil):
		return k.refuseBlob()
	case kind == types.LegacyTxType,
		kind == types.AccessListTxType && r.IsBerlin,
		kind == types.DynamicFeeTxType && r.IsLondon,
		kind == types.BlobTxType && r.IsCancun,
		kind == types.SetCodeTxType && r.IsPrague:
	default:
		return refusef("%w: type %d", types.ErrTxTypeNotSupported, kind)
	}
	return nil
}

// again checks a transaction that was checked by other settings.
func (k *chain) again(c *checked) error {
	if err := k.limits(c); err != nil {
		return err
	}
	c.by = k
	return nil
}

func (k *chain) refuseBlob() error {
	if k.settings.Pin == nil {
		return refusef("%w: blob transactions are not accepted here, there is no blob network", types.ErrTxTypeNotSupported)
	}
	return refusef("%w: blobs are not kept here, send the transaction without its sidecar", types.ErrTxTypeNotSupported)
}

// message prepares what go-ethereum executes, so that the executor has nothing left to convert.
func (k *chain) message(tx *types.Transaction, raw []byte, sender common.Address) (*checked, error) {
	c := &checked{tx: tx, hash: crypto.Keccak256Hash(raw), raw: raw, size: len(raw) + common.AddressLength, by: k}
	m := &c.msg
	if k.settings.Development {
		m.SkipEOACheck() // contracts are impersonated
	}
	m.From, m.To, m.Nonce, m.GasLimit = sender, tx.To(), tx.Nonce(), tx.Gas()
	m.Data, m.AccessList = tx.Data(), tx.AccessList()
	m.SetCodeAuthorizations, m.BlobHashes = tx.SetCodeAuthorizations(), tx.BlobHashes()
	var o1, o2, o3, o4 bool
	m.Value, o1 = uint256.FromBig(tx.Value())
	m.GasFeeCap, o2 = uint256.FromBig(tx.GasFeeCap())
	m.GasTipCap, o3 = uint256.FromBig(tx.GasTipCap())
	if fee := tx.BlobGasFeeCap(); fee != nil {
		m.BlobGasFeeCap, o4 = uint256.FromBig(fee)
	}
	switch {
	case o1:
		return nil, refuse(core.ErrInsufficientFunds)
	case o2:
		return nil, refuse(core.ErrFeeCapVeryHigh)
	case o3:
		return nil, refuse(core.ErrTipVeryHigh)
	case o4:
		return nil, refuse(errors.New("max fee per blob gas higher than 2^256-1"))
	}
	m.GasPrice = m.GasFeeCap
	if k.baseFee != nil {
		base := uint256.MustFromBig(k.baseFee)
		if price, overflow := new(uint256.Int).AddOverflow(base, m.GasTipCap); !overflow && price.Lt(m.GasFeeCap) {
			m.GasPrice = price
		}
	}
	return c, nil
}

// limits follows go-ethereum's txpool.ValidateTransaction.
func (k *chain) limits(c *checked) error {
	m, r := &c.msg, &k.rules
	if len(c.raw) > k.settings.MaxTxBytes {
		return refusef("%w: transaction size %v, limit %v", errOversizedData, len(c.raw), k.settings.MaxTxBytes)
	}
	if !c.tx.Protected() && !k.settings.AllowUnprotected {
		return refuse(errUnprotected)
	}
	if m.To == nil {
		if err := vm.CheckMaxInitCodeSize(r, uint64(len(m.Data))); err != nil {
			return refuse(err)
		}
	}
	if r.IsOsaka && m.GasLimit > params.MaxTxGas {
		return refusef("%w (cap: %d, tx: %d)", core.ErrGasLimitTooHigh, params.MaxTxGas, m.GasLimit)
	}
	if m.GasLimit > k.settings.GasLimit {
		return refuse(errGasLimit)
	}
	if m.GasFeeCap.Lt(m.GasTipCap) {
		return refuse(core.ErrTipAboveFeeCap)
	}
	if m.Nonce+1 < m.Nonce {
		return refuse(core.ErrNonceMax)
	}
	intrinsic, err := core.IntrinsicGas(m.Data, m.AccessList, m.SetCodeAuthorizations, m.From, m.To, m.Value, *r)
	if err != nil {
		return refuse(err)
	}
	if m.GasLimit < intrinsic {
		return refusef("%w: gas %v, minimum needed %v", core.ErrIntrinsicGas, m.GasLimit, intrinsic)
	}
	if r.IsPrague {
		floor, err := core.FloorDataGas(*r, m.From, m.To, m.Value, m.Data, m.AccessList)
		if err != nil {
			return refuse(err)
		}
		if m.GasLimit < floor {
			return refusef("%w: gas %v, minimum needed %v", core.ErrFloorDataGas, m.GasLimit, floor)
		}
	}
	if m.GasTipCap.CmpBig(k.settings.MinGasPrice) < 0 {
		return refusef("%w: gas tip cap %v, minimum needed %v", errGasPriceTooLow, m.GasTipCap, k.settings.MinGasPrice)
	}
	if c.tx.Type() == types.SetCodeTxType && len(m.SetCodeAuthorizations) == 0 {
		return refuse(errors.New("set code tx must have at least one authorization tuple"))
	}
	return nil
}

// payload returns what travels to the leader.
func (c *checked) payload() []byte {
	b := append(append(make([]byte, 0, c.size), c.msg.From[:]...), c.raw...)
	if c.how != 0 {
		return calls.Payload(c.how, b)
	}
	return b
}

// decodePayload reads a payload of another node. Its signature is checked there; the rest is
// checked again, since it costs little.
func (k *chain) decodePayload(payload []byte) (*checked, error) {
	how, payload, err := calls.Cut(payload)
	if err != nil {
		return nil, err
	}
	if len(payload) < common.AddressLength {
		return nil, fmt.Errorf("%w: ethereum payload of %d bytes: expected an address and a transaction", coco.ErrCorrupt, len(payload))
	}
	raw := payload[common.AddressLength:]
	tx, err := k.decode(raw)
	if err != nil {
		return nil, err
	}
	sender := common.BytesToAddress(payload[:common.AddressLength])
	if from, is := calls.Is(tx); is != (how != 0) || is && from != sender {
		return nil, fmt.Errorf("%w: ethereum payload: a transaction that nobody has signed comes with how it is authenticated, and only then", coco.ErrCorrupt)
	}
	c, err := k.message(tx, raw, sender)
	if err != nil {
		return nil, err
	}
	c.how = how
	return c, k.limits(c)
}
