// Package stateroot computes the Merkle-Patricia root of the state behind the executor's back.
//
// The root of a block costs more than its execution, so it is computed for many blocks at a time, and
// a header carries the root of an earlier block, which its extra data names (8 bytes, big-endian), as
// EIP-7862 proposes. Blocks on a node that has just become the leader repeat their parent's root until
// the trie is built from the tables.
//
//	executor ── Add(changes of a block) ──> Worker (one goroutine, one Trie) ── Newest ──> next header
//	committed block ── Saw ──> Sampler (every node) ── Recompute(state of the named block) ──> event if it differs
//
// The chain that the executor builds on begins anew when a node loses its view. A trie therefore carries the
// number of the chain, the run, that its blocks are of, and a root is published for that run only. A root
// that is wrong all the same is found by every node, which computes some of the roots that headers carry
// again, from the committed rows and by other code.
//
// Trust: enclave
package stateroot

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/store"
)

// rootEvery is the least time between two roots.
const rootEvery = 250 * time.Millisecond

// maxRootLag is how many blocks a header may be ahead of the root that it carries, once the leader
// has its trie. The executor waits rather than exceed it.
const maxRootLag = 1 << 14

// Worker computes state roots on the leader, in one goroutine.
type Worker struct {
	clock  host.Clock
	log    *slog.Logger
	latest func() *store.Snapshot // the newest committed state

	wake chan struct{}
	done chan struct{} // closed by close
	wg   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // known or closed; guarded by mu
	// The executor's chain: blocks are those after base that the trie does not hold yet. A
	// restart, which run counts, begins a new chain.
	Run    int
	active bool
	base   rows.Head
	blocks []statedb.Changes
	known  rows.KnownRoot // of this run, if its number is not 0
	// doubted says that the trie of this run is to be built anew.
	doubted bool
	closed  bool
}

// runTrie is a trie with the run whose blocks it holds. They never part: a trie that outlives its run
// holds blocks that were rolled back.
type runTrie struct {
	*Trie
	run int
}

// ErrStopped says that more has ended a computation.
var ErrStopped = errors.New("stopped")

func NewWorker(clock host.Clock, log *slog.Logger, latest func() *store.Snapshot) *Worker {
	r := &Worker{clock: clock, log: log, latest: latest, wake: make(chan struct{}, 1), done: make(chan struct{})}
	r.changed = sync.NewCond(&r.mu)
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		r.loop()
	}()
	return r
}

func (r *Worker) Close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.done)
		r.changed.Broadcast()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// Restart begins a chain: the next block follows at.
func (r *Worker) Restart(at rows.Head) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(true, at)
}

func (r *Worker) begin(active bool, at rows.Head) {
	r.Run++
	r.active, r.base, r.blocks, r.known, r.doubted = active, at, nil, rows.KnownRoot{}, false
	r.changed.Broadcast()
}

// Stop forgets the chain: this node does not lead any more.
func (r *Worker) Stop() {
	r.mu.Lock()
	r.begin(false, rows.Head{})
	r.mu.Unlock()
	r.poke()
}

// stopRun is Stop unless another run has begun since.
func (r *Worker) stopRun(run int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Run == run {
		r.begin(false, rows.Head{})
	}
}

// Doubt drops the trie, a root of which is found to be wrong, and has it built anew from the committed rows. Until
// then headers repeat the root that they carry.
func (r *Worker) Doubt() {
	r.mu.Lock()
	r.known, r.doubted = rows.KnownRoot{}, true
	r.changed.Broadcast()
	r.mu.Unlock()
	r.poke()
}

// Add takes what the chain's next block changed. Without a run nothing is kept.
func (r *Worker) Add(b statedb.Changes) {
	r.mu.Lock()
	if r.active {
		r.blocks = append(r.blocks, b)
	}
	r.mu.Unlock()
	r.poke()
}

// poke makes the loop look.
func (r *Worker) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Newest returns the newest root of the chain, if there is one. It waits while the trie is behind
// the block before by more than maxRootLag.
func (r *Worker) Newest(before uint64) (rows.KnownRoot, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed && r.active && r.known.Number > 0 && before > r.known.Number+maxRootLag {
		r.changed.Wait()
	}
	return r.known, r.known.Number > 0
}

func (r *Worker) loop() {
	var t *runTrie
	for {
		select {
		case <-r.done:
			return
		case <-r.wake:
		}
		run, active := r.current()
		if !active {
			t = nil
			continue
		}
		next, err := r.step(t, run)
		if err != nil && !errors.Is(err, ErrStopped) {
			// Headers repeat the last root then; the next leader builds the trie anew.
			r.log.Error("ethereum: no state roots until the next leader", "err", err)
			r.stopRun(run)
		}
		t = next
		select {
		case <-r.done:
			return
		case <-r.clock.After(rootEvery):
		}
		if t == nil { // the trie waits for the commit of the block that it begins with, or for its run
			r.poke()
		}
	}
}

// current returns the run, and whether it is one.
func (r *Worker) current() (run int, active bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Run, r.active
}

// step brings a trie of the run up to the newest block and publishes the root. A trie of another run, or one that
// is doubted, is dropped. Without one it builds a trie, which is nil as long as the state to build it
// from is not committed.
func (r *Worker) step(t *runTrie, run int) (*runTrie, error) {
	base, blocks, keep := r.pending(t, run)
	if !keep {
		var err error
		if t, err = r.build(run, base); t == nil || err != nil {
			return nil, err
		}
		// What came since is not announced again.
		if _, blocks, keep = r.pending(t, run); !keep {
			return nil, nil
		}
	}
	if len(blocks) == 0 {
		return t, nil
	}
	if err := t.apply(blocks); err != nil {
		return nil, err
	}
	root, err := t.Root()
	if err != nil {
		return nil, err
	}
	r.publish(run, rows.KnownRoot{Number: blocks[len(blocks)-1].Number, Root: root})
	return t, nil
}

// pending removes and returns the blocks that a trie lacks. keep is false if the trie is not one of the run.
func (r *Worker) pending(t *runTrie, run int) (base rows.Head, blocks []statedb.Changes, keep bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t == nil || t.run != run || r.Run != run || r.doubted {
		return r.base, nil, false
	}
	blocks, r.blocks = r.blocks, nil
	return r.base, blocks, true
}

// publish makes a root the newest if its run goes on and nobody doubts the trie that it is of.
func (r *Worker) publish(run int, k rows.KnownRoot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Run == run && !r.doubted {
		r.known = k
		r.changed.Broadcast()
	}
}

// build makes the trie of the newest committed block, and drops the blocks up to it. It returns
// nil if that block is not one of the run's chain yet.
func (r *Worker) build(run int, base rows.Head) (*runTrie, error) {
	state := r.latest()
	defer state.Release()
	at, ok, err := rows.ReadHead(state)
	if err != nil || !ok || !r.onChain(run, base, at.Hash) {
		return nil, err
	}
	t := NewTrie()
	err = t.Load(state, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.Run == run && !r.closed
	})
	if err != nil {
		return nil, err
	}
	root, err := t.Root()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Run != run {
		return nil, nil
	}
	for len(r.blocks) > 0 && r.blocks[0].Number <= at.Number {
		r.blocks = r.blocks[1:]
	}
	r.known, r.doubted = rows.KnownRoot{Number: at.Number, Root: root}, false
	r.changed.Broadcast()
	return &runTrie{t, run}, nil
}

// onChain tells whether a block is the run's base or one after it.
func (r *Worker) onChain(run int, base rows.Head, block common.Hash) bool {
	if block == base.Hash {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Run == run {
		for i := range r.blocks {
			if r.blocks[i].Hash == block {
				return true
			}
		}
	}
	return false
}

// apply takes the changes of blocks, of each account and slot only the last.
func (t *Trie) apply(blocks []statedb.Changes) error {
	type slotKey struct {
		addr common.Address
		gen  uint64
		key  common.Hash
	}
	accounts, slots := map[common.Address]*statedb.AccountChange{}, map[slotKey]*statedb.SlotChange{}
	for i := range blocks {
		for j := range blocks[i].Slots {
			c := &blocks[i].Slots[j]
			slots[slotKey{c.Addr, c.Gen, c.Key}] = c
		}
		for j := range blocks[i].Accounts {
			c := &blocks[i].Accounts[j]
			accounts[c.Addr] = c
		}
	}
	for _, c := range accounts {
		if err := t.setAccount(c); err != nil {
			return err
		}
	}
	for _, c := range slots {
		if err := t.setSlot(c); err != nil {
			return err
		}
	}
	return nil
}
