package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/internal/contain"
)

// A panic while a message of a WebSocket is served would end the process: nothing above the goroutine recovers.
func TestAPanicInAWebSocketEndsThatConnectionAlone(t *testing.T) {
	n := newTestNode(t, nil)
	other := n.dial()
	var number string
	other.call(&number, "eth_blockNumber")
	panicked := func(s *testSocket, total uint64) {
		t.Helper()
		for {
			if _, _, err := s.ws.Read(context.Background()); err != nil {
				break
			}
		}
		for n.rpc.panics.Total() < total {
			runtime.Gosched()
		}
		equal(t, "panics that are counted", n.rpc.panics.Total(), total)
	}
	// In a message.
	s, authorize := n.dial(), n.rpc.authorize
	n.rpc.authorize = func(coco.Caller, adapter.Read) error { panic("for the test") }
	s.write(call("eth_subscribe", "newHeads"))
	panicked(s, 1)
	n.rpc.authorize = authorize
	// In a notification.
	contract, ledger := n.deploy(emitter), n.rpc.ledger
	s = n.dial()
	var id string
	s.call(&id, "eth_subscribe", "logs", map[string]any{})
	raw := n.raw(&contract, 100_000, []byte{1})
	tx := new(types.Transaction)
	must(t, tx.UnmarshalBinary(common.FromHex(raw)))
	n.rpc.ledger = nil
	n.execute(n.testChain.call(tx))
	panicked(s, 2)
	n.rpc.ledger = ledger
	other.call(&number, "eth_blockNumber")
}

// Panics of methods end in three places: this package's own dispatcher, and go-ethereum's for one call and for a batch.
func TestPanicsOfMethodsAreCountedAndSayWhere(t *testing.T) {
	n := newTestNode(t, nil)
	var log bytes.Buffer
	n.rpc.panics = contain.New(slog.New(slog.NewTextHandler(&log, nil)))
	to := common.Address{7}
	var calls []string
	for range 20 {
		calls = append(calls, call("eth_sendRawTransaction", n.raw(&to, 21000, nil)))
	}
	n.rpc.submit = func(context.Context, coco.Caller, bool, ...[]byte) []chain.SendResult { panic("for the test") }
	for i, body := range []string{calls[0], strings.Replace(calls[1], "id", `i\u0064`, 1), "[" + strings.Join(calls, ",") + "]"} {
		w := n.post(body)
		if !strings.Contains(w.Body.String(), "method handler crashed") || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%.200s", w.Body)
		}
		if got := n.rpc.panics.Total(); got != uint64(i+1) {
			t.Errorf("%d panics are counted after %d", got, i+1)
		}
		if text := log.String(); !strings.Contains(text, "request_panicked") || !strings.Contains(text, "rpc.TestPanicsOfMethodsAreCountedAndSayWhere.func1:") || strings.Contains(text, "for the test") {
			t.Errorf("panic %d: the log does not say where it happened, or what it held: %s", i+1, text)
		}
		log.Reset()
	}
}
