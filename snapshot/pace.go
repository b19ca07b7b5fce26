package snapshot

import "time"

// Policy says when snapshots are due. A part that is zero makes none due.
type Policy struct {
	Transactions uint64        // since the last one
	Bytes        uint64        // of batches since the last one
	Every        time.Duration // of the ledger's time
}

// Pacer says after which batches a snapshot is due. It looks at nothing but the ledger, so that all nodes
// come to the same answer at the same batch.
type Pacer struct {
	policy Policy
	seqno  uint64 // where counting began
	time   uint64 // of the ledger then, in milliseconds; 0 if not known yet
	bytes  uint64
}

// NewPacer returns a pacer that begins to count with the first batch of a network.
func NewPacer(policy Policy) *Pacer { return &Pacer{policy: policy} }

// Follow takes another policy from now on.
func (p *Pacer) Follow(policy Policy) { p.policy = policy }

// Reset begins to count after the batch that ends with a seqno and has a time in milliseconds since 1970.
// Committed does so itself when a snapshot is due.
func (p *Pacer) Reset(seqno, time uint64) { p.seqno, p.time, p.bytes = seqno, time, 0 }

// Committed counts a batch, whose last seqno, time in milliseconds since 1970 and size are given, and says
// whether a snapshot of the state after it is due. lastSnapshot is the size of the newest one that the
// ledger records: a state is not written again before as many bytes went into the ledger, so
// snapshots cost at most as much as the ledger does, however large the state is.
func (p *Pacer) Committed(_, seqno, time uint64, batchBytes int, lastSnapshot uint64) (due bool) {
	p.bytes += uint64(batchBytes)
	if p.time == 0 {
		p.time = time
	}
	count := p.policy.Transactions > 0 && seqno-p.seqno >= p.policy.Transactions
	size := p.policy.Bytes > 0 && p.bytes >= p.policy.Bytes
	late := p.policy.Every > 0 && time >= p.time && time-p.time >= uint64(p.policy.Every.Milliseconds())
	if due = late || (count || size) && p.bytes >= lastSnapshot; due {
		p.Reset(seqno, time)
	}
	return due
}
