package ethereum

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
	"github.com/cocoframework/coco/store"
)

// stateTrie is the Merkle-Patricia trie over the state, with the tries of storage below it. All of
// it is in memory and nothing is ever committed to a database, so that go-ethereum's trie keeps its
// nodes and their hashes from one root to the next.
type stateTrie struct {
	db       *triedb.Database
	accounts *trie.Trie
	storage  map[common.Address]*storageTrie // of accounts that have had storage
	dirty    []common.Address
}

type storageTrie struct {
	record record // the account's newest
	gen    uint64 // whose storage the trie holds
	trie   *trie.Trie
	dirty  bool // the account's leaf is older than the trie or the record
}

func newStateTrie() *stateTrie {
	db := triedb.NewDatabase(rawdb.NewMemoryDatabase(), nil)
	return &stateTrie{db: db, accounts: trie.NewEmpty(db), storage: map[common.Address]*storageTrie{}}
}

// accountChange and slotChange are what a transaction leaves of an account or a slot.
type accountChange struct {
	addr   common.Address
	record record
}

type slotChange struct {
	addr  common.Address
	gen   uint64
	key   common.Hash
	value common.Hash
}

// setAccount takes an account's newest record. It comes before the account's slots.
func (t *stateTrie) setAccount(c *accountChange) error {
	if !c.record.exists {
		delete(t.storage, c.addr)
		return t.accounts.Delete(crypto.Keccak256(c.addr[:]))
	}
	s := t.storage[c.addr]
	if s == nil && !c.record.stored {
		return t.setLeaf(&c.addr, &c.record, types.EmptyRootHash)
	}
	if s == nil {
		s = &storageTrie{gen: c.record.gen, trie: trie.NewEmpty(t.db)}
		t.storage[c.addr] = s
	}
	if s.gen != c.record.gen {
		s.gen, s.trie = c.record.gen, trie.NewEmpty(t.db)
	}
	s.record = c.record
	t.mark(c.addr, s)
	return nil
}

// mark notes that an account's leaf is to be made again.
func (t *stateTrie) mark(addr common.Address, s *storageTrie) {
	if !s.dirty {
		s.dirty = true
		t.dirty = append(t.dirty, addr)
	}
}

// setSlot takes a slot's newest value. Slots of an earlier generation than the account's are gone.
func (t *stateTrie) setSlot(c *slotChange) error {
	s := t.storage[c.addr]
	if s == nil || s.gen != c.gen {
		return nil
	}
	t.mark(c.addr, s)
	key := crypto.Keccak256(c.key[:])
	if c.value == (common.Hash{}) {
		return s.trie.Delete(key)
	}
	value, err := rlp.EncodeToBytes(common.TrimLeftZeroes(c.value[:]))
	if err != nil {
		return err
	}
	return s.trie.Update(key, value)
}

func (t *stateTrie) setLeaf(addr *common.Address, r *record, root common.Hash) error {
	leaf, err := rlp.EncodeToBytes(&types.StateAccount{Nonce: r.nonce, Balance: r.balance, Root: root, CodeHash: r.codeHash[:]})
	if err != nil {
		return err
	}
	return t.accounts.Update(crypto.Keccak256(addr[:]), leaf)
}

// root brings the accounts' leaves up to date and returns the root.
func (t *stateTrie) root() (common.Hash, error) {
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

// load adds a whole state. more is asked now and then whether to go on.
func (t *stateTrie) load(src store.Reader, more func() bool) error {
	var err error
	n := 0
	going := func() bool {
		n++
		if err == nil && n%1024 == 0 && !more() {
			err = errStopped
		}
		return err == nil
	}
	src.Range(tableAccounts, nil, nil, func(key, value []byte) bool {
		c := accountChange{addr: common.BytesToAddress(key)}
		if c.record, err = decodeRecord(value); err == nil && c.record.exists {
			err = t.setAccount(&c)
		}
		return going()
	})
	if err != nil {
		return err
	}
	src.Range(tableStorage, nil, nil, func(key, value []byte) bool {
		var c slotChange
		if c, err = decodeSlot(key, value); err == nil {
			err = t.setSlot(&c)
		}
		return going()
	})
	return err
}

// decodeSlot reads a row of the storage table.
func decodeSlot(key, value []byte) (slotChange, error) {
	const fixed = common.AddressLength + common.HashLength
	if len(key) < fixed {
		return slotChange{}, fmt.Errorf("%w: storage key of %d bytes", coco.ErrCorrupt, len(key))
	}
	c := slotChange{addr: common.BytesToAddress(key[:common.AddressLength]), key: common.BytesToHash(key[common.AddressLength:fixed])}
	if len(key) > fixed {
		gen, n := binary.Uvarint(key[fixed:])
		if n != len(key)-fixed || gen == 0 {
			return slotChange{}, fmt.Errorf("%w: storage key of generation %x", coco.ErrCorrupt, key[fixed:])
		}
		c.gen = gen
	}
	var err error
	c.value, err = decodeWord(value)
	return c, err
}
