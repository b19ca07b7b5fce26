package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

// Read returns the entries from one index up to, but without, another: at least one, and then as
// many as have no more than maxBytes of data together and are not missing. Their data is freshly
// allocated. It fails with coco.ErrNotFound where the range ends after the log's end, with a
// *MissingError where the first entry's chunk is in no folder, and with coco.ErrCorrupt where the
// disk does not return what was written.
func (l *Log) Read(from, to uint64, maxBytes int) ([]batch.Entry, error) {
	if from >= to {
		return nil, fmt.Errorf("%w: ledger: no entries from %d to before %d", coco.ErrInvalid, from, to)
	}
	for {
		cuts := l.cuts.Load()
		if cuts%2 == 1 { // wait for the cut's end
			l.layout.Wait()
			continue
		}
		entries, err := l.read(from, to, int64(maxBytes))
		if l.cuts.Load() == cuts {
			return entries, err
		}
	}
}

func (l *Log) read(from, to uint64, budget int64) ([]batch.Entry, error) {
	var entries []batch.Entry
	for searched := false; from < to; {
		p, err := l.plan(from, to, budget, len(entries) == 0)
		if err == nil {
			if len(p.offsets) == 0 {
				break
			}
			var more []batch.Entry
			if more, err = l.readPiece(p); err == nil {
				entries = append(entries, more...)
				from += uint64(len(p.offsets))
				budget -= p.end - int64(p.offsets[0]) - int64(len(p.offsets))*frameHead
				continue
			}
			err = fmt.Errorf("ledger: %s: %w", l.show(p.file), err)
		}
		absent := errors.Is(err, coco.ErrMissing) || errors.Is(err, fs.ErrNotExist)
		switch {
		case absent && len(entries) > 0:
			return entries, nil
		case absent && !searched:
			l.search()
			searched = true
		case errors.Is(err, fs.ErrNotExist) && p.file.last != 0:
			return nil, &MissingError{Range{p.file.first, p.file.last}}
		default:
			return nil, err
		}
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

// plan finds the frames to read next. If the error is that the file does not exist, the piece names
// it.
func (l *Log) plan(from, to uint64, budget int64, atLeastOne bool) (piece, error) {
	l.mu.RLock()
	last := l.lastIndex()
	c, gap := l.holder(from)
	p := piece{first: from}
	if c != nil {
		p.file = c.file()
	}
	l.mu.RUnlock()
	if from == 0 || to > last+1 {
		return p, fmt.Errorf("%w: ledger: entries %d to %d: the last entry is %d", coco.ErrNotFound, from, to-1, last)
	}
	if c == nil {
		return p, &MissingError{gap}
	}
	offsets, chunkEnd, err := l.index(c)
	if err != nil {
		return p, err
	}
	start := int(from - c.first)
	for i := start; i < len(offsets) && c.first+uint64(i) < to; i++ {
		begin, end := frame(offsets, chunkEnd, i)
		budget -= end - begin - frameHead
		if budget < 0 && (i > start || !atLeastOne) {
			break
		}
		p.offsets, p.end = offsets[start:i+1], end
	}
	return p, nil
}

// readPiece reads the entries of a piece at once.
func (l *Log) readPiece(p piece) ([]batch.Entry, error) {
	file, err := l.folders[p.file.in].open(p.file)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	start := int64(p.offsets[0])
	b := make([]byte, p.end-start)
	if err := readFull(file, b, start); err != nil {
		return nil, err
	}
	entries := slices.Grow([]batch.Entry(nil), len(p.offsets))
	for i, off := range p.offsets {
		from, to := frame(p.offsets, p.end, i)
		index := p.first + uint64(i)
		e, err := parseFrame(b[from-start : to-start : to-start])
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
