package stateroot

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/ethereum/go-ethereum/triedb"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/statedb"
	"github.com/cocoframework/coco/store"
)

// Trie is the Merkle-Patricia trie over the state, with the tries of storage below it. All of
// it is in memory and nothing is ever committed to a database, so that go-ethereum's trie keeps its
// nodes and their hashes from one root to the next.
type Trie struct {
	db       *triedb.Database
	accounts *trie.Trie
	storage  map[common.Address]*storageTrie // of accounts that have had storage
	dirty    []common.Address
}

type storageTrie struct {
	record rows.Account // the account's newest
	gen    uint64       // whose storage the trie holds
	trie   *trie.Trie
	dirty  bool // the account's leaf is older than the trie or the record
}

func NewTrie() *Trie {
	db := triedb.NewDatabase(rawdb.NewMemoryDatabase(), nil)
	return &Trie{db: db, accounts: trie.NewEmpty(db), storage: map[common.Address]*storageTrie{}}
}

// setAccount takes an account's newest record. It comes before the account's slots.
func (t *Trie) setAccount(c *statedb.AccountChange) error {
	if !c.Record.Exists {
		delete(t.storage, c.Addr)
		return t.accounts.Delete(crypto.Keccak256(c.Addr[:]))
	}
	s := t.storage[c.Addr]
	if s == nil && !c.Record.Stored {
		return t.setLeaf(&c.Addr, &c.Record, types.EmptyRootHash)
	}
	if s == nil {
		s = &storageTrie{gen: c.Record.Gen, trie: trie.NewEmpty(t.db)}
		t.storage[c.Addr] = s
	}
	if s.gen != c.Record.Gen {
		s.gen, s.trie = c.Record.Gen, trie.NewEmpty(t.db)
	}
	s.record = c.Record
	t.mark(c.Addr, s)
	return nil
}

// mark notes that an account's leaf is to be made again.
func (t *Trie) mark(addr common.Address, s *storageTrie) {
	if !s.dirty {
		s.dirty = true
		t.dirty = append(t.dirty, addr)
	}
}

// setSlot takes a slot's newest value. Slots of an earlier generation than the account's are gone.
func (t *Trie) setSlot(c *statedb.SlotChange) error {
	s := t.storage[c.Addr]
	if s == nil || s.gen != c.Gen {
		return nil
	}
	t.mark(c.Addr, s)
	key := crypto.Keccak256(c.Key[:])
	if c.Value == (common.Hash{}) {
		return s.trie.Delete(key)
	}
	value, err := rlp.EncodeToBytes(common.TrimLeftZeroes(c.Value[:]))
	if err != nil {
		return err
	}
	return s.trie.Update(key, value)
}

func (t *Trie) setLeaf(addr *common.Address, r *rows.Account, root common.Hash) error {
	leaf, err := rlp.EncodeToBytes(&types.StateAccount{Nonce: r.Nonce, Balance: r.Balance, Root: root, CodeHash: r.CodeHash[:]})
	if err != nil {
		return err
	}
	return t.accounts.Update(crypto.Keccak256(addr[:]), leaf)
}

// Root brings the accounts' leaves up to date and returns the root.
func (t *Trie) Root() (common.Hash, error) {
	for _, addr := range t.dirty {
		s := t.storage[addr]
		if s == nil || !s.dirty {
			continue // destroyed since
		}
		s.dirty = false
		if err := t.setLeaf(&addr, &s.record, s.trie.Hash()); err != nil {
			return common.Hash{}, err
		}
	}
	t.dirty = t.dirty[:0]
	return t.accounts.Hash(), nil
}

// Load adds a whole state. more is asked now and then whether to go on.
func (t *Trie) Load(src store.Reader, more func() bool) error {
	var err error
	asked := asking(more)
	going := func() bool {
		if err == nil && !asked() {
			err = ErrStopped
		}
		return err == nil
	}
	src.Range(rows.Accounts, nil, nil, func(key, value []byte) bool {
		c := statedb.AccountChange{Addr: common.BytesToAddress(key)}
		if c.Record, err = rows.DecodeAccount(value); err == nil && c.Record.Exists {
			err = t.setAccount(&c)
		}
		return going()
	})
	if err != nil {
		return err
	}
	src.Range(rows.Storage, nil, nil, func(key, value []byte) bool {
		var c statedb.SlotChange
		if c, err = decodeSlot(key, value); err == nil {
			err = t.setSlot(&c)
		}
		return going()
	})
	return err
}

// decodeSlot reads a row of the storage table.
func decodeSlot(key, value []byte) (statedb.SlotChange, error) {
	const fixed = common.AddressLength + common.HashLength
	if len(key) < fixed {
		return statedb.SlotChange{}, fmt.Errorf("%w: storage key of %d bytes", coco.ErrCorrupt, len(key))
	}
	c := statedb.SlotChange{Addr: common.BytesToAddress(key[:common.AddressLength]), Key: common.BytesToHash(key[common.AddressLength:fixed])}
	if len(key) > fixed {
		gen, n := binary.Uvarint(key[fixed:])
		if n != len(key)-fixed || gen == 0 {
			return statedb.SlotChange{}, fmt.Errorf("%w: storage key of generation %x", coco.ErrCorrupt, key[fixed:])
		}
		c.Gen = gen
	}
	var err error
	c.Value, err = rows.DecodeWord(value)
	return c, err
}
