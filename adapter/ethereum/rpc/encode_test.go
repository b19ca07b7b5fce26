package rpc

import (
	"encoding/json"
	"math/big"
	"reflect"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/internal/budget"
)

// decoded makes JSON comparable: key order does not matter.
func decoded(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return m
}

func marshalled(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return decoded(t, b)
}

func fullHeader() *types.Header {
	used, excess, hash := uint64(3), uint64(0), common.Hash{5}
	return &types.Header{
		ParentHash: common.Hash{1}, UncleHash: types.EmptyUncleHash, Coinbase: common.Address{2}, Root: common.Hash{3},
		TxHash: common.Hash{4}, ReceiptHash: common.Hash{5}, Bloom: types.Bloom{6}, Difficulty: new(big.Int), Number: big.NewInt(16),
		GasLimit: 30e6, GasUsed: 21000, Time: 1700000000, Extra: []byte("coco"), MixDigest: common.Hash{7}, Nonce: types.BlockNonce{8},
		BaseFee: new(big.Int), WithdrawalsHash: &types.EmptyWithdrawalsHash, BlobGasUsed: &used, ExcessBlobGas: &excess,
		ParentBeaconRoot: &hash, RequestsHash: &types.EmptyRequestsHash,
	}
}

// TestHeaderIsEncodedAsGoEthereumDoes compares with the encoding of the type itself, which
// subscribers of go-ethereum receive.
func TestHeaderIsEncodedAsGoEthereumDoes(t *testing.T) {
	old := fullHeader()
	old.BaseFee, old.WithdrawalsHash, old.BlobGasUsed, old.ExcessBlobGas, old.ParentBeaconRoot, old.RequestsHash = nil, nil, nil, nil, nil, nil
	for _, h := range []*types.Header{fullHeader(), old} {
		want := marshalled(t, h)
		for k, v := range want {
			if v == nil { // a field of a later fork
				delete(want, k)
			}
		}
		got := decoded(t, encode.AppendHead(nil, &blocks.Block{Header: h, Hash: h.Hash()}))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("header = %v\nexpected %v", got, want)
		}
	}
}

func TestLogIsEncodedAsGoEthereumDoes(t *testing.T) {
	for _, l := range []*types.Log{
		{Address: common.Address{1}, Topics: []common.Hash{{2}, {3}}, Data: []byte{4}, BlockNumber: 5, TxHash: common.Hash{6}, TxIndex: 7, BlockHash: common.Hash{8}, BlockTimestamp: 9, Index: 10},
		{Topics: []common.Hash{}},
	} {
		if got, want := decoded(t, encode.AppendLog(nil, l)), marshalled(t, l); !reflect.DeepEqual(got, want) {
			t.Errorf("log = %v\nexpected %v", got, want)
		}
	}
}

// TestTransactionIsEncodedAsGoEthereumDoes compares with the encoding of the type itself, for
// every kind of transaction; a client that decodes our reply gets the same transaction back.
func TestTransactionIsEncodedAsGoEthereumDoes(t *testing.T) {
	to, list := common.Address{9}, types.AccessList{{Address: common.Address{1}, StorageKeys: []common.Hash{{2}}}, {Address: common.Address{3}, StorageKeys: []common.Hash{}}}
	one, two := uint256.NewInt(1), uint256.NewInt(2)
	for _, data := range []types.TxData{
		&types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(7), Gas: 21000, To: &to, Value: big.NewInt(3), V: big.NewInt(37), R: big.NewInt(5), S: big.NewInt(6)},
		&types.LegacyTx{Nonce: 1, GasPrice: new(big.Int), Gas: 53000, Value: new(big.Int), Data: []byte{1, 2}, V: big.NewInt(27), R: big.NewInt(5), S: big.NewInt(6)},
		&types.AccessListTx{ChainID: big.NewInt(1), GasPrice: big.NewInt(7), Gas: 21000, To: &to, Value: big.NewInt(3), AccessList: list, V: new(big.Int), R: big.NewInt(5), S: big.NewInt(6)},
		&types.DynamicFeeTx{ChainID: big.NewInt(1), GasTipCap: big.NewInt(2), GasFeeCap: big.NewInt(9), Gas: 21000, To: &to, Value: big.NewInt(3), V: big.NewInt(1), R: big.NewInt(5), S: big.NewInt(6)},
		&types.BlobTx{ChainID: one, GasTipCap: one, GasFeeCap: two, Gas: 21000, To: to, Value: one, BlobFeeCap: two, BlobHashes: []common.Hash{{1}}, V: new(uint256.Int), R: one, S: two},
		&types.SetCodeTx{ChainID: one, GasTipCap: one, GasFeeCap: two, Gas: 21000, To: to, Value: one, AccessList: list, AuthList: []types.SetCodeAuthorization{{ChainID: *one, Address: to, Nonce: 4, V: 1, R: *one, S: *two}}, V: one, R: one, S: two},
	} {
		tx := types.NewTx(data)
		b := &blocks.Block{Header: fullHeader(), Hash: common.Hash{1}}
		got := decoded(t, encode.AppendTransaction(nil, &blocks.Transaction{Tx: tx, Hash: tx.Hash(), From: common.Address{4}, BlockNumber: 16, Index: 2}, b))
		want := marshalled(t, tx)
		for k, v := range map[string]any{
			"blockHash": b.Hash.Hex(), "blockNumber": "0x10", "blockTimestamp": "0x6553f100", "transactionIndex": "0x2",
			"from": "0x0400000000000000000000000000000000000000",
		} {
			want[k] = v
		}
		switch tx.Type() { // the type itself does not know what was paid
		case types.DynamicFeeTxType:
			want["gasPrice"] = "0x2"
		case types.BlobTxType, types.SetCodeTxType:
			want["gasPrice"] = "0x1"
		}
		for k, v := range got {
			if !reflect.DeepEqual(v, want[k]) {
				t.Errorf("type %d: %s = %v, expected %v", tx.Type(), k, v, want[k])
			}
		}
		for k, v := range want {
			if _, ok := got[k]; !ok && v != nil {
				t.Errorf("type %d: %s is missing, expected %v", tx.Type(), k, v)
			}
		}
	}
}

func TestReceiptIsEncodedAsGoEthereumDoes(t *testing.T) {
	tx := types.NewTx(&types.DynamicFeeTx{GasFeeCap: big.NewInt(3), GasTipCap: big.NewInt(1)})
	r := &types.Receipt{
		Type: types.DynamicFeeTxType, Status: 1, CumulativeGasUsed: 50000, Bloom: types.Bloom{1}, TxHash: tx.Hash(), ContractAddress: common.Address{3},
		GasUsed: 25000, EffectiveGasPrice: big.NewInt(1), BlockHash: common.Hash{4}, BlockNumber: big.NewInt(5), TransactionIndex: 6,
		Logs: []*types.Log{{Address: common.Address{1}, Topics: []common.Hash{{2}}}},
	}
	block := &blocks.Block{Hash: r.BlockHash, Header: &types.Header{Number: r.BlockNumber, Time: 9}}
	out := budget.NewBuffer(nil, 0)
	must(t, encode.WriteReceipt(out, &blocks.Transaction{
		Tx: tx, Hash: tx.Hash(), From: common.Address{7}, BlockNumber: 5, Index: 6, Receipt: r, Logs: rows.EncodeLogs(r.Logs), FirstLog: 3,
	}, block))
	got := decoded(t, out.Bytes())
	l := r.Logs[0]
	l.BlockHash, l.BlockNumber, l.BlockTimestamp, l.TxHash, l.TxIndex, l.Index = r.BlockHash, 5, 9, tx.Hash(), 6, 3
	want := marshalled(t, r)
	delete(want, "root") // of before Byzantium
	want["from"], want["to"] = "0x0700000000000000000000000000000000000000", nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("receipt = %v\nexpected %v", got, want)
	}
}
