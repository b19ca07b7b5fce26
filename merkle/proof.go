package merkle

import (
	"fmt"
	"math/bits"

	"github.com/cocoframework/coco"
)

// MaxPath is the most digests that an inclusion path can have.
const MaxPath = 64

// Prove returns the inclusion path, from the leaf upwards, of leaves[i] in the tree that results
// from appending all leaves to before; the leaf's index there is before.Size()+i. It panics when i
// is out of range. It hashes each of the leaves at most once.
func Prove(before Frontier, leaves []coco.Digest, i int) []coco.Digest {
	if i < 0 || i >= len(leaves) {
		panic(fmt.Sprintf("merkle: leaf %d of %d", i, len(leaves)))
	}
	t := appended{before: &before, leaves: leaves}
	index, from, to := before.size+uint64(i), uint64(0), before.size+uint64(len(leaves))
	path := make([]coco.Digest, 0, bits.Len64(to))
	// Walk down from the root; the siblings met are the path from its end to its beginning.
	for to-from > 1 {
		mid := from + split(to-from)
		if index < mid {
			path = append(path, t.root(mid, to))
			to = mid
		} else {
			path = append(path, t.root(from, mid))
			from = mid
		}
	}
	for a, b := 0, len(path)-1; a < b; a, b = a+1, b-1 {
		path[a], path[b] = path[b], path[a]
	}
	return path
}

// split returns the largest power of two that is smaller than n, for n > 1.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// appended is a tree of which the frontier and the leaves after it are known.
type appended struct {
	before *Frontier
	leaves []coco.Digest
}

// root returns the root over the leaves [from, to). The range must be a node of the tree whose
// parent holds at least one new leaf. A range of old leaves only is then a complete subtree that
// no larger one contains: it is in the frontier.
func (t *appended) root(from, to uint64) coco.Digest {
	switch {
	case to <= t.before.size:
		return t.before.roots[bits.TrailingZeros64(to-from)]
	case to-from == 1:
		return t.leaves[from-t.before.size]
	}
	mid := from + split(to-from)
	left, right := t.root(from, mid), t.root(mid, to)
	return innerHash(&left, &right)
}

// Verify checks that the path proves the leaf at the index in the tree of that size and root: RFC
// 9162, section 2.1.3.2. Its error is of kind coco.ErrVerify.
func Verify(index, size uint64, leaf coco.Digest, path []coco.Digest, root coco.Digest) error {
	if index >= size {
		return fmt.Errorf("%w: Merkle path: leaf index %d is outside the tree of %d leaves", coco.ErrVerify, index, size)
	}
	fn, sn, digest := index, size-1, leaf
	for i := range path {
		if sn == 0 {
			return fmt.Errorf("%w: Merkle path: expected %d digests for leaf %d of %d, found %d",
				coco.ErrVerify, i, index, size, len(path))
		}
		if fn&1 == 1 || fn == sn {
			digest = innerHash(&path[i], &digest)
			if fn&1 == 0 {
				shift := bits.TrailingZeros64(fn)
				fn, sn = fn>>shift, sn>>shift
			}
		} else {
			digest = innerHash(&digest, &path[i])
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 {
		return fmt.Errorf("%w: Merkle path: %d digests are too few for leaf %d of %d", coco.ErrVerify, len(path), index, size)
	}
	if digest != root {
		return fmt.Errorf("%w: Merkle path: leaf %d of %d leads to root %s, expected %s",
			coco.ErrVerify, index, size, digest.Short(), root.Short())
	}
	return nil
}
