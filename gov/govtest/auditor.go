package govtest

import (
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/store"
)

// Batches makes a ledger of the network's transactions, each a batch signed by the node given.
func (n *Network) Batches(signers ...table.NodeRecord) []*batch.Batch {
	n.T.Helper()
	var tree merkle.Frontier
	var prev coco.Digest
	secrets := batch.NewKeys(1, [32]byte{1})
	out := make([]*batch.Batch, len(signers))
	for i, by := range signers {
		h := batch.Header{View: 2, Index: uint64(i + 1), First: uint64(i + 1), Node: by.ID, Time: n.Times[i], Epoch: 1, Prev: prev}
		r := n.Records[i]
		data, err := batch.Seal(h, []batch.Record{{Public: r.Public, Private: r.Private, Claims: r.Claims}}, &tree, secrets, n.signers[by.ID])
		if err != nil {
			n.T.Fatal(err)
		}
		if out[i], err = batch.Decode(data); err != nil {
			n.T.Fatal(err)
		}
		prev = batch.Entry{View: 2, Index: h.Index, Kind: batch.KindBatch, Data: data}.Chain(prev)
	}
	return out
}

// Audit follows batches as ledger.Audit does; applyFirst tells the other order.
func Audit(a *audit.Auditor, batches []*batch.Batch, applyFirst bool) error {
	for i, b := range batches {
		public, err := b.PublicRecords()
		if err != nil {
			return err
		}
		if first := applyFirst || i == 0; first {
			if err := a.Apply(b, public); err != nil {
				return err
			}
		}
		key, err := a.Signer(b.Header)
		if err != nil {
			return err
		}
		if err := b.VerifySignature(key); err != nil {
			return err
		}
		if !applyFirst && i > 0 {
			if err := a.Apply(b, public); err != nil {
				return err
			}
		}
	}
	return nil
}

// Put writes a transaction that is not about governance.
func (n *Network) Put() {
	n.T.Helper()
	err := n.Transact(func(tx *store.Tx) error {
		tx.Put("kv.data", []byte("coco."), []byte("value"))
		return nil
	})
	if err != nil {
		n.T.Fatal(err)
	}
}

// Without returns writes without those to a table.
func Without(w []store.Write, table string) []store.Write {
	return slices.DeleteFunc(w, func(w store.Write) bool { return w.Table == table })
}

// Altered changes the values of a table.
func Altered(w []store.Write, table string, change func([]byte) []byte) []store.Write {
	for i := range w {
		if w[i].Table == table {
			w[i].Value = change(w[i].Value)
		}
	}
	return w
}

// Node changes the records of nodes.
func Node(n *Network, w []store.Write, change func(*table.NodeRecord)) []store.Write {
	return Altered(w, table.NodesTable, func(b []byte) []byte {
		rec, err := table.DecodeNode(b)
		if err != nil {
			n.T.Fatal(err)
		}
		change(&rec)
		out, err := canon.Marshal(rec)
		if err != nil {
			n.T.Fatal(err)
		}
		return out
	})
}
