package node_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
)

// member is an organisation with its keys.
type member struct {
	name  string
	cert  []byte
	key   *ecdsa.PrivateKey
	share *keys.MemberKey
}

func newMember(t *testing.T, name string) *member {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{name}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	share, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	return &member{name: name, cert: der, key: key, share: share}
}

func (m *member) Actor() coco.ActorID    { return sha256.Sum256(m.cert) }
func (m *member) Certificates() [][]byte { return [][]byte{m.cert} }
func (m *member) Sign(_ context.Context, tuple []byte) ([]byte, error) {
	d := sha256.Sum256(tuple)
	return ecdsa.SignASN1(rand.Reader, m.key, d[:])
}

// network is a consortium on simulated hosts, one node a member.
type network struct {
	t            *testing.T
	world        *sim.World
	members      []*member
	constitution *gov.Constitution
	nodes        map[string]*running // by host
	alter        func(*node.Config)  // before a node starts

	mu      sync.Mutex
	clients []*http.Client // under mu
}

type running struct {
	stop  context.CancelFunc
	done  chan struct{}
	err   error
	ready chan node.Info
}

const (
	peerPort   = ":7000"
	clientPort = ":8000"
)

func newNetwork(t *testing.T, seed uint64, members int) *network {
	t.Helper()
	n := &network{t: t, world: sim.New(seed), nodes: map[string]*running{}}
	c := &gov.Constitution{
		Network: gov.Network{Name: "sim", Insecure: true},
		Code:    []gov.Code{{Measurement: sim.Measurement, Note: "simulated"}},
		TEE:     []gov.TEE{{Platform: virtual.Platform}},
		Adapters: map[string]map[string]any{
			"kv": {},
		},
	}
	for i := range members {
		m := newMember(t, fmt.Sprintf("member%d", i+1))
		n.members = append(n.members, m)
		c.Members = append(c.Members, gov.Member{Name: m.name, Certificate: m.cert, EncryptionKey: m.share.Public()})
	}
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	n.constitution = c
	return n
}

func hostName(i int) string { return fmt.Sprintf("n%d", i+1) }

// start runs member i's node: how sets Genesis, Join or Recover.
func (n *network) start(i int, how func(*node.Config)) *running {
	name := hostName(i)
	cfg := node.Config{
		Name: name, Host: n.world.Host(name), PeerListen: name + peerPort, ClientListen: name + clientPort,
		Adapters: []adapter.Adapter{kv.Adapter{}}, Verifiers: attest.Verifiers{virtual.Verifier{}},
		Owner: n.members[i], Version: "test", Log: slog.New(slog.DiscardHandler),
	}
	if os.Getenv("COCO_TEST_LOG") != "" {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", name)
	}
	how(&cfg)
	if n.alter != nil {
		n.alter(&cfg)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{stop: stop, done: make(chan struct{}), ready: make(chan node.Info, 1)}
	n.nodes[name] = r
	go func() {
		defer close(r.done)
		r.err = node.Run(ctx, cfg, func(i node.Info) {
			select {
			case r.ready <- i:
			default:
			}
		})
	}()
	return r
}

func (n *network) genesis(c *node.Config) { c.Genesis = n.constitution }

func (n *network) join(others ...int) func(*node.Config) {
	return func(c *node.Config) {
		c.Approve = n.constitution.Digest()
		for _, o := range others {
			c.Join = append(c.Join, hostName(o)+peerPort)
		}
	}
}

func (n *network) recover(c *node.Config) {
	c.Approve = n.constitution.Digest()
	c.Recover = &node.Recover{Open: func(e *keys.SealedEpoch) ([]keys.Share, error) {
		var out []keys.Share
		for _, m := range n.members {
			s, err := e.OpenShare(m.Actor(), m.share)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	}}
}

// waitReady waits until a node takes part.
func (n *network) waitReady(r *running) node.Info {
	n.t.Helper()
	select {
	case i := <-r.ready:
		return i
	case <-r.done:
		n.t.Fatalf("node stopped: %v", r.err)
	case <-time.After(2 * time.Minute):
		n.t.Fatal("node not ready after two minutes")
	}
	panic("unreachable")
}

// open starts a whole network: the first member founds it, the others join.
func (n *network) open() {
	n.t.Helper()
	n.waitReady(n.start(0, n.genesis))
	for i := 1; i < len(n.members); i++ {
		n.waitReady(n.start(i, n.join(0)))
	}
}

// crash takes a host away with all that its disk had not synced.
func (n *network) crash(i int) {
	n.t.Helper()
	name := hostName(i)
	n.world.Crash(name)
	n.halt(name)
}

func (n *network) halt(name string) {
	r := n.nodes[name]
	r.stop()
	<-r.done
	delete(n.nodes, name)
}

// close stops every node and reports those that had failed.
func (n *network) close() {
	for _, c := range n.clients {
		c.CloseIdleConnections()
	}
	for name, r := range n.nodes {
		select {
		case <-r.done:
			n.t.Errorf("node %s had stopped: %v", name, r.err)
		default:
		}
		n.halt(name)
	}
}

// client is a user of member i who talks to the node of member to.
func (n *network) client(i, to int) *http.Client { return n.clientOf(n.members[i], to) }

// clientOf is a user of an organisation.
func (n *network) clientOf(m *member, to int) *http.Client {
	dial := n.world.Host("client").Net
	c := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial.Dial(ctx, hostName(to)+clientPort)
		},
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
			Certificates: []tls.Certificate{{Certificate: [][]byte{m.cert}, PrivateKey: m.key}},
		},
		MaxIdleConnsPerHost: 16,
	}}
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
			at := i % len(n.members)
			c := n.client(i%len(n.members), at)
			for k := 0; ; k++ {
				select {
				case <-l.stop:
					return
				default:
				}
				key, value := fmt.Sprintf("c%d-%d", i, k), fmt.Sprintf("value-%d-%d", i, k)
				if _, err := put(c, key, value); err != nil {
					at = (at + 1) % len(n.members) // another node, another key
					c = n.client(i%len(n.members), at)
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

// longest returns the member whose ledger ends last.
func (n *network) longest() (best int) {
	n.t.Helper()
	var view, index uint64
	for i := range n.members {
		log, err := ledger.OpenReadOnly(n.world.Host(hostName(i)).Disk, node.Dir)
		if err != nil {
			n.t.Fatal(err)
		}
		last := log.Last()
		if v, _ := log.ViewOf(last); v > view || v == view && last > index {
			best, view, index = i, v, last
		}
		if err := log.Close(); err != nil {
			n.t.Fatal(err)
		}
	}
	return best
}

// long leaves a test out of short runs, such as those under the race detector, where it takes six times as long.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}
