package govtest

import (
	"testing"

	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/store"
)

// Rows commits rows of the tables to a store, each by a transaction of its own, for tests that need a state and no network.
type Rows struct {
	T     testing.TB
	Store *store.Store
	Seqno uint64 // of the last transaction
}

// Write commits a row.
func (r *Rows) Write(name string, key []byte, row any) {
	r.T.Helper()
	value, err := canon.Marshal(row)
	if err != nil {
		r.T.Fatal(err)
	}
	r.Seqno++
	if err := r.Store.Apply(r.Seqno, []store.Write{{Table: name, Key: key, Value: value}}); err != nil {
		r.T.Fatal(err)
	}
	r.Store.Commit(r.Seqno)
}
