package node

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

// A leader's memory is broken: its tree is another one than that of the transactions before. All else about its batch is right.
func TestABatchOnTopOfAnotherTreeIsNotApplied(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &executor{log: slog.New(slog.DiscardHandler), keys: newKeyring()}
	x.keys.add(1, keys.Secret{1})
	var theirs merkle.Frontier
	theirs.Append(merkle.LeafHash([]byte("another transaction")))
	x.applied.tree.Append(merkle.LeafHash([]byte("the transaction before")))
	x.applied.index, x.applied.seqno, x.applied.chain = 1, 1, coco.Digest{1}

	opened, err := x.keys.of(1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := batch.Seal(batch.Header{View: 1, Index: 2, First: 2, Node: coco.NodeID{1}, Time: 1, Epoch: 1, Committed: 1, Prev: x.applied.chain},
		[]batch.Record{{Claims: []byte("claim")}}, &theirs, opened, signer)
	if err != nil {
		t.Fatal(err)
	}
	var damage *damageError
	if err := x.commit(consensus.Entry{View: 1, Index: 2, Kind: consensus.Batch, Data: data}); !errors.As(err, &damage) || !errors.Is(err, coco.ErrVerify) {
		t.Errorf("applying the batch: %v, expected that it is not what the network committed", err)
	}
}
