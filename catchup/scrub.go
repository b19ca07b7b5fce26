package catchup

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/ledger/chain"
)

const (
	// scrubRate bounds how fast a node reads through its ledger, in bytes a second.
	scrubRate = 4 << 20
	// scrubEvery is how long a node waits after it has read all of its ledger before it does so again.
	scrubEvery = 24 * time.Hour
	// scrubLook is how often it looks for chunks that came since.
	scrubLook = 10 * time.Second
)

// Scrubber reads through a node's ledger, so that damage is found while other nodes still have what is damaged, and not
// when somebody asks for it, or when the network has to be recovered.
type Scrubber struct {
	Local *Local
	// Committed returns the last entry that no leader replaces any more.
	Committed func() uint64

	damaged atomic.Uint64
}

// Damaged returns how many chunks were found damaged since the node started.
func (s *Scrubber) Damaged() uint64 { return s.damaged.Load() }

// Run examines every chunk, the newest first, until ctx ends: as soon as the node has it, and again in each pass. A damaged
// one is set aside, and becomes a gap that Backfill fills. Of the chunk that is being written, what the disk held when the pass
// began is examined.
func (s *Scrubber) Run(ctx context.Context) error {
	tick := s.Local.Clock.NewTicker(scrubLook)
	defer tick.Stop()
	done := map[uint64]bool{} // chunks that this pass has seen, by their first entry; whether they were complete
	rests := time.Duration(0) // since when everything has been seen; 0: not yet
	for {
		if now := s.Local.Clock.Elapsed(); rests > 0 && now-rests > scrubEvery {
			clear(done)
			rests = 0
		}
		committed := s.Committed() // before the chunks: those that end by then stay as they are
		for _, c := range slices.Backward(s.Local.Ledger.Chunks()) {
			if c.Last >= committed { // a leader may replace what follows: nothing vouches for its end as yet
				c.Last, c.Complete = committed, false
			}
			if whole, seen := done[c.First]; c.Last < c.First || seen && (whole || !c.Complete) {
				continue
			}
			if err := s.examine(ctx, c, committed, done); err != nil {
				return nil // ctx has ended
			}
		}
		if rests == 0 {
			rests = s.Local.Clock.Elapsed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
	}
}

func (s *Scrubber) examine(ctx context.Context, c ledger.Chunk, committed uint64, done map[uint64]bool) error {
	at, err := chain.Examine(s.Local.Ledger, c, committed, func(bytes int) error {
		return s.Local.pause(ctx, time.Duration(bytes)*time.Second/scrubRate)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !chain.IsDamage(err) {
		s.Local.Log.Debug("a chunk of the ledger cannot be read now", "first", c.First, "error", err)
		return nil
	}
	done[c.First] = c.Complete
	if err == nil {
		return nil
	}
	s.damaged.Add(1)
	where := []any{"first", at.First, "last", at.Last, "entry", chain.DamagedEntry(err), "reason", err}
	if at.Complete {
		cannot := s.Local.Ledger.Quarantine(at.First)
		if cannot == nil {
			s.Local.Log.Error("a chunk of the ledger is damaged: it is set aside, to be fetched again", append(where, logevent.ChunkSetAside.Attr())...)
			delete(done, at.First)
			delete(done, c.First) // it was judged by the other one
			return nil
		}
		where = append(where, "error", cannot)
	}
	s.Local.Log.Error("a chunk of the ledger is damaged and cannot be set aside", append(where, logevent.ChunkDamaged.Attr())...)
	return nil
}
