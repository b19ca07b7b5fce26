package blocks

import (
	"fmt"
	"maps"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// Advance makes the block at the head of a state, which a batch has just committed, the newest, and tells subscribers. It returns the block,
// or nil if it is the newest already. It never reads the ledger: of such a block everything is in memory.
func (a *Archive) Advance(state *store.Snapshot, at *rows.Head) (*Block, error) {
	old := a.head.Load()
	if old != nil && old.Hash == at.Hash {
		if a.facts.Development {
			a.feed.changed(at.Number, state.Version())
		}
		return nil, nil
	}
	block, err := a.newest(state, at)
	if err != nil {
		return nil, err
	}
	a.head.Store(block)
	if a.facts.Development && old != nil {
		if at.Number <= old.Number() {
			a.feed.takeBack(at.Number, state.Version())
			return block, nil
		}
		for n := old.Number() + 1; n < at.Number; n++ { // one batch has made several
			between, err := a.newest(state, &rows.Head{Number: n})
			if err != nil {
				return nil, err
			}
			a.feed.publish(between, 0)
		}
	}
	a.feed.publish(block, state.Version())
	return block, nil
}

// StateAfter returns the state after a recent block, unless it has left memory. It MUST be released.
func (a *Archive) StateAfter(number uint64) (*store.Snapshot, bool) {
	seqno, ok := a.feed.state(number)
	if !ok {
		return nil, false
	}
	s, err := a.env.State.SnapshotAt(seqno)
	return s, err == nil
}

// feed tells subscribers about committed blocks, and remembers at which version of the store each
// recent block's state is.
type feed struct {
	mu     sync.Mutex
	states map[uint64]uint64 // block -> seqno; the newest KeepStates
	oldest uint64            // of states
	heads  map[*Subscription]struct{}
	backs  []uint64 // in development mode: numbers of blocks that have become the newest one again
	closed bool
}

// KeepStates is how many blocks' states are read from memory; the store keeps as many batches.
const KeepStates = store.Retain

func (f *feed) init() {
	f.states = map[uint64]uint64{}
	f.heads = map[*Subscription]struct{}{}
}

func (f *feed) publish(b *Block, seqno uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := b.Number()
	if len(f.states) == 0 {
		f.oldest = number
	}
	if seqno > 0 {
		f.states[number] = seqno
	}
	for ; len(f.states) > KeepStates && f.oldest < number; f.oldest++ {
		delete(f.states, f.oldest)
	}
	if len(f.heads) == 0 {
		return
	}
	head := *b
	head.Txs = nil // subscribers that are behind keep headers in memory, and nothing else
	for s := range f.heads {
		if !s.deliver(&head) {
			delete(f.heads, s)
		}
	}
}

// changed says that the state after the newest block is another one now.
func (f *feed) changed(number, seqno uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states[number] = seqno
}

// takeBack says that the block of a number is the newest one again. Subscribers are not told.
func (f *feed) takeBack(number, seqno uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.states, func(n, _ uint64) bool { return n > number })
	f.states[number] = seqno
	f.oldest = min(f.oldest, number)
	f.backs = append(f.backs, number)
}

// TakenBack returns the numbers of the blocks that have become the newest one again on this node, in development mode, after the first so many times.
func (a *Archive) TakenBack(since int) []uint64 {
	a.feed.mu.Lock()
	defer a.feed.mu.Unlock()
	return a.feed.backs[min(since, len(a.feed.backs)):]
}

// state returns the version of the store that holds the state after a recent block.
func (f *feed) state(number uint64) (seqno uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seqno, ok = f.states[number]
	return seqno, ok
}

// Subscribers returns how many subscriptions are open.
func (a *Archive) Subscribers() int {
	a.feed.mu.Lock()
	defer a.feed.mu.Unlock()
	return len(a.feed.heads)
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for s := range f.heads {
		s.end(ErrClosed)
	}
	clear(f.heads)
}

var (
	// ErrClosed is why a subscription, or a call on its way to a block, ends with its ledger.
	ErrClosed = fmt.Errorf("%w: the ledger is closed", coco.ErrUnreachable)
	errSlow   = fmt.Errorf("%w: the subscriber is too slow: read faster, or subscribe to less", coco.ErrBusy)
	errEnded  = fmt.Errorf("%w: the subscription was closed by its reader", coco.ErrNotFound)
)

// Subscription delivers the heads of the blocks that are committed after it was made, in order: blocks without Txs.
// A reader that falls behind by more than the buffer loses the subscription: C is closed, and Err says why.
type Subscription struct {
	C    <-chan *Block
	c    chan *Block
	feed *feed

	mu  sync.Mutex
	err error
}

// deliver is called by the feed only, under its lock.
func (s *Subscription) deliver(b *Block) bool {
	select {
	case s.c <- b:
		return true
	default:
		s.end(errSlow)
		return false
	}
}

func (s *Subscription) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.c)
	}
}

// Err says why C was closed, or nil while it is open.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	delete(s.feed.heads, s)
	s.end(errEnded)
}

// Subscribe delivers the head of every block that is committed from now on. Whoever wants more of a block reads it
// when its turn comes (View.Block, View.LogsOf), so that what waits for a slow reader is small.
func (a *Archive) Subscribe(buffer int) *Subscription {
	f := &a.feed
	c := make(chan *Block, max(buffer, 1))
	s := &Subscription{C: c, c: c, feed: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		s.end(ErrClosed)
	} else {
		f.heads[s] = struct{}{}
	}
	return s
}
