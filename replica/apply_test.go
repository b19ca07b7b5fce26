package replica

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/merkle"
)

// ring holds the keys of epochs.
type ring map[uint64]*batch.Keys

func (r ring) Current() (uint64, *batch.Keys)       { return 1, r[1] }
func (r ring) Of(epoch uint64) (*batch.Keys, error) { return r[epoch], nil }
func (r ring) Use(uint64) bool                      { return true }

// A leader's memory is broken: its tree is another one than that of the transactions before. All else about its batch is right.
func TestABatchOnTopOfAnotherTreeIsNotApplied(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &executor{log: slog.New(slog.DiscardHandler), keys: ring{1: batch.NewKeys(1, keys.Secret{1})}}
	var theirs merkle.Frontier
	theirs.Append(merkle.LeafHash([]byte("another transaction")))
	x.applied.Tree.Append(merkle.LeafHash([]byte("the transaction before")))
	x.applied.Index, x.applied.Seqno, x.applied.Chain = 1, 1, coco.Digest{1}

	opened, err := x.keys.Of(1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := batch.Seal(batch.Header{View: 1, Index: 2, First: 2, Node: coco.NodeID{1}, Time: 1, Epoch: 1, Committed: 1, Prev: x.applied.Chain},
		[]batch.Record{{Claims: []byte("claim")}}, &theirs, opened, signer)
	if err != nil {
		t.Fatal(err)
	}
	var damage *DamagedError
	if err := x.commit(consensus.Entry{View: 1, Index: 2, Kind: consensus.Batch, Data: data}); !errors.As(err, &damage) || !errors.Is(err, coco.ErrVerify) {
		t.Errorf("applying the batch: %v, expected that it is not what the network committed", err)
	}
}
