// Package check follows the entries of a ledger from the first one on, and verifies without any key of the ledger that each is what the
// network wrote there: the views, the chain digests, the parts' digests, the seqnos, the Merkle roots, and the batches' signatures.
//
//	entry ──► Ahead.Prepare ──► Prepared ──► Sequence.Check ──► Counts
//	           any order, on all cores        one after the other
//
// Most of the time goes into signatures and digests, which depend on nothing before the entry. An Ahead does that work in
// goroutines of its own. Who may sign a batch does depend on what comes before: an Ahead assumes the key that the batch's node used
// before, and the Sequence, which knows the key that must have signed, does the work again where that is another one. So what a
// Sequence returns does not depend on the Ahead, or on whether there is one.
//
// # From a snapshot on
//
// A Sequence that begins after a Basis takes what is up to it as one piece: it reads every entry, computes the chain digest over all of them and follows their
// public records, and verifies neither their signatures nor the Merkle roots. That chain digest must be the one that the Basis names, and the batches after it are
// verified as ever; each of them is signed over the chain. So the first of their signatures vouches for every byte before it. What is given up is that each batch before the
// Basis was signed by a node that was trusted at its time: the node that signed the first batch behind it, if its enclave was broken, could have written another past than
// there was, from before it was admitted.
//
// Trust: enclave
package check

import (
	"crypto/ecdsa"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/merkle"
)

// Checker knows what the records mean, which the ledger does not: whose keys may sign.
type Checker interface {
	// Signer returns the key that the batch MUST be signed with, given what Apply was told so far. The key MUST NOT be
	// modified afterwards.
	Signer(h batch.Header) (*ecdsa.PublicKey, error)
	// Apply takes the public records of a batch. It is called before Signer, because the first
	// batch of a network or of a recovery names its own signer; a batch whose signature then does
	// not hold ends the audit. The arguments may be kept, and MUST NOT be modified.
	Apply(b *batch.Batch, public [][]byte) error
}

// Counts says what was checked.
type Counts struct {
	Entries      uint64 `json:"entries"`
	Batches      uint64 `json:"batches"`
	Transactions uint64 `json:"transactions"`
	// Last is the last transaction. Everything up to it is under its batch's signature.
	Last coco.TxID `json:"last"`
	// Unsigned counts the entries after the last batch. They hold no transactions; the next batch
	// will sign for them.
	Unsigned uint64 `json:"unsigned"`
	// Committed is the last transaction that a signed batch proves to be committed, and
	// CommittedIndex the last such entry. What follows is signed, but a new leader could still
	// have replaced it.
	Committed      coco.TxID `json:"committed"`
	CommittedIndex uint64    `json:"committed_index"`
	// Root is the Merkle root over all transactions.
	Root coco.Digest `json:"root"`
	// Signed counts the batches that each node signed.
	Signed map[coco.NodeID]uint64 `json:"signed"`
}

// Sequence is a ledger up to an entry. It belongs to one goroutine.
type Sequence struct {
	checker Checker
	counts  Counts
	chain   coco.Digest
	view    uint64
	tree    merkle.Frontier
	pending []lastTx // batches not yet proven committed, in order

	basis   *Basis // nil: everything is verified, from the first entry on
	next    uint64 // the seqno that follows, up to basis
	refused error  // why the basis is none of this ledger
}

// Basis is a batch up to which a ledger may be taken as one piece.
type Basis struct {
	Index, View, Seqno uint64          // of the batch, and of its last transaction
	Chain              coco.Digest     // over all entries up to the batch
	Tree               merkle.Frontier // over all transactions up to it
}

// lastTx is the last transaction of the batch at an index.
type lastTx struct {
	index uint64
	tx    coco.TxID
}

// maxPending bounds Sequence.pending. A network commits what it writes within milliseconds; a ledger
// whose batches never say so still has to be audited in little memory.
const maxPending = 1 << 16

// NewSequence returns an empty ledger.
func NewSequence(checker Checker) *Sequence {
	return &Sequence{checker: checker, counts: Counts{Signed: make(map[coco.NodeID]uint64)}}
}

// NewSequenceAfter returns an empty ledger whose entries up to a basis are taken as one piece. The caller MUST compare the basis with what the ledger records, and MUST NOT believe
// anything of a ledger that ends before it: see Reached.
func NewSequenceAfter(checker Checker, b Basis) *Sequence {
	s := NewSequence(checker)
	s.basis, s.next = &b, 1
	return s
}

// Reached reports whether the ledger has the basis, and at least one signed batch behind it. If not, the error says why, unless the ledger was found wrong before.
func (s *Sequence) Reached() error {
	switch b := s.basis; {
	case s.refused != nil:
		return s.refused
	case b != nil && (s.counts.Entries <= b.Index || s.counts.Last.Seqno <= b.Seqno):
		return fmt.Errorf("%w: it is of entry %d, transaction %d.%d, and the ledger ends with entry %d, transaction %s", coco.ErrVerify, b.Index, b.View, b.Seqno, s.counts.Entries, s.counts.Last)
	}
	return nil
}

// behind reports whether an entry is behind the basis, or there is none.
func (s *Sequence) behind(index uint64) bool { return s.basis == nil || index > s.basis.Index }

// arrive compares the basis with the entry that it names, which was followed.
func (s *Sequence) arrive() error {
	b := s.basis
	if s.next != b.Seqno+1 || s.view != b.View || s.chain != b.Chain || s.tree.Size() != 0 || b.Tree.Size() != b.Seqno {
		s.refused = fmt.Errorf("%w: it is of another history: the ledger has transaction %d.%d at entry %d, with chain digest %s, and it names %d.%d and %s",
			coco.ErrVerify, s.view, s.next-1, b.Index, s.chain.Short(), b.View, b.Seqno, b.Chain.Short())
		return s.refused
	}
	s.tree = b.Tree.Clone()
	return nil
}

// Counts returns what was checked so far. The map is the sequence's own.
func (s *Sequence) Counts() Counts { return s.counts }

// Check checks the next entry, and moves on behind it if nothing is wrong. After an error the sequence is of no use, except for its counts,
// which are those of the entries before.
func (s *Sequence) Check(p *Prepared) error {
	e := p.entry
	if e.View < s.view {
		return fmt.Errorf("its view is %d, after view %d", e.View, s.view)
	}
	p.wait()
	if e.Kind == batch.KindBatch {
		if err := s.batch(p); err != nil {
			return err
		}
		s.counts.Unsigned = 0
	} else {
		s.counts.Unsigned++
	}
	s.chain, s.view = e.ChainOver(p.data, s.chain), e.View
	s.counts.Entries++
	if s.basis != nil && e.Index == s.basis.Index {
		return s.arrive()
	}
	return nil
}

func (s *Sequence) batch(p *Prepared) error {
	if p.err != nil {
		return p.err
	}
	b := p.batch
	if err := b.VerifyPlace(p.entry, s.chain); err != nil {
		return err
	}
	if s.behind(p.entry.Index) {
		if err := b.VerifyRoot(&s.tree); err != nil {
			return err
		}
	} else if b.Header.First != s.next {
		return fmt.Errorf("batch %s: its first seqno must be %d", b, s.next)
	}
	s.next = b.Header.Last() + 1
	public, err := b.PublicRecords()
	if err != nil {
		return err
	}
	if err := s.checker.Apply(b, public); err != nil {
		return err
	}
	if s.behind(p.entry.Index) {
		signer, err := s.checker.Signer(b.Header)
		if err != nil {
			return err
		}
		if err := p.verifySignature(signer); err != nil {
			return err
		}
	}
	s.count(&b.Header)
	return nil
}

// count counts a good batch.
func (s *Sequence) count(h *batch.Header) {
	c := &s.counts
	c.Batches++
	c.Transactions += h.Count
	c.Signed[h.Node]++
	c.Root = h.Root
	_, c.Last = h.TxIDs()

	if len(s.pending) == maxPending {
		// Forget every other one: what is then said to be committed is less, but still true.
		for i := range maxPending / 2 {
			s.pending[i] = s.pending[2*i]
		}
		s.pending = s.pending[:maxPending/2]
	}
	s.pending = append(s.pending, lastTx{h.Index, c.Last})
	c.CommittedIndex = max(c.CommittedIndex, h.Committed)
	n := 0
	for ; n < len(s.pending) && s.pending[n].index <= c.CommittedIndex; n++ {
		c.Committed = s.pending[n].tx
	}
	s.pending = s.pending[n:]
}
