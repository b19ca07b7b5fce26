package reexecute

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
)

// Difference is the first thing that a chain says otherwise than go-ethereum comes to. It is coco.ErrVerify.
type Difference struct {
	Block       uint64      `json:"block"`
	Transaction int         `json:"transaction"` // within the block; -1: the block itself
	Hash        common.Hash `json:"hash"`        // of the transaction
	Field       string      `json:"field"`
	Expected    string      `json:"expected"` // what go-ethereum comes to
	Found       string      `json:"found"`    // what the chain says
}

// Error implements error.
func (d *Difference) Error() string {
	at := fmt.Sprintf("block %d", d.Block)
	if d.Transaction >= 0 {
		at = fmt.Sprintf("%s, transaction %d (%v)", at, d.Transaction, d.Hash)
	}
	return fmt.Sprintf("%v: %s: %s: expected %s, to which go-ethereum comes, found %s", coco.ErrVerify, at, d.Field, d.Expected, d.Found)
}

// Unwrap makes it a verification that failed.
func (d *Difference) Unwrap() error { return coco.ErrVerify }

func differs(number uint64, field string, expected, found any) error {
	return &Difference{Block: number, Transaction: -1, Field: field, Expected: fmt.Sprint(expected), Found: fmt.Sprint(found)}
}

// reader is the state that go-ethereum executes on, as far as it is compared.
type reader interface {
	Exist(common.Address) bool
	GetBalance(common.Address) *uint256.Int
	GetNonce(common.Address) uint64
	GetCodeHash(common.Address) common.Hash
	GetState(common.Address, common.Hash) common.Hash
}

// judge compares what a ledger holds after each transaction of a block with go-ethereum's state after it, and that it holds all that go-ethereum has changed.
type judge struct {
	number uint64
	block  *types.Block
	state  reader
	writes *archive.Writes
	done   int   // transactions that were executed
	first  error // difference
	// What was there before the transaction that is executed, of what was changed since.
	balances map[common.Address]*big.Int
	nonces   map[common.Address]uint64
	codes    map[common.Address]common.Hash
	slots    map[slot]common.Hash
}

type slot struct {
	address common.Address
	key     common.Hash
}

func (j *judge) of(i int, field string, expected, found any) error {
	d := &Difference{Block: j.number, Transaction: -1, Field: field, Expected: fmt.Sprint(expected), Found: fmt.Sprint(found)}
	if txs := j.block.Transactions(); i >= 0 && i < len(txs) {
		d.Transaction, d.Hash = i, txs[i].Hash()
	}
	return d
}

// begin looks at how many records there are.
func (j *judge) begin() error {
	for _, s := range j.writes.Stray {
		return j.of(-1, "state before the block", "no change but by transactions of blocks", fmt.Sprintf("transaction %s of the ledger, which writes %s", s.Transaction, what(&s.State)))
	}
	if want, found := max(1, len(j.block.Transactions())), len(j.writes.Transactions); want != found {
		return j.of(-1, "records of the ledger", want, found)
	}
	j.forget()
	return nil
}

// what names the accounts of a state.
func what(s *archive.State) string {
	all := slices.Concat(slices.Collect(maps.Keys(s.Accounts)), slices.Collect(maps.Keys(s.Storage)))
	slices.SortFunc(all, common.Address.Cmp)
	all = slices.Compact(all)
	if len(all) > 1 {
		return fmt.Sprintf("%v and %d more accounts", all[0], len(all)-1)
	}
	return fmt.Sprintf("account %v", all[0])
}

func (j *judge) forget() {
	j.balances, j.nonces = map[common.Address]*big.Int{}, map[common.Address]uint64{}
	j.codes, j.slots = map[common.Address]common.Hash{}, map[slot]common.Hash{}
}

// hooks are called as go-ethereum executes.
func (j *judge) hooks() *tracing.Hooks {
	h := &tracing.Hooks{OnTxEnd: func(r *types.Receipt, err error) {
		if err != nil || r == nil {
			return
		}
		if j.done++; j.writes != nil && j.first == nil && j.done < len(j.block.Transactions()) {
			j.first = j.compare(j.done - 1)
			j.forget()
		}
	}}
	if j.writes == nil {
		return h
	}
	h.OnBalanceChange = func(a common.Address, before, _ *big.Int, _ tracing.BalanceChangeReason) {
		if _, ok := j.balances[a]; !ok {
			j.balances[a] = new(big.Int).Set(before)
		}
	}
	h.OnNonceChange = func(a common.Address, before, _ uint64) {
		if _, ok := j.nonces[a]; !ok {
			j.nonces[a] = before
		}
	}
	h.OnCodeChange = func(a common.Address, before common.Hash, _ []byte, _ common.Hash, _ []byte) {
		if _, ok := j.codes[a]; !ok {
			j.codes[a] = before
		}
	}
	h.OnStorageChange = func(a common.Address, key, before, _ common.Hash) {
		if _, ok := j.slots[slot{a, key}]; !ok {
			j.slots[slot{a, key}] = before
		}
	}
	return h
}

// end compares what the last transaction has left, and what follows it.
func (j *judge) end() error {
	if j.writes == nil {
		return nil
	}
	return j.compare(len(j.writes.Transactions) - 1)
}

// compare compares the record of a transaction.
func (j *judge) compare(i int) error {
	w := &j.writes.Transactions[i]
	for _, a := range slices.SortedFunc(maps.Keys(w.Accounts), common.Address.Cmp) {
		if err := j.account(i, a, w.Accounts[a]); err != nil {
			return err
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(w.Storage), common.Address.Cmp) {
		for _, key := range slices.SortedFunc(maps.Keys(w.Storage[a]), common.Hash.Cmp) {
			if want, found := j.state.GetState(a, key), w.Storage[a][key]; want != found {
				return j.of(i, fmt.Sprintf("slot %v of %v", key, a), want, found)
			}
		}
	}
	return j.missing(i, w)
}

func (j *judge) account(i int, a common.Address, found *archive.Account) error {
	name := func(field string) string { return fmt.Sprintf("%s of %v", field, a) }
	exists := map[bool]string{true: "it exists", false: "there is none"}
	if want := j.state.Exist(a); want != (found != nil) {
		return j.of(i, fmt.Sprintf("account %v", a), exists[want], exists[found != nil])
	}
	if found == nil {
		return nil
	}
	balance := new(big.Int)
	if found.Balance != nil {
		balance = found.Balance.ToInt()
	}
	if want := j.state.GetBalance(a).ToBig(); want.Cmp(balance) != 0 {
		return j.of(i, name("balance"), want, balance)
	}
	if want := j.state.GetNonce(a); want != uint64(found.Nonce) {
		return j.of(i, name("nonce"), want, uint64(found.Nonce))
	}
	if want := j.state.GetCodeHash(a); want != found.CodeHash {
		return j.of(i, name("code hash"), want, found.CodeHash)
	}
	return nil
}

// missing finds what go-ethereum has changed and the ledger has not written.
func (j *judge) missing(i int, w *archive.State) error {
	for _, a := range slices.SortedFunc(maps.Keys(j.balances), common.Address.Cmp) {
		if want := j.state.GetBalance(a).ToBig(); want.Cmp(j.balances[a]) != 0 && !has(w, a) {
			return j.of(i, fmt.Sprintf("balance of %v", a), want, fmt.Sprintf("no write: it stays %v", j.balances[a]))
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(j.nonces), common.Address.Cmp) {
		if want := j.state.GetNonce(a); want != j.nonces[a] && !has(w, a) {
			return j.of(i, fmt.Sprintf("nonce of %v", a), want, fmt.Sprintf("no write: it stays %d", j.nonces[a]))
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(j.codes), common.Address.Cmp) {
		if want := j.state.GetCodeHash(a); want != j.codes[a] && want != (common.Hash{}) && !has(w, a) {
			return j.of(i, fmt.Sprintf("code hash of %v", a), want, fmt.Sprintf("no write: it stays %v", j.codes[a]))
		}
	}
	byKey := func(a, b slot) int { return cmp.Or(a.address.Cmp(b.address), a.key.Cmp(b.key)) }
	for _, s := range slices.SortedFunc(maps.Keys(j.slots), byKey) {
		if a, gone := w.Accounts[s.address]; gone && a == nil {
			continue // with all its storage
		}
		if _, ok := w.Storage[s.address][s.key]; ok {
			continue
		}
		if want := j.state.GetState(s.address, s.key); want != j.slots[s] {
			return j.of(i, fmt.Sprintf("slot %v of %v", s.key, s.address), want, fmt.Sprintf("no write: it stays %v", j.slots[s]))
		}
	}
	return nil
}

func has(w *archive.State, a common.Address) bool {
	_, ok := w.Accounts[a]
	return ok
}

// receipts compares receipts one by one: a root says only that one of them differs.
func (j *judge) receipts(want, found types.Receipts) error {
	if len(want) != len(found) {
		return j.of(-1, "receipts", len(want), len(found))
	}
	for i, w := range want {
		f := found[i]
		logs := func(k int, field string) string { return fmt.Sprintf("%s of log %d", field, k) }
		switch {
		case w.Type != f.Type:
			return j.of(i, "type", w.Type, f.Type)
		case w.Status != f.Status:
			return j.of(i, "status", w.Status, f.Status)
		case !bytes.Equal(w.PostState, f.PostState):
			return j.of(i, "state root after it", common.BytesToHash(w.PostState), common.BytesToHash(f.PostState))
		case w.CumulativeGasUsed != f.CumulativeGasUsed:
			return j.of(i, "cumulative gas used", w.CumulativeGasUsed, f.CumulativeGasUsed)
		case len(w.Logs) != len(f.Logs):
			return j.of(i, "logs", len(w.Logs), len(f.Logs))
		}
		for k, l := range w.Logs {
			switch m := f.Logs[k]; {
			case l.Address != m.Address:
				return j.of(i, logs(k, "address"), l.Address, m.Address)
			case !slices.Equal(l.Topics, m.Topics):
				return j.of(i, logs(k, "topics"), l.Topics, m.Topics)
			case !bytes.Equal(l.Data, m.Data):
				return j.of(i, logs(k, "data"), fmt.Sprintf("0x%x", l.Data), fmt.Sprintf("0x%x", m.Data))
			}
		}
		if w.Bloom != f.Bloom {
			return j.of(i, "bloom", hexutil.Bytes(w.Bloom[:]), hexutil.Bytes(f.Bloom[:]))
		}
	}
	return nil
}

var _ reader = vm.StateDB(nil)
