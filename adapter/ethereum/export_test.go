package ethereum

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// A block of two transactions, the first of which makes a contract and logs: its rows, as the chain writes them.
func blockOfTwo(t *testing.T) (txs []store.Write, block store.Write, sender common.Address) {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	sender = crypto.PubkeyToAddress(key.PublicKey)
	signer := types.LatestSignerForChainID(big.NewInt(7))
	var all types.Transactions
	var receipts types.Receipts
	cumulative := uint64(0)
	to := common.Address{9}
	for i, data := range []types.TxData{
		&types.DynamicFeeTx{ChainID: big.NewInt(7), Nonce: 4, Gas: 100_000, GasFeeCap: big.NewInt(30), GasTipCap: big.NewInt(2), Data: []byte{1}},
		&types.LegacyTx{Nonce: 5, Gas: 21_000, GasPrice: big.NewInt(20), To: &to},
	} {
		tx := types.MustSignNewTx(key, signer, data)
		logs := []*types.Log{}
		if i == 0 {
			logs = append(logs, &types.Log{Address: common.Address{8}, Topics: []common.Hash{{1}}, Data: []byte("log")})
		}
		encodedLogs, err := rlp.EncodeToBytes(logs)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		cumulative += 21_000
		r := rows.Tx{Sender: sender, View: 2, Seqno: uint64(10 + i), Block: 3, Index: uint64(i), FirstLog: uint64(i), GasUsed: 21_000, Cumulative: cumulative, Status: 1, Logs: encodedLogs, Raw: raw}
		hash := tx.Hash()
		txs = append(txs, store.Write{Table: rows.Txs, Key: hash[:], Value: r.Encode()})
		receipt := &types.Receipt{Type: tx.Type(), Status: 1, CumulativeGasUsed: cumulative, Logs: logs}
		receipt.Bloom = types.CreateBloom(receipt)
		all, receipts = append(all, tx), append(receipts, receipt)
	}
	h := &types.Header{
		Extra:  append([]byte("\x00\x00\x00\x00\x00\x00\x00\x02"), "24 random bytes: the salt"[:24]...),
		Number: big.NewInt(3), Difficulty: new(big.Int), BaseFee: big.NewInt(10), Time: 99,
		TxHash: types.DeriveSha(all, trie.NewStackTrie(nil)), ReceiptHash: types.DeriveSha(receipts, trie.NewStackTrie(nil)),
	}
	header, err := rlp.EncodeToBytes(h)
	if err != nil {
		t.Fatal(err)
	}
	row := rows.Block{Hash: h.Hash(), View: 2, First: 10, Header: header}
	for _, tx := range all {
		hash := tx.Hash()
		row.Txs = append(row.Txs, hash[:]...)
	}
	return txs, store.Write{Table: rows.Blocks, Key: rows.BlockKey(3), Value: row.Encode()}, sender
}

func TestABlockIsExportedWithItsReceipts(t *testing.T) {
	txs, block, sender := blockOfTwo(t)
	say := ethereum{}.Export()
	if things, err := say(txs[:1]); err != nil || len(things) > 0 {
		t.Fatalf("before its last transaction: %v, %v", things, err)
	}
	things, err := say([]store.Write{block, txs[1], {Table: rows.Accounts, Key: sender[:]}})
	if err != nil || len(things) != 1 || things[0].Kind != "ethereum.block" {
		t.Fatalf("%v, %v", things, err)
	}
	var got struct {
		Number       uint64
		Hash         common.Hash
		Senders      []common.Address
		Header       types.Header
		Transactions []types.Transaction
		Receipts     []types.Receipt
	}
	if err := json.Unmarshal(things[0].Value, &got); err != nil {
		t.Fatal(err)
	}
	if got.Number != 3 || len(got.Transactions) != 2 || len(got.Receipts) != 2 || got.Senders[1] != sender {
		t.Fatalf("%+v", got)
	}
	if got.Header.Hash() != got.Hash || len(got.Header.Extra) != 32 { // the salt comes with it
		t.Errorf("header %+v of hash %v, expected %v", got.Header, got.Header.Hash(), got.Hash)
	}
	first, second := got.Receipts[0], got.Receipts[1]
	if first.ContractAddress != crypto.CreateAddress(sender, 4) || first.EffectiveGasPrice.Uint64() != 12 || second.EffectiveGasPrice.Uint64() != 20 {
		t.Errorf("contract %v, prices %v and %v; expected %v, 12 and 20", first.ContractAddress, first.EffectiveGasPrice, second.EffectiveGasPrice, crypto.CreateAddress(sender, 4))
	}
	if l := first.Logs[0]; l.BlockHash != got.Hash || l.TxHash != got.Transactions[0].Hash() || l.Index != 0 || string(l.Data) != "log" {
		t.Errorf("log %+v", l)
	}
}

func TestABlockWhoseRowsDoNotFitIsNotExported(t *testing.T) {
	txs, block, _ := blockOfTwo(t)
	r, err := rows.DecodeTx(txs[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	r.Status = 0
	failed := store.Write{Table: rows.Txs, Key: txs[0].Key, Value: r.Encode()}
	for name, c := range map[string]struct {
		writes []store.Write
		want   string
	}{
		"a transaction is missing": {[]store.Write{txs[0], block}, "was not written before it"},
		"another outcome":          {[]store.Write{failed, txs[1], block}, "receipts of block 3"},
		"a row of no block":        {[]store.Write{txs[0], txs[1], {Table: rows.Blocks, Value: []byte{1}}}, "block row"},
		"a row of no transaction":  {[]store.Write{{Table: rows.Txs, Value: []byte{1}}}, "transaction row"},
	} {
		if _, err := (ethereum{}).Export()(c.writes); !errors.Is(err, coco.ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected coco.ErrCorrupt with %q", name, err, c.want)
		}
	}
}
