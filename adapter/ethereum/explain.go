package ethereum

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// Explain decodes what the receipt of a transaction claims, as rows.EncodeClaims made it; nil if the claims are of another ledger.
// They name the transaction by its hash alone. content, unless nil, is the signed transaction, as bytes or in hexadecimal: it is checked
// against that hash, and adds who sent it to whom. The error is coco.ErrVerify if it is another one.
func (ethereum) Explain(claims, content []byte) ([]adapter.Fact, error) {
	var is struct {
		Hash         common.Hash
		Block, Index uint64
		Receipt      []byte
	}
	var r types.Receipt
	if rlp.DecodeBytes(claims, &is) != nil || r.UnmarshalBinary(is.Receipt) != nil {
		return nil, nil
	}
	status := "failed"
	if r.Status == types.ReceiptStatusSuccessful {
		status = "success"
	}
	facts := []adapter.Fact{
		{Name: "hash", Value: is.Hash.Hex()},
		{Name: "block", Value: strconv.FormatUint(is.Block, 10)},
		{Name: "index", Value: strconv.FormatUint(is.Index, 10)},
		{Name: "type", Value: strconv.Itoa(int(r.Type))},
		{Name: "status", Value: status},
		{Name: "cumulative_gas", Value: strconv.FormatUint(r.CumulativeGasUsed, 10)},
	}
	for _, l := range r.Logs {
		entry := adapter.Fact{Name: "log", Value: l.Address.Hex()}
		for _, topic := range l.Topics {
			entry.Facts = append(entry.Facts, adapter.Fact{Name: "topic", Value: topic.Hex()})
		}
		facts = append(facts, adapter.Fact{Name: entry.Name, Value: entry.Value, Facts: append(entry.Facts, adapter.Fact{Name: "data", Value: "0x" + hex.EncodeToString(l.Data)})})
	}
	if content == nil {
		return facts, nil
	}
	sent, err := senderOf(content, is.Hash)
	return append(facts, sent...), err
}

// senderOf reads a signed transaction that must have a hash.
func senderOf(content []byte, hash common.Hash) ([]adapter.Fact, error) {
	if digits, isHex := bytes.CutPrefix(bytes.TrimSpace(content), []byte("0x")); isHex {
		raw, err := hex.DecodeString(string(digits))
		if err != nil {
			return nil, fmt.Errorf("%w: a transaction in hexadecimal: %w", coco.ErrInvalid, err)
		}
		content = raw
	}
	var tx types.Transaction
	if err := tx.UnmarshalBinary(content); err != nil {
		return nil, fmt.Errorf("%w: expected the signed transaction, as bytes or in hexadecimal: %w", coco.ErrInvalid, err)
	}
	if tx.Hash() != hash {
		return nil, fmt.Errorf("%w: the transaction has the hash %s, and the receipt is of %s", coco.ErrVerify, tx.Hash(), hash)
	}
	chain := tx.ChainId()
	if !tx.Protected() {
		chain = nil
	}
	from, err := types.Sender(types.LatestSignerForChainID(chain), &tx)
	if err != nil {
		return nil, fmt.Errorf("%w: who signed the transaction: %w", coco.ErrVerify, err)
	}
	facts := []adapter.Fact{{Name: "from", Value: from.Hex()}}
	if to := tx.To(); to != nil {
		facts = append(facts, adapter.Fact{Name: "to", Value: to.Hex()})
	} else {
		facts = append(facts, adapter.Fact{Name: "to", Value: "none: it creates a contract"})
	}
	return append(facts, adapter.Fact{Name: "value", Value: tx.Value().String()}, adapter.Fact{Name: "nonce", Value: strconv.FormatUint(tx.Nonce(), 10)}), nil
}
