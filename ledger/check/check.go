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
	if err := b.VerifyRoot(&s.tree); err != nil {
		return err
	}
	public, err := b.PublicRecords()
	if err != nil {
		return err
	}
	if err := s.checker.Apply(b, public); err != nil {
		return err
	}
	signer, err := s.checker.Signer(b.Header)
	if err != nil {
		return err
	}
	if err := p.verifySignature(signer); err != nil {
		return err
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
