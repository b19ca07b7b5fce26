package stateroot

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// leaf is one value of a trie under the hash of its key.
type leaf struct {
	key   common.Hash
	value []byte
}

// rootOf returns the root of a trie of leaves, which it sorts. onNode, unless nil, is called with each node, after those below it.
func rootOf(leaves []leaf, onNode trie.OnTrieNode) (common.Hash, error) {
	slices.SortFunc(leaves, func(a, b leaf) int { return bytes.Compare(a.key[:], b.key[:]) })
	t := trie.NewStackTrie(onNode)
	for i := range leaves {
		if err := t.Update(leaves[i].key[:], leaves[i].value); err != nil {
			return common.Hash{}, err
		}
	}
	return t.Hash(), nil
}

// Recompute returns the state root of the rows of a state. It shares no step with [Trie], which follows the
// changes of blocks: it hashes and sorts every row and holds no more than the leaves. more is asked now and then
// whether to go on.
func Recompute(src store.Reader, more func() bool) (common.Hash, error) {
	return stateRoot(src, more, nil)
}

// asking returns a function that asks more now and then, and is false for ever once that was.
func asking(more func() bool) func() bool {
	n, stopped := 0, false
	return func() bool {
		if n++; !stopped && n%AskEvery == 0 {
			stopped = !more()
		}
		return !stopped
	}
}

// AskEvery is after how many rows a caller is asked whether to go on, and RowBytes what is kept in memory of each.
const (
	AskEvery = 1024
	RowBytes = 192
)

// stateRoot is Recompute. onNode is called with the nodes of the trie of accounts.
func stateRoot(src store.Reader, more func() bool, onNode trie.OnTrieNode) (common.Hash, error) {
	var err error
	asked := asking(more)
	going := func() bool {
		if err == nil && !asked() {
			err = ErrStopped
		}
		return err == nil
	}
	var accounts []leaf
	src.Range(rows.Accounts, nil, nil, func(key, value []byte) bool {
		var l leaf
		if l.value, err = accountLeaf(src, common.BytesToAddress(key), value, going); err == nil && l.value != nil {
			l.key = crypto.Keccak256Hash(key)
			accounts = append(accounts, l)
		}
		return going()
	})
	if err != nil {
		return common.Hash{}, err
	}
	return rootOf(accounts, onNode)
}

// accountLeaf returns the value of an account in the trie of accounts; nil if the row says that it does not exist.
func accountLeaf(src store.Reader, addr common.Address, row []byte, going func() bool) ([]byte, error) {
	r, err := rows.DecodeAccount(row)
	if err != nil || !r.Exists {
		return nil, err
	}
	out := types.StateAccount{Nonce: r.Nonce, Balance: r.Balance, Root: types.EmptyRootHash, CodeHash: r.CodeHash[:]}
	if r.Stored {
		if out.Root, err = storageRoot(src, addr, r.Gen, going, nil); err != nil {
			return nil, err
		}
	}
	return rlp.EncodeToBytes(&out)
}

// storageRoot returns the root of one generation of an account's slots.
func storageRoot(src store.Reader, addr common.Address, gen uint64, going func() bool, onNode trie.OnTrieNode) (common.Hash, error) {
	var err error
	var slots []leaf
	stopped := false
	src.Range(rows.Storage, addr[:], store.Behind(addr[:]), func(key, value []byte) bool {
		c, derr := decodeSlot(key, value)
		switch {
		case derr != nil:
			err = fmt.Errorf("%w: slots of %v", derr, addr)
			return false
		case c.Gen == gen && c.Value != (common.Hash{}):
			enc, _ := rlp.EncodeToBytes(common.TrimLeftZeroes(c.Value[:])) // never fails for bytes
			slots = append(slots, leaf{crypto.Keccak256Hash(c.Key[:]), enc})
		}
		stopped = !going()
		return !stopped
	})
	switch {
	case err != nil:
		return common.Hash{}, err
	case stopped:
		return common.Hash{}, ErrStopped
	case len(slots) == 0:
		return types.EmptyRootHash, nil
	}
	root, err := rootOf(slots, onNode)
	if err != nil {
		return common.Hash{}, fmt.Errorf("%w: slots of %v: %w", coco.ErrCorrupt, addr, err)
	}
	return root, nil
}
