package ledger

import (
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
)

// Append writes entries behind the others. Their indexes MUST be contiguous, and the first at most
// Last+1; if it is less, the log is first cut before it, see TruncateAfter. Views MUST NOT decrease.
// The entries are not durable until the next Sync returns. Append does not keep their data.
//
// On an error some of the entries, in order, may be in the log: Last tells. If the disk was full,
// Append may be called again; after a failed sync or a failed cut the log refuses everything else,
// because nobody knows what the disk holds, and MUST be opened anew.
func (l *Log) Append(entries []Entry) error {
	if err := l.writable(); err != nil {
		return err
	}
	if err := l.checkAppend(entries); err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	if first := entries[0].Index; first <= l.lastIndex() {
		if err := l.TruncateAfter(first - 1); err != nil {
			return err
		}
	}
	l.buf = l.buf[:0]
	start := 0
	for i, e := range entries {
		c, err := l.activeChunk(e.Index)
		if err != nil {
			return err
		}
		l.buf = appendFrame(l.buf, e)
		full := c.end+int64(len(l.buf)) >= l.opts.ChunkBytes
		if !full && i < len(entries)-1 && len(l.buf) < keepBuffer {
			continue
		}
		if err := l.write(c, entries[start:i+1]); err != nil {
			return err
		}
		start = i + 1
		if full {
			if err := l.complete(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Log) writable() error {
	if l.readOnly {
		return fmt.Errorf("%w: ledger: %s is open for reading only", coco.ErrInvalid, l.dir)
	}
	return l.failed
}

func (l *Log) checkAppend(entries []Entry) error {
	for i, e := range entries {
		invalid := func(format string, args ...any) error {
			return fmt.Errorf("%w: ledger: append entry %d: %s", coco.ErrInvalid, e.Index, fmt.Sprintf(format, args...))
		}
		var prev uint64
		if i == 0 {
			if e.Index == 0 || e.Index > l.lastIndex()+1 {
				return invalid("the last entry is %d", l.lastIndex())
			}
			prev, _ = l.ViewOf(e.Index - 1)
		} else {
			if e.Index != entries[i-1].Index+1 {
				return invalid("it follows entry %d", entries[i-1].Index)
			}
			prev = entries[i-1].View
		}
		switch {
		case e.View < prev:
			return invalid("its view is %d, after view %d", e.View, prev)
		case !e.Kind.valid():
			return invalid("it is of %s", e.Kind)
		case len(e.Data) > MaxData:
			return invalid("it has %d bytes, at most %d are possible", len(e.Data), MaxData)
		}
	}
	return nil
}

// activeChunk returns the chunk to write the entry to, with its file open.
func (l *Log) activeChunk(index uint64) (*chunk, error) {
	if c := l.lastChunk(); c != nil && !c.complete {
		return c, nil
	}
	c := &chunk{first: index}
	file, err := l.disk.Create(l.path(c.file().name()))
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active, l.filled, l.garbage = file, 0, false
	l.chunks = append(l.chunks, c)
	return c, nil
}

// write writes the buffer, which holds the entries' frames, and adds them to the index.
//
// A crash before the next Sync leaves any part of the frames behind; Open cuts them.
func (l *Log) write(c *chunk, entries []Entry) error {
	if err := l.sweep(c); err != nil {
		return fmt.Errorf("ledger: %s: %w", l.path(c.file().name()), err)
	}
	l.unsynced = true
	if _, err := l.active.WriteAt(l.buf, c.end); err != nil {
		l.garbage = true
		err = fmt.Errorf("ledger: %s: write entries %d to %d: %w", l.path(c.file().name()),
			entries[0].Index, entries[len(entries)-1].Index, err)
		return errors.Join(err, l.sweep(c))
	}
	end := c.end + int64(len(l.buf))
	l.fill(end)

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		c.offsets = append(c.offsets, uint32(c.end))
		c.end += frameHead + int64(len(e.Data))
		l.noteView(e.Index, e.View)
	}
	l.buf = l.buf[:0]
	if cap(l.buf) > 2*keepBuffer {
		l.buf = nil
	}
	return nil
}

// sweep removes what a failed write left: some of its frames may be whole, and must not come back
// behind those written later. Until the next Sync, a crash can bring them back.
func (l *Log) sweep(c *chunk) error {
	if !l.garbage {
		return nil
	}
	if err := l.active.Truncate(c.end); err != nil {
		return err
	}
	l.filled, l.garbage = c.end, false
	return nil
}

var zeros [256 << 10]byte

// fill writes zeros ahead of the frames once these have used up the ones written before.
func (l *Log) fill(end int64) {
	if end <= l.filled {
		return
	}
	l.filled = end
	if end >= l.opts.ChunkBytes {
		return
	}
	step := min(fillStep, l.opts.ChunkBytes)
	for upTo := (end/step + 1) * step; l.filled < upTo; {
		n, err := l.active.WriteAt(zeros[:min(int64(len(zeros)), upTo-l.filled)], l.filled)
		l.filled += int64(n)
		if err != nil {
			return // of no harm: the frames are written, and the next ones will find the disk full
		}
	}
}

// complete closes the active chunk. A crash before the file has its new name leaves a chunk that
// Open completes.
func (l *Log) complete() error {
	c := l.lastChunk()
	l.reading.Lock()
	defer l.reading.Unlock()
	old := l.path(c.file().name())
	err := l.active.Truncate(c.end)
	if err == nil {
		err = l.active.Sync()
	}
	if err == nil {
		err = l.disk.Rename(old, l.path(chunkName(c.first, c.last())))
	}
	if err == nil {
		err = l.active.Close()
	}
	if err != nil {
		return l.fail(fmt.Errorf("ledger: %s: complete the chunk: %w", old, err))
	}
	l.active, l.filled, l.unsynced = nil, 0, false
	l.mu.Lock()
	defer l.mu.Unlock()
	c.complete = true
	return nil
}

// fail makes the log refuse everything from now on.
func (l *Log) fail(err error) error {
	l.failed = err
	return err
}

// Sync returns once all appended entries are durable.
func (l *Log) Sync() error {
	if err := l.writable(); err != nil {
		return err
	}
	if !l.unsynced || l.active == nil {
		return nil
	}
	if err := l.active.Sync(); err != nil {
		return l.fail(fmt.Errorf("ledger: %s: sync: %w", l.path(l.lastChunk().file().name()), err))
	}
	l.unsynced = false
	return nil
}

// TruncateAfter removes all entries after an index, durably. A crash meanwhile leaves some of them,
// in order, behind.
func (l *Log) TruncateAfter(index uint64) error {
	if err := l.writable(); err != nil {
		return err
	}
	if index >= l.lastIndex() {
		return nil
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	l.forget()
	// From the end, so that what is there has no gap at any time.
	for c := l.lastChunk(); c != nil && c.last() > index; c = l.lastChunk() {
		keep := 0
		if index >= c.first {
			keep = int(index - c.first + 1)
		}
		if err := l.cutChunk(c, keep); err != nil {
			return l.fail(fmt.Errorf("ledger: %s: remove the entries after %d: %w", l.path(c.file().name()), index, err))
		}
	}
	return nil
}

// cutChunk shortens the last chunk to its first entries, and makes it the active one; with none of
// them it removes it. It needs l.reading.
func (l *Log) cutChunk(c *chunk, keep int) error {
	if l.active == nil {
		// A complete chunk that is cut must not keep its name. A crash after this leaves a chunk
		// that Open completes again.
		active := l.path(chunkName(c.first, 0))
		if err := l.disk.Rename(l.path(c.file().name()), active); err != nil {
			return err
		}
		file, err := l.disk.Open(active)
		if err != nil {
			return err
		}
		l.active = file
		l.mu.Lock()
		c.complete = false
		l.mu.Unlock()
	}
	end := int64(0)
	if keep > 0 {
		_, end = c.frame(keep - 1)
	}
	// The cut must be durable before other frames are written in place of these: a mixture of both
	// would look like damage. The same for a file to be removed: should it come back, it is empty,
	// and Open removes it again.
	if err := l.active.Truncate(end); err != nil {
		return err
	}
	if err := l.active.Sync(); err != nil {
		return err
	}
	l.filled, l.garbage, l.unsynced = end, false, false

	l.mu.Lock()
	defer l.mu.Unlock()
	c.offsets, c.end = c.offsets[:keep:keep], end
	for len(l.views) > 0 && l.views[len(l.views)-1].first > c.last() {
		l.views = l.views[:len(l.views)-1]
	}
	if keep > 0 {
		return nil
	}
	l.chunks = l.chunks[:len(l.chunks)-1]
	err := errors.Join(l.active.Close(), l.disk.Remove(l.path(c.file().name())))
	l.active = nil
	return err
}

// Close closes the files. It does not sync. The log MUST NOT be used afterwards.
func (l *Log) Close() error {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.forget()
	if l.failed == nil {
		l.failed = fmt.Errorf("%w: ledger: %s is closed", coco.ErrInvalid, l.dir)
	}
	if l.active == nil {
		return nil
	}
	err := l.active.Close()
	l.active = nil
	return err
}
