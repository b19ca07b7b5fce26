package history

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/merkle"
)

const (
	filePrefix = "index_"
	partSuffix = ".part"

	blockSize   = 4096
	blockData   = blockSize - seal.TagSize
	headerData  = blockSize - seal.PrefixSize - seal.TagSize
	headerUsed  = 4*8 + 2*4 + 5*32
	hashSize    = 16
	recordSize  = hashSize + 4
	refSize     = 8 + 8 + 4 + digestSize
	digestSize  = 16
	slotEvery   = 64 // batches between two frontiers
	maxBatches  = 1 << 18
	maxRecords  = 1 << 20
	mostRecords = 1 << 28 // that a file can have: one batch may bring more than maxRecords
)

// fileName names a segment's file by the entries of its first and last batch.
func fileName(first, last uint64) string {
	return filePrefix + strconv.FormatUint(first, 10) + "-" + strconv.FormatUint(last, 10)
}

func parseFileName(name string) (first, last uint64, ok bool) {
	rest, ok := strings.CutPrefix(name, filePrefix)
	if !ok {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(rest, "-")
	first, err1 := strconv.ParseUint(from, 10, 64)
	last, err2 := strconv.ParseUint(to, 10, 64)
	return first, last, err1 == nil && err2 == nil && first > 0 && fileName(first, last) == name
}

// header says what a segment covers. Roots and digests tie it to one ledger.
type header struct {
	first, last uint64 // entries of the first and last batch
	from, to    uint64 // seqnos
	batches     uint32
	records     uint32
	digest      coco.Digest // SHA-256 of the last batch's header
	prev        coco.Digest // chain digest before the first batch
	chain       coco.Digest // chain digest of the last batch
	before      coco.Digest // Merkle root before the first batch
	after       coco.Digest // Merkle root after the last one
}

func (h *header) append(b []byte) []byte {
	for _, n := range [...]uint64{h.first, h.last, h.from, h.to} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, h.batches)
	b = binary.BigEndian.AppendUint32(b, h.records)
	for _, d := range [...]*coco.Digest{&h.digest, &h.prev, &h.chain, &h.before, &h.after} {
		b = append(b, d[:]...)
	}
	return b
}

func (h *header) decode(b []byte) error {
	if len(b) != headerData {
		return fmt.Errorf("%w: index header: expected %d bytes, found %d", coco.ErrCorrupt, headerData, len(b))
	}
	for _, n := range [...]*uint64{&h.first, &h.last, &h.from, &h.to} {
		*n, b = binary.BigEndian.Uint64(b), b[8:]
	}
	h.batches, h.records, b = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), b[8:]
	for _, d := range [...]*coco.Digest{&h.digest, &h.prev, &h.chain, &h.before, &h.after} {
		b = b[copy(d[:], b):]
	}
	n := uint64(h.batches)
	if h.first == 0 || h.from == 0 || n == 0 || n > maxBatches || h.records > mostRecords ||
		h.last < h.first || h.last-h.first < n-1 || h.to < h.from || h.to-h.from < n-1 || h.to >= 1<<63 {
		return fmt.Errorf("%w: index header: entries %d to %d, seqnos %d to %d, %d batches and %d records cannot be",
			coco.ErrCorrupt, h.first, h.last, h.from, h.to, h.batches, h.records)
	}
	for _, c := range b {
		if c != 0 {
			return fmt.Errorf("%w: index header: something follows it", coco.ErrCorrupt)
		}
	}
	return nil
}

// level is a list of items of one size, in blocks.
type level struct {
	block int // number of the first one
	items int
}

// area is a static search tree: level 0 holds sorted items; every next level holds the first item of
// each block of the one before; the last level has one block. An area without items has no level.
type area struct {
	size   int // of an item
	levels []level
}

func (a *area) perBlock() int { return blockData / a.size }

func ceil(n, d int) int { return (n + d - 1) / d }

// newArea lays an area out from a block on, and returns the block after it.
func newArea(size, items, block int) (area, int) {
	a := area{size: size}
	for n := items; n > 0; {
		a.levels = append(a.levels, level{block, n})
		blocks := ceil(n, a.perBlock())
		block += blocks
		if n = blocks; n == 1 {
			break
		}
	}
	return a, block
}

// layout says where everything in a segment's file is. Block 0 is the header.
type layout struct {
	refArea, keyArea area
	slots            int // first block of the frontiers
	slotSize         int
	slotCount        int
	blocks           int // all of them
}

func (h *header) layout() layout {
	var l layout
	next := 1
	l.refArea, next = newArea(refSize, int(h.batches), next)
	l.keyArea, next = newArea(recordSize, int(h.records), next)
	l.slots = next
	l.slotSize = 8 + 32*bits.Len64(h.to)
	l.slotCount = ceil(int(h.batches), slotEvery) + 1
	l.blocks = next + ceil(l.slotCount, blockData/l.slotSize)
	return l
}

// slot returns the block and the offset in it of the i-th frontier.
func (l *layout) slot(i int) (block, off int) {
	per := blockData / l.slotSize
	return l.slots + i/per, i % per * l.slotSize
}

// decodeSlot reads a frontier that zeros may follow.
func decodeSlot(b []byte) (f merkle.Frontier, err error) {
	n := 8 + 32*bits.OnesCount64(binary.BigEndian.Uint64(b))
	if n > len(b) {
		return f, fmt.Errorf("%w: index: a Merkle frontier of %d bytes, at most %d are possible", coco.ErrCorrupt, n, len(b))
	}
	return f, f.UnmarshalBinary(b[:n])
}

// ref is a batch in the directory.
type ref struct {
	first, index, view uint64
	digest             [digestSize]byte // the beginning of SHA-256 over the batch's header
}

func (r *ref) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.first)
	b = binary.BigEndian.AppendUint64(b, r.index)
	b = binary.BigEndian.AppendUint32(b, uint32(r.view)) // a header's check bounds it
	return append(b, r.digest[:]...)
}

func decodeRef(b []byte) (r ref) {
	r.first, r.index = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	r.view = uint64(binary.BigEndian.Uint32(b[16:]))
	copy(r.digest[:], b[20:])
	return r
}

// record says that a batch of the segment wrote a key: the key's hash, and the batch's number.
type record [recordSize]byte

func newRecord(h hash, batch uint32) (r record) {
	copy(r[:], h[:])
	binary.BigEndian.PutUint32(r[hashSize:], batch)
	return r
}

func (r *record) batch() uint32 { return binary.BigEndian.Uint32(r[hashSize:]) }
