package sandbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// A node that dies is restarted after a pause that doubles from pauseLow to pauseHigh while its
// starts fail.
const (
	pauseLow  = 100 * time.Millisecond
	pauseHigh = 10 * time.Second
	// trialPatience bounds the start of a node with a program that the others do not run yet.
	trialPatience = 4 * time.Minute
	// giveUp is how often in a row a network without a quorum is brought up in vain.
	giveUp = 5
)

// processes holds the nodes' processes. Except for its lock it belongs to the goroutine that brings
// the network up and then supervises it.
type processes struct {
	s  *Sandbox
	mu sync.Mutex
	at []*child // by node
}

func (n *processes) child(i int) *child {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at[i]
}

// start starts a node's process; see nodeConfig.
func (n *processes) start(i int, how string, others []int) error {
	s := n.s
	if err := s.nodeConfig(i, how, others); err != nil {
		return err
	}
	name := s.info.Nodes[i].Name
	recovering := func(e nodeconfig.Event) { s.showRecovery(name, e) }
	c, err := startChild(s.exeOf(i), name, s.lay.Node(name), recovering)
	if err != nil && s.revert(i, err) {
		c, err = startChild(s.exeOf(i), name, s.lay.Node(name), recovering)
	}
	if err != nil {
		return err
	}
	n.mu.Lock()
	if n.at == nil {
		n.at = make([]*child, len(s.info.Nodes))
	}
	n.at[i] = c
	n.mu.Unlock()
	s.setState(i, func(st *localnet.NodeState) { st.Pid, st.Ready = c.pid(), false })
	return nil
}

func (n *processes) waitReady(ctx context.Context, i int) (nodeconfig.Event, error) {
	c := n.child(i)
	e, err := c.waitReady(ctx)
	if err != nil {
		return e, n.explain(err, i)
	}
	n.s.setState(i, func(st *localnet.NodeState) { st.Ready = true })
	return e, nil
}

// explain adds to a node's error where its log is.
func (n *processes) explain(err error, i int) error {
	name := n.s.info.Nodes[i].Name
	return fmt.Errorf("%w (the log of %s: %s)", err, name, n.s.lay.Node(name).Log())
}

// clear stops all nodes and notes that none runs.
func (n *processes) clear() {
	n.stopAll()
	n.mu.Lock()
	clear(n.at)
	n.mu.Unlock()
	for i := range n.at {
		n.s.setState(i, func(st *localnet.NodeState) { st.Ready, st.Pid = false, 0 })
	}
}

func (n *processes) stopAll() {
	n.mu.Lock()
	children := append([]*child(nil), n.at...)
	n.mu.Unlock()
	stop(children...)
}

// setState notes what is known of a node's process, for the control endpoint and sandbox.json.
func (s *Sandbox) setState(i int, change func(*localnet.NodeState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		s.state = make([]localnet.NodeState, len(s.info.Nodes))
		for k, n := range s.info.Nodes {
			s.state[k].Name = n.Name
		}
	}
	change(&s.state[i])
	if s.info.Nodes[i].Pid == s.state[i].Pid {
		return
	}
	s.info.Nodes[i].Pid = s.state[i].Pid
	if err := s.info.Save(); err != nil {
		s.opts.Log.Error("saving the sandbox's description", "error", err) // it says less than it should, no more
	}
}

// setStarting notes whether the network is being brought up.
func (s *Sandbox) setStarting(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = is
}

// readyNodes are the nodes that take part in the network.
func (s *Sandbox) readyNodes() (ready []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.state {
		if st.Ready {
			ready = append(ready, i)
		}
	}
	return ready
}

// nodeEvent is news of a process: it is ready, or it has ended.
type nodeEvent struct {
	node  int
	child *child
	ended bool
	err   error // why it cannot be used, or has ended
}

// supervisor restarts what dies.
type supervisor struct {
	*processes
	events  chan nodeEvent
	watches sync.WaitGroup
	due     []time.Time // when a node that is down is started again; zero for none
	pause   []time.Duration
	asked   []*child // processes that were told to end, to be started again
}

func (s *Sandbox) supervise(ctx context.Context, n *processes) error {
	v := &supervisor{processes: n, events: make(chan nodeEvent), due: make([]time.Time, len(n.at)), pause: make([]time.Duration, len(n.at)), asked: make([]*child, len(n.at))}
	ctx, cancel := context.WithCancel(ctx)
	defer v.watches.Wait()
	defer n.stopAll() // ends the watches
	defer s.noteLast()
	defer cancel()
	v.watchAll(ctx)
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case e := <-v.events:
			err = v.handle(ctx, e)
		case i := <-v.s.restarts:
			v.restart(i)
		case <-wake.C:
			v.startDue(ctx)
		}
		if err != nil {
			return err
		}
		wake.Reset(v.untilDue())
	}
}

// watchAll watches every node after the network has come up. Those that are not up are started again.
func (v *supervisor) watchAll(ctx context.Context) {
	ready := v.s.readyNodes()
	for i := range v.at {
		v.pause[i] = 0
		switch c := v.child(i); {
		case v.s.info.Nodes[i].Retired:
		case c == nil:
			v.due[i] = time.Now().Add(pauseHigh)
		default:
			v.watch(ctx, i, !slices.Contains(ready, i))
		}
	}
}

// watch sends what becomes of a node's process.
func (v *supervisor) watch(ctx context.Context, i int, starting bool) {
	c := v.child(i)
	send := func(e nodeEvent) {
		select {
		case v.events <- e:
		case <-ctx.Done():
		}
	}
	v.watches.Go(func() {
		if starting {
			patience := ctx
			if v.s.hasOwnProgram(i) { // which may be one that does nothing
				var cancel context.CancelFunc
				patience, cancel = context.WithTimeoutCause(ctx, trialPatience, fmt.Errorf("it took longer than %v", trialPatience))
				defer cancel()
			}
			e, err := c.waitReady(patience)
			if err == nil {
				err = v.s.attestReady(ctx, c, i, e)
			}
			if err != nil && c.running() {
				stop(c)
			}
			if err == nil {
				send(nodeEvent{node: i, child: c})
			}
		}
		<-c.done
		send(nodeEvent{node: i, child: c, ended: true, err: c.err})
	})
}

func (v *supervisor) handle(ctx context.Context, e nodeEvent) error {
	s := v.s
	if e.child != v.child(e.node) {
		return nil // of a process that was replaced since
	}
	name := s.info.Nodes[e.node].Name
	if !e.ended {
		v.pause[e.node] = 0
		s.report(localnet.Step{Step: "back", Node: name, Text: name + " is back under a new identity and has caught up"})
		s.setState(e.node, func(st *localnet.NodeState) { st.Ready = true })
		return nil
	}
	if e.child.retired {
		return v.retire(e.node)
	}
	served := slices.Contains(s.readyNodes(), e.node)
	s.setState(e.node, func(st *localnet.NodeState) { st.Ready, st.Pid = false, 0; st.Restarts++ })
	if !served && s.revert(e.node, e.err) {
		v.due[e.node] = time.Now()
		return nil
	}
	if v.asked[e.node] == e.child {
		v.asked[e.node], v.due[e.node] = nil, time.Now()
		return nil
	}
	s.report(localnet.Step{Step: "down", Node: name, Text: e.err.Error()})
	if len(s.readyNodes()) < s.quorum() {
		return v.recover(ctx)
	}
	v.pause[e.node] = min(max(2*v.pause[e.node], pauseLow), pauseHigh)
	v.due[e.node] = time.Now().Add(v.pause[e.node])
	return nil
}

// restart tells a node's process to end; handle starts it again.
func (v *supervisor) restart(i int) {
	c := v.child(i)
	if c == nil || !c.running() {
		return // it is on its way back already
	}
	v.asked[i] = c
	v.s.report(localnet.Step{Step: "restarting", Node: c.name, Text: c.name + " is told to end and starts again"})
	v.watches.Go(func() { stop(c) })
}

// retire takes note that a node has left the network: nothing starts it again.
func (v *supervisor) retire(i int) error {
	s := v.s
	name := s.info.Nodes[i].Name
	s.setState(i, func(st *localnet.NodeState) { st.Ready, st.Pid = false, 0 })
	s.report(localnet.Step{Step: "retired", Node: name, Text: name + " has left the network for good"})
	return s.update(func(info *localnet.Info) { info.Nodes[i].Retired = true })
}

func (v *supervisor) untilDue() time.Duration {
	next := time.Hour
	for _, t := range v.due {
		if !t.IsZero() {
			next = min(next, max(time.Until(t), 0))
		}
	}
	return next
}

// startDue starts the nodes whose pause is over. They join under a new identity and take their old
// one's place.
func (v *supervisor) startDue(ctx context.Context) {
	now := time.Now()
	for i, t := range v.due {
		if t.IsZero() || t.After(now) {
			continue
		}
		v.due[i] = time.Time{}
		name := v.s.info.Nodes[i].Name
		v.s.report(localnet.Step{Step: "restarting", Node: name, Text: name + " starts again and joins the others"})
		if err := v.start(i, nodeconfig.StartJoin, v.s.readyNodes()); err != nil {
			v.s.opts.Log.Error("a node cannot be started", "node", name, "error", err)
			v.due[i] = now.Add(pauseHigh)
			continue
		}
		v.watch(ctx, i, true)
	}
}

// recover brings the network up again when too few nodes are left to commit anything. What they
// acknowledged is on a majority of the disks, so nothing is lost.
func (v *supervisor) recover(ctx context.Context) error {
	s := v.s
	clear(v.due)
	v.clear()
	s.setStarting(true)
	err := s.tryUp(ctx, v.processes, func(error) bool { return true }, func() error { return s.bringUp(ctx, v.processes) })
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	s.setStarting(false)
	v.watchAll(ctx)
	s.report(s.readyStep())
	return nil
}
