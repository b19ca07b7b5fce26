package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/wire"
)

// TestMain lets the test's program stand in for a node: it listens as it is told, says that it may
// not do more, and ends.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "node" {
		os.Exit(standIn(os.Args[4]))
	}
	os.Exit(m.Run())
}

func standIn(config string) int {
	cfg, err := nodeconfig.Load(config)
	if err == nil {
		_, err = net.Listen("tcp", cfg.Peer)
	}
	if err == nil {
		err = fmt.Errorf("%w: a stand-in is no node", coco.ErrDenied)
	}
	_ = json.NewEncoder(os.Stdout).Encode(nodeconfig.FailedEvent(err))
	return wire.ExitCode(err)
}

func TestNodesThatMeetAUsedAddressGetOthers(t *testing.T) {
	s := made(t, 3)
	var err error
	if s.exe, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	if err := s.assignNodePorts(nil); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", s.info.Nodes[0].Peer) // between the choice and the start
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	n := &processes{s: s}
	defer n.stopAll()
	if err := s.firstUp(t.Context(), n); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("firstUp: %v, want the refusal of a node that could listen", err)
	}
	if got := s.info.Nodes[0].Peer; got == taken.Addr().String() {
		t.Errorf("the first node still is to listen at %s, which is taken", got)
	}
	saved, err := localnet.Load(s.lay.Dir)
	if err != nil || saved.Nodes[0].Peer != s.info.Nodes[0].Peer {
		t.Errorf("sandbox.json says %v, %v", saved.Nodes, err)
	}
}

func TestAnAddressInUseIsToldAcrossProcesses(t *testing.T) {
	err := fmt.Errorf("listen for nodes: %w", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", nodeconfig.ErrAddressInUse)})
	if got := nodeconfig.FailedEvent(err).Failure(); !errors.Is(got, nodeconfig.ErrAddressInUse) {
		t.Errorf("the supervisor sees %v", got)
	}
}

func TestNoTwoNodesShareAPort(t *testing.T) {
	s := &Sandbox{}
	addr, err := nodePort("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range localnet.Names {
		s.info.Nodes = append(s.info.Nodes, localnet.Node{Name: name, Peer: addr, Client: addr})
	}
	if err := s.assignNodePorts(s.nodeAddresses()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, n := range s.info.Nodes {
		for _, at := range []string{n.Peer, n.Client} {
			if other := seen[at]; other != "" {
				t.Errorf("%s and %s both have %s", other, n.Name, at)
			}
			seen[at] = n.Name
		}
	}
}

func TestTheEndOfTheFirstNodeEndsTheOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sandbox{info: localnet.Info{Nodes: []localnet.Node{{Name: "alpha"}, {Name: "bravo"}, {Name: "charlie"}}}}
		n := &processes{s: s}
		for _, node := range s.info.Nodes {
			n.at = append(n.at, &child{name: node.Name, ready: make(chan nodeconfig.Event, 1), done: make(chan struct{})})
		}
		got := make(chan error, 1)
		go func() { got <- s.joinOthers(t.Context(), n, 0) }()
		synctest.Wait()
		n.at[0].err = fmt.Errorf("node alpha: %w", syscall.ENOSPC)
		close(n.at[0].done)
		if err := <-got; !errors.Is(err, syscall.ENOSPC) { // nothing else can end the wait
			t.Errorf("joinOthers: %v", err)
		}
	})
}

func TestANetworkThatIsUpHasAQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sandbox{opts: Options{Report: func(localnet.Step) {}, Log: slog.New(slog.DiscardHandler)}}
		s.info.Nodes = []localnet.Node{{Name: "alpha"}, {Name: "bravo"}, {Name: "charlie"}}
		n := &processes{s: s}
		for _, node := range s.info.Nodes {
			n.at = append(n.at, &child{name: node.Name, ready: make(chan nodeconfig.Event, 1), done: make(chan struct{})})
		}
		for _, c := range n.at[1:] {
			c.err = fmt.Errorf("node %s: %w", c.name, syscall.EACCES)
			close(c.done)
		}
		if err := s.joinOthers(t.Context(), n, 0); !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "1 of 3 nodes are up, and the network needs 2") {
			t.Errorf("with the first node alone: %v", err)
		}
		n.at[2] = nil // it could not even be started
		if err := s.joinOthers(t.Context(), n, 0); err == nil || !strings.Contains(err.Error(), "node charlie could not be started") {
			t.Errorf("with the first node alone: %v", err)
		}
	})
}

func TestANetworkThatDoesNotComeUpAgainIsTriedSomeTimes(t *testing.T) {
	full := fmt.Errorf("node alpha: %w", syscall.ENOSPC)
	for name, test := range map[string]struct {
		committed bool
		err       error
		works     int // the try that succeeds; 0: none
		want      int
	}{
		"a full disk":                  {true, full, 0, giveUp},
		"room was made":                {true, full, 3, 3},
		"a damaged ledger":             {true, coco.ErrCorrupt, 0, 1},
		"another node at its address":  {true, errOtherNode, 2, 2},
		"a new network on a full disk": {false, full, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Sandbox{opts: Options{Report: func(localnet.Step) {}, Log: slog.New(slog.DiscardHandler)}, info: localnet.Info{Committed: test.committed}}
				again := func(err error) bool { return s.info.Committed && !final(err) }
				tries := 0
				err := s.tryUp(t.Context(), &processes{s: s}, again, func() error {
					if tries++; tries == test.works {
						return nil
					}
					return test.err
				})
				if tries != test.want || (err == nil) != (test.works == test.want) || err != nil && !errors.Is(err, test.err) {
					t.Errorf("%d tries, %v; want %d", tries, err, test.want)
				}
			})
		})
	}
}

func TestWhoAsksDuringAStartIsAnswered(t *testing.T) {
	s := made(t, 1)
	s.starting = true
	ctx, cancel := context.WithCancelCause(t.Context())
	s.end.cancel = cancel
	c, err := newControl(s)
	if err != nil {
		t.Fatal(err)
	}
	c.start(ctx)
	info := s.info
	info.Control, info.Token = c.url, c.token
	if st, err := localnet.GetStatus(t.Context(), info); err != nil || !st.Starting {
		t.Errorf("during the start: %+v, %v", st, err)
	}
	s.setStarting(false)
	if st, err := localnet.GetStatus(t.Context(), info); err != nil || st.Starting {
		t.Errorf("after the start: %+v, %v", st, err)
	}
	cancel(errStopped)
	if err := c.wait(); err != nil {
		t.Error(err)
	}
}

// A stop that comes while the nodes start ends them, with an error that says so.
func TestAStartCanBeStopped(t *testing.T) {
	s := made(t, 1)
	opts := s.opts
	opts.Fresh = true
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStopped)
	_, err := Start(ctx, opts)
	if err == nil || !strings.Contains(err.Error(), "before the network was ready") {
		t.Errorf("Start: %v", err)
	}
	info, err := localnet.Load(opts.Dir)
	if err != nil || info.Control != "" || info.Pid != 0 {
		t.Errorf("left behind: %+v, %v", info, err)
	}
}
