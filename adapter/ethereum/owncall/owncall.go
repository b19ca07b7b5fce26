// Package owncall is the form of transactions that are the adapter's own and not Ethereum's, such as those that link an address, begin a session or
// attach a policy. Each kind has a package of its own, which says what its call holds, checks it, and executes it on the leader.
//
// A payload of the ledger has 20 bytes of a sender and a signed transaction (package chain), or it is one of these:
//
//	20 zero bytes | kind, one byte | RLP of the call
//
// The two are never taken for each other: nobody knows a key of the address zero. Besides, a signed transaction begins with a byte below 0xf9, or
// is a list in RLP of 64 KiB or more.
//
// Trust: enclave
package owncall

import (
	"bytes"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/store"
)

// Kind is what a call does. It is in payloads, so a byte keeps its meaning for ever; a new kind takes the next lower one that no ledger has.
type Kind byte

// The kinds.
const (
	Link        Kind = 0xff // package linking
	Session     Kind = 0xfe // package sessions
	Policy      Kind = 0xfd // package policies
	Development Kind = 0xfb // package development
)

// lead begins the payload of a call of a kind.
func (k Kind) lead() []byte { return append(make([]byte, common.AddressLength), byte(k)) }

// Payload returns what travels to the leader. The call MUST be of a type that RLP can encode.
func (k Kind) Payload(call any) []byte { return append(k.lead(), Encode(call)...) }

// Decode reads a payload into a call, which is a pointer. It is not is if the payload is none of the kind. The error is coco.ErrCorrupt.
func (k Kind) Decode(payload []byte, call any) (is bool, err error) {
	rest, is := bytes.CutPrefix(payload, k.lead())
	if !is {
		return false, nil
	}
	if err := rlp.DecodeBytes(rest, call); err != nil {
		return true, fmt.Errorf("%w: a call of kind %#x: %w", coco.ErrCorrupt, byte(k), err)
	}
	return true, nil
}

// Encode returns RLP of a call, a row or a claim. It panics for a type that RLP cannot encode.
func Encode(v any) []byte {
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		panic(err) // the types of these packages have no such field
	}
	return b
}

// Transaction is what executing a call reads and writes.
type Transaction interface {
	links.Transaction
	Seqno() uint64
	Claim([]byte) // what the transaction's receipt proves
}

var _ Transaction = (*store.Tx)(nil)

// Network is what a user signs for: a statement or message counts in no other one.
type Network struct {
	ChainID *big.Int
	ID      coco.Digest // the network's, which is for ever
}

// Time writes a time of the ledger, in milliseconds since 1970, for messages.
func Time(ms uint64) string { return time.UnixMilli(int64(min(ms, 1<<52))).UTC().Format(time.RFC3339) }
