package sim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
)

const (
	peerPort   = ":7000"
	clientPort = ":8000"
	chainID    = 4711
)

// member is an organisation with its keys, which owns one node.
type member struct {
	name  string
	cert  []byte
	key   *ecdsa.PrivateKey
	share *keys.MemberKey
}

func newMember(name string) (*member, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{name}},
		NotBefore: now.AddDate(-30, 0, 0), NotAfter: now.AddDate(30, 0, 0), // clocks jump by less
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	share, err := keys.GenerateMemberKey()
	if err != nil {
		return nil, err
	}
	return &member{name: name, cert: der, key: key, share: share}, nil
}

// Actor implements node.Owner, as do the next two.
func (m *member) Actor() coco.ActorID { return sha256.Sum256(m.cert) }

func (m *member) Certificates() [][]byte { return [][]byte{m.cert} }

func (m *member) Sign(_ context.Context, tuple []byte) ([]byte, error) {
	d := sha256.Sum256(tuple)
	return ecdsa.SignASN1(rand.Reader, m.key, d[:])
}

// Network is a consortium on simulated hosts, one node a member. Members and hosts are numbered
// from 0.
type Network struct {
	World        *sim.World
	Constitution *gov.Constitution
	members      []*member
	log          func(host string) *slog.Logger

	mu    sync.Mutex
	nodes []*running // by host, nil where none runs; under mu
}

// running is one start of a node.
type running struct {
	stop  context.CancelFunc
	done  chan struct{}
	err   error // once done is closed
	ready chan struct{}
	info  node.Info // once ready is closed
}

func (r *running) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// NewNetwork makes a consortium whose nodes do not run yet.
func NewNetwork(seed uint64, members int, log func(host string) *slog.Logger) (*Network, error) {
	n := &Network{World: sim.New(seed), nodes: make([]*running, members), log: log}
	c := &gov.Constitution{
		Network:  gov.Network{Name: "sim", Insecure: true},
		Code:     []gov.Code{{Measurement: sim.Measurement, Note: "simulated"}},
		TEE:      []gov.TEE{{Platform: virtual.Platform}},
		Adapters: map[string]map[string]any{"kv": {}, "ethereum": {"chain_id": chainID}},
		// Small, so that chunks end, snapshots are written and old entries are fetched all the time.
		Ledger:    gov.Ledger{ChunkBytes: 64 << 10},
		Snapshots: gov.SnapshotPolicy{Transactions: 40},
	}
	for i := range members {
		m, err := newMember(fmt.Sprintf("member%d", i+1))
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, m)
		c.Members = append(c.Members, gov.Member{Name: m.name, Certificate: m.cert, EncryptionKey: m.share.Public()})
	}
	n.Constitution = c
	return n, c.Complete()
}

func hostName(i int) string { return fmt.Sprintf("n%d", i+1) }

// takesPart reports whether a node was admitted and served its clients once.
func (r *running) takesPart() bool {
	select {
	case <-r.ready:
		return true
	default:
		return false
	}
}

// start runs member i's node: how sets Genesis, Join or Recover.
func (n *Network) start(i int, how func(*node.Config)) *running {
	r := n.startOn(hostName(i), i, how)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[i] = r
	return r
}

// startOn runs a node of member i on any host.
func (n *Network) startOn(name string, i int, how func(*node.Config)) *running {
	cfg := node.Config{
		Name: name, Host: n.World.Host(name), PeerListen: name + peerPort, ClientListen: name + clientPort,
		Adapters: []adapter.Adapter{kv.Adapter{}, ethereum.New()}, Verifiers: attest.Verifiers{virtual.Verifier{}},
		Owner: n.members[i], Version: "sim", Log: n.log(name),
	}
	how(&cfg)
	ctx, stop := context.WithCancel(context.Background())
	r := &running{stop: stop, done: make(chan struct{}), ready: make(chan struct{})}
	var once sync.Once
	go func() {
		defer close(r.done)
		r.err = node.Run(ctx, cfg, func(info node.Info) {
			once.Do(func() { r.info = info; close(r.ready) })
		})
	}()
	return r
}

func (n *Network) found(c *node.Config) { c.Genesis = n.Constitution }

// join has a node ask all others.
func (n *Network) join(i int) func(*node.Config) {
	return func(c *node.Config) {
		c.Approve = n.Constitution.Digest()
		for o := 1; o < len(n.members); o++ {
			c.Join = append(c.Join, hostName((i+o)%len(n.members))+peerPort)
		}
	}
}

// recover has a node go on alone from its ledger, with the shares of all members.
func (n *Network) recover(c *node.Config) {
	c.Approve = n.Constitution.Digest()
	c.Recover = &node.Recover{Open: func(e *keys.SealedEpoch) (shares []keys.Share, err error) {
		for _, m := range n.members {
			s, err := e.OpenShare(m.Actor(), m.share)
			if err != nil {
				return nil, err
			}
			shares = append(shares, s)
		}
		return shares, nil
	}}
}

// running returns the node that runs, or ran last, on a host; nil after halt.
func (n *Network) running(i int) *running {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nodes[i]
}

// await waits until a node takes part.
func (r *running) await(patience time.Duration) error {
	select {
	case <-r.ready:
		return nil
	case <-r.done:
		return fmt.Errorf("it stopped: %w", r.err)
	case <-time.After(patience):
		return fmt.Errorf("it takes no part after %v", patience)
	}
}

// halt stops the node on a host and waits for its end.
func (n *Network) halt(i int) error {
	n.mu.Lock()
	r := n.nodes[i]
	n.nodes[i] = nil
	n.mu.Unlock()
	if r == nil {
		return nil
	}
	r.stop()
	<-r.done
	return r.err
}

// crash takes a host away with all that its disk had not synced, or, if torn, with parts of it.
func (n *Network) crash(i int, torn bool) {
	if torn {
		n.World.CrashTorn(hostName(i))
	} else {
		n.World.Crash(hostName(i))
	}
	_ = n.halt(i) // it cannot end well without its host
}

// longest returns the host whose ledger ends last.
func (n *Network) longest() (best int, err error) {
	var view, index uint64
	for i := range n.members {
		log, err := ledger.OpenReadOnly(n.World.Host(hostName(i)).Disk, node.Dir)
		if err != nil {
			return 0, fmt.Errorf("ledger of %s: %w", hostName(i), err)
		}
		last := log.Last()
		if v, _ := log.ViewOf(last); v > view || v == view && last > index {
			best, view, index = i, v, last
		}
		if err := log.Close(); err != nil {
			return 0, err
		}
	}
	return best, nil
}

// client is a user of a member, on a host of its own. The host of a request's URL is the node's.
func (n *Network) client(from string, member int, patience time.Duration) *http.Client {
	m, dialler := n.members[member], n.World.Host(from).Net
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			name, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return dialler.Dial(ctx, name+clientPort)
		},
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, // evidence is not this simulation's subject
			Certificates: []tls.Certificate{{Certificate: [][]byte{m.cert}, PrivateKey: m.key}},
		},
	}}
}
