// Package archiving makes an archive (package archive) of a ledger: of its transactions, as who holds keys of it reads them, or of what a node answers to
// those who may ask. It executes nothing.
//
// Trust: either
package archiving

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Block is a block with its transactions and their receipts, each as go-ethereum writes it.
type Block struct {
	Number       uint64               `json:"number"`
	Hash         common.Hash          `json:"hash"`
	Header       *types.Header        `json:"header"`
	Transactions []*types.Transaction `json:"transactions"`
	Senders      []common.Address     `json:"senders"`
	// Authenticated are those of the transactions that nobody has signed.
	Authenticated []Authenticated  `json:"authenticated,omitempty"`
	Receipts      []*types.Receipt `json:"receipts"`
}

// Authenticated says who sent a transaction of a block that nobody has signed, and by which credential (package calls).
type Authenticated struct {
	Index        int          `json:"index"`
	Organisation coco.ActorID `json:"organisation"`
	User         string       `json:"user"`
	Credential   string       `json:"credential"`
}

// Assemble makes a block of its row and of those of its transactions. The error is coco.ErrCorrupt.
func Assemble(row []byte, txs map[common.Hash]rows.Tx) (*Block, error) {
	r, err := rows.DecodeBlock(row)
	if err != nil {
		return nil, err
	}
	h := new(types.Header)
	if err := rlp.DecodeBytes(r.Header, h); err != nil {
		return nil, fmt.Errorf("%w: header of block %v: %w", coco.ErrCorrupt, r.Hash, err)
	}
	b := &Block{Number: h.Number.Uint64(), Hash: r.Hash, Header: h, Transactions: []*types.Transaction{}, Senders: []common.Address{}, Receipts: []*types.Receipt{}}
	for hashes := r.Txs; len(hashes) > 0; hashes = hashes[common.HashLength:] {
		hash := common.BytesToHash(hashes[:common.HashLength])
		row, ok := txs[hash]
		if !ok {
			return nil, fmt.Errorf("%w: block %d lists transaction %v, which was not written before it", coco.ErrCorrupt, b.Number, hash)
		}
		tx := new(types.Transaction)
		if err := tx.UnmarshalBinary(row.Raw); err != nil {
			return nil, fmt.Errorf("%w: transaction %v: %w", coco.ErrCorrupt, hash, err)
		}
		receipt, err := receiptOf(tx, hash, &row, b)
		if err != nil {
			return nil, err
		}
		if by := &row.By; by.How != 0 {
			b.Authenticated = append(b.Authenticated, Authenticated{len(b.Transactions), by.Actor, by.User, by.How.String()})
		}
		b.Transactions, b.Senders, b.Receipts = append(b.Transactions, tx), append(b.Senders, row.Sender), append(b.Receipts, receipt)
	}
	// What the header says of both is a check of all that was put together here.
	if root := types.DeriveSha(types.Transactions(b.Transactions), trie.NewStackTrie(nil)); root != h.TxHash {
		return nil, fmt.Errorf("%w: the transactions of block %d have the root %v, and its header says %v", coco.ErrCorrupt, b.Number, root, h.TxHash)
	}
	if root := types.DeriveSha(types.Receipts(b.Receipts), trie.NewStackTrie(nil)); root != h.ReceiptHash {
		return nil, fmt.Errorf("%w: the receipts of block %d have the root %v, and its header says %v", coco.ErrCorrupt, b.Number, root, h.ReceiptHash)
	}
	return b, nil
}

func receiptOf(tx *types.Transaction, hash common.Hash, row *rows.Tx, b *Block) (*types.Receipt, error) {
	var logs []*types.Log
	if err := rlp.DecodeBytes(row.Logs, &logs); err != nil {
		return nil, fmt.Errorf("%w: logs of transaction %v: %w", coco.ErrCorrupt, hash, err)
	}
	for i, l := range logs {
		l.BlockNumber, l.BlockHash, l.BlockTimestamp = b.Number, b.Hash, b.Header.Time
		l.TxHash, l.TxIndex, l.Index = hash, uint(row.Index), uint(row.FirstLog)+uint(i)
	}
	receipt := &types.Receipt{
		Type: tx.Type(), Status: row.Status, CumulativeGasUsed: row.Cumulative, Logs: logs, TxHash: hash, GasUsed: row.GasUsed,
		BlockHash: b.Hash, BlockNumber: new(big.Int).SetUint64(b.Number), TransactionIndex: uint(row.Index),
	}
	if receipt.Logs == nil {
		receipt.Logs = []*types.Log{}
	}
	receipt.Bloom = types.CreateBloom(receipt)
	if tx.To() == nil {
		receipt.ContractAddress = crypto.CreateAddress(row.Sender, tx.Nonce())
	}
	receipt.EffectiveGasPrice = rows.EffectiveGasPrice(tx, b.Header.BaseFee)
	return receipt, nil
}
