package stateroot

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethdb/memorydb"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// Proofs of random states have the nodes that go-ethereum's trie gives, and are valid against the root that Trie has.
func TestProofsAreThoseOfGoEthereum(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			s := store.New()
			scope, err := s.Scope("ethereum", rows.Tables()...)
			if err != nil {
				t.Fatal(err)
			}
			set := s.Begin(1, 1)
			part := set.Part(scope)
			tx := part.Begin()
			address := func(i int) common.Address { return common.BytesToAddress(crypto.Keccak256([]byte{byte(i)})) }
			slot := func(i int) common.Hash { return common.Hash{31: byte(i)} }
			accounts, slots := 1+r.IntN(40), r.IntN(40)
			for i := range accounts {
				a := rows.Account{Exists: true, Nonce: r.Uint64N(300), Balance: uint256.NewInt(r.Uint64()), CodeHash: rows.NoAccount.CodeHash, Stored: slots > 0 && i%2 == 0, Gen: uint64(i % 3)}
				addr := address(i)
				tx.Put(rows.Accounts, addr[:], a.Encode())
				for j := range slots {
					if a.Stored {
						key := slot(j)
						tx.Put(rows.Storage, rows.AppendStorageKey(nil, &addr, &key, a.Gen), []byte{byte(1 + r.IntN(255))})
					}
				}
			}
			tx.Commit()
			part.End()
			last := set.Next() - 1
			if err := set.Install(); err != nil {
				t.Fatal(err)
			}
			s.Commit(last)
			state := scope.Snapshot()
			defer state.Release()
			other := NewTrie()
			if err := other.Load(state, func() bool { return true }); err != nil {
				t.Fatal(err)
			}
			root, err := other.Root()
			if err != nil {
				t.Fatal(err)
			}
			for i := range accounts + 3 { // the last are not there
				addr, keys := address(i), []common.Hash{slot(0), slot(slots), slot(3)}
				p, err := Prove(state, addr, keys, func() bool { return true })
				if err != nil {
					t.Fatal(err)
				}
				if p.Root != root {
					t.Fatalf("root %v, expected %v", p.Root, root)
				}
				same(t, other.accounts, addr[:], p.Account)
				for j := range keys {
					if st := other.storage[addr]; st != nil {
						same(t, st.trie, keys[j][:], p.Slots[j])
					} else if len(p.Slots[j]) > 0 {
						t.Errorf("account %d has no storage, and a proof of it", i)
					}
				}
			}
			if _, err := Prove(state, address(0), nil, func() bool { return false }); accounts*slots > AskEvery*2 && err != ErrStopped {
				t.Errorf("stopped: %v", err)
			}
		})
	}
}

// same compares a proof with the one that a trie gives.
func same(t *testing.T, tr *trie.Trie, key []byte, nodes [][]byte) {
	t.Helper()
	db := memorydb.New()
	if err := tr.Prove(crypto.Keccak256(key), db); err != nil {
		t.Fatal(err)
	}
	if db.Len() != len(nodes) {
		t.Fatalf("%d nodes, expected %d", len(nodes), db.Len())
	}
	hash := tr.Hash()
	for i, n := range nodes {
		if i == 0 && crypto.Keccak256Hash(n) != hash {
			t.Fatalf("the first node is not the root's")
		}
		if ok, _ := db.Has(crypto.Keccak256(n)); !ok {
			t.Fatalf("node %d is not in go-ethereum's proof", i)
		}
	}
}
