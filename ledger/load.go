package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// liveRetries is how often a file that a node may be appending to is read again.
const liveRetries = 16

// frames is what a chunk file holds.
type frames struct {
	offsets []uint32
	views   []viewRun
}

// scan reads frames up to the end or to the first damage.
func (f *frames) scan(r *frameReader) error {
	view := uint64(0)
	for {
		e, off, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.View < view {
			return corruptAt(off, e.Index, fmt.Sprintf("its view is %d, after view %d", e.View, view))
		}
		if off > math.MaxUint32 {
			return corruptAt(off, e.Index, "the file is larger than any chunk can be")
		}
		view = e.View
		f.offsets = append(f.offsets, uint32(off))
		f.views = noteView(f.views, e.Index, e.View)
	}
}

// openActive reads the chunk that is being written, and keeps its file open.
func (l *Log) openActive(cf chunkFile) error {
	file, err := l.folders[0].open(cf)
	if err != nil {
		return err
	}
	c, err := l.readActive(file, cf)
	if err != nil {
		file.Close()
		return err
	}
	l.chunks = append(l.chunks, c)
	if l.readOnly {
		return file.Close()
	}
	l.active.file = file
	return nil
}

func (l *Log) readActive(file host.File, cf chunkFile) (*chunk, error) {
	retry := 0
	if l.readOnly {
		retry = liveRetries
	}
	r, err := newFrameReader(file, cf.first, retry)
	if err != nil {
		return nil, err
	}
	var f frames
	err = f.scan(r)
	if bad := (*damage)(nil); errors.As(err, &bad) {
		err = l.cutTorn(r, cf, bad)
	}
	if err != nil {
		return nil, err
	}
	c := &chunk{first: cf.first, last: r.expect - 1, end: r.off, offsets: slices.Clip(f.offsets), views: f.views}
	if l.readOnly {
		return c, nil
	}
	// What was found may still be on its way to the disk, and so may the cut: what was cut must
	// not come back behind frames that are written in its place.
	l.active.filled = r.size
	return c, file.Sync()
}

// cutTorn handles a damaged frame: an incomplete tail of the file being written is cut off, anything
// else is an error.
func (l *Log) cutTorn(r *frameReader, cf chunkFile, bad *damage) error {
	if err := tornOnly(r, cf, bad); err != nil {
		return err
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

// tornOnly returns an error unless damage is what an interrupted write leaves at the end of the chunk
// that was being written.
func tornOnly(r *frameReader, cf chunkFile, bad *damage) error {
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

// corruptError says which entry of a file is not what was written. The caller names the file.
type corruptError struct {
	off    int64
	index  uint64
	reason string
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("%v: offset %d: entry %d: %s: restore the file from a backup or from another node", coco.ErrCorrupt, e.off, e.index, e.reason)
}

func (e *corruptError) Unwrap() error { return coco.ErrCorrupt }

func corruptAt(off int64, index uint64, reason string) error {
	return &corruptError{off, index, reason}
}

// DamagedEntry returns the first entry that is not what was written, according to an error of this
// package; 0 if the error does not say.
func DamagedEntry(err error) uint64 {
	if e := (*corruptError)(nil); errors.As(err, &e) {
		return e.index
	}
	if e := (*chunkError)(nil); errors.As(err, &e) {
		return e.index
	}
	return 0
}

// Load reads and checks now all chunks that hold entries from an index on and were not read since
// Open: afterwards none of them holds damage that the disk did. It fails with an error of kind
// coco.ErrCorrupt that names the first damaged file: complete chunks are the same on every node, so
// such a file can be copied from another one, see Quarantine and Insert. That entries are missing is
// no error, see Missing.
func (l *Log) Load(from uint64) error {
	l.mu.RLock()
	chunks := slices.Clone(l.chunks)
	l.mu.RUnlock()
	view := uint64(0)
	for _, c := range chunks {
		l.mu.RLock()
		file, views, empty := c.file(), c.views, c.last < c.first
		l.mu.RUnlock()
		if empty || max(c.first, file.last) < from && c.complete {
			continue
		}
		if views == nil {
			_, _, err := l.index(c)
			if errors.Is(err, fs.ErrNotExist) {
				l.search()
				continue
			}
			if err != nil {
				return err
			}
			l.mu.RLock()
			views = c.views
			l.mu.RUnlock()
		}
		if first := views[0].view; first < view {
			return fmt.Errorf("ledger: %s: %w", l.show(file), corruptAt(0, c.first, fmt.Sprintf("its view is %d, after view %d", first, view)))
		}
		view = views[len(views)-1].view
	}
	return nil
}

// index returns the offsets of a chunk's frames and the last one's end, reading the file if need be.
func (l *Log) index(c *chunk) (offsets []uint32, end int64, err error) {
	for {
		l.mu.Lock()
		if c.offsets != nil || !c.complete {
			l.recent.use(c)
			offsets, end = c.offsets, c.end
			l.mu.Unlock()
			return offsets, end, nil
		}
		busy := c.loading
		if busy == nil {
			break
		}
		l.mu.Unlock()
		<-busy
	}
	done, file := make(chan struct{}), c.file()
	c.loading = done
	l.mu.Unlock()

	f, end, err := l.readComplete(file)

	l.mu.Lock()
	defer l.mu.Unlock()
	c.loading = nil
	close(done)
	if err != nil {
		return nil, 0, fmt.Errorf("ledger: %s: %w", l.show(file), err)
	}
	if c.complete {
		c.offsets, c.views, c.end = f.offsets, f.views, end
		l.recent.use(c)
	}
	return f.offsets, end, nil
}

// readComplete reads a complete chunk's file and checks it.
func (l *Log) readComplete(cf chunkFile) (f frames, end int64, err error) {
	file, err := l.folders[cf.in].open(cf)
	if err != nil {
		return f, 0, err
	}
	defer file.Close()
	r, err := newFrameReader(file, cf.first, 0)
	if err != nil {
		return f, 0, err
	}
	err = f.scan(r)
	bad := (*damage)(nil)
	if err == nil {
		if bad = checkEnd(cf, r); bad == nil {
			f.offsets = slices.Clip(f.offsets)
			return f, r.off, nil
		}
		err = bad
	}
	if errors.As(err, &bad) {
		err = corruptAt(bad.off, bad.index, bad.reason)
	}
	return f, 0, err
}
