package node

import (
	"errors"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
)

func (n *node) receipt(batch *ledger.Batch, before merkle.Frontier, id coco.TxID) ([]byte, error) {
	return nil, errors.New("soon")
}
