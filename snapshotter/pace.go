package snapshotter

import (
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/store"
)

// point is a state to be written.
type point struct {
	at    replica.Batch
	state *store.Snapshot // pinned; released by the goroutine that has the point
}

// Pace decides when a snapshot is due. It belongs to the executor's goroutine.
type Pace struct {
	pacer        *snapshot.Pacer
	constitution coco.Digest // whose policy the pacer follows
	bytes        uint64      // of the newest snapshot that the ledger records
	requested    bool        // by an operator, in the batch that is being committed
	points       chan point
	from         uint64 // the first seqno whose state is worth writing: before, this node replays what others have
}

// NewPace follows the policy of a constitution. From is the first seqno whose state is worth writing.
func NewPace(c *constitution.Constitution, from uint64) *Pace {
	return &Pace{pacer: snapshot.NewPacer(policyOf(c)), points: make(chan point, 1), from: from}
}

func policyOf(c *constitution.Constitution) snapshot.Policy {
	s := c.Snapshots
	return snapshot.Policy{Transactions: uint64(s.Transactions), Bytes: uint64(s.Bytes), Every: time.Duration(s.Seconds) * time.Second}
}

// ReadTables reads what the network's own tables say about snapshots, after they changed. The policy is the one of that
// state, although the node that admitted this one may have told it of a later constitution: all nodes must come to the
// same answer.
func (p *Pace) ReadTables(s store.Reader, first uint64) error {
	if digest, err := table.ConstitutionDigest(s); err != nil {
		return err
	} else if digest != p.constitution {
		c, err := table.LoadConstitution(s)
		if err != nil {
			return err
		}
		p.pacer.Follow(policyOf(c))
		p.constitution = digest
	}
	rec, ok, err := table.NewestSnapshot(s)
	if err != nil {
		return err
	}
	if ok {
		p.bytes = rec.Bytes
	}
	since, err := table.SnapshotRequest(s)
	p.requested = since >= first
	return err
}

// Committed takes note of a batch and pins its state if a snapshot of it is due. While one is being written the next is
// left out.
func (p *Pace) Committed(at replica.Batch, s *store.Store) {
	due := p.pacer.Committed(at.Index, at.Seqno, at.Time, at.Size, p.bytes)
	if p.requested && !due {
		p.pacer.Reset(at.Seqno, at.Time)
		due = true
	}
	p.requested = false
	if !due || at.Seqno < p.from {
		return
	}
	pt := point{at: at, state: s.Snapshot()}
	select {
	case p.points <- pt:
	default:
		pt.state.Release()
	}
}

// Restart goes on after a state that was loaded.
func (p *Pace) Restart(at replica.Batch, s store.Reader) error {
	p.pacer.Reset(at.Seqno, at.Time)
	return p.ReadTables(s, at.Seqno+1)
}
