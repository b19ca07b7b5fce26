package history

import (
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/own"
	"github.com/cocoframework/coco/history/recent"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/lru"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
)

// Ledger is what the index needs of a ledger.Log.
type Ledger interface {
	Read(from, to uint64, maxBytes int) ([]batch.Entry, error)
	// Chunks returns the chunks that are there, in order; only the last may be incomplete.
	Chunks() []ledger.Chunk
	// Quarantine sets a complete chunk aside that does not hold what the network wrote.
	Quarantine(first uint64) error
}

// Config says what an index works with. All fields must be set but Ahead, Current and Terms.
type Config struct {
	Disk   host.Disk
	Dir    string // of the index's files, which no other program uses
	Ledger Ledger
	// Keys returns the keys of an epoch. Its error means that this node does not hold them yet, or does not any more: then it may be asked again. It is coco.ErrMissing if no node opens the
	// epoch: its batches are passed over, and looked at again should that change.
	Keys func(epoch uint64) (*batch.Keys, error)
	// Ahead is Keys for the goroutine of Run, which comes to later epochs next; nil: it is Keys.
	Ahead func(epoch uint64) (*batch.Keys, error)
	// Current returns the epoch in use and its keys, nil before there is one. If it is set, the index's files are sealed under a key of this node's own, so that they
	// can be read when their epochs' keys have expired.
	Current func() (uint64, *batch.Keys)
	// Terms calls add with every term of a row that a transaction wrote, see Search. It returns the same whenever it is
	// called, and is called by the goroutine of Run.
	Terms func(table string, key, value []byte, add func(term []byte))
	Clock host.Clock
	Log   *slog.Logger
}

// Position is where a prefix of the ledger ends.
type Position struct {
	Index, View uint64          // of the entry, and of its leader
	Seqno       uint64          // of the last transaction
	Tree        merkle.Frontier // over all transactions up to it
}

// Index finds what was. Its methods may be called concurrently, except those that say that they belong to
// one caller.
type Index struct {
	cfg    Config
	limits limits
	hash   func(table string, key []byte) segment.Hash
	caches caches
	wake   chan struct{} // has room for one
	loop   loop          // owned by Run

	// mu is never held while the host is asked for anything.
	mu       sync.RWMutex
	started  bool
	start    Position
	end      Position // committed
	commits  int
	recent   recent.Batches
	segments []*segment.File // trusted, in order. The slice is replaced, not changed
	tail     *builder        // makes the segment of the newest transactions, nil for a while
	found    found
}

// caches hold what was read from files. Each has a lock of its own.
type caches struct {
	blocks *lru.Cache[segment.BlockID, []byte]
	opened *lru.Cache[uint64, *opened]
	reads  chan struct{} // one token for each look-up that has a batch in memory beside them
}

// loop is the state of the goroutine in Run: which files wait, and which segment it makes.
type loop struct {
	listed    bool            // unread is there
	unread    []string        // names of files that are not opened yet
	locked    []string        // names of files that could not be opened
	openAt    time.Duration   // when to try them again
	beginAt   time.Duration   // when to begin another segment
	lookAt    time.Duration   // when to ask for missing entries again
	reopenAt  time.Duration   // when to look again whether what was passed over opens
	claimed   []*segment.File // opened, in order, but nothing vouches for them yet
	fill      *builder        // makes a segment for transactions before the newest ones
	doubt     uint64          // an entry that fill must leave out, see doubted
	disturbed int             // commits, when Run last looked
	own       own.Key         // of the files
}

// found is what keeps the index from being complete.
type found struct {
	damaged []damage // by readers
	missing []Range  // transactions whose entries are not here
	passed  []passed // what no node opens, in order; written by Run alone
	fault   string   // why indexing does not go on
}

// damage is an entry that is not what the network wrote.
type damage struct {
	index uint64
	cause error // how that showed
}

// limits are the sizes that tests change.
type limits struct {
	slice   int // bytes of the ledger read at once
	records int // of a segment, roughly
	batches int // of a segment
	run     int // records sorted at once
	keep    int // batches that stay in memory although a file covers them
}

// maxReads is how many look-ups read batches of the ledger at a time, unless there are more processors. Each has a batch
// in memory, sealed and opened; others wait for their turn.
const maxReads = 4

// Readers is how many look-ups read batches of the ledger at a time.
func Readers() int { return max(maxReads, runtime.GOMAXPROCS(0)) }

// New returns an index that knows nothing. Start tells it where the state begins, and Run does its work.
func New(cfg Config) *Index {
	if cfg.Ahead == nil {
		cfg.Ahead = cfg.Keys
	}
	return &Index{
		cfg:    cfg,
		limits: limits{slice: 256 << 10, records: segment.MaxRecords, batches: segment.MaxBatches, run: 8 << 10, keep: 1024},
		hash:   segment.HashOf,
		caches: caches{blocks: lru.New[segment.BlockID, []byte](8 << 20), opened: lru.New[uint64, *opened](16 << 20), reads: make(chan struct{}, Readers())},
		wake:   make(chan struct{}, 1),
	}
}

// Start says what the executor's state begins with: the zero position for an empty one, the end of the
// snapshot otherwise. It MUST be called once, before Committed.
func (x *Index) Start(at Position) {
	at.Tree = at.Tree.Clone()
	x.mu.Lock()
	x.start, x.end, x.started = at, at, true
	x.mu.Unlock()
	x.Wake()
}

// Committed announces the batch that ends at a position and begins with a seqno. It is called in
// order, for every batch, and never waits for the host.
func (x *Index) Committed(at Position, first uint64) {
	root := recent.Root(&at.Tree)
	x.mu.Lock()
	x.recent.Add(recent.Batch{First: first, Index: at.Index, View: at.View, Root: root}, &x.end.Tree)
	x.end = at
	x.commits++
	x.mu.Unlock()
	x.Wake()
}

// Wake makes Run look again: a chunk of the ledger has come back, or an epoch's key.
func (x *Index) Wake() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Range is a range of transactions, with both ends.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Status says how far the index is.
type Status struct {
	Committed uint64  `json:"committed"`         // the last seqno that was announced
	Indexed   uint64  `json:"indexed"`           // the last one up to which Get can look, apart from Missing and Pending
	Segments  int     `json:"segments"`          // files in use
	Bytes     int64   `json:"bytes"`             // of these files
	Records   int     `json:"records"`           // in memory, not in a file yet
	Building  bool    `json:"building"`          // older transactions are being indexed
	Pending   []Range `json:"pending,omitempty"` // older transactions that are still to be indexed
	Missing   []Range `json:"missing,omitempty"` // transactions whose ledger chunks are not on this node
	Fault     string  `json:"fault,omitempty"`   // what keeps the index from going on
}

// Status returns how far the index is.
func (x *Index) Status() Status {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := Status{Committed: x.end.Seqno, Segments: len(x.segments), Missing: slices.Clone(x.found.missing), Fault: x.found.fault}
	for _, seg := range x.segments {
		s.Bytes += seg.Bytes()
		s.Indexed = seg.To
	}
	if x.tail != nil {
		x.tail.mu.RLock()
		s.Records, s.Indexed = x.tail.count, max(s.Indexed, x.tail.To)
		x.tail.mu.RUnlock()
	}
	for _, h := range x.holes(nil) {
		if h.from <= s.Indexed && !slices.ContainsFunc(s.Missing, func(r Range) bool { return r.First <= h.from && h.to <= r.Last }) {
			s.Pending = append(s.Pending, Range{h.from, h.to})
		}
	}
	s.Building = len(s.Pending) > 0
	return s
}
