package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/lru"
	"github.com/cocoframework/coco/merkle"
)

// segment is a file of the index. Its contents are read when they are asked for.
type segment struct {
	header
	layout
	*seal.Sealer
	seal.Kind
	name     string      // of the file, with its folder
	compared bool        // with the ledger's batch at its end; Run's own
	broken   atomic.Bool // a block could not be read: the file is to be made again
	files    host.Disk   // where it is
	blocks   *lru.Cache[blockID, []byte]
}

// blockID names a block in the cache that all segments share.
type blockID struct {
	segment *segment
	block   int
}

// openSegment reads a file's header. It fails with coco.ErrCorrupt where the file is not what was
// written; with other kinds where that is not known.
func openSegment(disk host.Disk, dir, name string, keys func(seal.Kind) (seal.Keying, error), blocks *lru.Cache[blockID, []byte]) (*segment, error) {
	s := &segment{name: path.Join(dir, name), files: disk, blocks: blocks}
	file, err := disk.Open(s.name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var b [blockSize]byte
	if err := readFull(file, b[:], 0); err != nil {
		return nil, err
	}
	prefix := [seal.PrefixSize]byte(b[:])
	if s.Kind, err = seal.ParsePrefix(prefix); err != nil {
		return nil, err
	}
	from, err := keys(s.Kind)
	if err != nil {
		return nil, err
	}
	if s.Sealer, err = seal.New(from, prefix); err != nil {
		return nil, err
	}
	plain, err := s.Open(0, b[seal.PrefixSize:])
	if err != nil {
		return nil, err
	}
	if err := s.decode(plain); err != nil {
		return nil, err
	}
	s.layout = s.header.layout()
	size, err := file.Size()
	switch first, last, _ := parseFileName(name); {
	case err != nil:
		return nil, err
	case size != s.bytes():
		return nil, fmt.Errorf("%w: index: the file has %d bytes, its header says %d", coco.ErrCorrupt, size, s.bytes())
	case first != s.first || last != s.last:
		return nil, fmt.Errorf("%w: index: it covers entries %d to %d, its name says otherwise", coco.ErrCorrupt, s.first, s.last)
	}
	return s, nil
}

// bytes is the size of the file.
func (l *layout) bytes() int64 { return int64(l.blocks) * blockSize }

// readFull reads all of b. A file that ends early is corrupt.
func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: index: the file ends before offset %d", coco.ErrCorrupt, off+int64(len(b)))
	}
	return err
}

// reader looks things up in a segment. It opens the file when a block is not in the cache.
type reader struct {
	s    *segment
	file host.File
}

func (s *segment) reader() *reader { return &reader{s: s} }

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// block returns the contents of a block, which MUST NOT be changed. Whatever goes wrong, the segment
// is broken: making it again is always possible, and cheaper than deciding.
func (r *reader) block(n int) (plain []byte, err error) {
	id := blockID{r.s, n}
	if plain, ok := r.s.blocks.Get(id); ok {
		return plain, nil
	}
	defer func() {
		if err != nil {
			r.s.broken.Store(true)
			err = fmt.Errorf("%s: %w", r.s.name, err)
		}
	}()
	if r.file == nil {
		if r.file, err = r.s.files.Open(r.s.name); err != nil {
			r.file = nil
			return nil, err
		}
	}
	sealed := make([]byte, blockSize)
	if err := readFull(r.file, sealed, int64(n)*blockSize); err != nil {
		return nil, err
	}
	if plain, err = r.s.Open(n, sealed); err != nil {
		return nil, err
	}
	r.s.blocks.Put(id, plain, blockSize)
	return plain, nil
}

// item returns the i-th item of a level.
func (r *reader) item(a *area, k, i int) ([]byte, error) {
	per := a.perBlock()
	b, err := r.block(a.levels[k].block + i/per)
	if err != nil {
		return nil, err
	}
	off := i % per * a.size
	return b[off : off+a.size], nil
}

// floor finds the last item that is not above the target, and its number.
func (r *reader) floor(a *area, target []byte) (n int, item []byte, ok bool, err error) {
	per := a.perBlock()
	for k := len(a.levels) - 1; k >= 0; k-- {
		b, err := r.block(a.levels[k].block + n)
		if err != nil {
			return 0, nil, false, err
		}
		start := n * per
		lo, hi := 0, min(per, a.levels[k].items-start)
		for lo < hi {
			mid := (lo + hi) / 2
			if bytes.Compare(b[mid*a.size:(mid+1)*a.size], target) <= 0 {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if lo == 0 {
			return 0, nil, false, nil
		}
		n = start + lo - 1
		item = b[(lo-1)*a.size : lo*a.size]
	}
	return n, item, len(a.levels) > 0, nil
}

// last finds the last batch, before the one of that number, that wrote a key of the hash.
func (r *reader) last(h hash, before uint32) (batch uint32, ok bool, err error) {
	if before == 0 {
		return 0, false, nil
	}
	target := newRecord(h, before-1)
	_, item, ok, err := r.floor(&r.s.keyArea, target[:])
	if err != nil || !ok || hash(item[:hashSize]) != h {
		return 0, false, err
	}
	batch = binary.BigEndian.Uint32(item[hashSize:])
	if batch >= r.s.batches {
		return 0, false, r.nonsense()
	}
	return batch, true, nil
}

// find returns the number of the batch that holds a seqno of the segment.
func (r *reader) find(seqno uint64) (uint32, error) {
	target := bytes.Repeat([]byte{0xff}, refSize)
	binary.BigEndian.PutUint64(target, seqno)
	n, _, ok, err := r.floor(&r.s.refArea, target)
	if err == nil && !ok {
		err = r.nonsense()
	}
	return uint32(n), err
}

// ref returns a batch and its last seqno.
func (r *reader) ref(n uint32) (at ref, last uint64, err error) {
	b, err := r.item(&r.s.refArea, 0, int(n))
	if err != nil {
		return at, 0, err
	}
	at, last = decodeRef(b), r.s.to
	if n+1 < r.s.batches {
		if b, err = r.item(&r.s.refArea, 0, int(n+1)); err != nil {
			return at, 0, err
		}
		last = decodeRef(b).first - 1
	}
	return at, last, nil
}

// slot returns the i-th frontier.
func (r *reader) slot(i int) (f merkle.Frontier, err error) {
	block, off := r.s.layout.slot(i)
	b, err := r.block(block)
	if err != nil {
		return f, err
	}
	return decodeSlot(b[off : off+r.s.slotSize])
}

// end returns the frontier after the last batch.
func (s *segment) end() (merkle.Frontier, error) {
	r := s.reader()
	defer r.close()
	f, err := r.slot(s.slotCount - 1)
	if err == nil && (f.Size() != s.to || f.Root() != s.after) {
		err = r.nonsense()
	}
	return f, err
}

// nonsense says that a block decrypts but cannot be.
func (r *reader) nonsense() error {
	r.s.broken.Store(true)
	return fmt.Errorf("%w: %s: the index contradicts itself", coco.ErrCorrupt, r.s.name)
}
