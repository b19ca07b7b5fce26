package ethereum

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/policies"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// exportedBlock is a block with its transactions and their receipts, each as go-ethereum writes it.
type exportedBlock struct {
	Number       uint64               `json:"number"`
	Hash         common.Hash          `json:"hash"`
	Header       *types.Header        `json:"header"`
	Transactions []*types.Transaction `json:"transactions"`
	Senders      []common.Address     `json:"senders"`
	Receipts     []*types.Receipt     `json:"receipts"`
}

// exportedLink says whose an address is from then on.
type exportedLink struct {
	Address      common.Address `json:"address"`
	Organisation *coco.ActorID  `json:"organisation"` // null: nobody's
	User         string         `json:"user"`
}

// exportLink reads a row of the links; nil if it is not an address's.
func exportLink(w *store.Write) (*exportedLink, error) {
	address, of := links.AddressOf(w.Key)
	if !of || w.Delete {
		return nil, nil
	}
	row, err := links.DecodeRow(w.Value)
	if err != nil {
		return nil, err
	}
	out := &exportedLink{Address: address}
	if row.Linked {
		out.Organisation, out.User = &row.Actor, row.User
	}
	return out, nil
}

// exportedPolicy says which policy a contract has from its deployer from then on.
type exportedPolicy struct {
	Contract     common.Address  `json:"contract"`
	Organisation *coco.ActorID   `json:"organisation"` // that has attached it; null: there is none any more
	User         string          `json:"user"`
	Deployer     *common.Address `json:"deployer"`
	Policy       string          `json:"policy"`
	ABI          json.RawMessage `json:"abi,omitempty"`
}

// exportOwn reads a row of links or policies; nil if it is neither.
func exportOwn(w *store.Write) (text json.RawMessage, kind string, err error) {
	var v any
	switch w.Table {
	case rows.Links:
		l, err := exportLink(w)
		if err != nil || l == nil {
			return nil, "", err
		}
		v, kind = l, "ethereum.link"
	case rows.Policies:
		out := &exportedPolicy{Contract: common.BytesToAddress(w.Key)}
		if !w.Delete {
			row, err := policies.DecodeRow(w.Value)
			if err != nil {
				return nil, "", err
			}
			out.Organisation, out.User, out.Deployer, out.Policy, out.ABI = &row.Actor, row.User, &row.Deployer.Address, row.Policy, row.ABI
		}
		v, kind = out, "ethereum.policy"
	default:
		return nil, "", nil
	}
	text, err = json.Marshal(v)
	return text, kind, err
}

// Export implements adapter.Exporter: each block is one thing, with its receipts, and so is each change of a link or of a policy. A block's row comes with its last transaction.
func (ethereum) Export() func([]store.Write) ([]adapter.Exported, error) {
	waiting := map[common.Hash]rows.Tx{}
	return func(writes []store.Write) (out []adapter.Exported, err error) {
		for _, w := range writes {
			if w.Table == rows.Txs && !w.Delete {
				if waiting[common.BytesToHash(w.Key)], err = rows.DecodeTx(w.Value); err != nil {
					return nil, err
				}
			}
		}
		for i, w := range writes {
			own, kind, err := exportOwn(&writes[i])
			if err != nil {
				return nil, err
			}
			if own != nil {
				out = append(out, adapter.Exported{Kind: kind, Value: own})
				continue
			}
			if w.Table != rows.Blocks || w.Delete {
				continue
			}
			b, err := exportBlock(w.Value, waiting)
			if err != nil {
				return nil, err
			}
			encoded, err := json.Marshal(b)
			if err != nil {
				return nil, fmt.Errorf("block %d: %w", b.Number, err)
			}
			out = append(out, adapter.Exported{Kind: "ethereum.block", Value: encoded})
			clear(waiting)
		}
		return out, nil
	}
}

// By implements adapter.Attributed. A link names its holder, who need not be who sent it.
func (ethereum) By(_ []byte, writes []store.Write) (coco.ActorID, string) {
	for _, w := range writes {
		if w.Table == rows.Txs && !w.Delete {
			if r, err := rows.DecodeTx(w.Value); err == nil {
				return r.By.Actor, r.By.User
			}
		}
	}
	return coco.ActorID{}, ""
}

func exportBlock(row []byte, txs map[common.Hash]rows.Tx) (*exportedBlock, error) {
	r, err := rows.DecodeBlock(row)
	if err != nil {
		return nil, err
	}
	h := new(types.Header)
	if err := rlp.DecodeBytes(r.Header, h); err != nil {
		return nil, fmt.Errorf("%w: header of block %v: %w", coco.ErrCorrupt, r.Hash, err)
	}
	b := &exportedBlock{Number: h.Number.Uint64(), Hash: r.Hash, Header: h, Transactions: []*types.Transaction{}, Senders: []common.Address{}, Receipts: []*types.Receipt{}}
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
		receipt, err := exportReceipt(tx, hash, &row, b)
		if err != nil {
			return nil, err
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

func exportReceipt(tx *types.Transaction, hash common.Hash, row *rows.Tx, b *exportedBlock) (*types.Receipt, error) {
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
