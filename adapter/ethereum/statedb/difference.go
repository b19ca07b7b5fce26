package statedb

import (
	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Difference is what a transaction leaves of an account, beside what it has found.
type Difference struct {
	Addr          common.Address
	Before, After AccountState
	Slots         []SlotDifference // that have another value; none of an account that is gone
}

// AccountState is an account with its code.
type AccountState struct {
	rows.Account
	Code []byte
}

// SlotDifference is a slot that a transaction has changed.
type SlotDifference struct {
	Key, Before, After common.Hash
}

// Differences returns what Finish is going to change, in the order in which the transaction came to it.
func (s *DB) Differences(eip158 bool) []Difference {
	var out []Difference
	for _, a := range s.touched {
		if a.mutations == 0 || !a.Exists {
			continue // see Finish
		}
		d := Difference{Addr: a.addr, Before: AccountState{Account: a.base}}
		if a.base.Exists {
			d.Before.Code = s.codeBefore(a)
		}
		if a.selfDestructed || eip158 && a.Empty() {
			d.After.Account = rows.NoAccount
			out = append(out, d)
			continue
		}
		d.After = AccountState{a.Account, s.codeOf(a)}
		for _, sl := range a.changed {
			if sl.value != sl.base {
				d.Slots = append(d.Slots, SlotDifference{sl.key, sl.base, sl.value})
			}
		}
		out = append(out, d)
	}
	return out
}

// codeBefore is the code of an account at the beginning of the transaction, which the source need not have: another message may have made it.
func (s *DB) codeBefore(a *account) []byte {
	if a.CodeHash == a.base.CodeHash {
		return s.codeOf(a)
	}
	for i := range s.journal {
		if c := &s.journal[i]; c.kind == changeCode && c.account == a && c.loaded {
			return c.code
		}
	}
	code, _ := s.Src.Get(rows.Code, a.base.CodeHash[:])
	return code
}
