package ledger

import (
	"fmt"
	"slices"
	"sort"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Read returns the entries from one index up to, but without, another: at least one, and then as
// many as have no more than maxBytes of data together. Their data is freshly allocated. It fails
// with coco.ErrNotFound where the log does not have all of the entries, and with coco.ErrCorrupt
// where the disk does not return what was written.
func (l *Log) Read(from, to uint64, maxBytes int) ([]Entry, error) {
	if from >= to {
		return nil, fmt.Errorf("%w: ledger: no entries from %d to before %d", coco.ErrInvalid, from, to)
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	var entries []Entry
	for budget := int64(maxBytes); from < to; {
		p, err := l.plan(from, to, budget, len(entries) == 0)
		if err != nil {
			return nil, err
		}
		if len(p.offsets) == 0 {
			break
		}
		if entries, err = l.readPiece(entries, p); err != nil {
			return nil, fmt.Errorf("ledger: %s: %w", l.path(p.file.name()), err)
		}
		from += uint64(len(p.offsets))
		budget -= p.end - int64(p.offsets[0]) - int64(len(p.offsets))*frameHead
	}
	return entries, nil
}

// piece is a range of frames in one file.
type piece struct {
	file    chunkFile
	first   uint64   // index of the first entry
	offsets []uint32 // of the frames
	end     int64    // of the last one
}

// plan finds the frames to read next.
func (l *Log) plan(from, to uint64, budget int64, atLeastOne bool) (piece, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if last := l.lastIndex(); from == 0 || to > last+1 {
		return piece{}, fmt.Errorf("%w: ledger: entries %d to %d: the last entry is %d", coco.ErrNotFound, from, to-1, last)
	}
	c := l.chunks[sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].first > from })-1]
	start := int(from - c.first)
	p := piece{file: c.file(), first: from}
	for i := start; i < len(c.offsets) && c.first+uint64(i) < to; i++ {
		begin, end := c.frame(i)
		budget -= end - begin - frameHead
		if budget < 0 && (i > start || !atLeastOne) {
			break
		}
		p.offsets, p.end = c.offsets[start:i+1], end
	}
	return p, nil
}

// readPiece appends the entries of a piece, reading them at once.
func (l *Log) readPiece(entries []Entry, p piece) ([]Entry, error) {
	file, err := l.fileOf(p.file)
	if err != nil {
		return nil, err
	}
	start := int64(p.offsets[0])
	b := make([]byte, p.end-start)
	if err := readFull(file, b, start); err != nil {
		return nil, err
	}
	entries = slices.Grow(entries, len(p.offsets))
	for i, off := range p.offsets {
		end := p.end
		if i+1 < len(p.offsets) {
			end = int64(p.offsets[i+1])
		}
		index := p.first + uint64(i)
		e, err := parseFrame(b[int64(off)-start : end-start : end-start])
		if err == nil && e.Index != index {
			err = fmt.Errorf("the frame holds entry %d", e.Index)
		}
		if err != nil {
			return nil, corruptAt(int64(off), index, err.Error())
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// fileOf returns a chunk's open file. It needs l.reading.
func (l *Log) fileOf(cf chunkFile) (host.File, error) {
	if cf.last == 0 && l.active != nil {
		return l.active, nil
	}
	if l.openFile != nil && l.openChunk == cf {
		return l.openFile, nil
	}
	file, err := openChunk(l.disk, l.dir, cf)
	if err != nil {
		return nil, err
	}
	l.forget()
	l.openFile, l.openChunk = file, cf
	return file, nil
}

// forget closes the file that was read last. It needs l.reading.
func (l *Log) forget() {
	if l.openFile != nil {
		l.openFile.Close()
	}
	l.openFile = nil
}
