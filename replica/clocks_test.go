package replica

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/pulse"
)

// off is a clock that is wrong, or stands still.
type off struct {
	*manual
	by time.Duration
}

func (c *off) Now() time.Time { return c.manual.Now().Add(c.by) }

// wrong is a network whose clocks may say anything. Its leaders seal batches by the rule of the ledger's time.
type wrong struct {
	*rolling
	clocks map[consensus.ID]*off
	rules  map[consensus.ID]*pulse.LedgerTime
	keys   *batch.Keys
	key    *ecdsa.PrivateKey
}

func newWrong(t *testing.T, members int) *wrong {
	t.Helper()
	n := &wrong{rolling: newRolling(t, members), clocks: map[consensus.ID]*off{}, rules: map[consensus.ID]*pulse.LedgerTime{}, keys: batch.NewKeys(1, [32]byte{})}
	var err error
	n.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	n.check(err)
	for id, l := range n.nodes {
		n.clocks[id], n.rules[id] = &off{manual: n.clock}, &pulse.LedgerTime{}
		l.clock = n.clocks[id]
	}
	n.seals = n.seal
	return n
}

// seal makes a leader's next batch.
func (n *wrong) seal(id consensus.ID, p *permit) consensus.Entry {
	n.t.Helper()
	head := n.heads[id]
	for _, e := range n.logs[id].entries {
		head = max(head, timeOf(e)) // of this leader's log: it is committed, or a batch of its own in flight
	}
	rule := n.rules[id]
	at := max(head, rule.Now(n.clocks[id].Now(), n.clock.Elapsed(), n.nodes[id].progress.clocks.Load(), false))
	if !rule.Anchored() {
		rule.Set(at, n.clock.Elapsed())
	}
	data, err := batch.Seal(batch.Header{View: p.view, Index: p.index, First: 1, Time: at, Epoch: 1, Node: coco.NodeID{byte(id)}, Prev: coco.Digest{1}}, []batch.Record{{}}, &merkle.Frontier{}, n.keys, n.key)
	n.check(err)
	return consensus.Entry{View: p.view, Index: p.index, Kind: consensus.Batch, Data: data}
}

// commits fails unless every node that is reached applies a batch that is not sealed yet, within some time.
func (n *wrong) commits(what string, within time.Duration) {
	n.t.Helper()
	last := 0
	for _, log := range n.logs {
		last = max(last, len(log.entries))
	}
	began := n.clock.now
	for {
		n.ticks(2)
		behind := 0
		for id, l := range n.nodes {
			if applied := l.progress.applied.Load(); !n.cut[id] && (applied <= uint64(last) || timeOf(n.logs[id].entries[applied-1]) == 0) {
				behind++
			}
		}
		switch took := n.clock.now - began; {
		case behind == 0:
			return
		case took > within:
			n.t.Errorf("%s: after %v %d nodes have applied nothing new", what, took, behind)
			return
		}
	}
}

// Whatever the clocks of any hosts did, and do, together with partitions and nodes that stood still: once a majority reach each other the network commits, and every node that is
// reached follows. No clock is set right for that.
func TestWhateverClocksSayTheNetworkCommitsWithinSeconds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, in one goroutine")
	}
	for seed := range uint64(40) { // the first ten have one that needs it that a leader is believed at last
		r := mathrand.New(mathrand.NewPCG(seed, 0x636c6f636b73))
		members := []int{2, 3, 3, 4, 5}[r.IntN(5)]
		n := newWrong(t, members)
		one := func() consensus.ID { return consensus.ID(1 + r.IntN(members)) }
		jump := func() time.Duration {
			return []time.Duration{0, 0, time.Minute, time.Hour, 9 * 365 * 24 * time.Hour, -time.Hour}[r.IntN(6)]
		}
		for step := range 25 {
			switch r.IntN(8) {
			case 0:
				n.clocks[one()].by = jump()
			case 1, 2:
				by := jump()
				for _, c := range n.clocks {
					c.by = by
				}
			case 3:
				id := one()
				n.cut[id] = !n.cut[id]
			case 4:
				id := one()
				n.frozen[id] = !n.frozen[id]
				if r.IntN(2) == 0 { // a machine that sleeps, whose clock goes on from where it was
					n.clocks[id].by -= jump()
				}
			case 5, 6:
				n.cut, n.frozen = map[consensus.ID]bool{}, map[consensus.ID]bool{}
			}
			n.ticks(1 + r.IntN(3*electionTicks))
			if step%8 == 7 { // a minority stays away
				n.cut, n.frozen = map[consensus.ID]bool{}, map[consensus.ID]bool{}
				for range (members - 1) / 2 {
					n.cut[one()] = true
				}
				n.commits(fmt.Sprintf("seed %d, %d nodes, step %d", seed, members, step), 15*time.Second)
			}
		}
	}
}
