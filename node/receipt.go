package node

import (
	"encoding/json"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/receipt"
)

// receipt makes the receipt of a committed transaction.
func (n *node) receipt(batch *batch.Batch, before merkle.Frontier, id coco.TxID) ([]byte, error) {
	keys, err := n.exec.keys.of(batch.Header.Epoch)
	if err != nil {
		return nil, err
	}
	s := n.store.Snapshot()
	defer s.Release()
	signer, err := gov.Node(s, batch.Header.Node)
	if err != nil {
		return nil, err
	}
	r, err := receipt.New(batch, int(id.Seqno-batch.Header.First), keys, before, signer.Certificate, n.serviceCertificate().Raw)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(r, "", "  ")
}
