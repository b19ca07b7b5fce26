package ethereum

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// Block is a block without the bodies of its transactions. It is shared: it MUST NOT be modified.
type Block struct {
	Header *types.Header
	Hash   common.Hash
	Size   uint64        // of the block in RLP
	Txs    []common.Hash // in order
	View   uint64        // of the leader that executed it
	First  uint64        // seqno of the first transaction; the others follow
}

// Number returns the block's number.
func (b *Block) Number() uint64 { return b.Header.Number.Uint64() }

// Transaction is an included transaction with its receipt.
type Transaction struct {
	Tx          *types.Transaction
	Hash        common.Hash
	From        common.Address
	BlockNumber uint64
	Index       uint64
	TxID        coco.TxID
	Receipt     *types.Receipt // with all derived fields
}

// View is one committed state of the chain, with all blocks up to it. It is safe for concurrent
// use until it is released.
type View struct {
	ledger   *Ledger
	snapshot *store.Snapshot
	head     *Block
}

// Latest returns the newest committed state. The view MUST be released.
func (l *Ledger) Latest() *View {
	// The snapshot may be newer than the head by a batch whose Committed has not come yet: the
	// head is read from the same state then.
	v := &View{ledger: l, snapshot: l.env.State.Snapshot(), head: l.head.Load()}
	at, ok, err := readHead(v.snapshot)
	if err == nil && ok && (v.head == nil || at.hash != v.head.Hash) {
		if b, err := v.Block(at.number); err == nil {
			v.head = b
		}
	}
	return v
}

// At returns the state after a block. It fails with coco.ErrNotFound if there is no such block, or
// if only its block, transactions, receipts and logs are kept: read those from Latest. The view
// MUST be released.
func (l *Ledger) At(number uint64) (*View, error) {
	latest := l.Latest()
	if latest.Number() == number {
		return latest, nil
	}
	defer latest.Release()
	b, err := latest.Block(number)
	if err != nil {
		return nil, err
	}
	seqno, ok := l.feed.state(number)
	if ok {
		if s, err := l.env.State.SnapshotAt(seqno); err == nil {
			return &View{ledger: l, snapshot: s, head: b}, nil
		}
	}
	return nil, fmt.Errorf("%w: historical state of block %d is not available: the newest %d are", coco.ErrNotFound, number, keepStates)
}

// Release lets the state be pruned. It MUST be called once.
func (v *View) Release() { v.snapshot.Release() }

// Snapshot returns the store's form of the state, which the view releases.
func (v *View) Snapshot() *store.Snapshot { return v.snapshot }

// Head returns the block whose resulting state this is, or nil before genesis.
func (v *View) Head() *Block { return v.head }

// Number returns the head's number.
func (v *View) Number() uint64 {
	if v.head == nil {
		return 0
	}
	return v.head.Number()
}

// Block returns a block by its number, or coco.ErrNotFound.
func (v *View) Block(number uint64) (*Block, error) {
	if v.head != nil && v.head.Number() == number {
		return v.head, nil
	}
	row, err := readBlock(v.snapshot, number)
	if err != nil {
		return nil, err
	}
	return row.block()
}

// BlockByHash returns a block by its hash, or coco.ErrNotFound.
func (v *View) BlockByHash(hash common.Hash) (*Block, error) {
	if v.head != nil && v.head.Hash == hash {
		return v.head, nil
	}
	number, err := readNumber(v.snapshot, hash)
	if err != nil {
		return nil, err
	}
	return v.Block(number)
}

// Transaction returns an included transaction by its hash, or coco.ErrNotFound.
func (v *View) Transaction(hash common.Hash) (*Transaction, error) {
	r, err := readTx(v.snapshot, hash)
	if err != nil {
		return nil, err
	}
	b, err := v.Block(r.block)
	if err != nil {
		return nil, err
	}
	return v.ledger.chain.expand(&r, hash, b)
}

// Transactions returns those of a block, in order.
func (v *View) Transactions(b *Block) ([]*Transaction, error) {
	out := make([]*Transaction, len(b.Txs))
	for i, hash := range b.Txs {
		r, err := readTx(v.snapshot, hash)
		if err != nil {
			return nil, err
		}
		if out[i], err = v.ledger.chain.expand(&r, hash, b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readTx(src source, hash common.Hash) (txRow, error) {
	row, ok := src.Get(tableTxs, hash[:])
	if !ok {
		return txRow{}, fmt.Errorf("%w: transaction %v", coco.ErrNotFound, hash)
	}
	return decodeTxRow(row)
}

// expand decodes a transaction's row and derives what it does not say.
func (c *chain) expand(r *txRow, hash common.Hash, b *Block) (*Transaction, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(r.raw); err != nil {
		return nil, fmt.Errorf("%w: transaction %v: %w", coco.ErrCorrupt, hash, err)
	}
	logs, err := expandLogs(r, hash, b)
	if err != nil {
		return nil, err
	}
	t := &Transaction{Tx: tx, Hash: hash, From: r.sender, BlockNumber: r.block, Index: r.index, TxID: r.txID()}
	rc := &types.Receipt{
		Type:              tx.Type(),
		Status:            r.status,
		CumulativeGasUsed: r.cumulative,
		Logs:              logs,
		TxHash:            hash,
		GasUsed:           r.gasUsed,
		BlockHash:         b.Hash,
		BlockNumber:       b.Header.Number,
		TransactionIndex:  uint(r.index),
		EffectiveGasPrice: tx.GasPrice(),
	}
	if tx.To() == nil {
		rc.ContractAddress = crypto.CreateAddress(r.sender, tx.Nonce())
	}
	if c.baseFee != nil {
		rc.EffectiveGasPrice = new(big.Int).Add(tx.GasTipCap(), c.baseFee)
		if tx.GasFeeCapIntCmp(rc.EffectiveGasPrice) < 0 {
			rc.EffectiveGasPrice = tx.GasFeeCap()
		}
	}
	if n := len(tx.BlobHashes()); n > 0 {
		rc.BlobGasUsed, rc.BlobGasPrice = uint64(n)*params.BlobTxBlobGasPerBlob, c.blobFee
	}
	rc.Bloom = types.CreateBloom(rc)
	t.Receipt = rc
	return t, nil
}

// expandLogs decodes the logs of a transaction's row, which is that of a hash within a block.
func expandLogs(r *txRow, hash common.Hash, b *Block) ([]*types.Log, error) {
	logs := []*types.Log{}
	if err := rlp.DecodeBytes(r.logs, &logs); err != nil {
		return nil, fmt.Errorf("%w: logs of transaction %v: %w", coco.ErrCorrupt, hash, err)
	}
	for i, l := range logs {
		l.BlockNumber, l.BlockHash, l.BlockTimestamp = r.block, b.Hash, b.Header.Time
		l.TxHash, l.TxIndex, l.Index = hash, uint(r.index), uint(r.firstLog)+uint(i)
	}
	return logs, nil
}

// account reads an account; damage reads as no account, and is logged.
func (v *View) account(addr common.Address) record {
	row, ok := v.snapshot.Get(tableAccounts, addr[:])
	if !ok {
		return noAccount
	}
	r, err := decodeRecord(row)
	if err != nil {
		v.ledger.env.Log.Error("ethereum: account not readable", "address", addr, "err", err)
		return noAccount
	}
	return r
}

// Exists tells whether there is such an account.
func (v *View) Exists(addr common.Address) bool { r := v.account(addr); return r.exists }

// Balance returns an account's balance, which MUST NOT be modified.
func (v *View) Balance(addr common.Address) *uint256.Int { r := v.account(addr); return r.balance }

// Nonce returns an account's nonce.
func (v *View) Nonce(addr common.Address) uint64 { r := v.account(addr); return r.nonce }

// Code returns an account's code, which MUST NOT be modified.
func (v *View) Code(addr common.Address) []byte {
	r := v.account(addr)
	if r.codeHash == types.EmptyCodeHash {
		return nil
	}
	code, _ := v.snapshot.Get(tableCode, r.codeHash[:])
	return code
}

// Storage returns the value of a slot.
func (v *View) Storage(addr common.Address, slot common.Hash) common.Hash {
	r := v.account(addr)
	if !r.stored {
		return common.Hash{}
	}
	row, ok := v.snapshot.Get(tableStorage, appendStorageKey(nil, &addr, &slot, r.gen))
	if !ok {
		return common.Hash{}
	}
	return common.BytesToHash(row)
}
