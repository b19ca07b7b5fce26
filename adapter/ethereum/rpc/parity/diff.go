package parity

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco/adapter/ethereum/statedb"
)

// Account is what a transaction has changed of an account, in stateDiff. A member is one of
//
//	"="                            it is as it was
//	{"*": {"from": …, "to": …}}    it has changed
//	{"+": …}                       it has come to be, with the account
//	{"-": …}                       it was, and went with the account
//
// Of an account that is gone the storage is not listed.
type Account struct {
	Balance any                 `json:"balance"`
	Code    any                 `json:"code"`
	Nonce   any                 `json:"nonce"`
	Storage map[common.Hash]any `json:"storage"`
}

const same = "="

type change struct {
	From any `json:"from"`
	To   any `json:"to"`
}

// diffBytes is what an account takes, in bytes of JSON, beside its code and slots.
const diffBytes = 512

// Diff is what a transaction has changed, by accounts. It asks take for memory, in bytes, for each account, and leaves out those that it does not get.
func Diff(list []statedb.Difference, take func(int) bool) map[common.Address]*Account {
	out := make(map[common.Address]*Account, len(list))
	for i := range list {
		d := &list[i]
		if !take(diffBytes + 2*len(d.Before.Code) + 2*len(d.After.Code) + 4*wordBytes*len(d.Slots)) {
			return out
		}
		if a := diff(d); a != nil {
			out[d.Addr] = a
		}
	}
	return out
}

// diff is nil for an account that is as it was.
func diff(d *statedb.Difference) *Account {
	b, a := &d.Before, &d.After
	out := &Account{Storage: map[common.Hash]any{}}
	sign := ""
	switch {
	case b.Exists && !a.Exists:
		sign = "-"
	case !b.Exists && a.Exists:
		sign = "+"
	case !b.Exists:
		return nil
	}
	member := func(equal bool, from, to any) any {
		switch {
		case sign == "-":
			return map[string]any{"-": from}
		case sign == "+":
			return map[string]any{"+": to}
		case equal:
			return same
		}
		return map[string]any{"*": change{from, to}}
	}
	out.Balance = member(b.Balance.Eq(a.Balance), quantity(b.Balance), quantity(a.Balance))
	out.Nonce = member(b.Nonce == a.Nonce, hexutil.Uint64(b.Nonce), hexutil.Uint64(a.Nonce))
	out.Code = member(bytes.Equal(b.Code, a.Code), hexutil.Bytes(b.Code), hexutil.Bytes(a.Code))
	if sign != "-" {
		for _, s := range d.Slots {
			out.Storage[s.Key] = member(false, s.Before, s.After)
		}
	}
	if sign == "" && out.Balance == same && out.Nonce == same && out.Code == same && len(out.Storage) == 0 {
		return nil
	}
	return out
}
