package snapshot

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/erase"
)

// A file is
//
//	magic ‖ length of the header u32 ‖ header ‖ block, block, … ‖ end block ‖ [trailer]
//	block   = kind u8 ‖ length u32 ‖ sealed bytes
//	trailer = kind u8 ‖ length u32 ‖ receipt ‖ size of everything before the trailer u64
//
// Everything before the trailer is the body: its SHA-256 is the snapshot's digest.
const (
	magic = "coco snapshot 1\n"

	kindRows    = 1
	kindEnd     = 2
	kindReceipt = 3

	frameHead = 1 + 4
	bodyField = 8 // at the end of the trailer

	// blockSize is how many bytes of rows a block holds. Only the last one may hold fewer.
	blockSize  = 1 << 20
	tagSize    = 16
	endSize    = 8 + 8 // of the end block's plain text: the numbers of rows and of bytes
	maxReceipt = 16 << 20
)

const (
	prefix  = "snapshot_"
	part    = ".part"
	pending = ".pending"
)

// fileName names the file of a snapshot, without a suffix.
func fileName(index, seqno uint64) string {
	return prefix + strconv.FormatUint(index, 10) + "_" + strconv.FormatUint(seqno, 10)
}

// Name returns the name of the snapshot's file in its folder.
func (i Info) Name() string {
	if i.Pending {
		return fileName(i.Index, i.Seqno) + pending
	}
	return fileName(i.Index, i.Seqno)
}

// parseName is the inverse of Info.Name.
func parseName(name string) (Info, bool) {
	var i Info
	rest, whole := strings.CutPrefix(name, prefix)
	rest, i.Pending = strings.CutSuffix(rest, pending)
	index, seqno, two := strings.Cut(rest, "_")
	var err1, err2 error
	i.Index, err1 = strconv.ParseUint(index, 10, 64)
	i.Seqno, err2 = strconv.ParseUint(seqno, 10, 64)
	return i, whole && two && err1 == nil && err2 == nil && i.Name() == name
}

// sealer is the encryption of one snapshot's blocks.
type sealer struct {
	aead  cipher.AEAD
	ad    []byte // header digest ‖ number of the block u64 ‖ kind u8
	nonce [12]byte
	block uint64
}

// newSealer makes a sealer, which is to be erased. It derives the key from the header too: should another release write the same state in
// another form, then its header differs, and no nonce is met twice under one key.
func newSealer(header []byte, h *Header, secret [32]byte) *sealer {
	digest := sha256.Sum256(header)
	info := append([]byte("coco snapshot"), 0)
	info = binary.BigEndian.AppendUint64(info, h.Epoch)
	info = binary.BigEndian.AppendUint64(info, h.Index)
	info = append(append(info, h.Chain[:]...), digest[:]...)
	key := erase.HKDF(secret[:], nil, string(info))
	defer clear(key[:])
	clear(secret[:])
	return &sealer{aead: erase.AEAD(key[:]), ad: append(digest[:], make([]byte, 9)...)}
}

// erase clears the key.
func (s *sealer) erase() { erase.Value(s.aead) }

// turn moves on to the next block. Each block is sealed or opened exactly once.
func (s *sealer) turn(kind byte) {
	binary.BigEndian.PutUint64(s.nonce[4:], s.block)
	binary.BigEndian.PutUint64(s.ad[sha256.Size:], s.block)
	s.ad[len(s.ad)-1] = kind
	s.block++
}

// seal encrypts plain in place, which needs room for the tag.
func (s *sealer) seal(kind byte, plain []byte) []byte {
	s.turn(kind)
	return s.aead.Seal(plain[:0], s.nonce[:], plain, s.ad)
}

// open decrypts b in place.
func (s *sealer) open(kind byte, b []byte) ([]byte, error) {
	s.turn(kind)
	plain, err := s.aead.Open(b[:0], s.nonce[:], b, s.ad)
	if err != nil {
		return nil, fmt.Errorf("block %d does not decrypt: it was changed, or the secret is not that of the header's epoch", s.block-1)
	}
	return plain, nil
}

func corrupt(name string, format string, args ...any) error {
	return fmt.Errorf("%w: snapshot %s: %w: take it from another node, or let a new one be made", coco.ErrCorrupt, name, fmt.Errorf(format, args...))
}

// open opens a file and tells its size.
func open(disk host.Disk, name string) (host.File, int64, error) {
	f, err := disk.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("snapshot %s: %w", name, err)
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("snapshot %s: %w", name, err)
	}
	return f, size, nil
}

func join(dir, name string) string { return path.Join(dir, name) }
