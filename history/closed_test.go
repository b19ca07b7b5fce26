package history

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
)

// closing has some epochs open to no node, and the others' keys there.
func (n *network) closing(x *Index, shut map[uint64]bool) *Index {
	x.cfg.Keys = func(epoch uint64) (*batch.Keys, error) {
		if shut[epoch] {
			return nil, fmt.Errorf("%w: epoch %d is closed", coco.ErrMissing, epoch)
		}
		return n.keys(epoch)
	}
	x.cfg.Ahead = x.cfg.Keys
	return x
}

// within says which epoch a transaction is of.
func (n *network) within(t *testing.T, seqno uint64) uint64 {
	t.Helper()
	i := slices.IndexFunc(n.done, func(b recorded) bool { return seqno <= b.at.Seqno })
	entries, err := n.log.Read(n.done[i].at.Index, n.done[i].at.Index+1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return must(decodeEntry(entries[0])).Header.Epoch
}

// An epoch that no node opens is passed over: everything else is indexed, and look-ups that come to it say so. Once it opens, it is indexed like the rest.
func TestAnEpochThatNoNodeOpensKeepsNothingElseFromTheIndex(t *testing.T) {
	for _, shut := range [][]uint64{{1}, {2}, {4}, {1, 2}, {2, 3}, {1, 3}, {1, 2, 3, 4}} {
		for _, joined := range []bool{true, false} { // it began with a snapshot of the end, or executed all of it
			t.Run(fmt.Sprintf("epochs %v, joined=%v", shut, joined), func(t *testing.T) {
				n := newNetwork(t, 3000)
				for epoch := range uint64(5) {
					n.epochs = epoch + 1
					n.fill(23)
				}
				from, closed := 0, map[uint64]bool{}
				if joined {
					from = len(n.done)
				}
				for _, epoch := range shut {
					closed[epoch] = true
				}
				var x *Index
				for life := range 3 {
					x = n.closing(n.index(from), closed)
					runOn(x)
					if s := x.Status(); s.Building || s.Fault != "" {
						t.Fatalf("life %d: %+v", life, s)
					}
					for seqno := uint64(1); seqno <= n.tree.Size(); seqno++ {
						_, err := x.Get(t.Context(), "private", []byte("hot"), seqno)
						if shut := closed[n.within(t, seqno)]; shut != errors.Is(err, coco.ErrMissing) || !shut && err != nil && seqno > 1 {
							t.Fatalf("life %d: seqno %d, whose epoch is closed: %v; found %v", life, seqno, shut, err)
						}
						n.checkGet(x, "private", "hot", seqno)
						n.checkGet(x, "private", "once5", seqno)
						if n.checkPlace(x, seqno); !closed[n.within(t, seqno)] && !n.checkPlace(x, seqno) {
							t.Fatalf("life %d: seqno %d is not found", life, seqno)
						}
					}
				}
				clear(closed)
				x.Wake()
				runOn(x)
				n.answersAll(t, x)
			})
		}
	}
}

// A host that changes an entry of such an epoch is found out by the batch that comes after, in the same chunk or the next: what was passed over is set aside, and fetched again.
func TestAnEntryThatNothingAuthenticatesIsHeldAgainstTheNextBatch(t *testing.T) {
	for i := range 6 {
		shut, where := uint64(1+i/3), []string{"inside", "last of its chunk", "last of its epoch"}[i%3]
		t.Run(fmt.Sprint("epoch ", shut, ", ", where), func(t *testing.T) {
			n := newNetwork(t, 3000)
			n.fill(40)
			n.epochs = 2
			n.fill(40)
			n.epochs = 3
			n.fill(70)
			victim := int(shut)*40 - 20
			switch where {
			case "last of its chunk":
				c, _ := chunkAt(n.log.Chunks(), n.done[victim].at.Index)
				victim = int(c.Last) - 1
			case "last of its epoch":
				victim = int(shut)*40 - 1
			}
			good := n.world.Files("n", ledgerDir)
			n.forge(t, n.done[victim])
			x := n.closing(n.index(len(n.done)), map[uint64]bool{shut: true})
			x.cfg.Ledger = must(ledger.Open(n.disk, ledgerDir, ledger.Options{ChunkBytes: n.chunk}))
			for range 10 { // others have what is right: whatever was set aside comes back as it was
				runOn(x)
				names, _ := n.disk.List(ledgerDir)
				for _, s := range names {
					if whole, is := strings.CutSuffix(s, ".damaged"); is {
						n.move(ledgerDir, awayDir, s)
						n.rewrite(ledgerDir+"/"+whole, good[ledgerDir+"/"+whole])
					}
				}
			}
			for name, b := range n.world.Files("n", ledgerDir) {
				if !bytes.Equal(b, good[name]) {
					t.Fatalf("%s is in use, with what the host has changed: %+v", name, x.Status())
				}
			}
			if s := x.Status(); s.Building || len(s.Missing) > 0 {
				t.Fatalf("%+v", s)
			}
			for seqno := uint64(1); seqno <= n.tree.Size(); seqno++ {
				if found := n.checkPlace(x, seqno); found == (n.within(t, seqno) == shut) {
					t.Fatalf("seqno %d is found: %v", seqno, found)
				}
			}
		})
	}
}

// A node that has indexed an epoch before it was closed goes on to say where its transactions are. What they wrote it says no more. Files of an earlier program, under the epoch's key, are of no use until it opens.
func TestAnIndexThatIsOlderThanAClosedEpochGoesOnToServe(t *testing.T) {
	for _, own := range []bool{true, false} {
		n := newNetwork(t, 3000)
		closed := map[uint64]bool{}
		begin := func(from int) *Index {
			x := n.closing(n.index(from), closed)
			if own {
				x.cfg.Current = func() (uint64, *batch.Keys) { return n.epochs, must(n.keys(n.epochs)) }
			}
			return x
		}
		for epoch := range uint64(3) {
			n.epochs = epoch + 1
			n.fill(40)
		}
		runOn(begin(0))
		closed[2] = true
		var x *Index
		for life := range 2 {
			x = begin(len(n.done))
			runOn(x)
			for seqno := uint64(1); seqno <= n.tree.Size(); seqno++ {
				shut := n.within(t, seqno) == 2
				if found := n.checkPlace(x, seqno); !found && (own || !shut) {
					t.Fatalf("own key %v, life %d: seqno %d is not found", own, life, seqno)
				}
				if read := n.checkGet(x, "private", "hot", seqno); read == shut {
					t.Fatalf("own key %v, life %d: seqno %d, whose epoch is closed: %v; what it wrote is read: %v", own, life, seqno, shut, read)
				}
			}
		}
		clear(closed)
		x.Wake()
		runOn(x)
		n.answersAll(t, x)
	}
}
