package table

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/store"
)

// PutNode writes a node's row.
func PutNode(tx *store.Tx, rec NodeRecord) error {
	b, err := canon.Marshal(rec)
	if err != nil {
		return fmt.Errorf("node record: %w", err)
	}
	tx.Put(NodesTable, rec.ID[:], b)
	return nil
}

// Retire writes a node's row as that of a retired one.
func Retire(tx *store.Tx, rec NodeRecord) error {
	rec.State, rec.Since = Retired, tx.Seqno()
	return PutNode(tx, rec)
}

// RetireNode takes a node out of the network for good. Retiring it again does nothing.
func RetireNode(tx *store.Tx, id coco.NodeID) error {
	rec, err := Node(tx, id)
	if err != nil || rec.State == Retired {
		return err
	}
	return Retire(tx, rec)
}
