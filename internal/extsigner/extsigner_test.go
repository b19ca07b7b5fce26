package extsigner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cocoframework/coco"
)

// node answers JSON-RPC as far as a signer asks it, and counts nonces.
type node struct {
	mu     sync.Mutex
	nonce  int
	calls  []string // methods, in order
	bodies []string // of requests that were passed on
}

func (n *node) RoundTrip(req *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var call request
	if err := json.Unmarshal(text, &call); err != nil {
		n.bodies = append(n.bodies, string(text))
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("passed on"))}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, call.Method)
	result := `"of the node"`
	switch call.Method {
	case "eth_fillTransaction":
		result = fmt.Sprintf(`{"raw":"0x","tx":{"type":"0x2","from":"0xaa","to":"0xbb","gas":"0x5208","gasPrice":"0x7","maxFeePerGas":"0x7","maxPriorityFeePerGas":"0x1","value":"0x0","nonce":"0x%x","input":"0x","chainId":"0x1","accessList":[],"hash":"0x","v":"0x0"}}`, n.nonce)
	case "eth_sendRawTransaction":
		n.nonce++
		result = string(call.Params[0])
	}
	header := http.Header{"X-Coco-Transaction-Id": {"2.17"}}
	return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(strings.NewReader(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`))}, nil
}

// outside is a signer with the account 0xAA. It signs a transaction by its nonce.
func outside(t *testing.T, answers map[string]string) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call request
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			t.Error(err)
		}
		answer, ok := answers[call.Method]
		switch {
		case ok:
		case call.Method == "eth_accounts":
			answer = `"result":["0xAA"]`
		case call.Method == "eth_signTransaction":
			var tx map[string]any
			_ = json.Unmarshal(call.Params[0], &tx)
			if tx["chainId"] != nil || tx["accessList"] != nil || tx["gasPrice"] != nil {
				t.Errorf("asked to sign %v", tx)
			}
			answer = fmt.Sprintf(`"result":"%v"`, tx["nonce"])
		default:
			answer = `"error":{"code":-32000,"message":"declined","data":"why"}`
		}
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,`+answer+`}`)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func send(t *testing.T, s *Signer, path, body string) (string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "https://node"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), resp.Header
}

func newSigner(t *testing.T, n *node, answers map[string]string) *Signer {
	s, err := New(Config{URL: outside(t, answers), API: Web3Signer, Upstream: n})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is asked of accounts is answered with what the signer says, and everything else is passed on as it came.
func TestCallsAboutAccountsGoToTheSigner(t *testing.T) {
	n := &node{}
	s := newSigner(t, n, nil)
	for _, c := range []struct{ path, body, want string }{
		{"/rpc", `{"jsonrpc":"2.0","id":"x","method":"eth_accounts"}`, `{"jsonrpc":"2.0","id":"x","result":["0xAA"]}`},
		{"/rpc", `{"jsonrpc":"2.0","id":2,"method":"eth_sendTransaction","params":[{"from":"0xaA"}]}`, `{"jsonrpc":"2.0","id":2,"result":"0x0"}`},
		{"/rpc", `{"jsonrpc":"2.0","id":3,"method":"eth_sign","params":["0xaa","0x00"]}`, `{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"declined","data":"why"}}`},
		{"/rpc", `{"jsonrpc":"2.0","id":4,"method":"eth_sign","params":["0xbb","0x00"]}`, `{"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"unknown account \"0xbb\": the external signer has 1 others"}}`},
		{"/rpc", `{"jsonrpc":"2.0","id":5,"method":"eth_sendTransaction","params":[{}]}`, `{"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"from: missing"}}`},
		// Of a batch each is answered in its place; a notification is not answered.
		{
			"/rpc", `[{"id":1,"method":"eth_blockNumber","params":[]},{"method":"eth_accounts"},{"id":2,"method":"eth_accounts"},{"id":3,"method":"eth_sendTransaction","params":[{"from":"0xaa"}]}]`,
			`[{"jsonrpc":"2.0","id":1,"result":"of the node"},{"jsonrpc":"2.0","id":2,"result":["0xAA"]},{"jsonrpc":"2.0","id":3,"result":"0x1"}]`,
		},
		{"/app/kv/x", `{"method":"eth_accounts"} not JSON`, "passed on"},
		{"/rpc", `{"method":"eth_accounts"} not JSON`, "passed on"},
	} {
		if got, _ := send(t, s, c.path, c.body); got != c.want {
			t.Errorf("%s: %s, want %s", c.body, got, c.want)
		}
	}
	if len(n.bodies) != 2 {
		t.Errorf("passed on: %q", n.bodies)
	}
	if _, header := send(t, s, "/rpc", `{"id":1,"method":"eth_sendTransaction","params":[{"from":"0xaa"}]}`); header.Get("X-Coco-Transaction-Id") != "2.17" {
		t.Errorf("headers %v", header)
	}
}

// Transactions of one account that come at once get nonces one after the other.
func TestTransactionsOfAnAccountFollowOneAnother(t *testing.T) {
	n := &node{}
	s := newSigner(t, n, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 20 {
		wg.Go(func() {
			text, _ := send(t, s, "/rpc", `{"id":1,"method":"eth_sendTransaction","params":[{"from":"0xaa"}]}`)
			mu.Lock()
			defer mu.Unlock()
			seen[text]++
		})
	}
	wg.Wait()
	if len(seen) != 20 {
		t.Errorf("%d different nonces of 20: %v", len(seen), seen)
	}
}

// A signer that answers what it must not makes nothing of a transaction.
func TestWhatIsNoSignatureIsNotSent(t *testing.T) {
	for _, answer := range []string{`"result":null`, `"result":{}`, `"result":"signed"`, `"result":7`, `"other":1`, `"error":{"code":-32000,"message":"no"}`} {
		n := &node{}
		text, _ := send(t, newSigner(t, n, map[string]string{"eth_signTransaction": answer}), "/rpc", `{"id":1,"method":"eth_sendTransaction","params":[{"from":"0xaa"}]}`)
		if !strings.Contains(text, `"error"`) || n.nonce != 0 {
			t.Errorf("%s: %s, sent %d", answer, text, n.nonce)
		}
	}
}

// A signer is reached on this machine, or by TLS.
func TestASignerIsReachedOnThisMachineOrByTLS(t *testing.T) {
	for url, ok := range map[string]bool{
		"http://127.0.0.1:9000": true, "http://localhost:1": true, "http://[::1]:1": true, "https://signer.example": true,
		"http://10.0.0.1:9000": false, "http://localhost.example": false, "unix:/tmp/x": false, "127.0.0.1:9000": false, "": false,
	} {
		if _, err := New(Config{URL: url, API: Clef}); ok != (err == nil) || err != nil && !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := New(Config{URL: "https://signer.example", API: "other"}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("an unknown API: %v", err)
	}
}
