package ethereum

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"
)

// source is what a state reads: a transaction set, an open transaction, or a snapshot.
type source interface {
	Get(table string, key []byte) (value []byte, ok bool)
}

// sink is where a state writes what a transaction changed.
type sink interface {
	Put(table string, key, value []byte)
	Delete(table string, key []byte)
}

// state is the Ethereum state during execution: go-ethereum's vm.StateDB over flat tables. It
// caches accounts and slots; Finalise ends a transaction and writes what it changed to the sink.
// It belongs to one goroutine.
//
// An account or slot object is in one of these conditions: known only to the access list, or
// loaded from the source. base is its value at the beginning of the transaction, which is what the
// source holds.
type state struct {
	src  source
	sink sink       // nil: changes are kept in memory only
	diff *rootBlock // takes the changes, unless nil

	accounts map[common.Address]*account
	last     *account // the account that was asked for last
	size     int      // accounts and slots held

	// Of the current transaction.
	epoch     uint64 // marks members of the access list
	journal   []change
	touched   []*account
	refund    uint64
	logs      []*types.Log
	transient map[transientKey]*slot
	warm      []common.Address // precompiles
	txHash    common.Hash
	txIndex   uint
	logIndex  uint // of the block's next log
	corrupt   error
	key       []byte // scratch
}

type transientKey struct {
	addr common.Address
	key  common.Hash
}

type account struct {
	addr   common.Address
	loaded bool
	record
	base record

	code       []byte // loaded on demand
	codeLoaded bool
	slots      map[common.Hash]*slot
	lastSlot   *slot
	changed    []*slot // slots written in this transaction
	wiped      bool    // the source's storage is hidden (a call's override)

	mutations int  // entries of the journal that touch the account
	listed    bool // in state.touched
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

func newState(src source) *state {
	return &state{src: src, accounts: map[common.Address]*account{}, transient: map[transientKey]*slot{}, epoch: 1}
}

// reset forgets everything.
func (s *state) reset() {
	key, journal := s.key, s.journal[:0]
	*s = *newState(nil)
	s.key, s.journal = key, journal
}

// object returns the object of an address, without loading it.
func (s *state) object(addr common.Address) *account {
	if s.last != nil && s.last.addr == addr {
		return s.last
	}
	a := s.accounts[addr]
	if a == nil {
		a = &account{addr: addr, record: noAccount, base: noAccount}
		s.accounts[addr] = a
		s.size++
	}
	s.last = a
	return a
}

// account returns an account as it is now.
func (s *state) account(addr common.Address) *account {
	a := s.object(addr)
	if !a.loaded {
		s.load(a)
	}
	return a
}

func (s *state) load(a *account) {
	a.loaded = true
	if row, ok := s.src.Get(tableAccounts, a.addr[:]); ok {
		r, err := decodeRecord(row)
		if err != nil {
			s.fail(err)
		}
		a.record, a.base = r, r
	}
}

// fail remembers that a row of the store is damaged; the transaction is refused then.
func (s *state) fail(err error) {
	if s.corrupt == nil {
		s.corrupt = err
	}
}

// slotObject returns the object of a slot, without loading it.
func (a *account) slotObject(s *state, key common.Hash) *slot {
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
		s.size++
	}
	a.lastSlot = sl
	return sl
}

func (s *state) slot(a *account, key common.Hash) *slot {
	sl := a.slotObject(s, key)
	if sl.loaded {
		return sl
	}
	sl.loaded = true
	// An account whose row does not say so has no storage in the source.
	if a.base.stored && !a.wiped {
		s.key = appendStorageKey(s.key[:0], &a.addr, &key, a.base.gen)
		if row, ok := s.src.Get(tableStorage, s.key); ok {
			v, err := decodeWord(row)
			if err != nil {
				s.fail(err)
			}
			sl.value, sl.base = v, v
		}
	}
	return sl
}

func (s *state) codeOf(a *account) []byte {
	if a.codeHash == types.EmptyCodeHash {
		return nil
	}
	if !a.codeLoaded {
		a.code, _ = s.src.Get(tableCode, a.codeHash[:])
		a.codeLoaded = true
		if len(a.code) == 0 {
			s.fail(errCorruptCode(a.codeHash))
		}
	}
	return a.code
}

// touch notes that a journal entry concerns an account, so that Finalise looks at it.
func (s *state) touch(a *account) {
	a.mutations++
	if !a.listed {
		a.listed = true
		s.touched = append(s.touched, a)
	}
}

// ensure makes an account exist.
func (s *state) ensure(addr common.Address) *account {
	a := s.account(addr)
	if !a.exists {
		s.create(a)
	}
	return a
}

func (s *state) create(a *account) {
	s.note(change{kind: changeCreate, account: a})
	a.exists = true
	a.nonce, a.balance, a.codeHash = 0, zeroBalance, types.EmptyCodeHash
	a.code, a.codeLoaded = nil, false
}

// finish ends a transaction: changes become the base, and go to the sink.
func (s *state) finish(eip158 bool) {
	for _, a := range s.touched {
		mutated := a.mutations > 0
		a.mutations, a.listed = 0, false
		switch {
		case !mutated || !a.exists:
			// Every change was reverted. The second case is the mainnet's history with the
			// precompile 3: its touch outlives a revert, the account that it made does not.
			a.forgetSlots()
		case a.selfDestructed || eip158 && a.empty():
			s.destroy(a)
		default:
			s.flush(a)
		}
		a.newContract, a.selfDestructed = false, false
	}
	s.endTx()
}

// forgetSlots drops the marks of slots whose writes were reverted.
func (a *account) forgetSlots() {
	for _, sl := range a.changed {
		sl.listed = false
	}
	a.changed = a.changed[:0]
}

func (s *state) endTx() {
	s.touched = s.touched[:0]
	clear(s.journal)
	s.journal = s.journal[:0]
	s.refund = 0
}

// discard ends a transaction without effect.
func (s *state) discard() {
	s.RevertToSnapshot(0)
	for _, a := range s.touched {
		a.mutations, a.listed = 0, false
		a.newContract, a.selfDestructed = false, false
		a.forgetSlots()
	}
	s.endTx()
}

func (s *state) destroy(a *account) {
	next := noAccount
	next.gen = a.base.gen
	if a.base.stored {
		next.gen++ // what this generation stored can never be read again
	}
	a.record = next
	a.code, a.codeLoaded, a.newCode = nil, false, false
	s.size -= len(a.slots)
	a.slots, a.lastSlot, a.changed = nil, nil, nil
	s.writeRecord(a)
}

func (s *state) flush(a *account) {
	for _, sl := range a.changed {
		sl.listed = false
		if sl.value == sl.base {
			continue
		}
		sl.base = sl.value
		if s.diff != nil {
			s.diff.slots = append(s.diff.slots, slotChange{a.addr, a.gen, sl.key, sl.value})
		}
		s.key = appendStorageKey(s.key[:0], &a.addr, &sl.key, a.gen)
		if sl.value == (common.Hash{}) {
			if s.sink != nil {
				s.sink.Delete(tableStorage, s.key)
			}
			continue
		}
		a.stored = true
		if s.sink != nil {
			s.sink.Put(tableStorage, s.key, append([]byte(nil), common.TrimLeftZeroes(sl.value[:])...))
		}
	}
	a.changed = a.changed[:0]
	if a.newCode {
		a.newCode = false
		if a.codeHash != a.base.codeHash && a.codeHash != types.EmptyCodeHash && s.sink != nil {
			if _, ok := s.src.Get(tableCode, a.codeHash[:]); !ok {
				s.sink.Put(tableCode, a.codeHash[:], a.code)
			}
		}
	}
	s.writeRecord(a)
}

func (s *state) writeRecord(a *account) {
	if a.record.equal(&a.base) {
		return
	}
	a.base = a.record
	if s.diff != nil {
		s.diff.accounts = append(s.diff.accounts, accountChange{a.addr, a.record})
	}
	if s.sink == nil {
		return
	}
	if row := a.encode(); row != nil {
		s.sink.Put(tableAccounts, a.addr[:], row)
	} else {
		s.sink.Delete(tableAccounts, a.addr[:])
	}
}

// takeLogs returns the logs of the current transaction and begins a new list.
func (s *state) takeLogs() []*types.Log {
	logs := s.logs
	s.logs = nil
	return logs
}

// override replaces parts of an account for a call. It MUST come before the transaction, and ends
// in finish so that nothing of it can be reverted.
func (s *state) override(addr common.Address, o *AccountOverride) {
	a := s.ensure(addr)
	if o.Nonce != nil {
		s.SetNonce(addr, *o.Nonce, 0)
	}
	if o.Balance != nil {
		s.setBalance(a, new(uint256.Int).Set(o.Balance))
	}
	if o.Code != nil {
		s.SetCode(addr, *o.Code, 0)
	}
	if o.State != nil {
		s.size -= len(a.slots)
		a.slots, a.lastSlot, a.wiped = nil, nil, true
	}
	slots := o.State
	if slots == nil {
		slots = o.StateDiff
	}
	for k, v := range slots {
		s.SetState(addr, k, v)
	}
}
