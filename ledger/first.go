package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
)

// FirstBatch returns the data of the first batch of a ledger's files, which says whose ledger it is. It reads no
// farther and never writes, so damage behind that batch is no obstacle. It fails with coco.ErrNotFound if the chunk
// that begins with the first entry is in no folder, or holds no batch, or is damaged before it.
func FirstBatch(disk host.Disk, dir string, extra ...host.Disk) ([]byte, error) {
	for _, f := range foldersOf(disk, dir, extra) {
		names, err := f.disk.List(f.dir)
		if err != nil {
			return nil, fmt.Errorf("ledger: list %s: %w", f.name, err)
		}
		for _, name := range names {
			first, last, ok := parseChunkName(name)
			if !ok || first != 1 {
				continue
			}
			data, err := firstBatchOf(f, chunkFile{first: first, last: last})
			if !errors.Is(err, coco.ErrNotFound) {
				return data, err
			}
		}
	}
	return nil, fmt.Errorf("%w: no batch at the beginning of a ledger in %s", coco.ErrNotFound, dir)
}

func firstBatchOf(f folder, c chunkFile) ([]byte, error) {
	none := fmt.Errorf("%w: no batch at the beginning of %s", coco.ErrNotFound, f.show(c.name()))
	file, err := f.open(c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r, err := newFrameReader(file, c.first, 0)
	if err != nil {
		return nil, err
	}
	for {
		e, _, err := r.next()
		bad := (*damage)(nil)
		switch {
		case errors.Is(err, io.EOF), errors.As(err, &bad):
			return nil, none
		case err != nil:
			return nil, err
		case e.Kind == batch.KindBatch:
			return append([]byte(nil), e.Data...), nil
		}
	}
}

// Begun reports whether a network has begun in the log: whether it holds a batch, or a complete chunk, or lacks entries. Until a
// network's first transaction is on the disk, its ledger is one chunk of other entries, and Open has checked them all.
func (l *Log) Begun() (bool, error) {
	chunks := l.Chunks()
	if len(chunks) == 0 && l.Last() == 0 {
		return false, nil
	}
	if len(chunks) != 1 || chunks[0].First != 1 || chunks[0].Complete {
		return true, nil
	}
	for next, last := uint64(1), chunks[0].Last; next <= last; {
		entries, err := l.Read(next, last+1, windowSize)
		if err != nil {
			return false, err
		}
		for _, e := range entries {
			if e.Kind == batch.KindBatch {
				return true, nil
			}
		}
		next += uint64(len(entries))
	}
	return false, nil
}
