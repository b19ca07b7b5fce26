package ethereum

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/host"
)

// The state root of a block costs more than its execution, so it is computed behind the executor's
// back, for many blocks at a time, and a header carries the root of an earlier block, which its
// extra data names (8 bytes, big-endian), as EIP-7862 proposes. Blocks on a node that has just
// become the leader repeat their parent's root until the trie is built from the tables.

// rootEvery is the least time between two roots.
const rootEvery = 250 * time.Millisecond

// maxRootLag is how many blocks a header may be ahead of the root that it carries, once the leader
// has its trie. The executor waits rather than exceed it.
const maxRootLag = 1 << 14

// knownRoot is a block's number and the state root after it.
type knownRoot struct {
	number uint64
	root   common.Hash
}

// rootBlock is what a block changed.
type rootBlock struct {
	number   uint64
	hash     common.Hash
	accounts []accountChange
	slots    []slotChange
}

// rooter computes state roots on the leader, in one goroutine.
type rooter struct {
	clock  host.Clock
	log    *slog.Logger
	latest func() *View // the newest committed state

	wake chan struct{}
	done chan struct{} // closed by close
	wg   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // known or closed; guarded by mu
	// The executor's chain: blocks are those after base that the trie does not hold yet. A
	// restart, which run counts, begins a new chain.
	run    int
	active bool
	base   head
	blocks []rootBlock
	known  knownRoot // of this run, if its number is not 0
	closed bool
}

var errStopped = errors.New("stopped")

func newRooter(clock host.Clock, log *slog.Logger, latest func() *View) *rooter {
	r := &rooter{clock: clock, log: log, latest: latest, wake: make(chan struct{}, 1), done: make(chan struct{})}
	r.changed = sync.NewCond(&r.mu)
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		r.loop()
	}()
	return r
}

func (r *rooter) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.done)
		r.changed.Broadcast()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// restart begins a chain: the next block follows at.
func (r *rooter) restart(at head) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(true, at)
}

func (r *rooter) begin(active bool, at head) {
	r.run++
	r.active, r.base, r.blocks, r.known = active, at, nil, knownRoot{}
	r.changed.Broadcast()
}

// stop forgets the chain: this node does not lead any more.
func (r *rooter) stop() {
	r.mu.Lock()
	r.begin(false, head{})
	r.mu.Unlock()
	r.poke()
}

// add takes what the chain's next block changed.
func (r *rooter) add(b rootBlock) {
	r.mu.Lock()
	r.blocks = append(r.blocks, b)
	r.mu.Unlock()
	r.poke()
}

// poke makes the loop look.
func (r *rooter) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// newest returns the newest root of the chain, if there is one. It waits while the trie is behind
// the block before by more than maxRootLag.
func (r *rooter) newest(before uint64) (knownRoot, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed && r.active && r.known.number > 0 && before > r.known.number+maxRootLag {
		r.changed.Wait()
	}
	return r.known, r.known.number > 0
}

func (r *rooter) loop() {
	var t *stateTrie
	run := 0
	for {
		select {
		case <-r.done:
			return
		case <-r.wake:
		}
		next, err := r.step(t, run)
		if err != nil && !errors.Is(err, errStopped) {
			// Headers repeat the last root then; the next leader builds the trie anew.
			r.log.Error("ethereum: no state roots until the next leader", "err", err)
			r.stop()
			next = nil
		}
		r.mu.Lock()
		t, run = next, r.run
		again := r.active && t == nil
		r.mu.Unlock()
		if t == nil && !again {
			continue
		}
		select {
		case <-r.done:
			return
		case <-r.clock.After(rootEvery):
		}
		if again { // the trie waits for the commit of the block that it begins with
			r.poke()
		}
	}
}

// step brings the trie, which is that of a run, up to the newest block and publishes the root.
// Without a trie of the current run it builds one, which is nil as long as the state to build it
// from is not committed.
func (r *rooter) step(t *stateTrie, run int) (*stateTrie, error) {
	r.mu.Lock()
	if r.run != run || !r.active {
		t = nil
	}
	run = r.run
	active, base := r.active, r.base
	r.mu.Unlock()
	if !active {
		return nil, nil
	}
	if t == nil {
		var err error
		if t, err = r.build(run, base); t == nil || err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	blocks := r.blocks
	if r.run != run {
		blocks = nil
	} else {
		r.blocks = nil
	}
	r.mu.Unlock()
	if len(blocks) == 0 {
		return t, nil
	}
	if err := t.apply(blocks); err != nil {
		return nil, err
	}
	root, err := t.root()
	if err != nil {
		return nil, err
	}
	r.publish(run, knownRoot{blocks[len(blocks)-1].number, root})
	return t, nil
}

func (r *rooter) publish(run int, k knownRoot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run == run {
		r.known = k
		r.changed.Broadcast()
	}
}

// build makes the trie of the newest committed block, and drops the blocks up to it. It returns
// nil if that block is not one of the run's chain yet.
func (r *rooter) build(run int, base head) (*stateTrie, error) {
	v := r.latest()
	defer v.Release()
	at := v.Head()
	if at == nil || !r.onChain(run, base, at) {
		return nil, nil
	}
	t := newStateTrie()
	err := t.load(v.snapshot, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.run == run && !r.closed
	})
	if err != nil {
		return nil, err
	}
	root, err := t.root()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run != run {
		return nil, nil
	}
	for len(r.blocks) > 0 && r.blocks[0].number <= at.Number() {
		r.blocks = r.blocks[1:]
	}
	r.known = knownRoot{at.Number(), root}
	r.changed.Broadcast()
	return t, nil
}

// onChain tells whether a block is the run's base or one after it.
func (r *rooter) onChain(run int, base head, b *Block) bool {
	if b.Hash == base.hash {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run == run {
		for i := range r.blocks {
			if r.blocks[i].hash == b.Hash {
				return true
			}
		}
	}
	return false
}

// apply takes the changes of blocks, of each account and slot only the last.
func (t *stateTrie) apply(blocks []rootBlock) error {
	type slotKey struct {
		addr common.Address
		gen  uint64
		key  common.Hash
	}
	accounts, slots := map[common.Address]*accountChange{}, map[slotKey]*slotChange{}
	for i := range blocks {
		for j := range blocks[i].slots {
			c := &blocks[i].slots[j]
			slots[slotKey{c.addr, c.gen, c.key}] = c
		}
		for j := range blocks[i].accounts {
			c := &blocks[i].accounts[j]
			accounts[c.addr] = c
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

// nextRoot chooses the root that the next header carries.
func (b *builder) nextRoot() {
	if k, ok := b.roots.newest(b.parent.number); ok && k.number > b.carried.number {
		b.carried = k
	}
}

// carriedBy returns the root that a block's header carries: its own, for the first block.
func carriedBy(h *types.Header) knownRoot {
	k := knownRoot{root: h.Root}
	if len(h.Extra) == 8 {
		k.number = binary.BigEndian.Uint64(h.Extra)
	}
	return k
}
