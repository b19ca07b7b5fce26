package doctorcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/cli/finding"
)

// A sync is measured as the ledger does it, by fdatasync after a block is written. It is
// measured twice: growing the file, and within zeros that were written ahead, as the ledger does.
const (
	syncSamples = 200
	syncBlock   = 4 << 10
	syncPatient = 20 * time.Second // for each of both; a slow disk gives fewer samples
	syncFewest  = 5
)

// syncTimes is what a disk takes to make a block durable.
type syncTimes struct {
	Samples  int         `json:"samples"`
	Append   percentiles `json:"append"`    // the file grows
	Filled   percentiles `json:"filled"`    // within zeros written ahead: what the ledger does
	SyncsSec int         `json:"syncs_sec"` // from the median of the latter
}

type percentiles struct {
	Median time.Duration `json:"median_ns"`
	P99    time.Duration `json:"p99_ns"`
}

func measureSync(ctx context.Context, dir string) (_ *syncTimes, err error) {
	folder, err := os.MkdirTemp(dir, ".coco-doctor-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	disk, err := local.Open(folder)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	file, err := disk.Create("sync")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	block := make([]byte, syncBlock)
	pass := func() ([]time.Duration, error) {
		var took []time.Duration
		for began := time.Now(); len(took) < syncSamples && (len(took) < syncFewest || time.Since(began) < syncPatient); {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			at := time.Now()
			if _, err := file.WriteAt(block, int64(len(took))*syncBlock); err != nil {
				return nil, err
			}
			if err := file.Sync(); err != nil {
				return nil, err
			}
			took = append(took, time.Since(at))
		}
		return took, nil
	}
	appended, err := pass()
	if err != nil {
		return nil, err
	}
	filled, err := pass()
	if err != nil {
		return nil, err
	}
	return newSyncTimes(appended, filled), nil
}

func newSyncTimes(appended, filled []time.Duration) *syncTimes {
	t := &syncTimes{Samples: len(filled), Append: percentilesOf(appended), Filled: percentilesOf(filled)}
	t.SyncsSec = int(time.Second / max(1, t.Filled.Median))
	return t
}

func percentilesOf(took []time.Duration) percentiles {
	took = slices.Sorted(slices.Values(took))
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100] }
	return percentiles{Median: at(50), P99: at(99)}
}

// What a sync should take. Each commit waits for one on a majority of the nodes; a leader whose disk
// takes two seconds hands over.
const (
	implausible = 15 * time.Microsecond
	slowSync    = 20 * time.Millisecond
	hangingSync = time.Second
)

// judge says what the times mean. memory says that the folder is known to be kept in memory only.
func (t *syncTimes) judge(memory bool) (level, message string) {
	m, p := t.Filled.Median, t.Filled.P99
	figures := fmt.Sprintf("a write is durable after %v (median), %v (99th percentile); %v when the file grows",
		round(m), round(p), round(t.Append.Median))
	switch {
	case memory:
		return finding.Warning, figures + ". This folder is kept in memory: nothing in it survives a restart of the machine"
	case m < implausible:
		return finding.Warning, figures + ". No disk is that fast: this one, or what is in front of it, confirms before it has stored"
	case p >= hangingSync:
		return finding.Problem, figures + ". A leader on such a disk keeps losing its place: use another disk"
	case m >= slowSync || p >= 10*slowSync:
		return finding.Warning, figures + ". Slow: every commit waits for it on a majority of the nodes; an SSD with power-loss protection takes under 1 ms"
	}
	return finding.OK, figures
}

func round(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(10 * time.Microsecond)
}

// explainDurability says in plain words what consensus.durability survives on such a disk.
func explainDurability(t *syncTimes, memory bool) durability {
	d := durability{
		Disk: "what a client was told is on the disks of a majority of the nodes. It survives the crash of every process and a " +
			"loss of power on all machines at once; to go on, the network needs nodes that have kept what " +
			"they need sealed (recovery.unattended), or one whole ledger of that majority and the members' shares.",
		Memory: "what a client was told is with a majority of the nodes, and on their disks a moment later (0.1 s and a sync). It survives " +
			"the loss of a minority of the machines. If power fails on a majority at once, the last commits can be gone, though clients " +
			"were told of them: fit for development and for what can be done again.",
	}
	switch {
	case memory:
		d.Disk += " NOT HERE: this folder is kept in memory and gone when the machine restarts."
	case t != nil && t.Filled.Median < implausible:
		d.Disk += " NOT CERTAIN HERE: this disk confirms faster than a disk can store; after a loss of power the last commits may be missing."
	case t != nil:
		d.Disk += fmt.Sprintf(" Its price here: about %v for each commit.", round(t.Filled.Median))
	}
	return d
}
