// Package statedb is go-ethereum's vm.StateDB over flat tables: the state that the EVM reads and writes
// while transactions are executed.
//
//	rows.Source ── reads ──> DB (accounts, slots, journal) ── Finish ──> rows.Sink
//	                                                             └─────> Changes, for the state root
//
// It behaves as go-ethereum's own state.StateDB does, which a test compares over random operations, but
// makes no trie.
//
// Trust: enclave
package statedb

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// DB is the Ethereum state during execution: go-ethereum's vm.StateDB over flat tables. It
// caches accounts and slots; Finalise ends a transaction and writes what it changed to the sink.
// It belongs to one goroutine.
//
// An account or slot object is in one of these conditions: known only to the access list, or
// loaded from the source. base is its value at the beginning of the transaction, which is what the
// source holds.
type DB struct {
	Src  rows.Source
	Sink rows.Sink // nil: changes are kept in memory only
	Diff *Changes  // takes the changes, unless nil

	accounts map[common.Address]*account
	last     *account // the account that was asked for last
	Size     int      // accounts and slots held

	transaction
	Corrupt error  // a row of the source is damaged, unless nil
	key     []byte // scratch
}

// transaction is what belongs to the current transaction only, but for LogIndex.
type transaction struct {
	epoch     uint64 // marks members of the access list
	journal   []change
	touched   []*account
	refund    uint64
	logs      []*types.Log
	transient map[transientKey]*slot
	warm      []common.Address // precompiles
	txHash    common.Hash
	txIndex   uint
	LogIndex  uint // of the block's next log
}

type transientKey struct {
	addr common.Address
	key  common.Hash
}

type account struct {
	addr   common.Address
	loaded bool
	rows.Account
	base rows.Account

	code       []byte // loaded on demand
	codeLoaded bool
	slots      map[common.Hash]*slot
	lastSlot   *slot
	changed    []*slot // slots written in this transaction
	wiped      bool    // the source's storage is hidden (a call's override)

	marks
}

// marks are what the current transaction has done to an account.
type marks struct {
	mutations int  // entries of the journal that touch the account
	listed    bool // in DB.touched
	warm      uint64

	selfDestructed bool
	newContract    bool
	newCode        bool
}

type slot struct {
	key         common.Hash
	value, base common.Hash
	warm        uint64
	loaded      bool
	listed      bool // in account.changed
}

// New returns the state that a source holds.
func New(src rows.Source) *DB {
	return &DB{Src: src, accounts: map[common.Address]*account{}, transaction: transaction{transient: map[transientKey]*slot{}, epoch: 1}}
}

// Reset forgets everything.
func (s *DB) Reset() {
	key, journal := s.key, s.journal[:0]
	*s = *New(nil)
	s.key, s.journal = key, journal
}

// object returns the object of an address, without loading it.
func (s *DB) object(addr common.Address) *account {
	if s.last != nil && s.last.addr == addr {
		return s.last
	}
	a := s.accounts[addr]
	if a == nil {
		a = &account{addr: addr, Account: rows.NoAccount, base: rows.NoAccount}
		s.accounts[addr] = a
		s.Size++
	}
	s.last = a
	return a
}

// account returns an account as it is now.
func (s *DB) account(addr common.Address) *account {
	a := s.object(addr)
	if !a.loaded {
		s.load(a)
	}
	return a
}

func (s *DB) load(a *account) {
	a.loaded = true
	if row, ok := s.Src.Get(rows.Accounts, a.addr[:]); ok {
		r, err := rows.DecodeAccount(row)
		if err != nil {
			s.fail(err)
		}
		a.Account, a.base = r, r
	}
}

// fail remembers that a row of the store is damaged; the transaction is refused then.
func (s *DB) fail(err error) {
	if s.Corrupt == nil {
		s.Corrupt = err
	}
}

// slotObject returns the object of a slot, without loading it.
func (a *account) slotObject(s *DB, key common.Hash) *slot {
	if a.lastSlot != nil && a.lastSlot.key == key {
		return a.lastSlot
	}
	sl := a.slots[key]
	if sl == nil {
		if a.slots == nil {
			a.slots = map[common.Hash]*slot{}
		}
		sl = &slot{key: key}
		a.slots[key] = sl
		s.Size++
	}
	a.lastSlot = sl
	return sl
}

func (s *DB) slot(a *account, key common.Hash) *slot {
	sl := a.slotObject(s, key)
	if sl.loaded {
		return sl
	}
	sl.loaded = true
	// An account whose row does not say so has no storage in the source.
	if a.base.Stored && !a.wiped {
		s.key = rows.AppendStorageKey(s.key[:0], &a.addr, &key, a.base.Gen)
		if row, ok := s.Src.Get(rows.Storage, s.key); ok {
			v, err := rows.DecodeWord(row)
			if err != nil {
				s.fail(err)
			}
			sl.value, sl.base = v, v
		}
	}
	return sl
}

func (s *DB) codeOf(a *account) []byte {
	if a.CodeHash == types.EmptyCodeHash {
		return nil
	}
	if !a.codeLoaded {
		a.code, _ = s.Src.Get(rows.Code, a.CodeHash[:])
		a.codeLoaded = true
		if len(a.code) == 0 {
			s.fail(ErrCorruptCode(a.CodeHash))
		}
	}
	return a.code
}

// touch notes that a journal entry concerns an account, so that Finalise looks at it.
func (s *DB) touch(a *account) {
	a.mutations++
	if !a.listed {
		a.listed = true
		s.touched = append(s.touched, a)
	}
}

// Ensure makes an account exist.
func (s *DB) Ensure(addr common.Address) *account {
	a := s.account(addr)
	if !a.Exists {
		s.create(a)
	}
	return a
}

func (s *DB) create(a *account) {
	s.note(change{kind: changeCreate, account: a})
	a.Exists = true
	a.Nonce, a.Balance, a.CodeHash = 0, rows.ZeroBalance, types.EmptyCodeHash
	a.code, a.codeLoaded = nil, false
}

// Finish ends a transaction: changes become the base, and go to the sink.
func (s *DB) Finish(eip158 bool) {
	for _, a := range s.touched {
		mutated := a.mutations > 0
		a.mutations, a.listed = 0, false
		switch {
		case !mutated || !a.Exists:
			// Every change was reverted. The second case is the mainnet's history with the
			// precompile 3: its touch outlives a revert, the account that it made does not.
			a.forgetSlots()
		case a.selfDestructed || eip158 && a.Empty():
			s.destroy(a)
		default:
			s.flush(a)
		}
		a.newContract, a.selfDestructed = false, false
	}
	s.endTx()
}

// What a row has beside an account's code, at most: keys, table's name and encoding.
const (
	slotBytes    = 160
	accountBytes = 240
)

// Written returns how many bytes Finish will write to the sink, at most.
func (s *DB) Written() (n int) {
	for _, a := range s.touched {
		if a.mutations == 0 {
			continue
		}
		n += accountBytes + slotBytes*len(a.changed)
		if a.newCode {
			n += slotBytes + len(a.code)
		}
	}
	return n
}

// forgetSlots drops the marks of slots whose writes were reverted.
func (a *account) forgetSlots() {
	for _, sl := range a.changed {
		sl.listed = false
	}
	a.changed = a.changed[:0]
}

func (s *DB) endTx() {
	s.touched = s.touched[:0]
	clear(s.journal)
	s.journal = s.journal[:0]
	s.refund = 0
}

// Discard ends a transaction without effect.
func (s *DB) Discard() {
	s.RevertToSnapshot(0)
	for _, a := range s.touched {
		a.mutations, a.listed = 0, false
		a.newContract, a.selfDestructed = false, false
		a.forgetSlots()
	}
	s.endTx()
}

func (s *DB) destroy(a *account) {
	next := rows.NoAccount
	next.Gen = a.base.Gen
	if a.base.Stored {
		next.Gen++ // what this generation stored can never be read again
	}
	a.Account = next
	a.code, a.codeLoaded, a.newCode = nil, false, false
	s.Size -= len(a.slots)
	a.slots, a.lastSlot, a.changed = nil, nil, nil
	s.writeRecord(a)
}

func (s *DB) flush(a *account) {
	for _, sl := range a.changed {
		sl.listed = false
		if sl.value == sl.base {
			continue
		}
		sl.base = sl.value
		if s.Diff != nil {
			s.Diff.Slots = append(s.Diff.Slots, SlotChange{a.addr, a.Gen, sl.key, sl.value})
		}
		s.key = rows.AppendStorageKey(s.key[:0], &a.addr, &sl.key, a.Gen)
		if sl.value == (common.Hash{}) {
			if s.Sink != nil {
				s.Sink.Delete(rows.Storage, s.key)
			}
			continue
		}
		a.Stored = true
		if s.Sink != nil {
			s.Sink.Put(rows.Storage, s.key, append([]byte(nil), common.TrimLeftZeroes(sl.value[:])...))
		}
	}
	a.changed = a.changed[:0]
	if a.newCode {
		a.newCode = false
		if a.CodeHash != a.base.CodeHash && a.CodeHash != types.EmptyCodeHash && s.Sink != nil {
			if _, ok := s.Src.Get(rows.Code, a.CodeHash[:]); !ok {
				s.Sink.Put(rows.Code, a.CodeHash[:], a.code)
			}
		}
	}
	s.writeRecord(a)
}

func (s *DB) writeRecord(a *account) {
	if a.Account.Equal(&a.base) {
		return
	}
	a.base = a.Account
	if s.Diff != nil {
		s.Diff.Accounts = append(s.Diff.Accounts, AccountChange{a.addr, a.Account})
	}
	if s.Sink == nil {
		return
	}
	if row := a.Encode(); row != nil {
		s.Sink.Put(rows.Accounts, a.addr[:], row)
	} else {
		s.Sink.Delete(rows.Accounts, a.addr[:])
	}
}

// Logs returns the logs of the current transaction, which MUST NOT be modified.
func (s *DB) Logs() []*types.Log { return s.logs }

// TakeLogs returns the logs of the current transaction and begins a new list.
func (s *DB) TakeLogs() []*types.Log {
	logs := s.logs
	s.logs = nil
	return logs
}
