package ledger

import (
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

// Append writes entries behind the others. Their indexes MUST be contiguous, and the first at most
// Last+1; if it is less, the log is first cut before it, see TruncateAfter. Views MUST NOT decrease.
// The entries are not durable until the next Sync returns. Append does not keep their data.
//
// On an error some of the entries, in order, may be in the log: Last tells. If the disk was full,
// Append may be called again; after a failed sync or a failed cut the log refuses everything else,
// because what the disk holds is unknown, and MUST be opened anew.
func (l *Log) Append(entries []batch.Entry) error {
	if err := l.writable(); err != nil {
		return err
	}
	if err := l.checkAppend(entries); err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	if l.opts.ChunkBytes == 0 {
		return fmt.Errorf("%w: ledger: append entry %d: the size of chunk files is not set yet", coco.ErrInvalid, entries[0].Index)
	}
	if first := entries[0].Index; first <= l.Last() {
		if err := l.TruncateAfter(first - 1); err != nil {
			return err
		}
	}
	if err := l.completeFull(); err != nil {
		return err
	}
	l.active.reset()
	start := 0
	for i, e := range entries {
		c, err := l.activeChunk(e.Index)
		if err != nil {
			return err
		}
		l.active.gather(e)
		full := c.end+int64(len(l.active.buf)) >= l.opts.ChunkBytes
		if !full && i < len(entries)-1 && len(l.active.buf) < keepBuffer {
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
		return fmt.Errorf("%w: ledger: %s is open for reading only", coco.ErrInvalid, l.folders[0].name)
	}
	return l.failed
}

func (l *Log) checkAppend(entries []batch.Entry) error {
	for i, e := range entries {
		invalid := func(format string, args ...any) error {
			return fmt.Errorf("%w: ledger: append entry %d: %s", coco.ErrInvalid, e.Index, fmt.Sprintf(format, args...))
		}
		var prev uint64
		if i == 0 {
			if last := l.Last(); e.Index == 0 || e.Index > last+1 {
				return invalid("the last entry is %d", last)
			}
			if !l.follows(e.Index) {
				return invalid("the entry before it is missing")
			}
			var err error
			if prev, err = l.viewOf(e.Index - 1); err != nil && !errors.Is(err, coco.ErrNotFound) {
				return err
			}
		} else {
			if e.Index != entries[i-1].Index+1 {
				return invalid("it follows entry %d", entries[i-1].Index)
			}
			prev = entries[i-1].View
		}
		switch {
		case e.View < prev:
			return invalid("its view is %d, after view %d", e.View, prev)
		case !e.Kind.Valid():
			return invalid("it is of %s", e.Kind)
		case len(e.Data) > batch.MaxData:
			return invalid("it has %d bytes, at most %d are possible", len(e.Data), batch.MaxData)
		}
	}
	return nil
}

// follows tells whether a run has, or may have, an entry at the index.
func (l *Log) follows(index uint64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if index == 1 || index == l.base+1 {
		return true
	}
	if c, _ := l.holder(index); c != nil && c.first == index {
		return true
	}
	c, _ := l.holder(index - 1)
	return c != nil
}

// activeChunk returns the chunk to write the entry to, with its file open.
func (l *Log) activeChunk(index uint64) (*chunk, error) {
	if c := l.tail(); c != nil && !c.complete {
		return c, nil
	}
	c := &chunk{first: index, last: index - 1}
	file, err := l.folders[0].disk.Create(l.path(c.file().name()))
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active.use(file, 0)
	l.chunks = append(l.chunks, c)
	l.findRun()
	return c, nil
}

// write writes the gathered frames of the entries, and adds them to the index.
func (l *Log) write(c *chunk, entries []batch.Entry) error {
	if err := l.active.write(c.end, l.opts.ChunkBytes); err != nil {
		return fmt.Errorf("ledger: %s: write entries %d to %d: %w", l.show(c.file()),
			entries[0].Index, entries[len(entries)-1].Index, err)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		c.offsets = append(c.offsets, uint32(c.end))
		c.end += frameHead + int64(len(e.Data))
		c.last = e.Index
		c.views = noteView(c.views, e.Index, e.View)
	}
	l.active.reset()
	return nil
}

// complete closes the active chunk. A crash before the file has its new name leaves a chunk that is
// completed when the log goes on.
func (l *Log) complete() error {
	c := l.tail()
	name := l.show(c.file())
	err := l.active.cut(c.end)
	if err == nil {
		err = l.rename(c)
	}
	if err == nil {
		err = l.active.close()
	}
	if err != nil {
		return l.fail(fmt.Errorf("ledger: %s: complete the chunk: %w", name, err))
	}
	return nil
}

// rename gives the active chunk the name of a complete one.
func (l *Log) rename(c *chunk) error {
	l.layout.Lock()
	defer l.layout.Unlock()
	if err := l.folders[0].disk.Rename(l.path(chunkName(c.first, 0)), l.path(chunkName(c.first, c.last))); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.complete = true
	l.recent.use(c)
	return nil
}

// completeFull completes the active chunk if it is full, as a crash before the last step of complete
// leaves it.
func (l *Log) completeFull() error {
	if c := l.tail(); c != nil && !c.complete && c.end >= l.opts.ChunkBytes {
		return l.complete()
	}
	return nil
}

// SetChunkBytes sets the size at which a chunk is complete, for a log that was opened before it was
// known. A chunk that has the size already is completed.
func (l *Log) SetChunkBytes(n int64) error {
	if err := l.writable(); err != nil {
		return err
	}
	if err := checkChunkBytes(n); err != nil {
		return err
	}
	l.opts.ChunkBytes = n
	return l.completeFull()
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
	if err := l.active.sync(); err != nil {
		return l.fail(fmt.Errorf("ledger: %s: sync: %w", l.path(l.tail().file().name()), err))
	}
	return nil
}
