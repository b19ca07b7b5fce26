package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/node"
)

func newMember(t *testing.T, name string) *nettest.Member {
	t.Helper()
	m, err := nettest.NewMember(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// network is a consortium whose helpers end the test when what they do fails.
type network struct {
	*nettest.Network
	t *testing.T

	mu      sync.Mutex
	clients []*http.Client // under mu
}

const (
	peerPort   = nettest.PeerPort
	clientPort = nettest.ClientPort
)

func hostName(i int) string { return nettest.Host(i) }

func newNetwork(t *testing.T, seed uint64, members int) *network {
	t.Helper()
	return newNetworkWith(t, seed, members, nil)
}

// newNetworkWith makes a network whose constitution differs.
func newNetworkWith(t *testing.T, seed uint64, members int, change func(*constitution.Constitution)) *network {
	t.Helper()
	opts := nettest.Options{Adapters: func() []adapter.Adapter { return []adapter.Adapter{kv.Adapter{}} }, Constitution: change}
	if os.Getenv("COCO_TEST_LOG") != "" {
		opts.Log = func(host string) *slog.Logger {
			return slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", host)
		}
	}
	n, err := nettest.New(seed, members, opts)
	if err != nil {
		t.Fatal(err)
	}
	return &network{Network: n, t: t}
}

// waitReady waits until a node takes part.
func (n *network) waitReady(r *nettest.Node) node.Info {
	n.t.Helper()
	if err := r.Await(2 * time.Minute); err != nil {
		n.t.Fatalf("the node: %v", err)
	}
	return r.Info()
}

// open starts a whole network: the first member founds it, the others join.
func (n *network) open() {
	n.t.Helper()
	n.waitReady(n.Start(0, n.Found))
	for i := 1; i < len(n.Members); i++ {
		n.waitReady(n.Start(i, n.Join(0)))
	}
}

// close stops every node and reports those that had ended before.
func (n *network) close() {
	for _, c := range n.clients {
		c.CloseIdleConnections()
	}
	for _, i := range n.Running() {
		if r := n.Node(i); r.Ended() {
			n.t.Errorf("node %s had stopped: %v", hostName(i), r.Err())
		}
		_ = n.Halt(i)
	}
}

// client is a user of member i who talks to the node of member to.
func (n *network) client(i, to int) *http.Client { return n.clientOf(n.Members[i], to) }

// clientOf is a user of an organisation.
func (n *network) clientOf(m *nettest.Member, to int) *http.Client {
	transport := n.Transport(m, "client", hostName(to))
	transport.MaxIdleConnsPerHost = 16
	c := &http.Client{Timeout: time.Minute, Transport: transport}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients = append(n.clients, c)
	return c
}

func put(c *http.Client, key, value string) (coco.TxID, error) {
	req, err := http.NewRequest(http.MethodPut, "https://node/app/kv/"+key, bytes.NewReader([]byte(value)))
	if err != nil {
		return coco.TxID{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return coco.TxID{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return coco.TxID{}, err
	}
	if resp.StatusCode >= 300 {
		return coco.TxID{}, fmt.Errorf("%s: %s", resp.Status, body)
	}
	return coco.ParseTxID(resp.Header.Get("X-Coco-Transaction-Id"))
}

func get(c *http.Client, path string) (string, error) {
	resp, err := c.Get("https://node" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), nil
}

// thinkTime is what a client waits between writes.
const thinkTime = 10 * time.Millisecond

// load writes until stopped and remembers what was acknowledged.
type load struct {
	mu    sync.Mutex
	acked map[string]string // under mu
	stop  chan struct{}
	wait  sync.WaitGroup
}

func (n *network) load(clients int) *load {
	l := &load{acked: map[string]string{}, stop: make(chan struct{})}
	for i := range clients {
		l.wait.Go(func() {
			at := i % len(n.Members)
			c := n.client(i%len(n.Members), at)
			for k := 0; ; k++ {
				select {
				case <-l.stop:
					return
				default:
				}
				key, value := fmt.Sprintf("c%d-%d", i, k), fmt.Sprintf("value-%d-%d", i, k)
				if _, err := put(c, key, value); err != nil {
					at = (at + 1) % len(n.Members) // another node, another key
					c = n.client(i%len(n.Members), at)
					time.Sleep(50 * time.Millisecond)
					continue
				}
				l.mu.Lock()
				l.acked[key] = value
				l.mu.Unlock()
				time.Sleep(thinkTime)
			}
		})
	}
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

func (l *load) end() map[string]string {
	close(l.stop)
	l.wait.Wait()
	return l.acked
}

// check finds every acknowledged write on the nodes given.
func (n *network) check(acked map[string]string, nodes ...int) {
	n.t.Helper()
	for _, i := range nodes {
		c := n.client(i, i)
		for key, value := range acked {
			got, err := get(c, "/app/kv/"+key)
			if err != nil || got != value {
				n.t.Errorf("node %d: %s = %q, %v; acknowledged was %q", i+1, key, got, err, value)
				break
			}
		}
	}
}

// long leaves a test out of short runs, such as those under the race detector, where it takes six times as long.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}

// longest returns the member whose ledger ends last.
func (n *network) longest() int {
	n.t.Helper()
	best, err := n.Longest()
	if err != nil {
		n.t.Fatal(err)
	}
	return best
}

// status asks a node what it believes.
func (n *network) status(i int) (s struct {
	Role   string `json:"role"`
	View   uint64 `json:"view"`
	Notice string `json:"notice"`
},
) {
	n.t.Helper()
	text, err := get(n.client(i, i), "/node/status")
	if err != nil {
		n.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		n.t.Fatal(err)
	}
	return s
}

// readyWithin is waitReady that reports instead of ending the test.
func (n *network) readyWithin(r *nettest.Node, d time.Duration) bool {
	n.t.Helper()
	select {
	case <-r.Ready():
		return true
	case <-r.Done():
		n.t.Errorf("node stopped: %v", r.Err())
	case <-time.After(d):
		n.t.Errorf("node not ready after %v", d)
	}
	return false
}
