package stateroot

import (
	"bytes"
	"encoding/hex"
	"slices"
	"sort"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// Proof proves an account, or that there is none, and slots of its storage, against a state root (EIP-1186): each list has the
// nodes of a trie from the root on.
type Proof struct {
	Root        common.Hash // of the state
	Record      rows.Account
	StorageRoot common.Hash
	Account     [][]byte
	Slots       [][][]byte // empty lists if the account has no storage
	Values      []common.Hash
}

// Prove makes a proof from the rows of a state. Like [Recompute] it hashes every row. more is asked now and then whether to
// go on; if not, the error is ErrStopped.
func Prove(src store.Reader, addr common.Address, slots []common.Hash, more func() bool) (*Proof, error) {
	p := &Proof{Record: rows.NoAccount, StorageRoot: types.EmptyRootHash, Slots: make([][][]byte, len(slots)), Values: make([]common.Hash, len(slots))}
	if row, ok := src.Get(rows.Accounts, addr[:]); ok {
		var err error
		if p.Record, err = rows.DecodeAccount(row); err != nil {
			return nil, err
		}
	}
	if p.Record.Exists && p.Record.Stored {
		keys := make([][]byte, len(slots))
		for i := range slots {
			keys[i] = crypto.Keccak256(slots[i][:])
			if row, ok := src.Get(rows.Storage, rows.AppendStorageKey(nil, &addr, &slots[i], p.Record.Gen)); ok {
				var err error
				if p.Values[i], err = rows.DecodeWord(row); err != nil {
					return nil, err
				}
			}
		}
		w := newWitness(keys)
		var err error
		if p.StorageRoot, err = storageRoot(src, addr, p.Record.Gen, asking(more), w.node); err != nil {
			return nil, err
		}
		p.Slots = w.proofs()
	}
	w := newWitness([][]byte{crypto.Keccak256(addr[:])})
	var err error
	if p.Root, err = stateRoot(src, more, w.node); err != nil {
		return nil, err
	}
	p.Account = w.proofs()[0]
	return p, nil
}

// witness collects the nodes of a trie that are on the ways to keys.
type witness struct {
	ways  []way // sorted
	found [][][]byte
}

// way is a key as the path of its leaf: a byte for each hexadecimal digit.
type way struct {
	path  []byte
	index int // of the key
}

func newWitness(keys [][]byte) *witness {
	w := &witness{found: make([][][]byte, len(keys))}
	for i, key := range keys {
		path := []byte(hex.EncodeToString(key))
		for j, digit := range path {
			if path[j] = digit - '0'; digit >= 'a' {
				path[j] = digit - 'a' + 10
			}
		}
		w.ways = append(w.ways, way{path, i})
	}
	slices.SortFunc(w.ways, func(a, b way) int { return bytes.Compare(a.path, b.path) })
	return w
}

// node is trie.OnTrieNode: nodes come after those below them.
func (w *witness) node(path []byte, _ common.Hash, blob []byte) {
	at := sort.Search(len(w.ways), func(i int) bool { return bytes.Compare(w.ways[i].path, path) >= 0 })
	for ; at < len(w.ways) && bytes.HasPrefix(w.ways[at].path, path); at++ {
		i := w.ways[at].index
		w.found[i] = append(w.found[i], bytes.Clone(blob))
	}
}

// proofs returns what was found for each key, from the root on.
func (w *witness) proofs() [][][]byte {
	for i := range w.found {
		slices.Reverse(w.found[i])
	}
	return w.found
}
