package ledger

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"sort"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Options of a Log.
type Options struct {
	// ChunkBytes is the size at which a chunk file is complete. It MUST be the same on all nodes of
	// a network for their files to be identical. Default 64 MiB, at most 2 GiB.
	ChunkBytes int64
}

const (
	defaultChunkBytes = 64 << 20
	fillStep          = 4 << 20 // how far ahead of its frames the active file is filled with zeros
	keepBuffer        = 4 << 20 // the largest write buffer that is kept, and the size at which it is written
)

func (o Options) validate() (Options, error) {
	if o.ChunkBytes == 0 {
		o.ChunkBytes = defaultChunkBytes
	}
	if o.ChunkBytes < 1 || o.ChunkBytes > 2<<30 {
		return o, fmt.Errorf("%w: ledger: chunk size of %d bytes: expected 1 to %d", coco.ErrInvalid, o.ChunkBytes, int64(2<<30))
	}
	return o, nil
}

// Log is the ledger's entries on disk: the log of the consensus. One goroutine appends, syncs, cuts
// and closes; any number may call First, Last, ViewOf and Read meanwhile.
//
// It keeps four bytes in memory for each entry.
type Log struct {
	disk     host.Disk
	dir      string
	opts     Options
	readOnly bool
	torn     uint64

	// Owned by the goroutine that appends.
	active   host.File // the last chunk's file, if that chunk is incomplete
	filled   int64     // its size; from the chunk's end on it holds zeros
	garbage  bool      // a write failed: what follows the chunk's end is unknown
	unsynced bool      // frames were written since the last Sync
	failed   error     // why nothing more can be written
	buf      []byte

	// reading is held while files are read, and by whatever closes, renames or shortens one.
	reading   sync.Mutex
	openFile  host.File // the file that was read last, unless it is the active one
	openChunk chunkFile

	// mu guards the index; it is taken after reading.
	mu     sync.RWMutex
	chunks []*chunk
	views  []viewRun
}

// chunk is the index of a chunk file.
type chunk struct {
	first    uint64
	offsets  []uint32 // of each entry's frame
	end      int64    // of the last frame
	complete bool
}

func (c *chunk) last() uint64 { return c.first + uint64(len(c.offsets)) - 1 }

// file describes the chunk's file; it says nothing about its size.
func (c *chunk) file() chunkFile {
	if c.complete {
		return chunkFile{first: c.first, last: c.last()}
	}
	return chunkFile{first: c.first}
}

// frame returns the offset of the i-th frame and of what follows it.
func (c *chunk) frame(i int) (from, to int64) {
	if i+1 < len(c.offsets) {
		return int64(c.offsets[i]), int64(c.offsets[i+1])
	}
	return int64(c.offsets[i]), c.end
}

// viewRun says that the entries from first on, up to the next run, are of the view.
type viewRun struct{ first, view uint64 }

// Open opens the log in a directory for appending; an empty directory is an empty log. It reads all
// of the files and checks their frames. The entries found are durable when Open returns.
//
// A crash can leave an incomplete frame at the end, which was never reported durable: it is cut off,
// see Torn. Damage that has a valid frame after it is not what a crash leaves: Open then changes
// nothing and fails with an error of kind coco.ErrCorrupt that names the file, the offset and the
// index. Complete chunks are the same on every node, so such a file can be copied from another one.
func Open(disk host.Disk, dir string, opts Options) (*Log, error) {
	return open(disk, dir, opts, false)
}

// OpenReadOnly opens a log without ever writing, even while a node appends to it: it then holds what
// was there at the time. An incomplete frame at the end is left alone.
func OpenReadOnly(disk host.Disk, dir string) (*Log, error) {
	return open(disk, dir, Options{}, true)
}

func open(disk host.Disk, dir string, opts Options, readOnly bool) (_ *Log, err error) {
	opts, err = opts.validate()
	if err != nil {
		return nil, err
	}
	l := &Log{disk: disk, dir: dir, opts: opts, readOnly: readOnly}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	files, empty, err := listChunks(disk, dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := l.load(f); err != nil {
			return nil, fmt.Errorf("ledger: %s: %w", l.path(f.name()), err)
		}
	}
	if readOnly {
		return l, nil
	}
	for _, name := range empty {
		if err := disk.Remove(l.path(name)); err != nil {
			return nil, fmt.Errorf("ledger: remove the empty %s: %w", l.path(name), err)
		}
	}
	// A crash between writing the frame that completes a chunk and renaming its file.
	if c := l.lastChunk(); c != nil && !c.complete && c.end >= opts.ChunkBytes {
		if err := l.complete(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *Log) path(name string) string { return path.Join(l.dir, name) }

// load reads a file's frames into the index.
func (l *Log) load(cf chunkFile) (err error) {
	file, err := openChunk(l.disk, l.dir, cf)
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		if !keep {
			file.Close()
		}
	}()
	retry := 0
	if l.readOnly && cf.last == 0 {
		retry = liveRetries
	}
	r, err := newFrameReader(file, cf.first, retry)
	if err != nil {
		return err
	}
	c := &chunk{first: cf.first, complete: cf.last != 0}
	for {
		e, off, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad := (*damage)(nil); errors.As(err, &bad) {
			if err := l.cutTorn(cf, r, bad); err != nil {
				return err
			}
			break
		}
		if err != nil {
			return err
		}
		if last := l.lastView(); e.View < last {
			return corruptAt(off, e.Index, fmt.Sprintf("its view is %d, after view %d", e.View, last))
		}
		if off > math.MaxUint32 {
			return corruptAt(off, e.Index, "the file is larger than any chunk can be")
		}
		c.offsets = append(c.offsets, uint32(off))
		l.noteView(e.Index, e.View)
	}
	c.end = r.off
	if bad := checkEnd(cf, r); bad != nil {
		return corruptAt(bad.off, bad.index, bad.reason)
	}
	c.offsets = slices.Clip(c.offsets)
	l.chunks = append(l.chunks, c)
	if cf.last == 0 && !l.readOnly {
		// What was found may still be on its way to the disk, and so may the cut: what was cut must
		// not come back behind frames that are written in its place.
		if err := file.Sync(); err != nil {
			return err
		}
		keep = true
		l.active, l.filled = file, r.size
	}
	return nil
}

// liveRetries is how often a file that somebody may be appending to is read again.
const liveRetries = 16

// openChunk opens a chunk's file, also if the node that writes it has completed it since.
func openChunk(disk host.Disk, dir string, cf chunkFile) (host.File, error) {
	file, err := disk.Open(path.Join(dir, cf.name()))
	if err == nil || cf.last != 0 {
		return file, err
	}
	names, lerr := disk.List(dir)
	if lerr != nil {
		return nil, err
	}
	for _, name := range names {
		if first, _, ok := parseChunkName(name); ok && first == cf.first {
			return disk.Open(path.Join(dir, name))
		}
	}
	return nil, err
}

// cutTorn handles a damaged frame: an incomplete tail of the file being written is cut off, anything
// else is an error.
func (l *Log) cutTorn(cf chunkFile, r *frameReader, bad *damage) error {
	if cf.last != 0 {
		return corruptAt(bad.off, bad.index, bad.reason)
	}
	after, found, err := r.validAfter(bad)
	if err != nil {
		return err
	}
	if found {
		return corruptAt(bad.off, bad.index, fmt.Sprintf("%s; at offset %d a valid frame follows, so this is not the end of an interrupted write", bad.reason, after))
	}
	l.torn = bad.index
	if l.readOnly {
		return nil
	}
	if err := r.file.Truncate(bad.off); err != nil {
		return fmt.Errorf("cut off an incomplete frame: %w", err)
	}
	r.size = bad.off
	return nil
}

// checkEnd checks that a complete chunk ends where its name says.
func checkEnd(cf chunkFile, r *frameReader) *damage {
	switch {
	case cf.last == 0:
		return nil
	case r.off != r.size:
		return &damage{off: r.off, index: r.expect, reason: fmt.Sprintf("%d zero bytes follow the last frame of a complete chunk", r.size-r.off)}
	case r.expect != cf.last+1:
		return &damage{off: r.off, index: r.expect, reason: fmt.Sprintf("the chunk's frames end with entry %d", r.expect-1)}
	}
	return nil
}

// corruptAt describes a frame that must not be there. The caller names the file.
func corruptAt(off int64, index uint64, reason string) error {
	return fmt.Errorf("%w: offset %d: entry %d: %s: restore the file from a backup or from another node", coco.ErrCorrupt, off, index, reason)
}

// Torn returns the index of the entry whose incomplete frame was found at the end on opening, and
// cut off, or 0.
func (l *Log) Torn() uint64 { return l.torn }

// First returns the index of the first entry, 0 if there is none.
func (l *Log) First() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.chunks) == 0 || len(l.chunks[0].offsets) == 0 {
		return 0
	}
	return l.chunks[0].first
}

// Last returns the index of the last entry, 0 if there is none.
func (l *Log) Last() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lastIndex()
}

func (l *Log) lastIndex() uint64 {
	if c := l.lastChunk(); c != nil {
		return c.last()
	}
	return 0
}

func (l *Log) lastChunk() *chunk {
	if len(l.chunks) == 0 {
		return nil
	}
	return l.chunks[len(l.chunks)-1]
}

func (l *Log) lastView() uint64 {
	if len(l.views) == 0 {
		return 0
	}
	return l.views[len(l.views)-1].view
}

// noteView records the view of a new last entry.
func (l *Log) noteView(index, view uint64) {
	if len(l.views) == 0 || l.lastView() != view {
		l.views = append(l.views, viewRun{index, view})
	}
}

// ViewOf returns the view of an entry, and false if there is no such entry.
func (l *Log) ViewOf(index uint64) (uint64, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if index == 0 || index > l.lastIndex() {
		return 0, false
	}
	i := sort.Search(len(l.views), func(i int) bool { return l.views[i].first > index })
	return l.views[i-1].view, true
}
