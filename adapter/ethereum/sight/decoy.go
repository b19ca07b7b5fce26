package sight

import (
	"context"
	"encoding/binary"
	"sort"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
)

// unseen completes the work of looking for a transaction that is not shown, so that its time does not tell whether it exists. Either way three are looked for: one that nobody
// has, one in memory, and one that is in the ledger alone, if the ledger is that long; those that are there are decided about. in is the block of the one that was looked for, nil if it
// does not exist. The error is what looking for one gave that does not exist, if this one does.
func (v *View) unseen(ctx context.Context, hash common.Hash, in *blocks.Block) (err error) {
	// Nothing has the hash of the decoy, as the caller's is one of Keccak-256.
	decoy := v.eyes.sights.cache.decoy(hash)
	recent, old := v.standIn(ctx, decoy, true), v.standIn(ctx, decoy, false)
	if in == nil || !v.raw.InMemory(in.Number()) {
		v.decideAbout(ctx, recent)
	}
	if in == nil || v.raw.InMemory(in.Number()) {
		v.decideAbout(ctx, old)
	}
	if in == nil {
		return nil
	}
	if _, _, err = v.raw.TransactionInBlock(ctx, decoy); err == nil {
		err = coco.ErrNotFound
	}
	return err
}

// decideAbout looks for a transaction and decides about it, to no effect.
func (v *View) decideAbout(ctx context.Context, hash common.Hash) {
	if hash == (common.Hash{}) {
		return
	}
	if t, _, err := v.raw.TransactionInBlock(ctx, hash); err == nil {
		v.eyes.transaction(ctx, t.Tx, t.From, t.Receipt.GasUsed)
	}
}

// maxEmpty is how many blocks are looked at for one with transactions.
const maxEmpty = 16

// standIn returns the hash of a transaction, in memory or in the ledger alone, which follows from the decoy until the next block; the zero hash if none is found.
func (v *View) standIn(ctx context.Context, decoy common.Hash, inMemory bool) common.Hash {
	newest := v.Number()
	last := uint64(sort.Search(int(newest), func(n int) bool { return v.raw.InMemory(uint64(n) + 1) })) // the last one that is not in memory
	from, count := uint64(1), last
	if inMemory {
		from, count = last+1, newest-last
	}
	if count == 0 {
		return common.Hash{}
	}
	number := from + binary.BigEndian.Uint64(decoy[:8])%count
	for range maxEmpty {
		b, err := v.raw.Block(ctx, number)
		if err != nil {
			break
		}
		if n := uint64(len(b.Txs)); n > 0 {
			return b.Txs[binary.BigEndian.Uint64(decoy[8:16])%n]
		}
		if number--; number < from {
			number = from + count - 1
		}
	}
	return common.Hash{}
}
