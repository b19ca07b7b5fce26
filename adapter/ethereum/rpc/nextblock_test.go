package rpc

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// later lets time pass, on the node's clock and in the ledger's next batch.
func (n *testNode) later(seconds uint64) {
	n.now += 1000 * seconds
	n.clock.now.Store(int64(n.now))
}

const (
	// Reverts before the time that its input says, and stores the time from then on.
	timeLock = "5f354210600b57425f55005b5f5ffd"
	// Stores one slot more in the first call of a block than in the others, as OpenZeppelin's checkpoints do.
	checkpoint = "5f544314600f57435f5560014355005b00"
)

// An estimate is about a transaction to be sent: it meets the next block, and the time that it is now.
func TestAnEstimateMeetsTheBlockThatTheTransactionWillBeIn(t *testing.T) {
	n := newTestNode(t, nil)
	n.later(0)
	lock := n.deploy(creation(timeLock))
	opens := common.BigToHash(new(big.Int).SetUint64(n.Head().Header.Time + 5))
	call := map[string]any{"from": n.address(0), "to": lock, "input": opens}
	if r := n.call("eth_estimateGas", call); r.Error == nil || r.Error.Code != group.CodeReverted {
		t.Fatalf("the lock is closed: %+v", r)
	}
	n.later(7) // without a block
	for _, at := range []any{nil, "latest", "pending"} {
		var gas hexutil.Uint64
		args := []any{call}
		if at != nil {
			args = append(args, at)
		}
		n.ask(&gas, "eth_estimateGas", args...)
		if gas < 40_000 {
			t.Errorf("at %v: gas %d", at, gas)
		}
	}
	var out hexutil.Bytes
	n.ask(&out, "eth_call", call, "pending")
	head := hexutil.EncodeUint64(n.Head().Number())
	for _, at := range []string{"latest", "safe", "finalized", head} {
		if r := n.call("eth_call", call, at); r.Error == nil || r.Error.Code != group.CodeReverted {
			t.Errorf("eth_call at %s is in the newest block, which is before the lock opens: %+v", at, r)
		}
	}
	if r := n.call("eth_estimateGas", call, head); r.Error == nil || r.Error.Code != group.CodeReverted {
		t.Errorf("an estimate at a block's number is in that block: %+v", r)
	}

	points := n.deploy(creation(checkpoint))
	for range 4 {
		var gas hexutil.Uint64
		n.ask(&gas, "eth_estimateGas", map[string]any{"from": n.address(0), "to": points})
		hash := n.send(n.raw(&points, uint64(gas), nil))
		var receipt struct{ Status hexutil.Uint64 }
		n.ask(&receipt, "eth_getTransactionReceipt", hash)
		equal(t, "status of checkpoint", receipt.Status, 1)
	}
}

// What eth_call at pending sees of its block is what a transaction sees that is sent then.
func TestACallAtPendingSeesTheNextBlock(t *testing.T) {
	n := newTestNode(t, nil)
	n.later(0)
	// keeps NUMBER, TIMESTAMP, BLOCKHASH(NUMBER - 1) and what the contract of EIP-2935 says of that block in slots
	// 0 to 3, and returns them
	history := params.HistoryStorageAddress.Hex()[2:]
	body := "435f52" + "42602052" + "60014303406040" + "52" + // memory 0, 32, 64
		"600143035f5260205f60205f73" + history + "5afa50" // overwrites memory 0: staticcall(history, NUMBER - 1) -> 0
	body += "5f51606052" + "435f52" + "60805ff3"
	contract := n.deploy(creation(body))
	n.later(30)
	type seen struct{ number, time, hash, history common.Hash }
	call := func(at string, plain bool) seen {
		t.Helper()
		var out hexutil.Bytes
		args := map[string]any{"to": contract}
		if !plain {
			args["nonce"] = "0x0" // not in the direct way
		}
		n.ask(&out, "eth_call", args, at)
		equal(t, "length", len(out), 128)
		return seen{common.Hash(out[:32]), common.Hash(out[32:64]), common.Hash(out[64:96]), common.Hash(out[96:])}
	}
	head := n.Head()
	want := seen{common.BigToHash(new(big.Int).SetUint64(head.Number() + 1)), common.BigToHash(new(big.Int).SetUint64(n.now / 1000)), head.Hash, head.Hash}
	for _, plain := range []bool{true, false} {
		equal(t, "at pending", call("pending", plain), want)
		got := call("latest", plain)
		equal(t, "number at latest", got.number, common.BigToHash(head.Header.Number))
		equal(t, "time at latest", got.time, common.BigToHash(new(big.Int).SetUint64(head.Header.Time)))
		equal(t, "hash at latest", got.hash, head.Header.ParentHash)
	}
}
