package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

// memoryOf returns what a process has in memory, in MiB: a line of /proc/PID/status.
func memoryOf(t *testing.T, pid int, line string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib >> 10
		}
	}
	t.Fatalf("no %s in %s", line, text)
	return 0
}

// The bound of docs/operations.md, for what clients can claim of it: every route, those of governance too, is asked for its largest answer by
// many clients of three organisations at a time, which read a little and then wait. The node is a process of its own, and one of
// three; what is measured is the memory that its kernel gives it, at its highest. The garbage collector lets the heap grow by half of what lives.
func TestANodesMemoryStaysWithinItsBoundWhateverClientsAsk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and loads this machine for half a minute")
	}
	const (
		clients = 24 // of each route, in three organisations
		held    = 3 * time.Second
		bound   = 1200 // MiB: the budget for replies, what is built beside it, and requests; once and a half
	)
	t.Setenv("GOGC", "50")
	dir := filepath.Join(t.TempDir(), "net")
	if code, out := runCoco(t, filepath.Dir(dir), "up", "--dir", dir, "--members", "3", "--detach", "-o", "json"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	defer func() {
		if code, out := runCoco(t, filepath.Dir(dir), "down", "--dir", dir); code != 0 {
			t.Errorf("exit code %d: %s", code, out)
		}
	}()
	info, err := localnet.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	n, u := info.Nodes[0], newUser(t, info, 0, 0)
	big := fillWithLargeAnswers(t, u)
	governing := proposeMuch(t, dir)

	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err) // 5 begins the highest anew
	}
	before := memoryOf(t, n.Pid, "VmRSS")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var answers, refusals atomic.Int64
	members := [3]member{}
	for i, m := range info.Members {
		members[i] = memberOf(t, m)
	}
	ask := func(r request, to string, as func(member) *tls.Config) {
		for i := range clients {
			config := as(members[i%len(members)])
			wg.Go(func() {
				r := r
				r.url, r.tls = "https://"+to+strings.TrimPrefix(r.url, u.url), config
				status, first := askAndWait(ctx, r, held)
				switch {
				case status == http.StatusOK && !bytes.Contains(first, []byte(`"error"`)):
					answers.Add(1)
				case status == http.StatusServiceUnavailable, bytes.Contains(first, []byte(`"error"`)):
					refusals.Add(1)
				default:
					t.Errorf("%s %s: status %d, %.200s", r.method, r.url, status, first)
				}
			})
		}
	}
	for _, r := range big {
		ask(r, n.Client, func(m member) *tls.Config { return m.user })
	}
	for _, path := range governing {
		ask(request{method: http.MethodGet, url: path}, n.Admin, func(m member) *tls.Config { return m.officer })
	}
	for i := range 2 * clients {
		config := members[i%len(members)].user
		wg.Go(func() { subscribeAndWait(ctx, "wss://"+n.Client, config, held) })
	}
	wg.Wait()
	after := memoryOf(t, n.Pid, "VmHWM")
	t.Logf("%d MiB before, %d at most, while %d routes had %d clients each: %d answers, %d refusals", before, after, len(big)+len(governing)+1, clients, answers.Load(), refusals.Load())
	if after-before > bound {
		t.Errorf("the node grew by %d MiB, expected at most %d", after-before, bound)
	}
	if answers.Load() == 0 || refusals.Load() == 0 {
		t.Errorf("%d answers and %d refusals: expected both", answers.Load(), refusals.Load())
	}
	// What was held is given back, and all of it is answered again.
	for _, r := range big {
		status, first := askAndWait(ctx, r, 0)
		for status == http.StatusAccepted && ctx.Err() == nil { // the index gave way to the requests, and has to catch up
			status, first = askAndWait(ctx, r, time.Second)
		}
		if status != http.StatusOK || bytes.Contains(first, []byte(`busy`)) {
			t.Errorf("afterwards, %s %s %.80s: status %d, %.200s", r.method, r.url, r.body, status, first)
		}
	}
}

// request is what many clients ask at a time.
type request struct {
	method, url, body string
	tls               *tls.Config // nil for the loopback URL
}

// member is how a member's user and its officer connect.
type member struct{ user, officer *tls.Config }

func memberOf(t *testing.T, m localnet.Member) member {
	t.Helper()
	dir := identity.Dir(m.Dir)
	config := func(cert, key string) *tls.Config {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
	}
	return member{config(dir.User(), dir.UserKey()), config(dir.Gov(), dir.GovKey())}
}

// proposeMuch makes proposals as large as they may be, and returns the routes that show them.
func proposeMuch(t *testing.T, dir string) []string {
	t.Helper()
	alpha, err := (&officer.Access{Verifiers: verifiers(), Flags: network.Flags{Dir: dir}, As: "alpha"}).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		var page strings.Builder
		for i := range 190 {
			fmt.Fprintf(&page, "[[actions]]\nkind = \"add-code\"\nmeasurement = \"virtual:%064x\"\nnote = %q\n", 1000*n+i, strings.Repeat("n", 900))
		}
		actions, err := action.Parse([]byte(page.String()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := alpha.Propose(t.Context(), officer.Terms{Note: strings.Repeat("large ", 600), Expires: time.Hour}, actions); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"/gov/proposals?limit=10000", "/gov/proposals/1", "/gov/constitution", "/gov/constitution/history", "/gov/nodes", "/gov/watch?after=0&wait=0"}
}

// largestFilter is the largest filter that is accepted.
func largestFilter() map[string]any {
	addresses, topics := make([]common.Address, 1000), make([]common.Hash, 1000)
	return map[string]any{"address": addresses, "topics": [][]common.Hash{topics, topics, topics, topics}}
}

// fillWithLargeAnswers writes a ledger with large answers of every kind, and returns the requests for them.
func fillWithLargeAnswers(t *testing.T, u *user) (all []request) {
	t.Helper()
	ctx := t.Context()
	// Init code that logs 8 bytes again and again until little gas is left: 30,000 logs, of 500 bytes each in JSON.
	code := common.FromHex("5b60086000a05a6120001060005700")
	var hashes []common.Hash
	send := func(nonce uint64) {
		t.Helper()
		var hash common.Hash
		raw := u.sign(&types.LegacyTx{Nonce: nonce, GasPrice: new(big.Int), Gas: 1 << 24, Data: code})
		if err := u.ask(ctx, &hash, "eth_sendRawTransaction", raw); err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, hash)
	}
	for nonce := range uint64(4) {
		send(nonce)
	}
	var receipt struct {
		BlockNumber string
		Logs        []json.RawMessage
	}
	if err := u.ask(ctx, &receipt, "eth_getTransactionReceipt", hashes[0]); err != nil || len(receipt.Logs) < 10_000 {
		t.Fatalf("%d logs: %v", len(receipt.Logs), err)
	}
	put := func(key string, size int) (id string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.url+"/app/kv/"+key, bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode/100 != 2 {
			t.Fatalf("%v %v", resp, err)
		}
		resp.Body.Close()
		return resp.Header.Get(wire.HeaderTxID)
	}
	id := put("large", 1<<20)
	var last string
	for i := range 20 {
		last = put("history", 200_000)
		put(fmt.Sprint("many", i), 50_000)
	}
	call := func(method string, params ...any) request {
		body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
		if err != nil {
			t.Fatal(err)
		}
		return request{method: http.MethodPost, url: u.url + "/rpc", body: string(body)}
	}
	get := func(path string) request { return request{method: http.MethodGet, url: u.url + path} }
	receipts := call("eth_getTransactionReceipt", hashes[1])
	// A contract that returns 512 KiB of zeros.
	talk := map[string]any{"0x00000000000000000000000000000000000000aa": map[string]any{"code": "0x620800006000f3"}}
	return []request{
		call("eth_getBlockReceipts", receipt.BlockNumber), receipts,
		call("eth_getLogs", map[string]any{"fromBlock": receipt.BlockNumber, "toBlock": receipt.BlockNumber}),
		call("eth_getLogs", map[string]any{"fromBlock": "0x0", "toBlock": "latest"}),
		call("eth_getBlockByNumber", receipt.BlockNumber, true),
		call("eth_feeHistory", "0x400", "latest", []float64{10, 50, 90}),
		call("eth_call", map[string]any{"to": "0x00000000000000000000000000000000000000aa"}, "latest", talk),
		{method: http.MethodPost, url: u.url + "/rpc", body: "[" + receipts.body + "," + receipts.body + "]"},
		call("eth_newFilter", largestFilter()), get("/node/receipt/" + url.PathEscape(transactionOf(t, receipts))),
		get("/app/kv/large"), get("/app/kv?limit=1000"), get("/app/kv/history?history&limit=100"), get("/app/kv/history?at=" + strings.Split(last, ".")[1]),
		get("/node/receipt/" + url.PathEscape(id)), get("/node/constitution"), get("/node/nodes"), get("/metrics"),
	}
}

// transactionOf returns the id of the ledger's transaction that an answer is about.
func transactionOf(t *testing.T, r request) string {
	t.Helper()
	resp, err := http.Post(r.url, "application/json", strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	id := resp.Header.Get(wire.HeaderTxID)
	if id == "" {
		t.Fatalf("%s: no transaction's id", r.body)
	}
	return id
}

// askAndWait sends a request, reads a little of the answer, waits, and gives up.
func askAndWait(ctx context.Context, r request, wait time.Duration) (status int, first []byte) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return 0, nil
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	tr := &http.Transport{DisableKeepAlives: true, ReadBufferSize: 4096, TLSClientConfig: r.tls}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer resp.Body.Close()
	first = make([]byte, 512)
	n, _ := io.ReadFull(resp.Body, first)
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return resp.StatusCode, first[:n]
}

// subscribeAndWait asks for large replies and for notifications over a WebSocket, and reads none of them.
func subscribeAndWait(ctx context.Context, at string, config *tls.Config, wait time.Duration) {
	ws, _, err := websocket.Dial(ctx, at+"/rpc", &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: config}}})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	large, _ := json.Marshal(largestFilter())
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["logs",{}]}`,
		`{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["logs",` + string(large) + `]}`,
		`{"jsonrpc":"2.0","id":2,"method":"eth_getLogs","params":[{"fromBlock":"0x1","toBlock":"0x1"}]}`,
		`{"jsonrpc":"2.0","id":3,"method":"eth_getBlockReceipts","params":["0x1"]}`,
	} {
		_ = ws.Write(ctx, websocket.MessageText, []byte(body))
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}
