package node

import (
	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// receipt makes the receipt of a committed transaction.
func (n *node) receipt(b *batch.Batch, before merkle.Frontier, id coco.TxID) ([]byte, error) {
	keys, err := n.keys.Of(b.Header.Epoch)
	if err != nil {
		return nil, err
	}
	s := n.store.Snapshot()
	defer s.Release()
	signer, err := table.Node(s, b.Header.Node)
	if err != nil {
		return nil, err
	}
	r, err := receipt.New(b, int(id.Seqno-b.Header.First), keys, before, signer.Certificate, n.serviceCertificate().Raw)
	if err != nil {
		return nil, err
	}
	return r.Encode(wire.MediaJSON)
}
