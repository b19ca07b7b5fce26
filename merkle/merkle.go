// Package merkle is the append-only Merkle tree over a network's transactions: RFC 6962 (and its
// successor RFC 9162, section 2.1) with SHA-256.
//
//	leaf  = SHA-256(0x00 ‖ data)
//	inner = SHA-256(0x01 ‖ left ‖ right)
//	root of the empty tree = SHA-256("")
//
// A tree of n > 1 leaves has as its left child the complete tree over the first k leaves, k being
// the largest power of two smaller than n, and as its right child the tree over the others.
//
// The whole tree is kept nowhere. A Frontier holds what is needed to append and to know the root: the
// roots of the complete subtrees that n leaves fall into, one for each bit that is set in n. The
// frontier as it was before a batch, together with the batch's leaves, is enough to prove the
// inclusion of any leaf of that batch in the tree that ends with it.
//
// Trust: either
package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/cocoframework/coco"
)

// LeafHash returns the digest that stands for data in the tree.
func LeafHash(data []byte) coco.Digest {
	if len(data) <= 127 {
		var buf [128]byte
		return sha256.Sum256(append(buf[:1], data...))
	}
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(data)
	return coco.Digest(h.Sum(nil))
}

// innerHash returns the digest of an inner node.
func innerHash(left, right *coco.Digest) coco.Digest {
	var buf [1 + 2*sha256.Size]byte
	buf[0] = 1
	copy(buf[1:], left[:])
	copy(buf[1+sha256.Size:], right[:])
	return sha256.Sum256(buf[:])
}

// Frontier is a tree reduced to the roots of its complete subtrees. The zero value is the empty
// tree. Assigning it copies it: the copy and the original go on independently. It is not safe for
// concurrent use while one side appends.
type Frontier struct {
	size uint64
	// roots[h] is the root of the complete subtree of 2^h leaves, where bit h of size is set.
	// Entries whose bit is clear are left over from earlier sizes and mean nothing.
	roots [64]coco.Digest
}

// Size returns the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Clone returns an independent copy.
func (f *Frontier) Clone() Frontier { return *f }

// Append adds a leaf at index Size.
func (f *Frontier) Append(leaf coco.Digest) {
	h := 0
	for ; f.size&(1<<h) != 0; h++ {
		leaf = innerHash(&f.roots[h], &leaf)
	}
	f.roots[h] = leaf
	f.size++
}

// Root returns the root of the tree.
func (f *Frontier) Root() coco.Digest {
	if f.size == 0 {
		return sha256.Sum256(nil)
	}
	h := bits.TrailingZeros64(f.size)
	root := f.roots[h]
	for h++; f.size>>h != 0; h++ {
		if f.size&(1<<h) != 0 {
			root = innerHash(&f.roots[h], &root)
		}
	}
	return root
}

// MarshalBinary encodes the frontier: its size in eight bytes, the most significant first, then
// the roots of its complete subtrees from the largest to the smallest.
func (f *Frontier) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 8+sha256.Size*bits.OnesCount64(f.size))
	b = binary.BigEndian.AppendUint64(b, f.size)
	for h := 63; h >= 0; h-- {
		if f.size&(1<<h) != 0 {
			b = append(b, f.roots[h][:]...)
		}
	}
	return b, nil
}

// UnmarshalBinary decodes what MarshalBinary encoded.
func (f *Frontier) UnmarshalBinary(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("%w: Merkle frontier: expected at least 8 bytes, found %d", coco.ErrCorrupt, len(b))
	}
	size, rest := binary.BigEndian.Uint64(b), b[8:]
	if size >= 1<<63 {
		return fmt.Errorf("%w: Merkle frontier: %d leaves are more than a tree can have", coco.ErrCorrupt, size)
	}
	if want := sha256.Size * bits.OnesCount64(size); len(rest) != want {
		return fmt.Errorf("%w: Merkle frontier of %d leaves: expected %d bytes of digests, found %d",
			coco.ErrCorrupt, size, want, len(rest))
	}
	*f = Frontier{size: size}
	for h := 63; h >= 0; h-- {
		if size&(1<<h) != 0 {
			f.roots[h], rest = coco.Digest(rest[:sha256.Size]), rest[sha256.Size:]
		}
	}
	return nil
}
