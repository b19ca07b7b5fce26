package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/sandbox"
)

// startNetwork starts a sandbox in this process whose nodes are processes of the test binary.
func startNetwork(t *testing.T, dir string, steps chan<- localnet.Step) *sandbox.Sandbox {
	t.Helper()
	return startNetworkWith(t, dir, steps, nil)
}

// startNetworkWith starts a sandbox whose constitution a function has changed, if it is given.
func startNetworkWith(t *testing.T, dir string, steps chan<- localnet.Step, change func(*constitution.Constitution) error) *sandbox.Sandbox {
	t.Helper()
	exe, err := exec.LookPath("coco") // installed by TestMain
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.Start(context.WithoutCancel(t.Context()), sandbox.Options{
		Dir: dir, Exe: exe, Code: virtual.Measure(code), Verifiers: verifiers(), Constitution: change, CompleteSettings: adapter.Completer(program().Adapters),
		Report: func(s localnet.Step) {
			t.Logf("%s %s", s.Step, s.Text)
			select {
			case steps <- s:
			default: // nobody waits for this one
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// load writes keys through the proxies, all the time, and remembers what was acknowledged.
type load struct {
	info   localnet.Info
	stop   chan struct{}
	wg     sync.WaitGroup
	acked  sync.Map // key → value
	writes atomic.Int64
}

func startLoad(info localnet.Info, clients int) *load {
	l := &load{info: info, stop: make(chan struct{})}
	for c := range clients {
		l.wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				key, value := fmt.Sprintf("client-%d-%d", c, n), fmt.Sprintf("value-%d-%d", c, n)
				if l.put(info.Nodes[(c+n)%len(info.Nodes)].HTTP, key, value) {
					l.acked.Store(key, value)
					l.writes.Add(1)
				}
			}
		})
	}
	return l
}

func (l *load) put(base, key, value string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, base+"/app/kv/"+key, bytes.NewReader([]byte(value)))
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode/100 == 2
}

// advance waits until the network has acknowledged n more writes.
func (l *load) advance(t *testing.T, n int64) {
	t.Helper()
	start := time.Now()
	deadline := start.Add(time.Minute)
	for want := l.writes.Load() + n; l.writes.Load() < want; {
		if time.Now().After(deadline) {
			t.Fatalf("the network acknowledged %d writes and then no %d more within a minute", l.writes.Load(), n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("%d more writes within %v", n, time.Since(start).Round(time.Millisecond))
}

// await waits for a step of the supervisor.
func await(t *testing.T, steps <-chan localnet.Step, name string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case s := <-steps:
			if s.Step == name {
				return
			}
		case <-timeout:
			t.Fatalf("the supervisor does not report %q within a minute", name)
		}
	}
}

func leader(t *testing.T, info localnet.Info) int {
	t.Helper()
	page := sandboxcmd.Ask(t.Context(), info, localnet.Status{}, verifiers())
	for i, n := range page.Nodes {
		if n.Status != nil && n.Status.Role == "leader" {
			return i
		}
	}
	t.Fatal("no node leads")
	return 0
}

func killPid(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

func TestKilledNodesCostNoAcknowledgedTransaction(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network of processes")
	}
	t.Parallel()
	dir := t.TempDir() + "/net"
	steps := make(chan localnet.Step, 1000)
	s := startNetwork(t, dir, steps)
	stopped := false
	defer func() {
		if !stopped {
			_ = s.Stop()
		}
	}()
	l := startLoad(s.Info(), 8)
	l.advance(t, 200)

	killPid(t, s.Info().Nodes[leader(t, s.Info())].Pid)
	l.advance(t, 200)
	await(t, steps, "back")

	follower := (leader(t, s.Info()) + 1) % 3
	killPid(t, s.Info().Nodes[follower].Pid)
	l.advance(t, 200)
	await(t, steps, "back")

	// Two at once leave no quorum, and all three nothing: the supervisor goes on from the ledgers.
	for _, n := range s.Info().Nodes[:2] {
		killPid(t, n.Pid)
	}
	await(t, steps, "ready")
	l.advance(t, 200)
	for _, n := range s.Info().Nodes {
		killPid(t, n.Pid)
	}
	await(t, steps, "ready")
	l.advance(t, 200)
	close(l.stop)
	l.wg.Wait()

	checkAcked(t, l, s.Info())
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	stopped = true
	again := startNetwork(t, dir, steps)
	defer func() { _ = again.Stop() }()
	if again.Info().ChainID != s.Info().ChainID {
		t.Errorf("chain id %d after a restart, %d before", again.Info().ChainID, s.Info().ChainID)
	}
	checkAcked(t, l, again.Info())
}

// checkAcked finds every acknowledged write again, on every node.
func checkAcked(t *testing.T, l *load, info localnet.Info) {
	t.Helper()
	count, lost := 0, 0
	for _, n := range info.Nodes {
		l.acked.Range(func(key, value any) bool {
			count++
			resp, err := http.Get(n.HTTP + "/app/kv/" + key.(string))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || string(got) != value {
				lost++
				t.Errorf("%s: %s is %d %.100q, want %q", n.Name, key, resp.StatusCode, got, value)
			}
			return lost < 10
		})
	}
	if count == 0 {
		t.Error("nothing was acknowledged")
	}
	t.Logf("found %d of %d acknowledged writes", count-lost, count)
}
