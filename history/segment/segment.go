// Package segment is the files of the index of the past: what a segment covers, how it is laid out and sealed in blocks, and looking things up in it.
//
// Package history makes a segment of batches and says which ones count. docs/formats.md is the specification.
//
//	header | directory of batches | records of keys, sorted | Merkle frontiers
//
// Directory and records are static search trees (format.go), so that a look-up reads a block of each level. What a block says is believed as far as its
// seal goes: a file is of one node or of one epoch's keys, and its contents are checked against the ledger by whoever asks for them.
//
// Trust: enclave
package segment

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

// File is a segment in a file. Its contents are read when they are asked for.
type File struct {
	Header
	layout
	*seal.Sealer
	seal.Kind
	Name     string      // of the file, with its folder
	Compared bool        // with the ledger's batch at its end; Run's own
	Broken   atomic.Bool // a block could not be read: the file is to be made again
	Files    host.Disk   // where it is
	Blocks   *lru.Cache[BlockID, []byte]
}

// BlockID names a block in the cache that all segments share.
type BlockID struct {
	segment *File
	block   int
}

// Open reads a file's header. It fails with coco.ErrCorrupt where the file is not what was
// written; with other kinds where that is not known.
func Open(disk host.Disk, dir, name string, keys func(seal.Kind) (seal.Keying, error), blocks *lru.Cache[BlockID, []byte]) (*File, error) {
	s := &File{Name: path.Join(dir, name), Files: disk, Blocks: blocks}
	file, err := disk.Open(s.Name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var b [BlockSize]byte
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
	s.layout = s.Header.layout()
	size, err := file.Size()
	switch first, last, _ := ParseFileName(name); {
	case err != nil:
		return nil, err
	case size != s.Bytes():
		return nil, fmt.Errorf("%w: index: the file has %d bytes, its header says %d", coco.ErrCorrupt, size, s.Bytes())
	case first != s.First || last != s.Last:
		return nil, fmt.Errorf("%w: index: it covers entries %d to %d, its name says otherwise", coco.ErrCorrupt, s.First, s.Last)
	}
	return s, nil
}

// Bytes is the size of the file.
func (l *layout) Bytes() int64 { return int64(l.blocks) * BlockSize }

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

// Reader looks things up in a segment. It opens the file when a block is not in the cache.
type Reader struct {
	s    *File
	file host.File
}

// Reader returns a reader of the file, which MUST be closed.
func (s *File) Reader() *Reader { return &Reader{s: s} }

// Close closes the file if it was opened.
func (r *Reader) Close() {
	if r.file != nil {
		r.file.Close()
	}
}

// block returns the contents of a block, which MUST NOT be changed. Whatever goes wrong, the segment
// is broken: making it again is always possible, and cheaper than deciding.
func (r *Reader) block(n int) (plain []byte, err error) {
	id := BlockID{r.s, n}
	if plain, ok := r.s.Blocks.Get(id); ok {
		return plain, nil
	}
	defer func() {
		if err != nil {
			r.s.Broken.Store(true)
			err = fmt.Errorf("%s: %w", r.s.Name, err)
		}
	}()
	if r.file == nil {
		if r.file, err = r.s.Files.Open(r.s.Name); err != nil {
			r.file = nil
			return nil, err
		}
	}
	sealed := make([]byte, BlockSize)
	if err := readFull(r.file, sealed, int64(n)*BlockSize); err != nil {
		return nil, err
	}
	if plain, err = r.s.Open(n, sealed); err != nil {
		return nil, err
	}
	r.s.Blocks.Put(id, plain, BlockSize)
	return plain, nil
}

// item returns the i-th item of a level.
func (r *Reader) item(a *area, k, i int) ([]byte, error) {
	per := a.perBlock()
	b, err := r.block(a.levels[k].block + i/per)
	if err != nil {
		return nil, err
	}
	off := i % per * a.size
	return b[off : off+a.size], nil
}

// floor finds the last item that is not above the target, and its number.
func (r *Reader) floor(a *area, target []byte) (n int, item []byte, ok bool, err error) {
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
func (r *Reader) last(h Hash, before uint32) (batch uint32, ok bool, err error) {
	if before == 0 {
		return 0, false, nil
	}
	target := NewRecord(h, before-1)
	_, item, ok, err := r.floor(&r.s.keyArea, target[:])
	if err != nil || !ok || Hash(item[:hashSize]) != h {
		return 0, false, err
	}
	batch = binary.BigEndian.Uint32(item[hashSize:])
	if batch >= r.s.Batches {
		return 0, false, r.nonsense()
	}
	return batch, true, nil
}

// Find returns the number of the batch that holds a seqno of the segment.
func (r *Reader) Find(seqno uint64) (uint32, error) {
	target := bytes.Repeat([]byte{0xff}, refSize)
	binary.BigEndian.PutUint64(target, seqno)
	n, _, ok, err := r.floor(&r.s.refArea, target)
	if err == nil && !ok {
		err = r.nonsense()
	}
	return uint32(n), err
}

// Ref returns a batch and its last seqno.
func (r *Reader) Ref(n uint32) (at Ref, last uint64, err error) {
	b, err := r.item(&r.s.refArea, 0, int(n))
	if err != nil {
		return at, 0, err
	}
	at, last = decodeRef(b), r.s.To
	if n+1 < r.s.Batches {
		if b, err = r.item(&r.s.refArea, 0, int(n+1)); err != nil {
			return at, 0, err
		}
		last = decodeRef(b).First - 1
	}
	return at, last, nil
}

// slot returns the i-th frontier.
func (r *Reader) slot(i int) (f merkle.Frontier, err error) {
	block, off := r.s.layout.slot(i)
	b, err := r.block(block)
	if err != nil {
		return f, err
	}
	return decodeSlot(b[off : off+r.s.slotSize])
}

// Latest returns the last batch below one of that number that wrote a key of the hash.
func (r *Reader) Latest(h Hash, below uint32) (uint32, Ref, bool, error) {
	n, ok, err := r.last(h, below)
	if err != nil || !ok {
		return 0, Ref{}, false, err
	}
	at, _, err := r.Ref(n)
	return n, at, err == nil, err
}

// HasTerms says whether the file has records of terms.
func (r *Reader) HasTerms() bool { return r.s.Terms }

// Size returns how many batches there are, and the last seqno.
func (r *Reader) Size() (batches uint32, to uint64) { return r.s.Batches, r.s.To }

// Following returns the first batch from a number on that has a record of the hash, or none.
func (r *Reader) Following(h Hash, from uint32) (uint32, error) {
	target := NewRecord(h, from)
	a := &r.s.keyArea
	n, item, ok, err := r.floor(a, target[:])
	if err != nil {
		return 0, err
	}
	if !ok || !bytes.Equal(item, target[:]) {
		if ok {
			n++
		}
		if n >= int(r.s.Records) {
			return None, nil
		}
		if item, err = r.item(a, 0, n); err != nil {
			return 0, err
		}
	}
	if Hash(item[:hashSize]) != h {
		return None, nil
	}
	batch := binary.BigEndian.Uint32(item[hashSize:])
	if batch < from || batch >= r.s.Batches {
		return 0, r.nonsense()
	}
	return batch, nil
}

// Before returns the frontier from which the one before a batch follows, and the entry of the batch that it is the frontier before.
func (r *Reader) Before(n uint32) (slot merkle.Frontier, from uint64, err error) {
	start, _, err := r.Ref(n / SlotEvery * SlotEvery)
	if err != nil {
		return slot, 0, err
	}
	slot, err = r.slot(int(n / SlotEvery))
	return slot, start.Index, err
}

// End returns the frontier after the last batch.
func (s *File) End() (merkle.Frontier, error) {
	r := s.Reader()
	defer r.Close()
	f, err := r.slot(s.slotCount - 1)
	if err == nil && (f.Size() != s.To || f.Root() != s.After) {
		err = r.nonsense()
	}
	return f, err
}

// nonsense says that a block decrypts but cannot be.
func (r *Reader) nonsense() error {
	r.s.Broken.Store(true)
	return fmt.Errorf("%w: %s: the index contradicts itself", coco.ErrCorrupt, r.s.Name)
}
