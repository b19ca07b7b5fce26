package batch

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/erase"
	"github.com/cocoframework/coco/merkle"
)

// Record is one transaction as the ledger holds it.
type Record struct {
	Public  []byte // encoded public writes: in the clear
	Private []byte // encoded private writes: sealed
	Claims  []byte // what a receipt proves beside the writes: sealed
}

// WriteSetDigest returns the digest of a transaction's writes: SHA-256 over the length of the
// public ones in eight bytes, the public and the private ones.
func WriteSetDigest(public, private []byte) coco.Digest {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(make([]byte, 0, 8), uint64(len(public))))
	h.Write(public)
	h.Write(private)
	return coco.Digest(h.Sum(nil))
}

// Leaf returns a transaction's leaf in the Merkle tree.
func Leaf(seqno uint64, salt, writeSet, claims coco.Digest) coco.Digest {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, leafData), seqno)
	b = append(b, salt[:]...)
	b = append(b, writeSet[:]...)
	b = append(b, claims[:]...)
	return merkle.LeafHash(b)
}

const leafData = 8 + 3*sha256.Size

// leafHasher computes the leaves of one batch, reusing its hashes and its buffer.
type leafHasher struct {
	view uint64
	mac  *erase.MAC // under the salt key
	sum  hash.Hash
	buf  [leafData]byte
	in   [16]byte
}

// newLeafHasher returns a hasher under keys that are in use until its mac is erased.
func newLeafHasher(view uint64, keys *Keys) *leafHasher {
	return &leafHasher{view: view, mac: erase.NewMAC(keys.salt[:]), sum: sha256.New()}
}

// leaf is Leaf over the record's own salt and digests.
func (l *leafHasher) leaf(seqno uint64, r *Record) coco.Digest {
	binary.BigEndian.PutUint64(l.buf[:8], seqno)
	l.mac.Reset()
	l.mac.Write(saltInput(l.in[:0], l.view, seqno))
	l.mac.Sum(l.buf[8:8])
	l.sum.Reset()
	binary.BigEndian.PutUint64(l.in[:8], uint64(len(r.Public)))
	l.sum.Write(l.in[:8])
	l.sum.Write(r.Public)
	l.sum.Write(r.Private)
	l.sum.Sum(l.buf[8+sha256.Size : 8+sha256.Size])
	claims := sha256.Sum256(r.Claims)
	copy(l.buf[8+2*sha256.Size:], claims[:])
	return merkle.LeafHash(l.buf[:])
}
