// Package encode writes the JSON of web3 replies by hand. The same functions serve the direct way and, as
// json.RawMessage, the full server, so that both say the same, byte for byte. The shapes are those
// of the execution-apis specification as go-ethereum fills them.
//
// Trust: enclave
package encode

import (
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/internal/budget"
)

// Null is the reply to a question about something that does not exist.
var Null = json.RawMessage("null")

func AppendQuantity(b []byte, n uint64) []byte {
	b = append(b, '"', '0', 'x')
	b = strconv.AppendUint(b, n, 16)
	return append(b, '"')
}

// AppendBig writes nil as 0x0.
func AppendBig(b []byte, n *big.Int) []byte {
	b = append(b, '"', '0', 'x')
	if n == nil {
		return append(b, '0', '"')
	}
	return append(n.Append(b, 16), '"')
}

func AppendData(b, data []byte) []byte {
	b = append(b, '"', '0', 'x')
	b = hex.AppendEncode(b, data)
	return append(b, '"')
}

func appendKey(b []byte, key string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendQuantityField(b []byte, key string, n uint64) []byte {
	return AppendQuantity(appendKey(b, key), n)
}

func appendBigField(b []byte, key string, n *big.Int) []byte {
	return AppendBig(appendKey(b, key), n)
}

func appendDataField(b []byte, key string, data []byte) []byte {
	return AppendData(appendKey(b, key), data)
}

// appendAddressField writes a missing address as null.
func appendAddressField(b []byte, key string, addr *common.Address) []byte {
	b = appendKey(b, key)
	if addr == nil {
		return append(b, Null...)
	}
	return AppendData(b, addr[:])
}

// appendHeaderFields writes the members of a block that stem from its header.
func appendHeaderFields(b []byte, block *blocks.Block) []byte {
	h := block.Header
	b = appendBigField(b, "number", h.Number)
	b = appendDataField(b, "hash", block.Hash[:])
	b = appendDataField(b, "parentHash", h.ParentHash[:])
	b = appendDataField(b, "nonce", h.Nonce[:])
	b = appendDataField(b, "mixHash", h.MixDigest[:])
	b = appendDataField(b, "sha3Uncles", h.UncleHash[:])
	b = appendDataField(b, "logsBloom", h.Bloom[:])
	b = appendDataField(b, "stateRoot", h.Root[:])
	b = appendDataField(b, "miner", h.Coinbase[:])
	b = appendBigField(b, "difficulty", h.Difficulty)
	b = appendDataField(b, "extraData", h.Extra)
	b = appendQuantityField(b, "gasLimit", h.GasLimit)
	b = appendQuantityField(b, "gasUsed", h.GasUsed)
	b = appendQuantityField(b, "timestamp", h.Time)
	b = appendDataField(b, "transactionsRoot", h.TxHash[:])
	b = appendDataField(b, "receiptsRoot", h.ReceiptHash[:])
	if h.BaseFee != nil {
		b = appendBigField(b, "baseFeePerGas", h.BaseFee)
	}
	if h.WithdrawalsHash != nil {
		b = appendDataField(b, "withdrawalsRoot", h.WithdrawalsHash[:])
	}
	if h.BlobGasUsed != nil {
		b = appendQuantityField(b, "blobGasUsed", *h.BlobGasUsed)
	}
	if h.ExcessBlobGas != nil {
		b = appendQuantityField(b, "excessBlobGas", *h.ExcessBlobGas)
	}
	if h.ParentBeaconRoot != nil {
		b = appendDataField(b, "parentBeaconBlockRoot", h.ParentBeaconRoot[:])
	}
	if h.RequestsHash != nil {
		b = appendDataField(b, "requestsHash", h.RequestsHash[:])
	}
	return b
}

// AppendHead writes what a newHeads subscription delivers.
func AppendHead(b []byte, block *blocks.Block) []byte {
	return append(appendHeaderFields(append(b, '{'), block), '}')
}

// WriteBlock writes a block with its transactions' hashes or, if full is not nil, with the transactions that it returns,
// one by one.
func WriteBlock(out *budget.Buffer, block *blocks.Block, full func(i int) (*blocks.Transaction, error)) error {
	err := out.Append(headBound, func(b []byte) []byte {
		b = appendHeaderFields(append(b, '{'), block)
		b = appendQuantityField(b, "size", block.Size)
		if block.Hidden != nil {
			b = appendQuantityField(b, "hiddenTransactions", *block.Hidden)
		}
		return append(appendKey(b, "transactions"), '[')
	})
	for i := 0; i < len(block.Txs) && err == nil; i++ {
		if full == nil {
			err = out.Append(2*len(block.Txs[i])+5, func(b []byte) []byte { return AppendData(comma(b, i), block.Txs[i][:]) })
			continue
		}
		var t *blocks.Transaction
		if t, err = full(i); err == nil {
			err = out.Append(transactionBound(t.Tx), func(b []byte) []byte { return AppendTransaction(comma(b, i), t, block) })
		}
	}
	if err != nil {
		return err
	}
	end := `],"uncles":[]}`
	if block.Header.WithdrawalsHash != nil {
		end = `],"uncles":[],"withdrawals":[]}`
	}
	_, err = out.WriteString(end)
	return err
}

// WriteTransaction writes an included transaction.
func WriteTransaction(out *budget.Buffer, t *blocks.Transaction, block *blocks.Block) error {
	return out.Append(transactionBound(t.Tx), func(b []byte) []byte { return AppendTransaction(b, t, block) })
}

// Bounds of what is written at once, in bytes.
const (
	headBound  = 4 << 10 // the members of a header, and of a receipt but for its logs
	logBound   = 1 << 10 // a log but for its topics and data
	topicBound = 72
	txBound    = 4 << 10 // a transaction but for what its own size tells
)

// transactionBound is a bound of what AppendTransaction writes, with a comma: two digits for each byte of the data, and
// less than four bytes, digits and the names of members, for each other byte of the transaction.
func transactionBound(tx *types.Transaction) int {
	data := len(tx.Data())
	return txBound + 2*data + 4*(int(tx.Size())-data)
}

// comma writes what separates the i-th element from the one before.
func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// AppendTransaction writes an included transaction.
func AppendTransaction(b []byte, t *blocks.Transaction, block *blocks.Block) []byte {
	b = append(b, '{')
	b = appendDataField(b, "blockHash", block.Hash[:])
	b = appendQuantityField(b, "blockNumber", t.BlockNumber)
	b = appendQuantityField(b, "blockTimestamp", block.Header.Time)
	b = appendQuantityField(b, "transactionIndex", t.Index)
	b = appendDataField(b, "hash", t.Hash[:])
	return appendSigned(b, t.Tx, t.From, rows.EffectiveGasPrice(t.Tx, block.Header.BaseFee))
}

// WritePending writes a transaction that is in no block yet.
func WritePending(out *budget.Buffer, tx *types.Transaction, from common.Address) error {
	return out.Append(transactionBound(tx), func(b []byte) []byte { return AppendPending(b, tx, from) })
}

// AppendPending writes a transaction that is in no block yet.
func AppendPending(b []byte, tx *types.Transaction, from common.Address) []byte {
	hash := tx.Hash()
	b = append(b, `{"blockHash":null,"blockNumber":null,"blockTimestamp":null,"transactionIndex":null`...)
	b = appendDataField(b, "hash", hash[:])
	return appendSigned(b, tx, from, tx.GasFeeCap())
}

// appendSigned writes the members of a transaction that its block does not decide.
func appendSigned(b []byte, tx *types.Transaction, from common.Address, price *big.Int) []byte {
	v, r, s := tx.RawSignatureValues()
	b = appendDataField(b, "from", from[:])
	b = appendQuantityField(b, "gas", tx.Gas())
	b = appendBigField(b, "gasPrice", price)
	if tx.Type() >= types.DynamicFeeTxType {
		b = appendBigField(b, "maxFeePerGas", tx.GasFeeCap())
		b = appendBigField(b, "maxPriorityFeePerGas", tx.GasTipCap())
	}
	if tx.Type() == types.BlobTxType {
		b = appendBigField(b, "maxFeePerBlobGas", tx.BlobGasFeeCap())
	}
	b = appendDataField(b, "input", tx.Data())
	b = appendQuantityField(b, "nonce", tx.Nonce())
	b = appendAddressField(b, "to", tx.To())
	b = appendBigField(b, "value", tx.Value())
	b = appendQuantityField(b, "type", uint64(tx.Type()))
	if tx.Type() != types.LegacyTxType {
		b = appendAccessList(appendKey(b, "accessList"), tx.AccessList())
	}
	if id := tx.ChainId(); tx.Type() != types.LegacyTxType || id.Sign() != 0 {
		b = appendBigField(b, "chainId", id)
	}
	if tx.Type() == types.BlobTxType {
		b = AppendHashes(appendKey(b, "blobVersionedHashes"), tx.BlobHashes())
	}
	if tx.Type() == types.SetCodeTxType {
		b = appendAuthorizations(appendKey(b, "authorizationList"), tx.SetCodeAuthorizations())
	}
	b = appendBigField(b, "v", v)
	b = appendBigField(b, "r", r)
	b = appendBigField(b, "s", s)
	if tx.Type() != types.LegacyTxType {
		b = appendQuantityField(b, "yParity", uint64(v.Sign()))
	}
	return append(b, '}')
}

func AppendHashes(b []byte, hashes []common.Hash) []byte {
	b = append(b, '[')
	for i := range hashes {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendData(b, hashes[i][:])
	}
	return append(b, ']')
}

func appendAccessList(b []byte, list types.AccessList) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendDataField(b, "address", list[i].Address[:])
		b = AppendHashes(appendKey(b, "storageKeys"), list[i].StorageKeys)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendAuthorizations(b []byte, list []types.SetCodeAuthorization) []byte {
	b = append(b, '[')
	for i := range list {
		a := &list[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendBigField(b, "chainId", a.ChainID.ToBig())
		b = appendDataField(b, "address", a.Address[:])
		b = appendQuantityField(b, "nonce", a.Nonce)
		b = appendQuantityField(b, "yParity", uint64(a.V))
		b = appendBigField(b, "r", a.R.ToBig())
		b = appendBigField(b, "s", a.S.ToBig())
		b = append(b, '}')
	}
	return append(b, ']')
}

// WriteReceipt writes the receipt of a transaction of a block, one log after the other.
func WriteReceipt(out *budget.Buffer, t *blocks.Transaction, block *blocks.Block) error {
	r := t.Receipt
	err := out.Append(headBound, func(b []byte) []byte {
		b = append(b, '{')
		b = appendDataField(b, "blockHash", r.BlockHash[:])
		b = appendQuantityField(b, "blockNumber", t.BlockNumber)
		b = appendKey(b, "contractAddress")
		if r.ContractAddress == (common.Address{}) {
			b = append(b, Null...)
		} else {
			b = AppendData(b, r.ContractAddress[:])
		}
		b = appendQuantityField(b, "cumulativeGasUsed", r.CumulativeGasUsed)
		b = appendBigField(b, "effectiveGasPrice", r.EffectiveGasPrice)
		b = appendDataField(b, "from", t.From[:])
		b = appendQuantityField(b, "gasUsed", r.GasUsed)
		if t.Tx.Type() == types.BlobTxType {
			b = appendQuantityField(b, "blobGasUsed", r.BlobGasUsed)
			b = appendBigField(b, "blobGasPrice", r.BlobGasPrice)
		}
		return append(appendKey(b, "logs"), '[')
	})
	if err != nil {
		return err
	}
	i := 0
	err = t.EachLog(block, func(l *types.Log) error {
		i++
		return WriteLog(out, l, i-1)
	})
	if err != nil {
		return err
	}
	return out.Append(headBound, func(b []byte) []byte {
		b = append(b, ']')
		b = appendDataField(b, "logsBloom", r.Bloom[:])
		if len(r.PostState) > 0 {
			b = appendDataField(b, "root", r.PostState)
		} else {
			b = appendQuantityField(b, "status", r.Status)
		}
		b = appendAddressField(b, "to", t.Tx.To())
		b = appendDataField(b, "transactionHash", t.Hash[:])
		b = appendQuantityField(b, "transactionIndex", t.Index)
		b = appendQuantityField(b, "type", uint64(t.Tx.Type()))
		return append(b, '}')
	})
}

// WriteLog writes the i-th log of a list.
func WriteLog(out *budget.Buffer, l *types.Log, i int) error {
	return out.Append(logBound+topicBound*len(l.Topics)+2*len(l.Data), func(b []byte) []byte { return AppendLog(comma(b, i), l) })
}

func AppendLog(b []byte, l *types.Log) []byte {
	b = append(b, '{')
	b = appendDataField(b, "address", l.Address[:])
	b = AppendHashes(appendKey(b, "topics"), l.Topics)
	b = appendDataField(b, "data", l.Data)
	b = appendQuantityField(b, "blockNumber", l.BlockNumber)
	b = appendDataField(b, "transactionHash", l.TxHash[:])
	b = appendQuantityField(b, "transactionIndex", uint64(l.TxIndex))
	b = appendDataField(b, "blockHash", l.BlockHash[:])
	b = appendQuantityField(b, "blockTimestamp", l.BlockTimestamp)
	b = appendQuantityField(b, "logIndex", uint64(l.Index))
	return append(b, `,"removed":false}`...)
}
