package statedb

import (
	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Changes is what a block changed.
type Changes struct {
	Number   uint64
	Hash     common.Hash
	Accounts []AccountChange
	Slots    []SlotChange
}

// AccountChange and slotChange are what a transaction leaves of an account or a slot.
type AccountChange struct {
	Addr   common.Address
	Record rows.Account
}

type SlotChange struct {
	Addr  common.Address
	Gen   uint64
	Key   common.Hash
	Value common.Hash
}
