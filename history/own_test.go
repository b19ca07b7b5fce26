package history

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/own"
	"github.com/cocoframework/coco/history/seal"
)

// expiring has an index's files sealed under the node's own key, and the keys of epochs before one not there.
func (n *network) expiring(x *Index, before *uint64) *Index {
	x.cfg.Current = func() (uint64, *batch.Keys) {
		k, _ := n.keys(n.epochs)
		return n.epochs, k
	}
	defer func() { x.cfg.Ahead = x.cfg.Keys }()
	x.cfg.Keys = func(epoch uint64) (*batch.Keys, error) {
		if epoch < *before {
			return nil, fmt.Errorf("%w: epoch %d has expired", coco.ErrPending, epoch)
		}
		return n.keys(epoch)
	}
	return x
}

// An index whose epochs have expired says where everything is, in the life that made it and in the next one; only what it points to takes the epoch's keys.
func TestAnIndexOutlivesTheKeysOfItsEpochs(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(60)
	before := uint64(0)
	x := n.expiring(n.index(0), &before)
	runOn(x)
	for range 3 {
		n.epochs++
		n.fill(20)
		runOn(n.expiring(n.index(0), &before))
	}
	before = 4
	for life := range 2 {
		x = n.expiring(n.index(len(n.done)), &before)
		runOn(x)
		if s := x.Status(); s.Segments < 3 || s.Building {
			t.Fatalf("life %d: %+v", life, s)
		}
		for seqno := uint64(1); seqno <= 100; seqno += 7 {
			if _, err := x.Find(seqno); err != nil {
				t.Errorf("life %d: seqno %d is not found: %v", life, seqno, err)
			}
			if _, _, err := x.Batch(t.Context(), seqno); err != nil {
				t.Errorf("life %d: the batch of seqno %d: %v", life, seqno, err)
			}
		}
		if _, err := x.Get(t.Context(), "private", []byte("hot"), 30); !errors.Is(err, coco.ErrPending) {
			t.Errorf("life %d: a value of an expired epoch: %v", life, err)
		}
	}
	before = 0 // opened again
	n.answersAll(t, x)
	x.Expired([]uint64{1, 2, 3})
	before = 4
	if _, err := x.Get(t.Context(), "private", []byte("hot"), 30); !errors.Is(err, coco.ErrPending) {
		t.Errorf("a value that was read before its epoch expired again: %v", err)
	}
}

// Files of an earlier program are sealed under their epochs' keys. They are sealed anew, in place, while these keys are there.
func TestFilesUnderTheirEpochsKeysAreSealedAnew(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(100)
	runOn(n.index(0))
	old := n.world.Files("n", indexDir)
	before := uint64(0)
	x := n.expiring(n.index(len(n.done)), &before)
	runOn(x)
	for name, b := range n.world.Files("n", indexDir) {
		if old[name] == nil {
			continue // its key, and what the first index had in memory
		}
		if k, err := seal.ParsePrefix([seal.PrefixSize]byte(b)); err != nil || !k.Own || len(b) != len(old[name]) || string(b) == string(old[name]) {
			t.Errorf("%s: %+v, %d bytes, %v", name, k, len(b), err)
		}
	}
	before = 2
	if err := func() error { _, err := x.Find(1); return err }(); err != nil {
		t.Error(err)
	}
	before = 0
	n.answersAll(t, x)
}

// Without its key, or with one that another node has sealed, the files are of no use, and made again.
func TestAnIndexWithoutItsKeyIsMadeAgain(t *testing.T) {
	for _, damage := range []func(b []byte) []byte{
		func([]byte) []byte { return nil },
		func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		func(b []byte) []byte { return b[:20] },
		func(b []byte) []byte { b[0]++; return b },
	} {
		n := newNetwork(t, 3000)
		n.fill(60)
		before := uint64(0)
		runOn(n.expiring(n.index(0), &before))
		name := indexDir + "/" + own.Name
		b := damage(n.world.Files("n", indexDir)[name])
		if err := n.disk.Remove(name); err != nil {
			t.Fatal(err)
		}
		if b != nil {
			n.rewrite(name, b)
		}
		x := n.expiring(n.index(0), &before)
		runOn(x)
		n.answersAll(t, x)
	}
}
