package custody

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/merkle"
)

// sealed is a batch of one transaction, as a node seals it at a place.
func sealed(t *testing.T, at place, text string) batch.Entry {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := batch.Header{View: at.view, Index: at.index, First: 1, Time: 1, Epoch: at.epoch, Prev: coco.Digest{1}}
	data, err := batch.Seal(h, []batch.Record{{Private: []byte(text)}}, new(merkle.Frontier), batch.NewKeys(at.epoch, keys.Secret{1}), signer)
	if err != nil {
		t.Fatal(err)
	}
	return batch.Entry{View: at.view, Index: at.index, Kind: batch.KindBatch, Data: data}
}

func TestTwoTextsUnderOneKeyAndNonceAreFound(t *testing.T) {
	s := Seals{found: map[place]coco.Digest{}}
	first := sealed(t, place{1, 2, 3}, "one")
	for _, e := range []batch.Entry{first, first, sealed(t, place{2, 2, 3}, "two"), sealed(t, place{1, 3, 3}, "two"), sealed(t, place{1, 2, 4}, "two")} {
		if err := s.add("n1", e); err != nil {
			t.Fatal(err)
		}
	}
	if s.Found() != 4 {
		t.Errorf("found %d batches, expected 4", s.Found())
	}
	again := sealed(t, place{1, 2, 3}, "two")
	changed := again
	changed.Data = append([]byte{}, again.Data...)
	changed.Data[len(changed.Data)/2] ^= 1
	if err := s.add("n2", changed); err != nil {
		t.Errorf("a host has changed the batch, so nobody has sealed it: %v", err)
	}
	if err := s.add("n2", again); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("two batches of one place: %v", err)
	}
}
