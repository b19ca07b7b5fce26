package rpc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

func TestOtterscanFindsItsWay(t *testing.T) {
	n := newTestNode(t, nil)
	contract, refuser := n.deploy(keeper), n.deploy(reverter)
	receiver := common.Address{0xee}
	payer := n.deploy(creation("6000600060006000600173" + receiver.Hex()[2:] + "5af100")) // sends 1 wei on
	created := n.Head().Number()
	pay := n.sign(1, 0, &payer, 100_000, 1, nil)
	enc, err := pay.MarshalBinary()
	must(t, err)
	paid := n.send(hexutil.Encode(enc))
	failed := n.send(n.raw(&refuser, 100_000, nil))
	n.send(n.raw(&contract, 100_000, make([]byte, 32)))
	newest := n.Head().Number()

	check := func() {
		var level int
		n.ask(&level, "ots_getApiLevel")
		equal(t, "level", level, 8)
		var has bool
		n.ask(&has, "ots_hasCode", payer, "latest")
		equal(t, "code", has, true)
		n.ask(&has, "ots_hasCode", payer, hexutil.Uint64(created-1))
		equal(t, "code before", has, false)

		var data hexutil.Bytes
		n.ask(&data, "ots_getTransactionError", failed)
		if !strings.HasPrefix(data.String(), "0x08c379a0") {
			t.Errorf("error %v", data)
		}
		n.ask(&data, "ots_getTransactionError", paid)
		equal(t, "no error", data.String(), "0x")

		var ops []struct {
			Type     int
			From, To common.Address
			Value    hexutil.Uint64
		}
		n.ask(&ops, "ots_getInternalOperations", paid)
		equal(t, "operations", fmt.Sprint(ops), fmt.Sprint([]any{struct {
			Type     int
			From, To common.Address
			Value    hexutil.Uint64
		}{0, payer, receiver, 1}}))
		var calls []struct {
			Type  string
			Depth int
			To    common.Address
		}
		n.ask(&calls, "ots_traceTransaction", paid)
		equal(t, "calls", len(calls), 2)
		equal(t, "inner call", calls[1].To, receiver)
		equal(t, "depth", calls[1].Depth, 1)

		var by struct{ Hash, Creator string }
		n.ask(&by, "ots_getContractCreator", payer)
		equal(t, "creator", common.HexToAddress(by.Creator), n.address(0))
		var hash common.Hash
		n.ask(&hash, "ots_getTransactionBySenderAndNonce", n.address(1), 0)
		equal(t, "transaction of the nonce", hash, paid)
		n.ask(&hash, "ots_getTransactionBySenderAndNonce", n.address(0), 2)
		equal(t, "transaction that created it", hash.Hex(), by.Hash)
		var none json.RawMessage
		n.ask(&none, "ots_getTransactionBySenderAndNonce", n.address(1), 1)
		equal(t, "a nonce to come", string(none), "null")
		n.ask(&none, "ots_getContractCreator", n.address(0))
		equal(t, "creator of no contract", string(none), "null")
		n.ask(&none, "ots_traceTransaction", common.Hash{1})
		equal(t, "calls of no transaction", string(none), "null")

		var details struct {
			Block struct {
				Hash             common.Hash
				TransactionCount int
			}
			TotalFees hexutil.Uint64
		}
		n.ask(&details, "ots_getBlockDetails", hexutil.Uint64(newest))
		equal(t, "transactions", details.Block.TransactionCount, 1)
		var same json.RawMessage
		n.ask(&same, "ots_getBlockDetailsByHash", n.blockHash(newest))
		if !strings.Contains(string(same), details.Block.Hash.Hex()) {
			t.Errorf("details by the hash: %s", same)
		}
		var block struct {
			FullBlock struct{ Transactions []struct{ Input string } }
			Receipts  []struct{ Logs any }
		}
		n.ask(&block, "ots_getBlockTransactions", hexutil.Uint64(newest), 0, 10)
		equal(t, "input", block.FullBlock.Transactions[0].Input, "0x00000000")
		equal(t, "receipts", len(block.Receipts), 1)

		type found struct {
			Txs                 []struct{ Hash common.Hash }
			Receipts            []struct{ Timestamp hexutil.Uint64 }
			FirstPage, LastPage bool
		}
		var p found
		n.ask(&p, "ots_searchTransactionsBefore", n.address(0), newest+1, 2)
		equal(t, "page", len(p.Txs), 2)
		equal(t, "newest of the page", p.Txs[1].Hash, failed)
		equal(t, "last page", p.LastPage, false)
		n.ask(&p, "ots_searchTransactionsAfter", n.address(0), 0, 2)
		equal(t, "oldest of the page", p.Txs[1].Hash.Hex(), n.txAt(1).Hex())
		equal(t, "the end", p.LastPage, true)
		p = found{}
		n.ask(&p, "ots_searchTransactionsBefore", payer, newest+1, 10) // its creation, and the payment
		equal(t, "of a contract", len(p.Txs), 2)
		equal(t, "the end", p.LastPage, true)
		var header struct{ Hash common.Hash }
		n.ask(&header, "erigon_getHeaderByNumber", hexutil.Uint64(newest))
		equal(t, "header", header.Hash, n.blockHash(newest))
	}
	check()
	n.forget()
	check()
	if r := n.call("ots_searchTransactionsBefore", n.address(0), 0, 1000); r.Error == nil || r.Error.Code != codeInvalidParams {
		t.Errorf("a long page: %+v", r.Error)
	}
}

// txAt is the first transaction of a block.
func (n *testNode) txAt(number uint64) common.Hash {
	var b struct{ Transactions []common.Hash }
	n.ask(&b, "eth_getBlockByNumber", hexutil.Uint64(number), false)
	return b.Transactions[0]
}
