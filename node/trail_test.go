package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco/node"
)

// journal is the logs of all nodes, in the order in which they were written.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	level slog.LevelVar
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// record is a record about a write.
type record struct {
	Level, Name, Msg, Step, Request, Of, Route, Trace, From, To string
	Transaction, First, Last, Refused                           string
	Entry                                                       uint64
	Status                                                      int
	Nodes                                                       []string
}

func (j *journal) records(t *testing.T) (all []record) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(j.String()))
	for {
		var r record
		err := dec.Decode(&r)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Msg == "write" {
			all = append(all, r)
		}
	}
}

// log has the nodes write to the journal, each under its name.
func (j *journal) log(n *network) {
	n.Alter = func(c *node.Config) {
		c.Log = slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: &j.level})).With("name", c.Name)
	}
}

// send makes a request of a client and returns its answer, whose body is read.
func send(t *testing.T, c *http.Client, method, path, body string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://node"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

// A client of a follower is told a name, by which the logs of all nodes show the way of its write: and nothing of what it wrote.
func TestOneWriteIsFollowedThroughTheNodes(t *testing.T) {
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	simulate(t, 3, func(t *testing.T, n *network) {
		var j journal
		j.level.Set(slog.LevelDebug)
		j.log(n)
		n.open() // the first member's node leads
		resp := send(t, n.client(1, 1), http.MethodPut, "/app/kv/planted-key/4711", "planted-value", "traceparent", traceparent)
		id, tx := resp.Header.Get("X-Request-Id"), resp.Header.Get("X-Coco-Transaction-Id")
		if resp.StatusCode/100 != 2 || id == "" || tx == "" {
			t.Fatalf("%s, request %q, transaction %q", resp.Status, id, tx)
		}
		// The key is there.
		refused := send(t, n.client(1, 1), http.MethodPut, "/app/kv/planted-key/4711", "planted-value", "If-None-Match", "*").Header.Get("X-Request-Id")
		time.Sleep(time.Second) // for the others to apply it
		all := j.records(t)
		var way []string
		var entry uint64
		for _, r := range all {
			if r.Request != id {
				continue
			}
			way = append(way, r.Name+" "+r.Step)
			entry = max(entry, r.Entry)
			switch r.Step {
			case "accepted":
				if r.Route != "PUT /app/kv/{key...}" || r.Trace != traceparent[3:35] {
					t.Errorf("%+v", r)
				}
			case "executed", "sealed", "committed":
				if r.Transaction != tx {
					t.Errorf("%+v: want transaction %s", r, tx)
				}
				if r.Step == "committed" && len(r.Nodes) < 2 {
					t.Errorf("committed with %v: that is no majority of three", r.Nodes)
				}
			case "answered":
				if r.Status != resp.StatusCode {
					t.Errorf("%+v", r)
				}
			}
		}
		follower, leader := hostName(1), hostName(0)
		want := []string{
			follower + " accepted", follower + " forwarded", leader + " received", leader + " queued", leader + " executed", leader + " sealed",
			leader + " committed", follower + " replied", follower + " answered",
		}
		if !slices.Equal(way, want) {
			t.Errorf("the way of request %s:\n%s\nwant\n%s", id, strings.Join(way, "\n"), strings.Join(want, "\n"))
		}
		applied := map[string]bool{}
		for _, r := range all {
			if r.Step == "applied" && r.Entry == entry {
				applied[r.Name] = true
				if r.First != tx || r.Last != tx {
					t.Errorf("%+v: want transaction %s", r, tx)
				}
			}
		}
		if got := slices.Sorted(maps.Keys(applied)); !slices.Equal(got, []string{hostName(1), hostName(2)}) {
			t.Errorf("entry %d was applied by %v", entry, got)
		}
		way = nil
		for _, r := range all {
			if r.Request == refused {
				way = append(way, fmt.Sprint(r.Step, r.Transaction, r.Status))
			}
		}
		if want := []string{"accepted0", "forwarded0", "received0", "queued0", "executed0", "replied0", "answered412"}; !slices.Equal(way, want) {
			t.Errorf("the way of a write that changes nothing: %v, want %v", way, want)
		}
		for _, secret := range []string{"planted", "4711"} {
			if strings.Contains(j.String(), secret) {
				t.Errorf("the logs hold %q", secret)
			}
		}
	})
}

// Requests at a time have names of their own, under which their writes reach the leader.
func TestEachWriteHasItsOwnName(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		var j journal
		j.level.Set(slog.LevelDebug)
		j.log(n)
		n.open()
		const writes = 40
		var wg sync.WaitGroup
		c := n.client(1, 1)
		transactions := make([]map[string]string, writes) // by name
		for i := range writes {
			wg.Go(func() {
				resp := send(t, c, http.MethodPut, fmt.Sprintf("/app/kv/key-%d", i), "value")
				transactions[i] = map[string]string{resp.Header.Get("X-Request-Id"): resp.Header.Get("X-Coco-Transaction-Id")}
			})
		}
		wg.Wait()
		committed := map[string]string{}
		for _, r := range j.records(t) {
			if r.Step == "committed" {
				committed[r.Request] = r.Transaction
			}
		}
		for _, one := range transactions {
			for id, tx := range one {
				if id == "" || committed[id] != tx {
					t.Errorf("request %q was told transaction %s, and the leader's log says %q", id, tx, committed[id])
				}
			}
		}
	})
}

// At level info nothing is written about a write, and the client is told no name unless it asks by a traceparent.
func TestNothingIsFollowedUnlessSomebodyWantsIt(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		var j journal
		j.log(n)
		n.open()
		c := n.client(1, 1)
		if id := send(t, c, http.MethodPut, "/app/kv/key", "value").Header.Get("X-Request-Id"); id != "" {
			t.Errorf("a name without anybody's wish: %s", id)
		}
		if id := send(t, c, http.MethodPut, "/app/kv/key", "value", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").Header.Get("X-Request-Id"); id == "" {
			t.Error("a client that names its trace is told no name")
		}
		if id := send(t, c, http.MethodPut, "/app/kv/key", "value", "traceparent", "mine").Header.Get("X-Request-Id"); id != "" {
			t.Errorf("a malformed trace: %s", id)
		}
		if all := j.records(t); len(all) > 0 {
			t.Errorf("%d records about writes at level info: %+v", len(all), all[0])
		}
	})
}
