package ledger

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/cocoframework/coco"
)

// TruncateAfter removes all entries after an index, durably. A crash meanwhile leaves some of them,
// in order, behind. What is in a further folder is not removed: it fails if it would have to be.
func (l *Log) TruncateAfter(index uint64) error {
	if err := l.writable(); err != nil {
		return err
	}
	if index >= l.Last() {
		return nil
	}
	if err := l.checkCut(index); err != nil {
		return err
	}
	l.layout.Lock()
	defer l.layout.Unlock()
	l.cuts.Add(1)
	defer l.cuts.Add(1)
	l.mu.Lock()
	// Where a run began behind the index, another one may begin.
	if i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].first > index }); l.base != index {
		l.base = 0
		if i < len(l.chunks) && l.chunks[i].first == index+1 {
			l.base = index
		}
	}
	c := l.lastChunk()
	l.mu.Unlock()
	// From the end, so that what is there has no new gap at any time.
	for c != nil && c.last > index {
		keep := 0
		if index >= c.first {
			keep = int(index - c.first + 1)
		}
		if err := l.cutChunk(c, keep); err != nil {
			return l.fail(fmt.Errorf("ledger: %s: remove the entries after %d: %w", l.show(c.file()), index, err))
		}
		c = l.tail()
	}
	return nil
}

// checkCut makes sure that the log can be cut, before anything is.
func (l *Log) checkCut(index uint64) error {
	l.mu.RLock()
	c, _ := l.holder(index)
	for _, c := range l.chunks {
		if c.last > index && c.in != 0 {
			l.mu.RUnlock()
			return fmt.Errorf("%w: ledger: the entries after %d must be removed, and %s is among them: move it back to %s, or elsewhere",
				coco.ErrInvalid, index, l.show(c.file()), l.folders[0].name)
		}
	}
	l.mu.RUnlock()
	if c == nil || c.last == index {
		return nil
	}
	_, _, err := l.index(c)
	return err
}

// cutChunk shortens the last chunk to its first entries, and makes it the active one; with none of
// them it removes it. It needs l.layout.
func (l *Log) cutChunk(c *chunk, keep int) error {
	var offsets []uint32
	var end int64
	if keep > 0 {
		all, chunkEnd, err := l.index(c)
		if err != nil {
			return err
		}
		_, end = frame(all, chunkEnd, keep-1)
		offsets = all[:keep:keep]
	}
	if l.active.file == nil {
		// A complete chunk that is cut must not keep its name. A crash after this leaves a chunk
		// that is completed again.
		active := l.path(chunkName(c.first, 0))
		if err := l.folders[0].disk.Rename(l.path(c.file().name()), active); err != nil {
			return err
		}
		file, err := l.folders[0].disk.Open(active)
		if err != nil {
			return err
		}
		l.active.use(file, end)
		l.mu.Lock()
		l.recent.forget(c)
		c.complete, c.offsets = false, offsets
		l.mu.Unlock()
	}
	// The cut must be durable before other frames are written in place of these: a mixture of both
	// would look like damage. The same for a file to be removed: should it come back, it is empty,
	// and Open removes it again.
	if err := l.active.cut(end); err != nil {
		return err
	}

	l.mu.Lock()
	c.offsets, c.end, c.last = offsets, end, c.first+uint64(keep)-1
	n := sort.Search(len(c.views), func(i int) bool { return c.views[i].first > c.last })
	c.views = c.views[:n:n]
	if keep == 0 {
		l.chunks = slices.Clip(l.chunks[:len(l.chunks)-1])
	}
	l.findRun()
	l.mu.Unlock()
	if keep > 0 {
		return nil
	}
	return errors.Join(l.active.close(), l.folders[0].disk.Remove(l.path(chunkName(c.first, 0))))
}

// StartAt begins a new run of entries at an index: Last is then the index before, and that index is
// the next to append. Entries between the log's end and the new run are missing until Insert brings
// them. An incomplete last chunk that does not end there is removed, since only complete chunks can
// be inserted behind it. For the files to be identical on all nodes, the index MUST be the first one
// of a chunk.
//
// The new run is durable with its first entry: a crash before leaves the log as it was, without the
// entries of an incomplete last chunk.
func (l *Log) StartAt(index uint64) error {
	if err := l.writable(); err != nil {
		return err
	}
	last := l.Last()
	if index <= last {
		return fmt.Errorf("%w: ledger: start at entry %d: the log holds entries up to %d", coco.ErrInvalid, index, last)
	}
	if index == last+1 {
		return nil
	}
	l.layout.Lock()
	defer l.layout.Unlock()
	l.cuts.Add(1)
	defer l.cuts.Add(1)
	if c := l.tail(); c != nil && !c.complete {
		if err := l.cutChunk(c, 0); err != nil {
			return l.fail(fmt.Errorf("ledger: %s: remove the incomplete chunk: %w", l.show(c.file()), err))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.base = index - 1
	return nil
}

// Close closes the files. It does not sync. The log MUST NOT be used afterwards.
func (l *Log) Close() error {
	if l.failed == nil {
		l.failed = fmt.Errorf("%w: ledger: %s is closed", coco.ErrInvalid, l.folders[0].name)
	}
	return l.active.close()
}
