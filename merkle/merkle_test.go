package merkle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/merkle"
)

// The tree that Certificate Transparency implementations share as their test vector.
var (
	vectorLeaves = []string{
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
	}
	vectorRoots = []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	vectorPaths = []struct {
		index, size int
		path        []string
	}{
		{0, 1, nil},
		{0, 8, []string{
			"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
			"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
			"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
		}},
		{5, 8, []string{
			"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
			"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
			"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		}},
		{2, 3, []string{"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
		{1, 5, []string{
			"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
			"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
			"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
		}},
	}
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectorTree(t *testing.T) (leaves []coco.Digest) {
	for _, s := range vectorLeaves {
		leaves = append(leaves, merkle.LeafHash(unhex(t, s)))
	}
	return leaves
}

func TestRootsEqualPublishedVectors(t *testing.T) {
	var f merkle.Frontier
	for n, leaf := range vectorTree(t) {
		if got := f.Root().String(); got != vectorRoots[n] {
			t.Errorf("root of %d leaves: got %s, want %s", n, got, vectorRoots[n])
		}
		f.Append(leaf)
	}
	if got := f.Root().String(); got != vectorRoots[8] {
		t.Errorf("root of 8 leaves: got %s, want %s", got, vectorRoots[8])
	}
}

func TestPathsEqualPublishedVectors(t *testing.T) {
	leaves := vectorTree(t)
	for _, v := range vectorPaths {
		root := coco.Digest(unhex(t, vectorRoots[v.size]))
		for start := 0; start <= v.index; start++ {
			path := merkle.Prove(frontier(leaves[:start]), leaves[start:v.size], v.index-start)
			var got []string
			for _, d := range path {
				got = append(got, d.String())
			}
			if !slices.Equal(got, v.path) {
				t.Errorf("path of leaf %d in %d after %d: got %v, want %v", v.index, v.size, start, got, v.path)
			}
			if err := merkle.Verify(uint64(v.index), uint64(v.size), leaves[v.index], path, root); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLeafHashEqualsDefinitionAtEveryLength(t *testing.T) {
	for n := range 300 {
		data := bytes.Repeat([]byte{0xa5}, n)
		if got, want := merkle.LeafHash(data), sha256.Sum256(append([]byte{0}, data...)); got != coco.Digest(want) {
			t.Fatalf("leaf of %d bytes: got %s, want %x", n, got, want)
		}
	}
}

func frontier(leaves []coco.Digest) (f merkle.Frontier) {
	for _, leaf := range leaves {
		f.Append(leaf)
	}
	return f
}

// naiveSplit, naiveRoot and naivePath are RFC 6962, section 2.1, word for word.
func naiveSplit(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

func naiveRoot(leaves []coco.Digest) coco.Digest {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := naiveSplit(n)
		l, r := naiveRoot(leaves[:k]), naiveRoot(leaves[k:])
		return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
	}
}

func naivePath(m int, leaves []coco.Digest) []coco.Digest {
	n := len(leaves)
	if n == 1 {
		return nil
	}
	if k := naiveSplit(n); m < k {
		return append(naivePath(m, leaves[:k]), naiveRoot(leaves[k:]))
	} else {
		return append(naivePath(m-k, leaves[k:]), naiveRoot(leaves[:k]))
	}
}

func randomLeaves(n int, seed uint64) []coco.Digest {
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	leaves := make([]coco.Digest, n)
	for i := range leaves {
		src.Read(leaves[i][:])
	}
	return leaves
}

func TestTreeEqualsNaiveRecursion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "leaves")
		leaves := randomLeaves(n, rapid.Uint64().Draw(t, "seed"))
		start := rapid.IntRange(0, n-1).Draw(t, "before")
		before := frontier(leaves[:start])
		kept := before.Clone()
		for _, leaf := range leaves[start:] {
			before.Append(leaf)
		}
		root := naiveRoot(leaves)
		if before.Size() != uint64(n) || before.Root() != root {
			t.Fatalf("root of %d leaves differs from the naive one", n)
		}
		if kept.Size() != uint64(start) || kept.Root() != naiveRoot(leaves[:start]) {
			t.Fatal("appending to a frontier changed its copy")
		}
		i := rapid.IntRange(start, n-1).Draw(t, "index")
		path := merkle.Prove(kept, leaves[start:], i-start)
		if !slices.Equal(path, naivePath(i, leaves)) {
			t.Fatalf("path of leaf %d of %d after %d differs from the naive one", i, n, start)
		}
		if err := merkle.Verify(uint64(i), uint64(n), leaves[i], path, root); err != nil {
			t.Fatal(err)
		}
	})
}

func TestVerifyRefusesEverythingElse(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 13, 64, 100} {
		leaves := randomLeaves(n, uint64(n))
		root := naiveRoot(leaves)
		size := uint64(n)
		for i := range leaves {
			index := uint64(i)
			path := merkle.Prove(merkle.Frontier{}, leaves, i)
			refuse := func(what string, index, size uint64, leaf coco.Digest, path []coco.Digest, root coco.Digest) {
				t.Helper()
				if err := merkle.Verify(index, size, leaf, path, root); !errors.Is(err, coco.ErrVerify) {
					t.Errorf("leaf %d of %d: %s: got %v", i, n, what, err)
				}
			}
			refuse("index outside", size, size, leaves[i], path, root)
			refuse("empty tree", 0, 0, leaves[i], nil, root)
			refuse("path too long", index, size, leaves[i], append(slices.Clone(path), root), root)
			refuse("other root", index, size, leaves[i], path, coco.Digest{})
			refuse("other leaf", index, size, coco.Digest{1}, path, root)
			if n > 1 {
				refuse("path too short", index, size, leaves[i], path[:len(path)-1], root)
				refuse("other index", (index+1)%size, size, leaves[i], path, root)
			}
			for j := range path {
				bad := slices.Clone(path)
				bad[j][31] ^= 1
				refuse("altered path", index, size, leaves[i], bad, root)
			}
		}
	}
}

func TestFrontierSurvivesEncoding(t *testing.T) {
	leaves := randomLeaves(200, 7)
	for n := range leaves {
		f := frontier(leaves[:n])
		b, err := f.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var g merkle.Frontier
		if err := g.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		f.Append(leaves[n])
		g.Append(leaves[n])
		if g.Size() != f.Size() || g.Root() != f.Root() {
			t.Fatalf("frontier of %d leaves differs after encoding", n)
		}
	}
}

func FuzzFrontier(f *testing.F) {
	for _, n := range []int{0, 1, 7, 8} {
		fr := frontier(randomLeaves(n, 1))
		b, _ := fr.MarshalBinary()
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 8+64*32))
	f.Fuzz(func(t *testing.T, b []byte) {
		var fr merkle.Frontier
		if err := fr.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("wrong kind of error: %v", err)
			}
			return
		}
		fr.Root()
		if again, _ := fr.MarshalBinary(); !bytes.Equal(again, b) {
			t.Fatal("frontier decodes from bytes that it does not encode to")
		}
		fr.Append(coco.Digest{})
		fr.Root()
	})
}

func BenchmarkAppend(b *testing.B) {
	leaves := randomLeaves(500, 1)
	f := frontier(randomLeaves(12345, 2))
	b.ReportAllocs()
	for b.Loop() {
		for _, leaf := range leaves {
			f.Append(leaf)
		}
		_ = f.Root()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/leaf")
}

func BenchmarkProve(b *testing.B) {
	leaves := randomLeaves(500, 1)
	f := frontier(randomLeaves(12345, 2))
	b.ReportAllocs()
	for b.Loop() {
		merkle.Prove(f, leaves, 250)
	}
}
