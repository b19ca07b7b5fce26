package rpc

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/store"
)

// vote puts another value of a limit in force, as the core does after a vote.
func (n *testNode) vote(name, value string) {
	n.t.Helper()
	must(n.t, n.Configure(with(n.t.(*testing.T), n.env.Settings, "rpc."+name, value)))
}

// Limits are those in force when a request comes, and on connections that were there before.
func TestLimitsOfJSONRPCFollowAVote(t *testing.T) {
	n := newTestNode(t, nil)
	to := common.Address{0xaa}
	s := n.dial()
	var first, second string
	s.call(&first, "eth_subscribe", "newHeads")
	n.vote("max_subscriptions", "1")
	s.write(call("eth_subscribe", "newHeads"))
	if got := s.read(); !strings.Contains(got, "more than 1 subscriptions") {
		t.Errorf("a second subscription: %s", got)
	}
	n.vote("max_subscriptions", "2")
	s.call(&second, "eth_subscribe", "newHeads")

	// The connection waits for a message already when what a message may have is raised, and when it is lowered.
	long := call("web3_sha3", "0x"+strings.Repeat("00", 3000))
	n.vote("body_bytes", "2048")
	other := n.dial()
	other.call(&first, "web3_clientVersion")
	n.vote("body_bytes", "1000000")
	other.call(&first, "web3_sha3", "0x"+strings.Repeat("00", 3000))
	n.vote("body_bytes", "2048")
	other.write(long)
	if _, _, err := other.ws.Read(context.Background()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("closed with %v", err)
	}

	// One call of a connection at a time: the second waits for the first, which takes a while.
	n.vote("connection_calls", "1")
	narrow, submit := n.dial(), n.env.Submit
	n.env.Submit = func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
		time.Sleep(100 * time.Millisecond)
		return submit(ctx, calls...)
	}
	narrow.write(call("eth_sendRawTransaction", n.raw(&to, 21_000, nil)))
	narrow.write(call("eth_chainId"))
	if got := narrow.read(); strings.Contains(got, hexutil.EncodeUint64(testChainID)) {
		t.Errorf("the second call is answered before the first: %s", got)
	}
	narrow.read()
	n.env.Submit = submit

	for range store.Retain + 20 {
		n.send(n.raw(&to, 21_000, nil))
	}
	var reply struct{ Result, Error json.RawMessage }
	logs := call("eth_getLogs", map[string]any{"fromBlock": "0x0"})
	must(t, json.Unmarshal(n.post(logs).Body.Bytes(), &reply))
	if reply.Error != nil {
		t.Errorf("logs of all blocks: %s", reply.Error)
	}
	n.vote("archive_blocks", "5")
	must(t, json.Unmarshal(n.post(logs).Body.Bytes(), &reply))
	if !strings.Contains(string(reply.Error), "0x0, 0x") {
		t.Errorf("logs of all blocks, of which 5 may have left memory: %s %s", reply.Result, reply.Error)
	}
}
