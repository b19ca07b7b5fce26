package ledger

import (
	"context"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger/check"
)

// AuditWith is Audit with so many goroutines, none being possible, and so many entries that wait.
func AuditWith(ctx context.Context, workers int, room uint64, disk host.Disk, dir string, checker Checker, progress func(done, total int64), extra ...host.Disk) (Report, error) {
	a := audit{folders: foldersOf(disk, dir, extra), order: check.NewSequence(checker), progress: progress}
	return a.run(ctx, workers, room)
}

// KeepOffsets sets how many frames of complete chunks a log remembers.
func (l *Log) KeepOffsets(n int) { l.recent.keep = n }

// KeptOffsets returns how many it does.
func (l *Log) KeptOffsets() (n int) {
	for _, c := range l.chunks {
		if c.complete {
			n += len(c.offsets)
		}
	}
	return n
}
