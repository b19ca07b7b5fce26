package ethereum

import (
	"math/bits"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// listRoot is the root of the Merkle-Patricia trie that has the list's elements under the RLP of
// their indexes: a block's transactionsRoot and receiptsRoot (yellow paper, 4.3.2 and appendix D).
// go-ethereum's StackTrie gives the same; here the whole list is known in advance, so that nodes
// are hashed in passing and no trie is built.
func listRoot(list [][]byte) common.Hash {
	if len(list) == 0 {
		return types.EmptyRootHash
	}
	t := listTrie{list: list, hash: crypto.NewKeccakState(), buf: make([]byte, 0, 1024)}
	var root common.Hash
	t.node(0, len(list), 0, func(parts ...[]byte) {
		t.sum(root[:], parts)
	})
	return root
}

type listTrie struct {
	list [][]byte
	hash crypto.KeccakState
	buf  []byte // nodes under construction, as a stack
}

// index returns the element at a position in the order of the keys: 1 to 127 are single bytes, 0
// is 0x80, and longer keys follow.
func (t *listTrie) index(position int) int {
	switch last := min(len(t.list), 128) - 1; {
	case position < last:
		return position + 1
	case position == last:
		return 0
	}
	return position
}

// nibble returns a nibble of an element's key, and length the number of them.
func nibble(index, i int) byte {
	key, n := keyOfIndex(index)
	return key[:n][i/2] >> (4 * (1 - i%2)) & 15
}

func keyOfIndex(index int) (key [9]byte, n int) {
	switch {
	case index == 0:
		key[0] = 0x80
		return key, 1
	case index < 0x80:
		key[0] = byte(index)
		return key, 1
	}
	n = (bits.Len(uint(index)) + 7) / 8
	key[0] = 0x80 + byte(n)
	for i := range n {
		key[1+i] = byte(index >> (8 * (n - 1 - i)))
	}
	return key, n + 1
}

// sum hashes the concatenation of parts.
func (t *listTrie) sum(out []byte, parts [][]byte) {
	t.hash.Reset()
	for _, p := range parts {
		t.hash.Write(p)
	}
	t.hash.Read(out) // as much as out holds, and never an error
}

// node passes the RLP of the node over the positions from <= p < to, whose keys agree in the first
// depth nibbles, to emit.
func (t *listTrie) node(from, to, depth int, emit func(parts ...[]byte)) {
	start := len(t.buf)
	defer func() { t.buf = t.buf[:start] }()
	first := t.index(from)
	if to-from == 1 {
		_, n := keyOfIndex(first)
		path := appendPath(nil, first, depth, 2*n, true)
		value := t.list[first]
		body := stringSize(path) + stringSize(value)
		head := appendString(appendLength(t.buf, 0xc0, body), path)
		if len(value) == 1 && value[0] < 0x80 {
			emit(head[start:], value)
			return
		}
		head = appendLength(head, 0x80, len(value))
		t.buf = head
		emit(head[start:], value)
		return
	}
	shared, last := depth, t.index(to-1)
	for nibble(first, shared) == nibble(last, shared) {
		shared++
	}
	if shared > depth {
		path := appendPath(nil, first, depth, shared, false)
		ref := t.reference(from, to, shared)
		head := appendString(appendLength(t.buf, 0xc0, stringSize(path)+len(ref)), path)
		emit(append(head[start:], ref...))
		return
	}
	// A branch: a list of 16 references and no value.
	const headSize = 3
	t.buf = append(t.buf, make([]byte, headSize)...)
	for digit := range byte(16) {
		end := from
		for end < to && nibble(t.index(end), depth) == digit {
			end++
		}
		if end == from {
			t.buf = append(t.buf, 0x80)
			continue
		}
		t.buf = append(t.buf, t.reference(from, end, depth+1)...)
		from = end
	}
	t.buf = append(t.buf, 0x80)
	body := t.buf[start+headSize:]
	var head [headSize]byte
	emit(appendLength(head[:0], 0xc0, len(body)), body)
}

// reference returns what a parent holds of a node: its RLP if that is shorter than a hash, or else
// its hash.
func (t *listTrie) reference(from, to, depth int) []byte {
	var ref []byte
	t.node(from, to, depth, func(parts ...[]byte) {
		size := 0
		for _, p := range parts {
			size += len(p)
		}
		if size < common.HashLength {
			for _, p := range parts {
				ref = append(ref, p...)
			}
			return
		}
		ref = append(make([]byte, 0, 1+common.HashLength), 0x80+common.HashLength)
		ref = ref[:cap(ref)]
		t.sum(ref[1:1+common.HashLength], parts)
		ref = ref[:1+common.HashLength]
	})
	return ref
}

// appendPath appends the compact encoding of a key's nibbles from <= i < to (appendix C).
func appendPath(b []byte, index, from, to int, leaf bool) []byte {
	flags := byte(0)
	if leaf {
		flags = 0x20
	}
	if (to-from)%2 == 1 {
		flags |= 0x10 | nibble(index, from)
		from++
	}
	b = append(b, flags)
	for ; from < to; from += 2 {
		b = append(b, nibble(index, from)<<4|nibble(index, from+1))
	}
	return b
}
