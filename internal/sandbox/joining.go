package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// stragglerPatience is how long a start waits for the others once a quorum is up.
const stragglerPatience = 30 * time.Second

// joinOthers waits until all nodes but the first have joined it, or cannot: with a quorum it goes on without those that end or wait
// for a vote, and after stragglerPatience without those that are joining still. They ask no other node, so the end of the first one ends
// the wait.
func (s *Sandbox) joinOthers(ctx context.Context, n *processes, first int) error {
	watched, cancel := context.WithCancelCause(ctx)
	c := n.child(first)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	running.Go(func() {
		select {
		case <-c.done:
			cancel(n.explain(c.err, first))
		case <-watched.Done():
		}
	})
	outcomes := make(chan outcome)
	w := quorumWait{up: 1, joined: "has joined", ends: func(err error, _ int) bool { return errors.Is(err, nodeconfig.ErrAddressInUse) }}
	for i := range s.info.Nodes {
		switch {
		case i == first || s.info.Nodes[i].Retired:
		case n.child(i) == nil: // it could not be started
			w.down = append(w.down, fmt.Errorf("node %s could not be started", s.info.Nodes[i].Name))
		default:
			w.waiting++
			running.Go(func() {
				err := n.awaitAdmitted(watched, i, first)
				select {
				case outcomes <- outcome{i, err}:
				case <-watched.Done():
				}
			})
		}
	}
	return s.awaitQuorum(watched, w, outcomes)
}

// outcome is what became of a node that was started.
type outcome struct {
	node int
	err  error
}

// quorumWait is what a start of several nodes waits for.
type quorumWait struct {
	up      int                          // nodes that are up already
	waiting int                          // nodes of which an outcome is to come
	down    []error                      // why others are not up
	joined  string                       // what is said of a node that is up, behind its name
	ends    func(err error, up int) bool // whether the failure of a node ends the wait
}

// awaitQuorum waits until all nodes are up, or cannot be: with a quorum it goes on without those that fail, and after stragglerPatience without those that are
// on their way still. If ctx ends, its cause is the error.
func (s *Sandbox) awaitQuorum(ctx context.Context, w quorumWait, outcomes <-chan outcome) error {
	var late <-chan time.Time
	for ; w.waiting > 0; w.waiting-- {
		if w.up >= s.quorum() && late == nil {
			t := time.NewTimer(stragglerPatience)
			defer t.Stop()
			late = t.C
		}
		select {
		case o := <-outcomes:
			name := s.info.Nodes[o.node].Name
			switch {
			case o.err == nil:
				w.up++
				s.report(localnet.Step{Step: "joined", Node: name, Text: name + " " + w.joined})
			case ctx.Err() != nil:
				return errors.Join(append([]error{context.Cause(ctx)}, w.down...)...)
			default:
				if w.down = append(w.down, o.err); w.ends(o.err, w.up) {
					return errors.Join(w.down...)
				}
				s.report(localnet.Step{Step: "down", Node: name, Text: o.err.Error()})
			}
		case <-ctx.Done():
			return errors.Join(append([]error{context.Cause(ctx)}, w.down...)...)
		case <-late:
			s.report(localnet.Step{Step: "down", Text: fmt.Sprintf("%d nodes are joining still", w.waiting)})
			return nil
		}
	}
	if w.up < s.quorum() {
		return fmt.Errorf("%d of %d nodes are up, and the network needs %d: %w", w.up, s.info.Active(), s.quorum(), errors.Join(w.down...))
	}
	return nil
}

// errWaitsForVote says that members have to vote about a node, whose process goes on asking.
var errWaitsForVote = errors.New("it waits for a vote")

// awaitAdmitted is awaitReady for a node that joins. It returns errWaitsForVote as soon as the node has to wait for one.
func (n *processes) awaitAdmitted(ctx context.Context, i, first int) error {
	c := n.child(i)
	ctx, end := endOn(ctx, c.votes, func(why string) error { return fmt.Errorf("%w: %s", errWaitsForVote, why) })
	defer end()
	return n.awaitReady(ctx, i, nodeconfig.StartJoin, []int{first})
}

// endOn returns a context that ends as soon as a node says why it does not become ready; the cause is what fn makes of it. The function
// MUST be called.
func endOn(ctx context.Context, said <-chan string, fn func(why string) error) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case why := <-said:
			cancel(fn(why))
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(nil); watch.Wait() }
}

// awaitReady waits until a node that was started serves and has proven what it runs. One whose own program does not get that far is
// started again with the sandbox's.
func (n *processes) awaitReady(ctx context.Context, i int, how string, others []int) error {
	for {
		c := n.child(i)
		e, err := n.waitReady(ctx, i)
		if err == nil {
			err = n.s.attestReady(ctx, c, i, e)
		}
		if err == nil || ctx.Err() != nil || !n.s.revert(i, err) {
			return err
		}
		stop(c)
		if err := n.start(i, how, others); err != nil {
			return err
		}
	}
}

// revert gives a node the sandbox's program again if its own one does not start, and reports whether it did. What a node ran
// before an upgrade stays listed until every node runs the new program.
func (s *Sandbox) revert(i int, why error) bool {
	if errors.Is(why, nodeconfig.ErrAddressInUse) || errors.Is(why, coco.ErrBusy) {
		return false
	}
	s.mu.Lock()
	n := &s.info.Nodes[i]
	name, code := n.Name, n.Code
	back := code != "" && slices.Contains(s.known.con.Measurements(), coco.Measurement(s.info.Measurement))
	if back {
		n.Code = ""
		if err := s.info.Save(); err != nil {
			s.opts.Log.Error("saving the sandbox's description", "error", err) // the next start tries the program again
		}
	}
	s.mu.Unlock()
	if back {
		s.report(localnet.Step{Step: "reverted", Node: name, Text: fmt.Sprintf("%s goes back to the sandbox's program, because its own, %s, does not start: %v", name, code, why)})
	}
	return back
}
