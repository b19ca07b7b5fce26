package chain

import (
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// Committed implements adapter.Ledger.
func (l *Ledger) Committed(c adapter.Commit) {
	state, err := l.env.State.SnapshotAt(c.Last)
	if err != nil {
		l.env.Log.Error("ethereum: a committed batch is not readable", "seqno", c.Last, "err", err)
		return
	}
	defer state.Release()
	if err := l.advance(state); err != nil {
		l.env.Log.Error("ethereum: a committed block is not readable", "seqno", c.Last, "err", err)
	}
}

// advance makes the block at the head of a state, which a batch has just committed, the newest. It never
// reads the ledger: of such a block everything is in memory.
func (l *Ledger) advance(state *store.Snapshot) error {
	at, ok, err := rows.ReadHead(state)
	if err != nil || !ok {
		return err
	}
	old := l.head.Load()
	if old != nil && old.Hash == at.Hash {
		return nil
	}
	block, err := l.newest(state, &at)
	if err != nil {
		return err
	}
	var logs []*types.Log
	if block.Header.Bloom != (types.Bloom{}) && l.feed.wantsLogs() {
		logs, err = logsOf(block, &LogFilter{}, func(i int) (rows.Tx, error) {
			row, ok := state.Get(rows.Txs, block.Txs[i][:])
			if !ok {
				return rows.Tx{}, lost(errNoRow, "transaction %v of block %d", block.Txs[i], block.Number())
			}
			return rows.DecodeTx(row)
		})
		if err != nil {
			return err
		}
	}
	l.head.Store(block)
	l.feed.publish(block, state.Version(), logs)
	if !block.bare {
		l.roots.Saw(block.View, block.Number(), rows.CarriedBy(block.Header))
	}
	return nil
}

// stateAfter returns the state after a recent block, unless it has left memory. It MUST be released.
func (l *Ledger) stateAfter(number uint64) (*store.Snapshot, bool) {
	seqno, ok := l.feed.state(number)
	if !ok {
		return nil, false
	}
	s, err := l.env.State.SnapshotAt(seqno)
	return s, err == nil
}

// feed tells subscribers about committed blocks, and remembers at which version of the store each
// recent block's state is.
type feed struct {
	mu     sync.Mutex
	states map[uint64]uint64 // block -> seqno; the newest keepStates
	oldest uint64            // of states
	heads  map[*Subscription[*Block]]struct{}
	logs   map[*Subscription[[]*types.Log]]*LogFilter
	closed bool
}

// keepStates is how many blocks' states are read from memory; the store keeps as many batches.
const keepStates = store.Retain

func (f *feed) init() {
	f.states = map[uint64]uint64{}
	f.heads = map[*Subscription[*Block]]struct{}{}
	f.logs = map[*Subscription[[]*types.Log]]*LogFilter{}
}

// wantsLogs reports whether a subscriber wants logs. A later subscriber hears of later blocks.
func (f *feed) wantsLogs() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.logs) > 0
}

func (f *feed) publish(b *Block, seqno uint64, logs []*types.Log) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := b.Number()
	if len(f.states) == 0 {
		f.oldest = number
	}
	f.states[number] = seqno
	for ; len(f.states) > keepStates && f.oldest < number; f.oldest++ {
		delete(f.states, f.oldest)
	}
	for s := range f.heads {
		if !s.deliver(b) {
			delete(f.heads, s)
		}
	}
	if len(logs) == 0 {
		return
	}
	for s, filter := range f.logs {
		var match []*types.Log
		for _, l := range logs {
			if filter.Match(l) {
				match = append(match, l)
			}
		}
		if len(match) > 0 && !s.deliver(match) {
			delete(f.logs, s)
		}
	}
}

// state returns the version of the store that holds the state after a recent block.
func (f *feed) state(number uint64) (seqno uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seqno, ok = f.states[number]
	return seqno, ok
}

// Subscribers returns how many subscriptions are open.
func (l *Ledger) Subscribers() int {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	return len(l.feed.heads) + len(l.feed.logs)
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for s := range f.heads {
		s.end(errClosed)
	}
	for s := range f.logs {
		s.end(errClosed)
	}
	clear(f.heads)
	clear(f.logs)
}

var (
	errClosed = fmt.Errorf("%w: the ledger is closed", coco.ErrUnreachable)
	errSlow   = fmt.Errorf("%w: the subscriber is too slow: read faster, or subscribe to less", coco.ErrBusy)
	errEnded  = fmt.Errorf("%w: the subscription was closed by its reader", coco.ErrNotFound)
)

// Subscription delivers what is committed after it was made, in order. A reader that falls behind
// by more than the buffer loses the subscription: C is closed, and Err says why.
type Subscription[T any] struct {
	C      <-chan T
	c      chan T
	remove func()

	mu  sync.Mutex
	err error
}

func newSubscription[T any](buffer int) *Subscription[T] {
	c := make(chan T, max(buffer, 1))
	return &Subscription[T]{C: c, c: c}
}

// deliver is called by the feed only, under its lock.
func (s *Subscription[T]) deliver(v T) bool {
	select {
	case s.c <- v:
		return true
	default:
		s.end(errSlow)
		return false
	}
}

func (s *Subscription[T]) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.c)
	}
}

// Err says why C was closed, or nil while it is open.
func (s *Subscription[T]) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription[T]) Close() { s.remove() }

// SubscribeHeads delivers every block that is committed from now on.
func (l *Ledger) SubscribeHeads(buffer int) *Subscription[*Block] {
	s := newSubscription[*Block](buffer)
	subscribe(&l.feed, s, func() { l.feed.heads[s] = struct{}{} }, func() { delete(l.feed.heads, s) })
	return s
}

// SubscribeLogs delivers, block by block, the logs that match; blocks without any are left out.
func (l *Ledger) SubscribeLogs(filter *LogFilter, buffer int) *Subscription[[]*types.Log] {
	s := newSubscription[[]*types.Log](buffer)
	subscribe(&l.feed, s, func() { l.feed.logs[s] = filter }, func() { delete(l.feed.logs, s) })
	return s
}

func subscribe[T any](f *feed, s *Subscription[T], add, remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.remove = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		remove()
		s.end(errEnded)
	}
	if f.closed {
		s.end(errClosed)
		return
	}
	add()
}
