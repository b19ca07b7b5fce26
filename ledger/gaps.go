package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
)

// Range is the entries from one index to another, both included.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Chunk is a chunk of the log as others may see it.
type Chunk struct {
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Bytes    int64  `json:"bytes"`
	Complete bool   `json:"complete"`
}

// MissingError says that an entry is in none of the log's folders. It is of kind coco.ErrMissing.
type MissingError struct {
	Range // of the entries that are missing there
}

// Error names the entries and says what to do.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%v: %s not in this node's ledger folders: bring the files %s%d-… back from where they were moved to, or wait until the node has fetched them from others",
		coco.ErrMissing, rangeName(e.First, e.Last), chunkPrefix, e.First)
}

// Unwrap makes a MissingError an error of kind coco.ErrMissing.
func (e *MissingError) Unwrap() error { return coco.ErrMissing }

// Chunks returns the chunks that the log has, in order.
func (l *Log) Chunks() []Chunk {
	l.mu.RLock()
	defer l.mu.RUnlock()
	chunks := make([]Chunk, 0, len(l.chunks))
	for _, c := range l.chunks {
		if c.last >= c.first {
			chunks = append(chunks, Chunk{First: c.first, Last: c.last, Bytes: c.end, Complete: c.complete})
		}
	}
	return chunks
}

// Missing returns the entries up to Last that the log does not have, as far as it knows: what was
// moved away is noticed when it is asked for.
func (l *Log) Missing() []Range {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var missing []Range
	next := uint64(1)
	for _, c := range l.chunks {
		if c.first > next {
			missing = append(missing, Range{next, c.first - 1})
		}
		next = c.last + 1
	}
	if last := l.lastIndex(); last >= next {
		missing = append(missing, Range{next, last})
	}
	return missing
}

// search looks for complete chunks that came or went since the folders were listed. The last chunk
// stays known, wherever its file may be. A folder that cannot be listed is taken for unchanged.
func (l *Log) search() {
	l.layout.Lock()
	defer l.layout.Unlock()
	found := make(map[Range][]chunkFile) // each in the order of the folders
	var order []Range
	listed := make([]bool, len(l.folders))
	for i, f := range l.folders {
		chunks, err := completeIn(f, i)
		listed[i] = err == nil
		for _, c := range chunks {
			if !l.refused[l.show(c)] {
				at := Range{c.first, c.last}
				if found[at] == nil {
					order = append(order, at)
				}
				found[at] = append(found[at], c)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.lastChunk()
	l.chunks = slices.DeleteFunc(slices.Clone(l.chunks), func(c *chunk) bool {
		if !c.complete || !listed[c.in] {
			return false
		}
		places := found[Range{c.first, c.last}]
		if len(places) > 0 {
			if !slices.ContainsFunc(places, func(f chunkFile) bool { return f.in == c.in }) {
				c.in = places[0].in
			}
			return false
		}
		if c != last {
			l.recent.forget(c)
		}
		return c != last
	})
	for _, at := range order {
		l.take(found[at][0], nil)
	}
	l.findRun()
}

// take adds a complete chunk where all of its entries are missing, and tells whether it did. It
// needs layout and mu.
func (l *Log) take(f chunkFile, known *frames) bool {
	i, ok := l.room(Range{f.first, f.last})
	if !ok {
		return false
	}
	c := &chunk{first: f.first, last: f.last, end: f.size, complete: true, in: f.in}
	l.chunks = slices.Insert(slices.Clone(l.chunks), i, c)
	if known != nil {
		c.offsets, c.views = known.offsets, known.views
		l.recent.use(c)
	}
	l.findRun()
	return true
}

// room tells whether all entries of a range are missing, and which chunk comes after them. It needs
// mu.
func (l *Log) room(r Range) (next int, ok bool) {
	i, exact := slices.BinarySearchFunc(l.chunks, r.First, func(c *chunk, first uint64) int { return cmp.Compare(c.first, first) })
	switch {
	case exact || r.First == 0 || r.Last < r.First || r.Last > l.lastIndex():
		return 0, false
	case i > 0 && l.chunks[i-1].last >= r.First:
		return 0, false
	case i < len(l.chunks) && l.chunks[i].first <= r.Last:
		return 0, false
	}
	return i, true
}

// Insert writes a complete chunk whose entries are missing, as the network has it: first and last
// MUST be those of a chunk there. next is called for each entry in order; when it returns an error,
// nothing is inserted, so a caller that checks the entries against what the network vouches for does
// so in next. The data is not kept.
//
// The file gets its name when it is durable: a crash before leaves a file that Open removes.
func (l *Log) Insert(first, last uint64, next func() (batch.Entry, error)) error {
	if l.readOnly {
		return l.writable()
	}
	l.mu.Lock()
	_, ok := l.room(Range{first, last})
	busy := l.inserting[first]
	if ok && !busy {
		l.inserting[first] = true
	}
	l.mu.Unlock()
	if !ok || busy {
		return fmt.Errorf("%w: ledger: insert the chunk of entries %d to %d: they are not all missing, or another call inserts them", coco.ErrInvalid, first, last)
	}
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.inserting, first)
	}()
	part := l.path(partPrefix + chunkName(first, last) + partSuffix)
	disk := l.folders[0].disk
	f, err := l.writePart(part, Range{first, last}, next)
	if err == nil {
		err = l.insertPart(part, f)
	}
	if err != nil {
		if rerr := disk.Remove(part); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return fmt.Errorf("ledger: insert the chunk of entries %d to %d: %w", first, last, err)
	}
	return nil
}

// part is a chunk file that was written and has no name of its own yet.
type part struct {
	frames
	file chunkFile
}

// writePart writes the entries of a chunk to a file, durably.
func (l *Log) writePart(name string, r Range, next func() (batch.Entry, error)) (p part, err error) {
	file, err := l.folders[0].disk.Create(name)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	p.file = chunkFile{first: r.First, last: r.Last}
	if err := p.write(file, next); err != nil {
		return p, err
	}
	return p, file.Sync()
}

func (p *part) write(file host.File, next func() (batch.Entry, error)) error {
	var buf []byte
	written, view := int64(0), uint64(0)
	for index := p.file.first; index <= p.file.last; index++ {
		e, err := next()
		if err != nil {
			return err
		}
		switch off := written + int64(len(buf)); {
		case e.Index != index || e.View < view || !e.Kind.Valid() || len(e.Data) > batch.MaxData:
			return fmt.Errorf("%w: expected entry %d of view %d or later, found entry %d of view %d, %s, %d bytes",
				coco.ErrInvalid, index, view, e.Index, e.View, e.Kind, len(e.Data))
		case off > math.MaxUint32:
			return fmt.Errorf("%w: entry %d: the file is larger than any chunk can be", coco.ErrInvalid, index)
		default:
			p.offsets = append(p.offsets, uint32(off))
		}
		view = e.View
		p.views = noteView(p.views, e.Index, e.View)
		buf = appendFrame(buf, e)
		if len(buf) < keepBuffer && index < p.file.last {
			continue
		}
		if _, err := file.WriteAt(buf, written); err != nil {
			return err
		}
		written += int64(len(buf))
		buf = buf[:0]
	}
	p.file.size = written
	return nil
}

// insertPart gives a chunk's file its name.
func (l *Log) insertPart(name string, p part) error {
	l.layout.Lock()
	defer l.layout.Unlock()
	l.mu.RLock()
	_, ok := l.room(Range{p.file.first, p.file.last})
	l.mu.RUnlock()
	if !ok {
		return fmt.Errorf("%w: the log was cut, or the entries were brought back meanwhile", coco.ErrInvalid)
	}
	if err := l.folders[0].disk.Rename(name, l.path(p.file.name())); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.take(p.file, &p.frames)
	return nil
}

// Quarantine sets a damaged complete chunk's file aside, under its name with ".damaged" behind it,
// so that its entries are missing and can be inserted anew. In a further folder the file stays as it
// is, and is not looked at again. The last chunk cannot be set aside: the log goes on from it.
func (l *Log) Quarantine(first uint64) error {
	if l.readOnly {
		return l.writable()
	}
	l.layout.Lock()
	defer l.layout.Unlock()
	l.mu.RLock()
	c, _ := l.holder(first)
	isLast := c != nil && c == l.lastChunk()
	l.mu.RUnlock()
	switch {
	case c == nil || c.first != first:
		return fmt.Errorf("%w: ledger: no chunk begins with entry %d", coco.ErrNotFound, first)
	case isLast:
		return fmt.Errorf("%w: ledger: %s is the last chunk and cannot be set aside", coco.ErrInvalid, l.show(c.file()))
	}
	name := l.path(c.file().name())
	if c.in != 0 {
		l.refused[l.show(c.file())] = true
	} else if err := l.folders[0].disk.Rename(name, name+damagedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ledger: set a damaged chunk aside: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent.forget(c)
	l.chunks = slices.DeleteFunc(slices.Clone(l.chunks), func(x *chunk) bool { return x == c })
	l.findRun()
	return nil
}
