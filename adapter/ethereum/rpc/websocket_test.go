package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/budget"
)

// testSocket is a client's end of a connection.
type testSocket struct {
	t  testing.TB
	ws *websocket.Conn
}

// dial connects; query is that of the URL, with its question mark.
func (n *testNode) dial(query ...string) *testSocket {
	n.t.Helper()
	return n.dialTo(n.serve, query...)
}

// dialAs connects as a caller.
func (n *testNode) dialAs(caller coco.Caller) *testSocket {
	n.t.Helper()
	return n.dialTo(func(w http.ResponseWriter, r *http.Request) { n.rpc.serve(caller, w, r) })
}

func (n *testNode) dialTo(serve http.HandlerFunc, query ...string) *testSocket {
	n.t.Helper()
	srv := httptest.NewServer(serve)
	n.t.Cleanup(srv.Close)
	ws, _, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(srv.URL, "http")+"/rpc"+strings.Join(query, ""), nil)
	must(n.t, err)
	ws.SetReadLimit(-1)
	n.t.Cleanup(func() { _ = ws.CloseNow() })
	return &testSocket{n.t, ws}
}

func (s *testSocket) write(body string) {
	s.t.Helper()
	must(s.t, s.ws.Write(context.Background(), websocket.MessageText, []byte(body)))
}

func (s *testSocket) read() string {
	s.t.Helper()
	_, b, err := s.ws.Read(context.Background())
	must(s.t, err)
	return string(b)
}

// event is a notification.
type event[T any] struct {
	Method string
	Params struct {
		Subscription string
		Result       T
	}
}

func readEvent[T any](s *testSocket) (e event[T]) {
	s.t.Helper()
	b := s.read()
	must(s.t, json.Unmarshal([]byte(b), &e))
	if e.Method != "eth_subscription" {
		s.t.Fatalf("expected a notification, found %s", b)
	}
	return e
}

func (s *testSocket) call(result any, method string, params ...any) {
	s.t.Helper()
	s.write(call(method, params...))
	b := s.read()
	var r reply
	must(s.t, json.Unmarshal([]byte(b), &r))
	if r.Error != nil || json.Unmarshal(r.Result, result) != nil {
		s.t.Fatalf("%s: %s", method, b)
	}
}

func TestSubscriptions(t *testing.T) {
	n := newTestNode(t, nil)
	contract := n.deploy(emitter)
	s := n.dial()
	var heads, logs, none string
	s.call(&heads, "eth_subscribe", "newHeads")
	n.send(n.raw(&contract, 100_000, []byte("a")))
	head := readEvent[types.Header](s)
	if head.Params.Subscription != heads || head.Params.Result.Hash() != n.Head().Hash {
		t.Fatalf("head %v, expected %v", head.Params.Result.Hash(), n.Head().Hash)
	}
	var ok bool
	s.call(&ok, "eth_unsubscribe", heads)
	s.call(&logs, "eth_subscribe", "logs", map[string]any{"address": contract, "topics": []any{common.Hash{31: 42}}})
	s.call(&none, "eth_subscribe", "logs", map[string]any{"topics": []any{common.Hash{31: 43}}})
	hash := n.send(n.raw(&contract, 100_000, []byte("b")))
	found := readEvent[types.Log](s)
	if found.Params.Subscription != logs || found.Params.Result.TxHash != hash || string(found.Params.Result.Data) != "b" {
		t.Fatalf("log %+v", found)
	}
	for body, says := range map[string]string{
		call("eth_unsubscribe", heads):                             "subscription not found",
		call("eth_subscribe", "uncles"):                            `no \"uncles\" subscription in eth namespace`,
		call("eth_subscribe"):                                      "missing value for required argument 0",
		call("eth_subscribe", "newHeads", 1):                       "too many arguments, want at most 1",
		call("eth_subscribe", "logs", map[string]any{"topics": 1}): "invalid argument 1",
		call("net_subscribe", "x"):                                 "notifications not supported",
		`{"jsonrpc":`:                                              "parse error",
	} {
		s.write(body)
		if got := s.read(); !strings.Contains(got, says) {
			t.Errorf("%s: %s, expected %s", body, got, says)
		}
	}
}

func TestBatchesAndCallsOverWebSocket(t *testing.T) {
	n := newTestNode(t, nil)
	to := common.Address{7}
	s := n.dial()
	s.write("[" + call("eth_sendRawTransaction", n.raw(&to, 21000, nil)) + "," + call("eth_sendRawTransaction", n.raw(&to, 21000, nil)) + "," + call("eth_subscribe", "newHeads") + "]")
	var replies []reply
	must(t, json.Unmarshal([]byte(s.read()), &replies))
	var id string
	if len(replies) != 3 || json.Unmarshal(replies[2].Result, &id) != nil || fmt.Sprint(n.batches) != "[2]" {
		t.Fatalf("replies %v, submitted %v", replies, n.batches)
	}
	n.send(n.raw(&to, 21000, nil))
	if e := readEvent[types.Header](s); e.Params.Subscription != id {
		t.Fatalf("notification %+v, expected of %s", e, id)
	}
	var number string
	s.call(&number, "eth_blockNumber")
	equal(t, "block", number, "0x2")
}

// TestAWaitingTransactionHoldsNothingUp: other calls of the connection are answered meanwhile.
func TestAWaitingTransactionHoldsNothingUp(t *testing.T) {
	n := newTestNode(t, nil)
	to, release := common.Address{7}, make(chan struct{})
	submit := n.env.Submit
	n.env.Submit = func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
		<-release
		return submit(ctx, calls...)
	}
	s := n.dial()
	s.write(call("eth_sendRawTransaction", n.raw(&to, 21000, nil)))
	var number string
	s.call(&number, "eth_blockNumber")
	equal(t, "block", number, "0x0")
	close(release)
	if got := s.read(); !strings.Contains(got, `"result":"0x`) {
		t.Errorf("transaction: %s", got)
	}
}

func TestTooManySubscriptions(t *testing.T) {
	n := newTestNode(t, map[string]any{"max_subscriptions": 1})
	s := n.dial()
	var id string
	s.call(&id, "eth_subscribe", "newHeads")
	s.write(call("eth_subscribe", "newHeads"))
	if got := s.read(); !strings.Contains(got, "-32005") {
		t.Errorf("second subscription: %s", got)
	}
}

// TestASlowReaderIsDropped: a subscriber that does not read loses the connection, not memory.
func TestASlowReaderIsDropped(t *testing.T) {
	n := newTestNode(t, nil)
	n.send(n.raw(&common.Address{0xee}, 21000, nil))
	s := n.dial()
	var id string
	s.call(&id, "eth_subscribe", "newHeads")
	n.flood()
	for {
		if _, _, err := s.ws.Read(context.Background()); err != nil {
			if got := websocket.CloseStatus(err); got != websocket.StatusPolicyViolation && got != -1 {
				t.Errorf("closed with %v", err)
			}
			return
		}
	}
}

func TestWhatWaitsForAllReadersTogetherIsBounded(t *testing.T) {
	n := newTestNode(t, nil)
	n.budget = budget.New(1 << 20)
	n.send(n.raw(&common.Address{0xee}, 21000, nil))
	s := n.dial()
	s.write(call("eth_chainId"))
	s.read()
	others := n.budget.Claim(coco.ActorID{9})
	others.Must(1 << 20)
	s.write(call("eth_chainId"))
	s.read() // a client with little waiting is served still
	var id string
	s.call(&id, "eth_subscribe", "newHeads")
	n.flood()
	for {
		if _, _, err := s.ws.Read(context.Background()); err != nil {
			break
		}
	}
	must(t, n.rpc.Close())
	n.Close()
	others.Release()
	equal(t, "bytes that are held after all connections ended", n.budget.Used(), 0)
}

// flood publishes heads until nobody listens any more: those of two blocks in turn.
func (n *testNode) flood() {
	last := n.store.Committed()
	for i := range uint64(1_000_000) {
		n.Committed(adapter.Commit{Last: last - i%2})
		if n.Subscribers() == 0 {
			break
		}
	}
	equal(n.t, "subscribers", n.Subscribers(), 0)
}

// TestClosingTheLedgerEndsConnections, with their goroutines and subscriptions.
func TestClosingTheLedgerEndsConnections(t *testing.T) {
	n := newTestNode(t, nil)
	s := n.dial()
	var id string
	s.call(&id, "eth_subscribe", "newHeads")
	done := make(chan error, 1)
	go func() { _, _, err := s.ws.Read(context.Background()); done <- err }()
	must(t, n.rpc.Close())
	if err := <-done; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("closed with %v", err)
	}
	equal(t, "subscribers", n.Subscribers(), 0)
	r := httptest.NewRequest(http.MethodGet, "/rpc", nil)
	r.Header.Set("Upgrade", "websocket")
	w := httptest.NewRecorder()
	n.rpc.serve(testCaller, w, r)
	equal(t, "status after the end", w.Code, http.StatusServiceUnavailable)
}

func TestLongMessagesEndTheConnection(t *testing.T) {
	n := newTestNode(t, map[string]any{"body_bytes": 1000})
	s := n.dial()
	s.write(call("web3_sha3", "0x"+strings.Repeat("00", 1000)))
	if _, _, err := s.ws.Read(context.Background()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("closed with %v", err)
	}
}

// TestCallsUnderWayAreAnsweredBeforeTheNodeSaysFarewell ends the request's context, as the gateway does when
// the node stops.
func TestCallsUnderWayAreAnsweredBeforeTheNodeSaysFarewell(t *testing.T) {
	n := newTestNode(t, nil)
	draining, stop := context.WithCancel(context.Background())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.rpc.serve(testCaller, w, r.WithContext(draining))
	}))
	t.Cleanup(srv.Close)
	ws, _, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(srv.URL, "http")+"/rpc", nil)
	must(t, err)
	s := &testSocket{t, ws}
	for range 20 {
		s.write(call("eth_chainId"))
	}
	first := s.read()
	stop()
	answered := 1
	for {
		_, b, err := ws.Read(context.Background())
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the connection ended with %v, expected the status %d", err, websocket.StatusGoingAway)
			}
			break
		}
		if len(b) != len(first) {
			t.Errorf("answer %s", b)
		}
		answered++
	}
	if answered > 20 {
		t.Errorf("%d answers to 20 calls", answered)
	}
}
