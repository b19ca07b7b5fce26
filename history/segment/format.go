package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/merkle"
)

// Names of files.
const (
	FilePrefix = "index_" // begins the name of every file of the index
	PartSuffix = ".part"  // ends that of one that is being written
)

// Sizes in bytes, and bounds.
const (
	BlockSize   = 4096
	DigestSize  = 16 // of a digest that is cut short
	blockData   = BlockSize - seal.TagSize
	headerData  = BlockSize - seal.PrefixSize - seal.TagSize
	headerUsed  = 4*8 + 2*4 + 5*32
	hashSize    = 16
	recordSize  = hashSize + 4
	refSize     = 8 + 8 + 4 + DigestSize
	SlotEvery   = 64      // batches between two frontiers
	MaxBatches  = 1 << 18 // of a segment
	MaxRecords  = 1 << 20 // of a segment, roughly
	mostRecords = 1 << 28 // that a file can have: one batch may bring more than MaxRecords
)

// FileName names a segment's file by the entries of its first and last batch.
func FileName(first, last uint64) string {
	return FilePrefix + strconv.FormatUint(first, 10) + "-" + strconv.FormatUint(last, 10)
}

// ParseFileName is the inverse of FileName; it is not ok for any other name.
func ParseFileName(name string) (first, last uint64, ok bool) {
	rest, ok := strings.CutPrefix(name, FilePrefix)
	if !ok {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(rest, "-")
	first, err1 := strconv.ParseUint(from, 10, 64)
	last, err2 := strconv.ParseUint(to, 10, 64)
	return first, last, err1 == nil && err2 == nil && first > 0 && FileName(first, last) == name
}

// Header says what a segment covers. Roots and digests tie it to one ledger.
type Header struct {
	First, Last uint64 // entries of the first and last batch
	From, To    uint64 // seqnos
	Batches     uint32
	Records     uint32
	Digest      coco.Digest // SHA-256 of the last batch's header
	Prev        coco.Digest // chain digest before the first batch
	Chain       coco.Digest // chain digest of the last batch
	Before      coco.Digest // Merkle root before the first batch
	After       coco.Digest // Merkle root after the last one
}

func (h *Header) append(b []byte) []byte {
	for _, n := range [...]uint64{h.First, h.Last, h.From, h.To} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, h.Batches)
	b = binary.BigEndian.AppendUint32(b, h.Records)
	for _, d := range [...]*coco.Digest{&h.Digest, &h.Prev, &h.Chain, &h.Before, &h.After} {
		b = append(b, d[:]...)
	}
	return b
}

func (h *Header) decode(b []byte) error {
	if len(b) != headerData {
		return fmt.Errorf("%w: index header: expected %d bytes, found %d", coco.ErrCorrupt, headerData, len(b))
	}
	for _, n := range [...]*uint64{&h.First, &h.Last, &h.From, &h.To} {
		*n, b = binary.BigEndian.Uint64(b), b[8:]
	}
	h.Batches, h.Records, b = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), b[8:]
	for _, d := range [...]*coco.Digest{&h.Digest, &h.Prev, &h.Chain, &h.Before, &h.After} {
		b = b[copy(d[:], b):]
	}
	n := uint64(h.Batches)
	if h.First == 0 || h.From == 0 || n == 0 || n > MaxBatches || h.Records > mostRecords ||
		h.Last < h.First || h.Last-h.First < n-1 || h.To < h.From || h.To-h.From < n-1 || h.To >= 1<<63 {
		return fmt.Errorf("%w: index header: entries %d to %d, seqnos %d to %d, %d batches and %d records cannot be",
			coco.ErrCorrupt, h.First, h.Last, h.From, h.To, h.Batches, h.Records)
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

func (h *Header) layout() layout {
	var l layout
	next := 1
	l.refArea, next = newArea(refSize, int(h.Batches), next)
	l.keyArea, next = newArea(recordSize, int(h.Records), next)
	l.slots = next
	l.slotSize = 8 + 32*bits.Len64(h.To)
	l.slotCount = ceil(int(h.Batches), SlotEvery) + 1
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

// Ref is a batch in the directory.
type Ref struct {
	First, Index, View uint64
	Digest             [DigestSize]byte // the beginning of SHA-256 over the batch's header
}

func (r *Ref) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.First)
	b = binary.BigEndian.AppendUint64(b, r.Index)
	b = binary.BigEndian.AppendUint32(b, uint32(r.View)) // a header's check bounds it
	return append(b, r.Digest[:]...)
}

func decodeRef(b []byte) (r Ref) {
	r.First, r.Index = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	r.View = uint64(binary.BigEndian.Uint32(b[16:]))
	copy(r.Digest[:], b[20:])
	return r
}

// Record says that a batch of the segment wrote a key: the key's hash, and the batch's number.
type Record [recordSize]byte

// NewRecord returns the record of a key's hash and a batch's number.
func NewRecord(h Hash, batch uint32) (r Record) {
	copy(r[:], h[:])
	binary.BigEndian.PutUint32(r[hashSize:], batch)
	return r
}

// Batch returns the batch's number.
func (r *Record) Batch() uint32 { return binary.BigEndian.Uint32(r[hashSize:]) }

// CompareRecords orders records by their hashes, and those of one hash by their batches.
func CompareRecords(a, b Record) int { return bytes.Compare(a[:], b[:]) }

// Hash is the hash of a table's name and a key.
type Hash [hashSize]byte

// HashOf is SHA-256 over the length of the table's name in one byte, the name and the key, cut short.
func HashOf(table string, key []byte) Hash {
	var space [128]byte
	b := append(space[:0], byte(len(table)))
	b = append(append(b, table...), key...)
	sum := sha256.Sum256(b)
	return Hash(sum[:])
}

// None is the number of a batch that no segment has.
const None = math.MaxUint32
