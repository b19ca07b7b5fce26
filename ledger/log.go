package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Options of a Log.
type Options struct {
	// ChunkBytes is the size in bytes at which a chunk file is complete, at most 2 GiB. It MUST be the
	// same on all nodes of a network for their files to be identical, so it has no default: while it is
	// 0, nothing can be appended. See SetChunkBytes.
	ChunkBytes int64
	// Extra are further folders, from which the log only reads: complete chunks may be moved there
	// while the log is open, and brought back.
	Extra []host.Disk
}

const (
	maxChunkBytes = 2 << 30
	fillStep      = 4 << 20 // how far ahead of its frames the active file is filled with zeros
	keepBuffer    = 4 << 20 // the largest write buffer that is kept, and the size at which it is written
	keepOffsets   = 1 << 20 // frames of complete chunks that are remembered: those of two chunks at least
)

func (o Options) validate() (Options, error) {
	if o.ChunkBytes == 0 {
		return o, nil
	}
	return o, checkChunkBytes(o.ChunkBytes)
}

func checkChunkBytes(n int64) error {
	if n < 1 || n > maxChunkBytes {
		return fmt.Errorf("%w: ledger: chunk size of %d bytes: expected 1 to %d", coco.ErrInvalid, n, int64(maxChunkBytes))
	}
	return nil
}

// Log is the ledger's entries on disk: the log of the consensus. One goroutine appends, syncs, cuts,
// sets and closes (Append, Sync, TruncateAfter, StartAt, SetChunkBytes, Close); any number may call
// the other methods meanwhile.
//
// Complete chunks are listed when the log is opened and read when they are asked for. Between them
// entries may be missing, because their chunks were moved away or not fetched yet: First tells from
// where on nothing is. Memory does not grow with the ledger: the log keeps four bytes for each entry
// of the last chunk and of the few complete ones that were used last.
type Log struct {
	folders  []folder // where chunks are, its own folder first
	opts     Options  // ChunkBytes is owned by the goroutine that appends
	readOnly bool
	torn     uint64

	// Owned by the goroutine that appends.
	active active
	failed error // why nothing more can be written

	// layout is held while chunk files are renamed, removed or looked for. Reading does not hold it: a
	// reader opens the file by its name, and looks again if the name has gone.
	layout host.Lock
	// cuts is odd while entries are removed. Entries that were read meanwhile may not belong together.
	cuts atomic.Uint64

	// mu guards what follows. It is taken after layout, and never held while the disk works.
	mu        sync.RWMutex
	chunks    []*chunk // in order; only the last may be incomplete
	base      uint64   // the entry before the next one, if greater than the last chunk's last: see StartAt
	run       uint64   // first entry of the last run without a gap
	recent    recent
	inserting map[uint64]bool // chunks that are being inserted, by their first entry
	refused   map[string]bool // files in further folders that are damaged
}

// chunk is what is known about a chunk file. Its fields are guarded by the log's mu; those of the
// last, incomplete one are written by the goroutine that appends only.
type chunk struct {
	first, last uint64 // last is first-1 in a chunk without entries
	end         int64  // of the last frame
	complete    bool
	in          int           // number of its folder
	offsets     []uint32      // of each entry's frame; of a complete chunk, nil unless it is among the recent ones
	views       []viewRun     // of its entries; nil until a complete chunk was read
	loading     chan struct{} // closed when the file has been read; nil if it is not being read
}

// file describes the chunk's file.
func (c *chunk) file() chunkFile {
	f := chunkFile{first: c.first, size: c.end, in: c.in}
	if c.complete {
		f.last = c.last
	}
	return f
}

// frame returns the offset of the i-th frame and of what follows it.
func frame(offsets []uint32, end int64, i int) (from, to int64) {
	if i+1 < len(offsets) {
		return int64(offsets[i]), int64(offsets[i+1])
	}
	return int64(offsets[i]), end
}

// viewRun says that the entries from first on, up to the next run, are of the view.
type viewRun struct{ first, view uint64 }

// noteView records the view of a new last entry.
func noteView(views []viewRun, index, view uint64) []viewRun {
	if n := len(views); n == 0 || views[n-1].view != view {
		views = append(views, viewRun{index, view})
	}
	return views
}

// Open opens the log in a directory for appending; an empty directory is an empty log. It reads the
// last chunk, if it is incomplete, and checks its frames; of the complete ones it reads the names
// only, see Load. The entries found are durable when Open returns.
//
// A crash can leave an incomplete frame at the end, which was never reported durable: it is cut off,
// see Torn. Damage that has a valid frame after it is not what a crash leaves: Open then changes
// nothing and fails with an error of kind coco.ErrCorrupt that names the file, the offset and the
// index.
func Open(disk host.Disk, dir string, opts Options) (*Log, error) {
	return open(disk, dir, opts, false)
}

// OpenReadOnly opens a log without ever writing, even while a node appends to it: it then holds what
// was there at the time. An incomplete frame at the end is left alone.
func OpenReadOnly(disk host.Disk, dir string, extra ...host.Disk) (*Log, error) {
	return open(disk, dir, Options{Extra: extra}, true)
}

func open(disk host.Disk, dir string, opts Options, readOnly bool) (_ *Log, err error) {
	opts, err = opts.validate()
	if err != nil {
		return nil, err
	}
	l := &Log{
		folders: foldersOf(disk, dir, opts.Extra), opts: opts, readOnly: readOnly, layout: host.NewLock(), recent: recent{keep: keepOffsets},
		inserting: make(map[uint64]bool), refused: make(map[string]bool),
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	found, err := list(l.folders)
	if err != nil {
		return nil, err
	}
	for _, f := range found.chunks {
		if f.last != 0 {
			l.chunks = append(l.chunks, &chunk{first: f.first, last: f.last, end: f.size, complete: true, in: f.in})
		} else if err := l.openActive(f); err != nil {
			return nil, fmt.Errorf("ledger: %s: %w", l.show(f), err)
		}
	}
	abandoned := l.dropAbandoned()
	l.findRun()
	if readOnly {
		return l, nil
	}
	for _, name := range slices.Concat(found.empty, found.parts, abandoned) {
		if err := disk.Remove(l.folders[0].path(name)); err != nil {
			return nil, fmt.Errorf("ledger: remove what an interruption left, %s: %w", l.folders[0].show(name), err)
		}
	}
	return l, nil
}

// dropAbandoned forgets a last chunk that begins a new run and has no entry: a run is durable with
// its first one. It returns the file's name.
func (l *Log) dropAbandoned() []string {
	n := len(l.chunks)
	if n == 0 || l.chunks[n-1].last >= l.chunks[n-1].first || l.chunks[n-1].first == 1 {
		return nil
	}
	c := l.chunks[n-1]
	if n > 1 && l.chunks[n-2].last == c.last {
		return nil
	}
	l.chunks = l.chunks[:n-1]
	l.active.close()
	return []string{c.file().name()}
}

// show names a chunk's file for people.
func (l *Log) show(f chunkFile) string { return l.folders[f.in].show(f.name()) }

// path returns the name of a file in the log's own folder.
func (l *Log) path(name string) string { return l.folders[0].path(name) }

// Torn returns the index of the entry whose incomplete frame was found at the end on opening, and
// cut off, or 0.
func (l *Log) Torn() uint64 { return l.torn }

// First returns the first index from which on no entry is missing up to Last, 0 if the log is empty.
// After StartAt, and until entries are appended, it is Last+1.
func (l *Log) First() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	last := l.lastIndex()
	switch {
	case last == 0:
		return 0
	case len(l.chunks) == 0 || l.lastChunk().last < last:
		return last + 1
	}
	return l.run
}

// findRun finds the last run without a gap. It needs mu, and is called whenever chunks come or go.
func (l *Log) findRun() {
	l.run = 0
	for i := len(l.chunks) - 1; i >= 0; i-- {
		if l.run != 0 && l.chunks[i].last+1 != l.run {
			return
		}
		l.run = l.chunks[i].first
	}
}

// Last returns the index of the last entry, 0 if there is none; after StartAt, of the one before the
// next.
func (l *Log) Last() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lastIndex()
}

func (l *Log) lastIndex() uint64 {
	if c := l.lastChunk(); c != nil {
		return max(c.last, l.base)
	}
	return l.base
}

// tail is lastChunk for the goroutine that appends, which does not hold mu.
func (l *Log) tail() *chunk {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lastChunk()
}

// lastChunk needs mu.
func (l *Log) lastChunk() *chunk {
	if len(l.chunks) == 0 {
		return nil
	}
	return l.chunks[len(l.chunks)-1]
}

// holder returns the chunk that holds an entry, or else the range of entries around it that are
// missing. It needs mu.
func (l *Log) holder(index uint64) (*chunk, Range) {
	i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].first > index })
	gap := Range{First: 1, Last: l.base}
	if i > 0 {
		if c := l.chunks[i-1]; index <= c.last {
			return c, Range{}
		}
		gap.First = l.chunks[i-1].last + 1
	}
	if i < len(l.chunks) {
		gap.Last = l.chunks[i].first - 1
	}
	return nil, gap
}

// ViewOf returns the view of an entry, and false if the log does not hold it or the disk does not
// return it. It reads the entry's chunk if that is complete and was not read since Open.
func (l *Log) ViewOf(index uint64) (uint64, bool) {
	view, err := l.viewOf(index)
	return view, err == nil
}

func (l *Log) viewOf(index uint64) (uint64, error) {
	for range 3 {
		l.mu.RLock()
		c, _ := l.holder(index)
		if c == nil {
			l.mu.RUnlock()
			break
		}
		views := c.views
		l.mu.RUnlock()
		if i := sort.Search(len(views), func(i int) bool { return views[i].first > index }); i > 0 {
			return views[i-1].view, nil
		}
		switch _, _, err := l.index(c); {
		case errors.Is(err, fs.ErrNotExist):
			l.search()
		case err != nil:
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: ledger: entry %d is not in %s", coco.ErrNotFound, index, l.folders[0].name)
}
