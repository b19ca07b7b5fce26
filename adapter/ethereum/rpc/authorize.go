package rpc

import (
	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Every view of the chain is made for a read, about which Ledger.Authorize is asked before anything is looked
// up. A subscription or a filter is asked about when it is made, a filter also at each poll.

// Reads of single rows, and of all.
var (
	readBlocks  = adapter.Read{Subject: adapter.State, Table: rows.Blocks, Range: true}
	readLogs    = adapter.Read{Subject: adapter.State, Table: rows.Txs, Range: true}
	readCommits = adapter.Read{Subject: adapter.Commits}
)

func readTx(hash common.Hash) adapter.Read {
	return adapter.Read{Subject: adapter.State, Table: rows.Txs, Key: hash[:]}
}

// readAccount is a read of an account with its code and storage. The creation of a contract, which has no
// address, may read any.
func readAccount(addr *common.Address) adapter.Read {
	if addr == nil {
		return adapter.Read{Subject: adapter.State, Table: rows.Accounts, Range: true}
	}
	return adapter.Read{Subject: adapter.State, Table: rows.Accounts, Key: addr[:]}
}
