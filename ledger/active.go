package ledger

import (
	"errors"
	"slices"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
)

// active is the file of the last chunk while that is incomplete. Frames are gathered in buf, and end at the
// chunk's end; from there on the file holds zeros, which are written ahead so that making frames durable
// changes no file's size. The goroutine that appends owns it.
type active struct {
	file     host.File // nil if the last chunk is complete
	filled   int64     // the file's size
	garbage  bool      // a write failed: what follows the chunk's end is unknown
	unsynced bool      // frames were written since the last sync
	buf      []byte
}

// use goes on with a file of a size.
func (a *active) use(file host.File, size int64) {
	a.file, a.filled, a.garbage, a.unsynced = file, size, false, false
}

// gather appends an entry's frame to the buffer.
func (a *active) gather(e batch.Entry) { a.buf = appendFrame(a.buf, e) }

// write writes the gathered frames at the chunk's end. If it fails, nothing of them counts.
//
// A crash before the next sync leaves any part of the frames behind; Open cuts them.
func (a *active) write(end, chunkBytes int64) error {
	if err := a.sweep(end); err != nil {
		return err
	}
	a.unsynced = true
	if _, err := a.file.WriteAt(a.buf, end); err != nil {
		a.garbage = true
		return errors.Join(err, a.sweep(end))
	}
	a.fill(end+int64(len(a.buf)), chunkBytes)
	return nil
}

// reset empties the buffer.
func (a *active) reset() {
	a.buf = a.buf[:0]
	if cap(a.buf) > 2*keepBuffer {
		a.buf = nil
	}
}

// sweep removes what a failed write left: some of its frames may be whole, and must not come back
// behind those written later. Until the next sync, a crash can bring them back.
func (a *active) sweep(end int64) error {
	if !a.garbage {
		return nil
	}
	if err := a.file.Truncate(end); err != nil {
		return err
	}
	a.filled, a.garbage = end, false
	return nil
}

var zeros [256 << 10]byte

// fill writes zeros ahead of the frames once these have used up the ones written before.
func (a *active) fill(end, chunkBytes int64) {
	if end <= a.filled {
		return
	}
	a.filled = end
	if end >= chunkBytes {
		return
	}
	step := min(fillStep, chunkBytes)
	for upTo := (end/step + 1) * step; a.filled < upTo; {
		n, err := a.file.WriteAt(zeros[:min(int64(len(zeros)), upTo-a.filled)], a.filled)
		a.filled += int64(n)
		if err != nil {
			return // of no harm: the frames are written, and the next ones will find the disk full
		}
	}
}

// cut makes the file end at an offset, durably.
func (a *active) cut(end int64) error {
	err := a.file.Truncate(end)
	if err == nil {
		err = a.file.Sync()
	}
	if err == nil {
		a.use(a.file, end)
	}
	return err
}

// sync makes the frames durable.
func (a *active) sync() error {
	if !a.unsynced || a.file == nil {
		return nil
	}
	if err := a.file.Sync(); err != nil {
		return err
	}
	a.unsynced = false
	return nil
}

// close closes the file, if there is one.
func (a *active) close() error {
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.use(nil, 0)
	return err
}

// recent are the complete chunks whose offsets are known, the last used one last. The log's mu guards them.
type recent struct {
	keep   int // so many offsets are kept, those of two chunks at least
	chunks []*chunk
}

// use notes that a complete chunk's offsets are needed, and forgets those that were not for long.
func (r *recent) use(c *chunk) {
	if !c.complete || c.offsets == nil {
		return
	}
	r.forget(c)
	r.chunks = append(r.chunks, c)
	sum := 0
	for _, u := range r.chunks {
		sum += len(u.offsets)
	}
	for len(r.chunks) > 2 && sum > r.keep {
		sum -= len(r.chunks[0].offsets)
		r.chunks[0].offsets = nil
		r.chunks = r.chunks[1:]
	}
}

// forget leaves a chunk out.
func (r *recent) forget(c *chunk) {
	r.chunks = slices.DeleteFunc(r.chunks, func(u *chunk) bool { return u == c })
}
