package stateroot

import (
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// Listed is an account as the trie of accounts has it.
type Listed struct {
	Addr common.Address
	Hash common.Hash // of the address
	Gen  uint64      // of its slots, see Slots
	types.StateAccount
}

// List returns the root of a state and at most so many of its accounts, by the hashes of their addresses, from one on. next is the hash of
// the account that follows, nil if none does. Like [Recompute] it hashes every row, and more is asked as there.
func List(src store.Reader, from common.Hash, most int, more func() bool) (root common.Hash, page []Listed, next *common.Hash, err error) {
	asked := asking(more)
	going := func() bool {
		if err == nil && !asked() {
			err = ErrStopped
		}
		return err == nil
	}
	var leaves []leaf
	listed := make([]Listed, 0, most+2) // by hashes: the first ones from `from` on, with the one that follows the page
	src.Range(rows.Accounts, nil, nil, func(key, row []byte) bool {
		addr := common.BytesToAddress(key)
		var value []byte
		if value, err = accountLeaf(src, addr, row, going); err != nil || value == nil {
			return going()
		}
		hash := crypto.Keccak256Hash(key)
		leaves = append(leaves, leaf{hash, value})
		if at, _ := slices.BinarySearchFunc(listed, hash, byHash); hash.Cmp(from) >= 0 && at <= most {
			listed = slices.Insert(listed, at, Listed{Addr: addr, Hash: hash})
			listed = listed[:min(len(listed), most+1)]
		}
		return going()
	})
	if err != nil {
		return root, nil, nil, err
	}
	if root, err = rootOf(leaves, nil); err != nil {
		return root, nil, nil, err
	}
	if len(listed) > most {
		next, listed = &listed[most].Hash, listed[:most]
	}
	for i := range listed {
		a := &listed[i]
		at, _ := slices.BinarySearchFunc(leaves, a.Hash, func(l leaf, h common.Hash) int { return l.key.Cmp(h) })
		if err := rlp.DecodeBytes(leaves[at].value, &a.StateAccount); err != nil {
			return root, nil, nil, err
		}
		row, _ := src.Get(rows.Accounts, a.Addr[:])
		r, err := rows.DecodeAccount(row)
		if err != nil {
			return root, nil, nil, err
		}
		a.Gen = r.Gen
	}
	return root, listed, next, nil
}

func byHash(a Listed, h common.Hash) int { return a.Hash.Cmp(h) }

// Slots calls fn with the slots of an account that are not zero, in no order, until it returns an error.
func Slots(src store.Reader, addr common.Address, gen uint64, fn func(key, value common.Hash) error) (err error) {
	src.Range(rows.Storage, addr[:], store.Behind(addr[:]), func(key, value []byte) bool {
		c, bad := decodeSlot(key, value)
		switch {
		case bad != nil:
			err = bad
		case c.Gen == gen && c.Value != (common.Hash{}):
			err = fn(c.Key, c.Value)
		}
		return err == nil
	})
	return err
}
