//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/sandbox"
	"github.com/cocoframework/coco/ledger"
)

const (
	size   = 3
	quorum = 2
	// A node that ends is started again after a pause that doubles while its starts fail, as by `coco up`.
	pauseLow  = 100 * time.Millisecond
	pauseHigh = 10 * time.Second
	// endPatience is how long a node may take to end when it is asked to.
	endPatience = 10 * time.Second
	// comePatience is how long the network may take to come up, elect a leader or get well.
	comePatience = 60 * time.Second
)

var verifiers = attest.Verifiers{virtual.Verifier{}}

// cluster is a network of real nodes, each in a network namespace of its own.
type cluster struct {
	t       *testing.T
	exe     string
	info    localnet.Info
	members []*member
	links   *links             // nil: the nodes reach each other without a proxy
	cancel  context.CancelFunc // ends what keeps the nodes and the proxies going
	wait    sync.WaitGroup
}

// member is one organisation's node, over all its lives.
type member struct {
	c      *cluster
	n      int
	name   string
	space  *space
	dir    nodeconfig.Dir
	cfg    nodeconfig.Config
	host   string         // its address
	client *client.Client // for the watch
	start  chan string    // how to start a node that is held

	mu   sync.Mutex
	proc *process // under mu; the last one
	held bool     // under mu: a node that ends is not started again until told
	doom bool     // under mu: its end is what is tested
}

// newCluster makes a network, which begin starts. Its context ends with the network. With proxied,
// the ways between nodes pass a proxy.
func newCluster(t *testing.T, name string, net int, proxied bool) (context.Context, *cluster) {
	t.Helper()
	need(t)
	exe := os.Getenv(programEnv)
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, exe: exe}
	c.info, err = sandbox.Create(sandbox.Options{
		Dir: filepath.Join(os.Getenv(roomEnv), name), Members: size, Exe: exe, Code: virtual.Measure(program), Verifiers: verifiers,
		CompleteSettings: adapter.Completer([]adapter.Adapter{ethereum.New(), kv.Adapter{}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	t.Cleanup(func() {
		c.stop()
		if t.Failed() {
			c.showLogs()
		}
	})
	if proxied {
		c.links = newLinks()
	}
	for i := range size {
		if err := c.addMember(ctx, i, net); err != nil {
			t.Fatal(err)
		}
	}
	var spaces []*space
	for _, m := range c.members {
		spaces = append(spaces, m.space)
	}
	if err := acquaint(spaces); err != nil {
		t.Fatal(err)
	}
	return ctx, c
}

// addMember makes a member's network, settings and proxy.
func (c *cluster) addMember(ctx context.Context, i, net int) error {
	n := &c.info.Nodes[i]
	keys := identity.Dir(c.info.Members[i].Dir)
	m := &member{c: c, n: i, name: n.Name, dir: nodeconfig.Dir(n.Dir), host: fmt.Sprintf("10.99.%d.%d", net, 11+i), start: make(chan string, 1), held: true}
	n.Peer, n.Client = m.host+":7000", m.host+":8000"
	m.cfg = nodeconfig.Config{
		Name: n.Name, Dir: n.Dir, Peer: n.Peer, Client: n.Client,
		OwnerCertificate: keys.Org(), OwnerKey: keys.OrgKey(), Approve: c.info.Constitution,
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if m.space, err = newSpace(fmt.Sprintf("coco-%d-%d", net, i), m.host); err != nil {
		return err
	}
	if c.links != nil {
		if err := m.proxy(ctx, fmt.Sprintf("10.99.%d.%d", net, 21+i)); err != nil {
			return err
		}
	}
	c.members = append(c.members, m)
	return nil
}

// proxy opens a proxy before the node, at an address in the room.
func (m *member) proxy(ctx context.Context, host string) error {
	if err := ip(nil, "addr", "add", host+"/16", "dev", bridge); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", host+":7000")
	if err != nil {
		return err
	}
	m.cfg.PeerAddress = ln.Addr().String()
	m.c.links.wait.Go(func() { m.c.links.serve(ctx, ln, m.host, m.cfg.Peer) })
	return nil
}

// begin starts the first node alone, and the others, which join it.
func (c *cluster) begin(ctx context.Context) error {
	for _, m := range c.members {
		c.wait.Go(func() { m.keep(ctx) })
	}
	first := c.members[0]
	first.start <- nodeconfig.StartGenesis
	if err := first.await(ctx); err != nil {
		return err
	}
	if err := c.learnService(ctx); err != nil {
		return err
	}
	for _, m := range c.members {
		var err error
		if m.client, err = c.connect(m.n); err != nil {
			return err
		}
	}
	for _, m := range c.members[1:] {
		m.start <- nodeconfig.StartJoin
	}
	for _, m := range c.members[1:] {
		if err := m.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// learnService takes the network's certificate from its first node, which has proven its code.
func (c *cluster) learnService(ctx context.Context) error {
	con, err := c.info.LoadConstitution()
	if err != nil {
		return err
	}
	cert, err := identity.Dir(c.info.Members[0].Dir).UserCertificate()
	if err != nil {
		return err
	}
	first, err := client.New(client.Config{
		Addr: c.info.Nodes[0].Client, Certificate: cert,
		Policy: client.Policy{Code: con.Measurements(), Verifiers: verifiers, Constitution: c.info.Constitution},
	})
	if err != nil {
		return err
	}
	defer first.Close()
	resp, err := first.HTTPClient().Get("https://node/node/service")
	if err != nil {
		return err
	}
	page, err := readBody(resp)
	if err != nil {
		return err
	}
	return os.WriteFile(c.info.ServicePEM, page, 0o600)
}

// connect returns a client of a node that believes only what it has verified.
func (c *cluster) connect(i int) (*client.Client, error) {
	return c.info.Connect(c.info.Nodes[i], verifiers)
}

// await waits for the node to take part.
func (m *member) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, comePatience)
	defer cancel()
	for {
		if p := m.process(); p != nil && p.wasReady() {
			return nil
		}
		if !sleep(ctx, 5*time.Millisecond) {
			return fmt.Errorf("node %s does not get ready within %v: %s", m.name, comePatience, logFile(m.dir))
		}
	}
}

func (m *member) process() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}

// hold keeps the node down once it has ended, until somebody sends to start how it is to begin.
func (m *member) hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = true
}

// next waits while the node is held, and says how it starts.
func (m *member) next(ctx context.Context) (how string, ok bool) {
	m.mu.Lock()
	held := m.held
	m.mu.Unlock()
	if !held {
		return nodeconfig.StartJoin, true
	}
	select {
	case how = <-m.start:
	case <-ctx.Done():
		return "", false
	}
	m.mu.Lock()
	m.held = false
	m.mu.Unlock()
	return how, true
}

// condemn says whether the node may end from now on without being asked to.
func (m *member) condemn(may bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doom = may
}

// keep starts the node again whenever it ends. It joins the others then, as a new node in the old
// one's place.
func (m *member) keep(ctx context.Context) {
	for pause := pauseLow; ; {
		how, ok := m.next(ctx)
		if !ok {
			return
		}
		p, err := startProcess(m.c.exe, m.space, m.dir, m.config(how))
		if err != nil {
			m.c.t.Errorf("node %s: %v", m.name, err)
			return
		}
		m.mu.Lock()
		m.proc = p
		m.mu.Unlock()
		asked := context.AfterFunc(ctx, func() { p.stdin.Close() })
		<-p.done
		if !asked() {
			return
		}
		m.mu.Lock()
		doom := m.doom
		m.mu.Unlock()
		if !doom {
			m.c.t.Errorf("alive: node %s ended by itself: %v", m.name, p.err)
		}
		if p.wasReady() {
			pause = pauseLow
		}
		if !sleep(ctx, pause) {
			return
		}
		pause = min(2*pause, pauseHigh)
	}
}

// config is the node's settings for one start.
func (m *member) config(how string) nodeconfig.Config {
	cfg := m.cfg
	cfg.Start = how
	switch how {
	case nodeconfig.StartGenesis:
		cfg.Constitution = localnet.Layout{Dir: m.c.info.Dir}.ConstitutionFile()
	case nodeconfig.StartRecover:
		for _, o := range m.c.info.Members {
			d := identity.Dir(o.Dir)
			cfg.RecoverKeys = append(cfg.RecoverKeys, identity.MemberKey{Certificate: d.Org(), Key: d.Encryption()})
		}
	case nodeconfig.StartJoin:
		for _, o := range m.c.members {
			if o == m {
				continue
			}
			address := o.cfg.Peer
			if o.cfg.PeerAddress != "" {
				address = o.cfg.PeerAddress
			}
			cfg.Join = append(cfg.Join, address)
		}
	}
	return cfg
}

// powerOff kills all nodes at once.
func (c *cluster) powerOff() error {
	for _, m := range c.members {
		m.condemn(true)
		m.hold()
	}
	var failed error
	for _, m := range c.members {
		failed = errors.Join(failed, m.process().signal(syscall.SIGKILL))
	}
	for _, m := range c.members {
		<-m.process().done
	}
	return failed
}

// powerOn lets the longest ledger go on, opened with the members' keys; the others join it.
func (c *cluster) powerOn() error {
	best, view, index := 0, uint64(0), uint64(0)
	for i, m := range c.members {
		v, x, err := ledgerEnd(m.dir)
		if err != nil {
			return fmt.Errorf("the ledger of %s: %w", m.name, err)
		}
		if v > view || v == view && x > index {
			best, view, index = i, v, x
		}
	}
	for i, m := range c.members {
		how := nodeconfig.StartJoin
		if i == best {
			how = nodeconfig.StartRecover
		}
		m.start <- how
	}
	return nil
}

// ledgerEnd returns the view and the index of a ledger's last entry.
func ledgerEnd(dir nodeconfig.Dir) (view, index uint64, err error) {
	disk, err := local.OpenReadOnly(string(dir))
	if err != nil {
		return 0, 0, err
	}
	defer disk.Close()
	log, err := ledger.OpenReadOnly(disk, nodeconfig.LedgerDir)
	if err != nil {
		return 0, 0, err
	}
	defer log.Close()
	index = log.Last()
	view, _ = log.ViewOf(index)
	return view, index, nil
}

// stop ends all nodes in order, whatever they are at, and the proxies. It may be called again.
func (c *cluster) stop() {
	c.cancel()
	for _, m := range c.members {
		if p := m.process(); p != nil {
			_ = p.signal(syscall.SIGCONT)
			p.stdin.Close()
		}
	}
	patience := time.NewTimer(endPatience)
	defer patience.Stop()
	for _, m := range c.members {
		p := m.process()
		if p == nil {
			continue
		}
		select {
		case <-p.done:
			if p.err != nil && !c.t.Failed() {
				c.t.Errorf("alive: node %s ends with an error: %v", m.name, p.err)
			}
		case <-patience.C:
			patience.Reset(0) // the others have had their time, too
			_ = p.signal(syscall.SIGKILL)
			<-p.done
			c.t.Errorf("alive: node %s does not end within %v of being asked to", m.name, endPatience)
		}
	}
	c.wait.Wait()
	if c.links != nil {
		c.links.wait.Wait()
	}
	for _, m := range c.members {
		if m.client != nil {
			m.client.Close()
		}
		m.space.file.Close()
	}
	c.members = nil
}

// showLogs prints the ends of the nodes' logs.
func (c *cluster) showLogs() {
	for _, n := range c.info.Nodes {
		data, err := os.ReadFile(logFile(nodeconfig.Dir(n.Dir)))
		if err != nil {
			continue
		}
		const most = 6000
		c.t.Logf("the end of %s's log:\n%s", n.Name, data[max(0, len(data)-most):])
	}
}
