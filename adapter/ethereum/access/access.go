// Package access decides who may see what of a closed Ethereum network. It holds the decisions alone, which depend on their
// arguments: whose eyes a read has, what a transaction names, and what a contract's own rule says. Package sight asks it, and
// shows a caller nothing else.
//
// Without a rule of a contract:
//
//	a transaction, its receipt, its logs   whoever owns its sender, its receiver, the contract that it creates, or an
//	                                       account that it delegates (EIP-7702)
//	balance and nonce of an account        its owner
//	code, storage and calls of a contract  nobody
//
// An account is owned by the organisation, or its user, to whom its address is linked (package links). An organisation itself owns what
// its users own.
//
// Trust: enclave
package access

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Viewer is whose eyes a read has.
type Viewer struct {
	Actor coco.ActorID
	User  string // "" is the organisation itself
	Name  string // of the organisation
	Role  coco.Role
}

// Owns reports whether an address is linked to the viewer.
func (v *Viewer) Owns(src rows.Source, addr common.Address) bool {
	h, ok := links.Of(src, addr)
	return ok && h.Is(v.Actor, v.User)
}

// Names calls fn with each account that a transaction names, until fn returns true; it reports whether fn has. An account that a
// transaction delegates is found by recovering who has signed for it, so these come last.
func Names(tx *types.Transaction, from common.Address, fn func(common.Address) bool) bool {
	if fn(from) {
		return true
	}
	to := tx.To()
	if to == nil {
		created := crypto.CreateAddress(from, tx.Nonce())
		to = &created
	}
	if fn(*to) {
		return true
	}
	for _, a := range tx.SetCodeAuthorizations() {
		if authority, err := a.Authority(); err == nil && fn(authority) {
			return true
		}
	}
	return false
}

// Question is what a viewer asks of a contract.
type Question uint8

// The questions.
const (
	Call    Question = iota + 1 // to call it, and so what it answers
	State                       // its storage and its balance
	Code                        // its code
	Event                       // one of its logs
	Receipt                     // a transaction that calls it, with its receipt
)

// String is the word that docs/access.md uses for the question.
func (q Question) String() string {
	return [...]string{Call: "call", State: "state", Code: "code", Event: "event", Receipt: "receipt"}[q]
}

// Ask is a question about a contract.
type Ask struct {
	Question Question
	Contract common.Address
	Input    []byte         // of a Call and a Receipt; empty for a Call that comes from another contract
	Log      *types.Log     // of an Event
	From     common.Address // who sent the transaction, of an Event and a Receipt
	Visible  bool           // of an Event: the viewer sees its transaction
}

// Answer is what a rule says.
type Answer uint8

// The answers. A rule that is silent leaves the question to the next one, and in the end to the default.
const (
	Silent Answer = iota
	Refused
	Admitted
)

// Admit is Admitted or Refused.
func Admit(ok bool) Answer {
	if ok {
		return Admitted
	}
	return Refused
}
