package node

import (
	"context"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// receipt makes the receipt of a transaction, of a batch that this node has applied as committed, and returns what it claims, too.
func (n *node) receipt(b *batch.Batch, before merkle.Frontier, id coco.TxID) (encoded, claims []byte, err error) {
	keys, err := n.retention.Of(b.Header.Epoch)
	if err != nil {
		return nil, nil, err
	}
	s := n.state.store.Snapshot()
	defer s.Release()
	signer, err := table.Node(s, b.Header.Node)
	if err != nil {
		return nil, nil, err
	}
	r, err := receipt.New(b, int(id.Seqno-b.Header.First), keys, before, n.self.Identity.Signer(), receipt.Certificates{
		Node: signer.Certificate, Commit: n.self.Identity.Certificate().Certificate[0], Service: n.certificates.OfService().Raw,
	})
	if err != nil {
		return nil, nil, err
	}
	encoded, err = r.Encode(wire.MediaJSON)
	return encoded, r.Claims, err
}

// receiptOf returns the receipt of the transaction with a seqno.
func (n *node) receiptOf(ctx context.Context, seqno uint64) ([]byte, error) {
	b, err := n.state.history.Find(seqno)
	if err != nil {
		return nil, err
	}
	encoded, _, err := n.Receipt(ctx, coco.TxID{View: b.View, Seqno: seqno})
	return encoded, err
}
