package simulate

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/dryrun"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/store"
)

// roots computes the state roots of simulated blocks. That takes as long as reading the whole state and hashing it, for each block,
// so it is done for small states that are in memory. Else a block repeats the root of its parent's header, as the blocks of a network
// do while no newer root is known.
type roots struct {
	*dryrun.Overlay // what the simulated blocks have written over the state

	ctx    context.Context
	base   store.Reader // the state of the view; nil if it is not in memory, or too large
	blocks int          // that are to be hashed
	claim  *budget.Claim
}

// maxRows is how many rows are read for all blocks of a request together, at most.
const maxRows = 1 << 18

func newRoots(ctx context.Context, v *sight.View, claim *budget.Claim) *roots {
	return &roots{Overlay: dryrun.NewOverlay(v.Rows()), ctx: ctx, claim: claim, base: v.Rows()}
}

// next returns the root of the state as it is now, or else the parent's.
func (r *roots) next(parent common.Hash) (common.Hash, error) {
	if r.base == nil {
		return parent, nil
	}
	read := 0
	var busy error
	root, err := stateroot.Recompute(r, func() bool {
		if busy = r.claim.Take(stateroot.AskEvery * stateroot.RowBytes); busy == nil {
			read += stateroot.AskEvery
		}
		return busy == nil && read*r.blocks <= maxRows && r.ctx.Err() == nil
	})
	r.claim.Give(read * stateroot.RowBytes)
	if busy != nil {
		return common.Hash{}, busy
	}
	if errors.Is(err, stateroot.ErrStopped) {
		r.base = nil // the same holds for every later block
		return parent, nil
	}
	return root, err
}
