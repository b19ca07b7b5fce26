package node_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
)

// place is what a batch's key and nonce come from.
type place struct{ epoch, view, index uint64 }

// seals are all batches that were ever found in a ledger.
type seals struct {
	n       *network
	at      map[place]coco.Digest
	indexes map[uint64]map[coco.Digest]bool
}

// look reads all ledgers, whether or not what they hold is committed.
func (s *seals) look() {
	s.n.t.Helper()
	for i := range s.n.Members {
		log, err := ledger.OpenReadOnly(s.n.World.Host(hostName(i)).Disk, node.Dir)
		if err != nil {
			s.n.t.Fatal(err)
		}
		for at := uint64(1); at <= log.Last(); at++ {
			entries, err := log.Read(at, at+1, 0)
			if err != nil {
				s.n.t.Fatal(err)
			}
			if entries[0].Kind != batch.KindBatch {
				continue
			}
			b, err := batch.Decode(entries[0].Data)
			if err != nil {
				s.n.t.Fatal(err)
			}
			p := place{b.Header.Epoch, b.Header.View, b.Header.Index}
			if known, ok := s.at[p]; ok && known != b.Header.Sealed {
				s.n.t.Errorf("epoch %d, view %d, index %d: two batches are sealed with one key and nonce", p.epoch, p.view, p.index)
			}
			s.at[p] = b.Header.Sealed
			if s.indexes[p.index] == nil {
				s.indexes[p.index] = map[coco.Digest]bool{}
			}
			s.indexes[p.index][b.Header.Sealed] = true
		}
		log.Close()
	}
}

// Each batch that was ever sealed has a key and a nonce of its own: also those that another leader's took the place of, and those of a network that goes on
// from a ledger which lacks what others hold.
func TestNoNonceIsUsedTwice(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		s := &seals{n, map[place]coco.Digest{}, map[uint64]map[coco.Digest]bool{}}
		n.open()
		time.Sleep(time.Second)
		cut := func(at int, do func(a, b string)) { // its clients reach it all the same
			for i := range n.Members {
				if i != at {
					do(hostName(at), hostName(i))
				}
			}
		}
		write := func(at int, name string, count int) {
			c := n.client(at, at)
			c.Timeout = 5 * time.Second
			for i := range count {
				_, _ = put(c, fmt.Sprint(name, i), "value") // refused, or never answered, if nobody hears this node
			}
		}
		// Views: the leader seals what nobody hears, and others go on.
		write(0, "first", 5)
		old := n.leader()
		s.look()
		cut(old, n.World.Partition)
		done := make(chan struct{})
		go func() { defer close(done); write(old, "alone", 2) }()
		time.Sleep(8 * time.Second)
		s.look()
		next := n.leader()
		write(next, "others", 5)
		s.look()
		<-done
		cut(old, n.World.Heal)
		time.Sleep(5 * time.Second)
		s.look()
		// A recovery from a ledger that lacks what another one has.
		cut(0, n.World.Partition)
		time.Sleep(5 * time.Second)
		write(1, "lost", 10)
		s.look()
		for i := range 3 {
			n.Crash(i)
		}
		cut(0, n.World.Heal)
		for i := range 3 {
			n.World.Restart(hostName(i))
		}
		n.waitReady(n.Start(0, n.Recover))
		write(0, "again", 10)
		s.look()
		n.waitReady(n.Start(1, n.Join(0)))
		write(0, "more", 5)
		s.look()
		epochs, replaced := map[uint64]bool{}, 0
		for p := range s.at {
			epochs[p.epoch] = true
		}
		for _, digests := range s.indexes {
			if len(digests) > 1 {
				replaced++
			}
		}
		if len(epochs) < 2 || replaced == 0 {
			t.Fatalf("%d epochs, and %d batches that took another one's place: this shows nothing", len(epochs), replaced)
		}
	})
}
