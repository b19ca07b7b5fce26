package rpc

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// Calls that read see a state as new as the request asks for, and it is found out once for all calls of a request; what does not read is answered whatever
// the state is.
func TestCallsReadAStateAsNewAsTheRequestAsksFor(t *testing.T) {
	c := newTestChain(t, 1, nil)
	var asked []adapter.Reading
	answer := error(nil)
	age := adapter.Age{Of: 2500 * time.Millisecond}
	c.env.Fresh = func(_ context.Context, rd adapter.Reading) (adapter.Age, error) {
		asked = append(asked, rd)
		return age, answer
	}
	post := func(query, body string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/rpc"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		asked = nil
		c.rpc.serve(coco.Caller{}, w, r)
		return w
	}
	call := func(method, params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":[` + params + `]}`
	}
	number, balance := call("eth_blockNumber", ""), call("eth_getBalance", `"`+c.address(0).Hex()+`","latest"`)
	latest, newer := adapter.Reading{Latest: true, MaxAge: -1}, adapter.Reading{MaxAge: 5 * time.Second}
	for _, tc := range []struct {
		query  string
		header []string
		want   adapter.Reading
	}{
		{"", nil, adapter.Reading{MaxAge: -1}},
		{"?key=of-a-provider", nil, adapter.Reading{MaxAge: -1}},
		{"", []string{"X-Coco-Consistency", "linearizable"}, latest},
		{"?consistency=linearizable", nil, latest},
		{"?max_age=5", nil, newer},
		{"", []string{"X-Coco-Max-Age", "5"}, newer},
	} {
		for _, body := range []string{number, balance, "[" + number + "," + balance + "," + number + "]"} {
			w := post(tc.query, body, tc.header...)
			if w.Code != 200 || strings.Contains(w.Body.String(), "error") || w.Header().Get("X-Coco-Age") != "2.500" || len(asked) != 1 || asked[0] != tc.want {
				t.Errorf("%q %q %s: %d %s, age %q, asked for %+v", tc.query, tc.header, body, w.Code, w.Body, w.Header().Get("X-Coco-Age"), asked)
			}
		}
	}
	for _, q := range []string{"?consistency=strong", "?max_age=soon", "?max_age=1&max_age=2"} {
		if w := post(q, number); w.Code != 400 || len(asked) > 0 {
			t.Errorf("%s: %d %s", q, w.Code, w.Body)
		}
	}
	if w := post("?max_age=1", number, "X-Coco-Max-Age", "1"); w.Code != 400 {
		t.Errorf("asked for twice: %d %s", w.Code, w.Body)
	}

	age, answer = adapter.Age{Of: time.Minute, Stale: true}, &adapter.StaleError{Age: time.Minute, Most: time.Second}
	reads := []string{
		number, balance, call("eth_getTransactionCount", `"`+c.address(0).Hex()+`","pending"`), call("eth_getLogs", `{}`), call("eth_newBlockFilter", ""),
		call("eth_getBlockByNumber", `"latest",false`), call("eth_call", `{"to":"`+c.address(0).Hex()+`"},"latest"`), call("eth_estimateGas", `{"to":"`+c.address(0).Hex()+`"}`),
		call("eth_getStorageAt", `"`+c.address(0).Hex()+`","0x0","latest"`), call("eth_feeHistory", `"0x1","latest",[]`), call("eth_getBlockReceipts", `"latest"`),
		call("eth_getTransactionByHash", `"0x`+strings.Repeat("0", 64)+`"`), call("eth_getTransactionReceipt", `"0x`+strings.Repeat("0", 64)+`"`),
	}
	for _, body := range reads {
		if w := post("", body); !strings.Contains(w.Body.String(), `"code":-32002`) || !strings.Contains(w.Body.String(), "this node's state may be 1m0s old") || w.Header().Get("X-Coco-Stale") != "true" {
			t.Errorf("a state that is too old: %s is answered by %s", body, w.Body)
		}
	}
	for _, body := range []string{call("eth_chainId", ""), call("net_version", ""), call("eth_gasPrice", ""), call("eth_syncing", "")} {
		if w := post("", body); strings.Contains(w.Body.String(), "error") {
			t.Errorf("%s reads no state and is answered by %s", body, w.Body)
		}
	}
	raw, err := c.transfer(0, 0, 1).MarshalBinary()
	must(t, err)
	if w := post("", call("eth_sendRawTransaction", `"0x`+hex.EncodeToString(raw)+`"`)); strings.Contains(w.Body.String(), "error") {
		t.Errorf("a transaction is refused, because reads are: %s", w.Body)
	}
}

// News carry no age. A subscriber asks for it besides, on the same connection, which stays.
func TestASubscriberLearnsOnItsConnectionThatTheStateIsOld(t *testing.T) {
	n := newTestNode(t, nil)
	var age atomic.Int64
	n.env.Fresh = func(_ context.Context, rd adapter.Reading) (adapter.Age, error) {
		of := time.Duration(age.Load())
		if of > rd.MaxAge && rd.MaxAge >= 0 {
			return adapter.Age{Of: of}, &adapter.StaleError{Age: of, Most: rd.MaxAge}
		}
		return adapter.Age{Of: of}, nil
	}
	s := n.dial("?max_age=5")
	var heads, number string
	s.call(&heads, "eth_subscribe", "newHeads")
	for _, of := range []time.Duration{0, 4 * time.Second, time.Minute, 0} {
		age.Store(int64(of))
		if of <= 5*time.Second {
			s.call(&number, "eth_blockNumber")
			continue
		}
		s.write(call("eth_blockNumber"))
		if got := s.read(); !strings.Contains(got, `"code":-32002`) || !strings.Contains(got, "this node's state may be 1m0s old") {
			t.Errorf("a state of %v: %s", of, got)
		}
	}
	n.send(n.raw(&common.Address{7}, 21000, nil))
	if e := readEvent[types.Header](s); e.Params.Subscription != heads {
		t.Errorf("the news are of %q", e.Params.Subscription)
	}
}

func TestANodeWhoseStateIsStaleSaysThatItSyncs(t *testing.T) {
	c := newTestChain(t, 1, nil)
	for stale, want := range map[bool]string{false: `"result":false`, true: `"result":{"currentBlock":"0x0","highestBlock":"0x0","startingBlock":"0x0"}`} {
		c.env.Status = func() adapter.Status { return adapter.Status{Role: "follower", Committed: 7, Known: 7, Stale: stale} }
		r := httptest.NewRequest(http.MethodPost, "/rpc", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"eth_syncing","params":[]}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		c.rpc.serve(coco.Caller{}, w, r)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("stale %v: %s", stale, w.Body)
		}
	}
}
