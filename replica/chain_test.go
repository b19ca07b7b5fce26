package replica

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/merkle"
)

// A leader's memory is broken: its tree is another one than that of the transactions before. All else about its batch is right.
func TestABatchOnTopOfAnotherTreeIsRefused(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	opened := batch.NewKeys(1, keys.Secret{1})
	var c chain
	var theirs merkle.Frontier
	theirs.Append(merkle.LeafHash([]byte("another transaction")))
	c.applied.Tree.Append(merkle.LeafHash([]byte("the transaction before")))
	c.applied.Index, c.applied.Seqno, c.applied.Chain = 1, 1, coco.Digest{1}

	data, err := batch.Seal(batch.Header{View: 1, Index: 2, First: 2, Node: coco.NodeID{1}, Time: 1, Epoch: 1, Committed: 1, Prev: c.applied.Chain},
		[]batch.Record{{Claims: []byte("claim")}}, &theirs, opened, signer)
	if err != nil {
		t.Fatal(err)
	}
	var damage *DamagedError
	if _, _, err := c.verify(consensus.Entry{View: 1, Index: 2, Kind: consensus.Batch, Data: data}); !errors.As(err, &damage) || !errors.Is(err, coco.ErrVerify) {
		t.Errorf("verifying the batch: %v, expected that it is not what the network committed", err)
	}
}

func TestABatchThatIsOlderThanTheOneBeforeIsRefused(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	opened := batch.NewKeys(1, keys.Secret{1})
	const before = 1_800_000_000_000
	for at, ok := range map[uint64]bool{before - 20*24*3600*1000: false, before - 1: false, before: true, before + 1: true} {
		var c chain
		var tree merkle.Frontier
		c.applied = Position{Index: 1, Time: before, Chain: coco.Digest{1}}
		data, err := batch.Seal(batch.Header{View: 1, Index: 2, First: 1, Node: coco.NodeID{1}, Time: at, Epoch: 1, Committed: 1, Prev: c.applied.Chain},
			[]batch.Record{{}}, &tree, opened, signer)
		if err != nil {
			t.Fatal(err)
		}
		var damage *DamagedError
		_, end, err := c.verify(consensus.Entry{View: 1, Index: 2, Kind: consensus.Batch, Data: data})
		if ok != (err == nil) || !ok && (!errors.As(err, &damage) || !errors.Is(err, coco.ErrVerify)) || ok && end.Time != at {
			t.Errorf("a batch %d ms after the one before: %v, expected it to be accepted: %v", int64(at)-before, err, ok)
		}
	}
}

func sealedAt(view, index, seqno uint64) *sealed {
	return &sealed{view: view, first: seqno, end: Position{Index: index, Seqno: seqno, Chain: coco.Digest{byte(view), byte(index)}}}
}

func TestACommittedEntryConfirmsTheFirstSealedBatchOrProvesAllLost(t *testing.T) {
	for _, c := range []struct {
		name         string
		sealed       []*sealed
		entry        consensus.Entry
		own, lost    bool
		kind         error
		applied, top uint64 // indexes of what is applied, and of the head, afterwards
	}{
		{name: "nothing is sealed", entry: consensus.Entry{View: 1, Index: 5}, applied: 4, top: 4},
		{name: "the first sealed batch", sealed: []*sealed{sealedAt(1, 5, 9), sealedAt(1, 6, 10)}, entry: consensus.Entry{View: 1, Index: 5}, own: true, applied: 5, top: 6},
		{name: "an entry before the sealed batches", sealed: []*sealed{sealedAt(1, 6, 9)}, entry: consensus.Entry{View: 1, Index: 5}, applied: 4, top: 6},
		{name: "another view in the first batch's slot", sealed: []*sealed{sealedAt(1, 5, 9), sealedAt(1, 6, 10)}, entry: consensus.Entry{View: 2, Index: 5}, lost: true, applied: 4, top: 6},
		{name: "a gap", sealed: []*sealed{sealedAt(1, 6, 9)}, entry: consensus.Entry{View: 1, Index: 6}, kind: coco.ErrCorrupt, applied: 4, top: 6},
		{name: "an entry that is applied already", entry: consensus.Entry{View: 1, Index: 4}, kind: coco.ErrCorrupt, applied: 4, top: 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ch chain
			ch.begin(Position{Index: 4, Seqno: 8})
			for _, b := range c.sealed {
				ch.seal(b)
			}
			own, lost, err := ch.confirm(c.entry)
			if !errors.Is(err, c.kind) || lost != c.lost || (own != nil) != c.own || c.own && own != c.sealed[0] {
				t.Errorf("confirm: batch %v, lost %v, error %v", own, lost, err)
			}
			if ch.applied.Index != c.applied || ch.head().Index != c.top {
				t.Errorf("applied %d, head %d; expected %d and %d", ch.applied.Index, ch.head().Index, c.applied, c.top)
			}
		})
	}
}

func TestDroppingTheSealedBatchesReturnsTheHeadToWhatIsApplied(t *testing.T) {
	var c chain
	c.begin(Position{Index: 4, Seqno: 8, Chain: coco.Digest{4}})
	first, second := sealedAt(1, 5, 9), sealedAt(1, 6, 10)
	c.seal(first)
	c.seal(second)
	if lost := c.drop(); len(lost) != 2 || lost[0] != first || lost[1] != second {
		t.Errorf("dropped %v, expected both batches in order", lost)
	}
	if c.head() != c.applied || c.head().Chain != (coco.Digest{4}) || c.last() != nil {
		t.Errorf("the head is at index %d after a rollback to %d", c.head().Index, c.applied.Index)
	}
}

// The model is the log itself: what is applied is its committed prefix, whichever node sealed the entries.
func TestTheChainFollowsTheCommittedLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c chain
		view, seqno := uint64(1), uint64(0)
		var want Position // what the log says of its committed prefix
		t.Repeat(map[string]func(*rapid.T){
			"seal": func(t *rapid.T) {
				head := c.head()
				entry := consensus.Entry{View: view, Index: head.Index + 1, Kind: consensus.Batch}
				end := head.after(entry)
				end.Seqno = head.Seqno + 1
				c.seal(&sealed{view: view, first: end.Seqno, end: end})
			},
			"commit own": func(t *rapid.T) {
				if len(c.sealed) == 0 {
					t.Skip("nothing is sealed")
				}
				first := c.sealed[0]
				entry := consensus.Entry{View: first.view, Index: first.end.Index, Kind: consensus.Batch}
				own, lost, err := c.confirm(entry)
				if own != first || lost || err != nil {
					t.Fatalf("the first sealed batch is not confirmed: %v, %v", lost, err)
				}
				seqno = own.end.Seqno
				want = want.after(entry)
			},
			"another leader": func(t *rapid.T) {
				view++
				entry := consensus.Entry{View: view, Index: want.Index + 1, Kind: consensus.View}
				sealed := len(c.sealed)
				own, lost, err := c.confirm(entry)
				if own != nil || lost != (sealed > 0) || err != nil {
					t.Fatalf("an entry of another leader: batch %v, lost %v with %d sealed, %v", own, lost, sealed, err)
				}
				if dropped := c.drop(); len(dropped) != sealed {
					t.Fatalf("%d batches dropped, expected %d", len(dropped), sealed)
				}
				c.pass(entry)
				want = want.after(entry)
			},
			"": func(t *rapid.T) {
				if c.applied.Index != want.Index || c.applied.Chain != want.Chain || c.applied.Seqno != seqno {
					t.Fatalf("applied is index %d, seqno %d; expected %d and %d, and the same digest", c.applied.Index, c.applied.Seqno, want.Index, seqno)
				}
				if c.batch > c.applied.Index {
					t.Fatalf("the last batch is %d, beyond %d", c.batch, c.applied.Index)
				}
				at := c.applied
				for _, s := range c.sealed {
					if s.end.Index != at.Index+1 || s.first != at.Seqno+1 {
						t.Fatalf("a batch at index %d from seqno %d on top of %d and %d", s.end.Index, s.first, at.Index, at.Seqno)
					}
					at = s.end
				}
				if c.head() != at {
					t.Fatalf("the head is at index %d, expected %d", c.head().Index, at.Index)
				}
			},
		})
	})
}

// The header says which prefix a batch was sealed on. A digest that differs blames the last batch: it confirmed what is before it.
func TestABatchMustFollowWhatIsApplied(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	treeBefore := func(first uint64) (tree merkle.Frontier) { // of the transactions before the first
		for i := range first - 1 {
			tree.Append(merkle.LeafHash([]byte{byte(i)}))
		}
		return tree
	}
	var c chain
	c.begin(Position{Index: 3, Seqno: 7, Chain: coco.Digest{3}, Tree: treeBefore(8)})
	c.pass(consensus.Entry{View: 2, Index: 4, Kind: consensus.View})
	right := batch.Header{View: 2, Index: 5, First: 8, Node: coco.NodeID{1}, Time: 9, Epoch: 1, Committed: 4, Prev: c.applied.Chain}
	for _, test := range []struct {
		name   string
		change func(*batch.Header)
		blamed uint64 // 0 if the batch is right
	}{
		{"right", func(*batch.Header) {}, 0},
		{"another prefix", func(h *batch.Header) { h.Prev = coco.Digest{9} }, 3},
		{"another view", func(h *batch.Header) { h.View = 1 }, 5},
		{"another index", func(h *batch.Header) { h.Index = 6 }, 5},
		{"a gap of seqnos", func(h *batch.Header) { h.First = 9 }, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, before := right, c.applied
			test.change(&h)
			tree := treeBefore(h.First)
			data, err := batch.Seal(h, []batch.Record{{Claims: []byte("claim")}}, &tree, batch.NewKeys(1, keys.Secret{1}), signer)
			if err != nil {
				t.Fatal(err)
			}
			entry := consensus.Entry{View: 2, Index: 5, Kind: consensus.Batch, Data: data}
			_, end, err := c.verify(entry)
			if c.applied != before {
				t.Error("verifying a batch changed what is applied")
			}
			var damage *DamagedError
			switch {
			case test.blamed == 0 && (err != nil || end.Index != 5 || end.Seqno != 8 || end.Time != 9 || end.Tree.Root() != tree.Root() || end.Chain != before.after(entry).Chain):
				t.Errorf("the ledger ends at index %d, seqno %d, time %d: %v", end.Index, end.Seqno, end.Time, err)
			case test.blamed != 0 && (!errors.As(err, &damage) || !errors.Is(err, coco.ErrVerify) || damage.Index != test.blamed):
				t.Errorf("%v, expected that entry %d is damaged", err, test.blamed)
			}
		})
	}
}
