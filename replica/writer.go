package replica

import (
	"context"
	"fmt"
	"time"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
)

// flushEvery is how often a node with durability "memory" writes through.
const flushEvery = 100 * time.Millisecond

// writer is the one goroutine that writes the ledger. A crash before its Sync loses entries that
// no node was told of; a crash after it leaves entries that the network may or may not have committed, which
// is for the other nodes to say when this one joins again.
type writer struct {
	clock   host.Clock
	log     *ledger.Log
	meter   *meter
	durable bool // acknowledge only what is on the disk
	tasks   *mailbox[*raft.Append]
	loop    *mailbox[event]
}

func (w *writer) run(ctx context.Context) error {
	var flush <-chan time.Time
	if !w.durable {
		t := w.clock.NewTicker(flushEvery)
		defer t.Stop()
		flush = t.C()
	}
	dirty := false
	for {
		select {
		case <-ctx.Done():
			return w.log.Sync()
		case <-flush:
			if dirty {
				dirty = false
				if err := w.sync(w.begin()); err != nil {
					return fmt.Errorf("write the ledger: %w", err)
				}
			}
		case <-w.tasks.ready:
			tasks := w.tasks.receive()
			wrote, err := w.append(tasks)
			if err != nil {
				return fmt.Errorf("write the ledger: %w", err)
			}
			dirty = dirty || wrote
			if len(tasks) > 0 {
				w.loop.put(event{appended: tasks})
			}
		}
	}
}

func (w *writer) append(tasks []*raft.Append) (wrote bool, err error) {
	began := w.begin()
	defer w.meter.writing.Store(0)
	for _, a := range tasks {
		if len(a.Entries) == 0 {
			continue
		}
		entries := make([]batch.Entry, len(a.Entries))
		for i, e := range a.Entries {
			entries[i] = ledgerEntry(e)
		}
		if err := w.log.Append(entries); err != nil {
			return false, err
		}
		wrote = true
	}
	if wrote && w.durable {
		return true, w.sync(began)
	}
	return wrote, nil
}

// sync makes durable what was appended, and notes how long writing took since it began.
func (w *writer) sync(began time.Duration) error {
	err := w.log.Sync()
	w.meter.writing.Store(0)
	w.meter.sync.Observe(uint64(w.clock.Elapsed() - began))
	return err
}

// begin notes that the disk is at work from now on, a time that is not 0.
func (w *writer) begin() time.Duration {
	now := max(1, w.clock.Elapsed())
	w.meter.writing.Store(int64(now))
	return now
}

// logReader shows the ledger to consensus.
type logReader struct{ log *ledger.Log }

func (r logReader) ViewOf(index uint64) (uint64, bool) { return r.log.ViewOf(index) }

func (r logReader) Read(from, to uint64, maxBytes int) ([]consensus.Entry, error) {
	read, err := r.log.Read(from, to, maxBytes)
	if err != nil {
		return nil, err
	}
	out := make([]consensus.Entry, len(read))
	for i, e := range read {
		out[i] = consensus.Entry{View: e.View, Index: e.Index, Kind: consensus.Kind(e.Kind), Data: e.Data}
	}
	return out, nil
}
