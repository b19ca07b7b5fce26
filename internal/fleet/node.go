package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/wire"
)

const (
	followEvery = 2 * time.Second
	listEvery   = 15 // rounds
	// askPatience bounds one question about a node's state, with its verification.
	askPatience = 4 * time.Second
	// maxNodes bounds how many nodes are known at a time.
	maxNodes = 64
)

// node is one node of the network.
type node struct {
	address string
	named   bool // by Config: never forgotten
	c       *client.Client

	// current: an answer of it was not older than those of the homes before.
	current atomic.Bool

	mu     sync.Mutex
	id     coco.NodeID
	leader bool
	until  time.Time // it is not asked before, if another one can be
}

func (n *node) said() Home {
	n.mu.Lock()
	defer n.mu.Unlock()
	return Home{Address: n.address, Node: n.id, Leader: n.leader}
}

// is notes the node's id, as another node says.
func (n *node) is(id coco.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.id = id
}

// rest has others be asked first for a while.
func (n *node) rest(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.until = time.Now().Add(d)
}

// rests is how much longer.
func (n *node) rests() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Until(n.until)
}

// answer is what a node said of itself.
type answer struct {
	n      *node
	status *wire.Status
	err    error
}

// ask verifies a node, if it is not, and asks for its state.
func (n *node) ask(ctx context.Context) answer {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	s, err := n.c.Status(ctx)
	if err == nil {
		n.mu.Lock()
		n.id, n.leader = s.Node, s.Role == "leader"
		n.mu.Unlock()
		switch {
		case s.Role == "joining" || s.Constitution == (coco.Digest{}):
			err = fmt.Errorf("%w: node at %s: it is joining", coco.ErrBusy, n.address)
		case s.Leader == (coco.NodeID{}):
			err = fmt.Errorf("%w: node at %s: it knows no leader", coco.ErrBusy, n.address)
		}
	}
	return answer{n, s, err}
}

// choose makes a node home, unless there is one: the leader, or another one that serves.
func (f *Fleet) choose(ctx context.Context) (*node, error) {
	f.choosing.Lock()
	defer f.choosing.Unlock()
	if home, err := f.at(); err != nil || home != nil {
		return home, err
	}
	return f.survey(ctx)
}

// at returns home, if there is one.
func (f *Fleet) at() (*node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.home, f.stopped
}

// survey asks all nodes at once. It is called under choosing.
func (f *Fleet) survey(ctx context.Context) (*node, error) {
	all := f.known()
	answers := make(chan answer, len(all))
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, n := range all {
		go func() { answers <- n.ask(asking) }() // ends with asking at the latest
	}
	serving := map[*node]*wire.Status{}
	var errs []error
	for range all {
		a := <-answers
		if f.succeeded(a.err) {
			a = a.n.ask(ctx)
		}
		if a.err == nil {
			a.err = f.agree(ctx, a)
		}
		switch {
		case f.halted() != nil:
			return nil, f.halted()
		case a.err != nil:
			errs = append(errs, fmt.Errorf("node at %s: %w", a.n.address, a.err))
		case a.status.Role == "leader" && a.n.rests() <= 0:
			return f.settle(a.n), nil
		default:
			serving[a.n] = a.status
		}
	}
	var best *node
	for _, n := range all { // those that a person named first
		if serving[n] != nil && (best == nil || n.rests() <= 0 && best.rests() > 0) {
			best = n
		}
	}
	if best == nil {
		return nil, f.worst(errs)
	}
	return f.settle(best), nil
}

// worst is the error of a network of which no node serves: if nodes answer and none is believed, trying again cannot help.
func (f *Fleet) worst(errs []error) error {
	err := errors.Join(errs...)
	for _, e := range errs {
		if errors.Is(e, coco.ErrUnreachable) || errors.Is(e, coco.ErrBusy) {
			return fmt.Errorf("%w: no node of the network serves: %w", coco.ErrUnreachable, unkind{err})
		}
	}
	return err
}

// unkind is an error of no kind: its text is kept.
type unkind struct{ error }

// settle makes a node home.
func (f *Fleet) settle(n *node) *node {
	f.mu.Lock()
	before := f.home
	f.home = n
	f.mu.Unlock()
	if n != before {
		n.current.Store(false)
		f.cfg.Moved(n.said())
	}
	return n
}

// left says that a node failed a request. If it is home, another one is looked for.
func (f *Fleet) left(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.home == n {
		f.home = nil
	}
	maps.DeleteFunc(f.residents, func(_ string, of *node) bool { return of == n })
}

func (f *Fleet) halted() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stopped
}

// nodeFor returns the node for a request. While none serves it asks again, until ctx is done.
func (f *Fleet) nodeFor(ctx context.Context, a *attempt) (*node, error) {
	if n := f.next(a); n != nil && f.halted() == nil {
		return n, nil
	}
	if n := f.filters.of(f, a); n != nil && n.rests() <= 0 && f.halted() == nil {
		return n, nil
	}
	for {
		home, err := f.at()
		if home != nil || err != nil {
			if err == nil {
				err = sleep(ctx, home.rests())
			}
			return home, err
		}
		n, err := f.choose(ctx)
		if err == nil {
			err = sleep(ctx, n.rests())
			return n, err
		}
		if f.halted() != nil || !errors.Is(err, coco.ErrUnreachable) {
			return nil, err
		}
		if sleep(ctx, 200*time.Millisecond) != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctxtime.Sleep(ctx, d) {
		return nil
	}
	return fmt.Errorf("%w: %w", coco.ErrUnreachable, context.Cause(ctx))
}

// answered notes what an answer tells about its node.
func (f *Fleet) answered(n *node, a *attempt, resp *http.Response) {
	if a.linearizable && resp.StatusCode == http.StatusOK {
		n.current.Store(true)
	}
	f.resides(n, a, resp)
	f.filters.note(n, a, resp)
}
