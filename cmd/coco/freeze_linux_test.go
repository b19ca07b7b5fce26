package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

// reads asks one node over its loopback proxy.
type reads struct {
	t    *testing.T
	base string
}

func (r reads) get(path string, header ...string) (status int, body string, age float64, stale bool) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return r.do(req)
}

func (r reads) do(req *http.Request) (status int, body string, age float64, stale bool) {
	r.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	age, _ = strconv.ParseFloat(resp.Header.Get(wire.HeaderAge), 64)
	return resp.StatusCode, string(b), age, resp.Header.Get(wire.HeaderStale) == "true"
}

// rpc calls a method; query is that of the URL, with its question mark.
func (r reads) rpc(query, method string) (result json.RawMessage, code int) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.base+"/rpc"+query, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":[]}`))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", wire.MediaJSON)
	_, body, _, _ := r.do(req)
	var answer struct {
		Result json.RawMessage
		Error  struct{ Code int }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		r.t.Fatalf("%s: %s: %v", method, body, err)
	}
	return answer.Result, answer.Error.Code
}

// eventually asks again until the answer is there.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(200 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// standsStill reports whether a process has stopped. On a busy machine its threads run on for a while after the signal.
func standsStill(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // proc_pid_stat(5): pid (name) state
	if err != nil {
		t.Fatal(err)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "T")
}

// Two of three processes stand still. The third says that its state grows old, and then shows it to none.
func TestANodeWhoseNetworkStandsStillSaysHowOldItsStateIs(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network of processes")
	}
	t.Parallel()
	s := startNetworkWith(t, t.TempDir()+"/net", make(chan localnet.Step, 1000), func(c *constitution.Constitution) error {
		c.Reads = constitution.Reads{StaleSeconds: 8, RefuseSeconds: 15}
		return nil
	})
	defer func() { _ = s.Stop() }()
	nodes := s.Info().Nodes
	at := reads{t, nodes[0].HTTP}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, at.base+"/app/kv/key", strings.NewReader("value"))
	if err != nil {
		t.Fatal(err)
	}
	if status, body, _, _ := at.do(req); status/100 != 2 {
		t.Fatalf("a write: %d %s", status, body)
	}
	healthy := func() bool {
		status, body, age, stale := at.get("/app/kv/key", wire.HeaderConsistency, wire.Linearizable)
		result, _ := at.rpc("?consistency=linearizable", "eth_syncing")
		number, code := at.rpc("?consistency=linearizable&max_age=8", "eth_blockNumber")
		ready, _, _, _ := at.get("/readyz")
		return status == 200 && body == "value" && age < 8 && !stale && string(result) == "false" && code == 0 && len(number) > 0 && ready == 200
	}
	eventually(t, "a network that is well", healthy)

	for _, n := range nodes[1:] {
		if err := syscall.Kill(n.Pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(n.Pid, syscall.SIGCONT) }()
	}
	for _, n := range nodes[1:] {
		eventually(t, "a process that stands still", func() bool { return standsStill(t, n.Pid) })
	}
	if status, body, _, _ := at.get("/app/kv/key", wire.HeaderConsistency, wire.Linearizable); status != 503 {
		t.Errorf("a linearizable read, and two of three stand still: %d %s", status, body)
	}
	if _, code := at.rpc("?consistency=linearizable", "eth_blockNumber"); code != -32005 {
		t.Errorf("a linearizable call, and two of three stand still: code %d", code)
	}
	eventually(t, "the node calls its state stale, and shows it", func() bool {
		status, body, age, stale := at.get("/app/kv/key")
		if stale != (age > 8) || stale && status == 200 && body != "value" {
			t.Errorf("%d %s, age %v, stale %v", status, body, age, stale)
		}
		return stale
	})
	if result, _ := at.rpc("", "eth_syncing"); len(result) == 0 || result[0] != '{' {
		t.Errorf("eth_syncing of a stale node: %s", result)
	}
	if status, page, _, _ := at.get("/readyz"); status != 503 || !strings.Contains(page, "[-] fresh") {
		t.Errorf("readyz of a stale node: %d %s", status, page)
	}
	if status, body, _, _ := at.get("/app/kv/key", wire.HeaderMaxAge, "2"); status != 503 || !strings.Contains(body, `"stale"`) {
		t.Errorf("a state of at most 2 s: %d %s", status, body)
	}
	eventually(t, "the node refuses reads", func() bool {
		status, _, age, _ := at.get("/app/kv/key")
		return status == 503 && age > 15
	})
	if _, code := at.rpc("", "eth_blockNumber"); code != -32002 {
		t.Errorf("eth_blockNumber of a node that refuses reads: code %d", code)
	}
	for _, n := range nodes[1:] {
		if err := syscall.Kill(n.Pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "a network that is well again", healthy)
}
