package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger/check"
)

// Checker tells an audit whose keys may sign.
type Checker = check.Checker

// Report says what an audit has checked.
type Report struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	check.Counts
}

// Fault is the first thing in a ledger that is not as it must be.
type Fault struct {
	File   string // with its directory
	Offset int64  // of the entry's frame in the file
	Index  uint64 // of the entry
	// First and Last are the transactions of the batch that is wrong. Where its header cannot be
	// read, Last is zero and First has no view: its seqno follows from the batches before. Both are
	// zero where no batch is concerned.
	First, Last coco.TxID
	Reason      string
}

// Error names the place and the reason.
func (f *Fault) Error() string {
	s := fmt.Sprintf("%v: %s", coco.ErrVerify, f.File)
	if f.Index != 0 {
		s += fmt.Sprintf(", offset %d: entry %d", f.Offset, f.Index)
	}
	switch none := (coco.TxID{}); {
	case f.First == none:
	case f.Last == none:
		s += fmt.Sprintf(" (transactions from seqno %d)", f.First.Seqno)
	case f.First == f.Last:
		s += fmt.Sprintf(" (transaction %s)", f.First)
	default:
		s += fmt.Sprintf(" (transactions %s to %s)", f.First, f.Last)
	}
	return s + ": " + f.Reason
}

// Unwrap makes a Fault an error of kind coco.ErrVerify.
func (f *Fault) Unwrap() error { return coco.ErrVerify }

// Audit checks the whole ledger in a directory without any key: names and frames of the files,
// indexes without gaps, views that never decrease, the chain digests, the parts' digests, seqnos
// without gaps, the Merkle roots, and that each batch is signed by the key that the checker names. It never
// writes, and may run while a node appends, of which it then sees what was there when it came to the last file.
// It computes on as many cores as GOMAXPROCS says, and needs memory for aheadEntries entries of together
// aheadBytes, and one more. Disks, the checker and progress are used in the caller's goroutine only.
//
// It returns a *Fault for the first thing that is wrong, also where the ledger ends before its first
// transaction or a chunk is missing; the report then counts exactly what was checked before. What was cut off the end of a ledger
// leaves no trace in it: compare Report.Last with other
// nodes' or with a receipt. The checker's errors become the Reason of a Fault, unless the context has
// ended. progress, if not nil, is told how many bytes of how many are done.
func Audit(ctx context.Context, disk host.Disk, dir string, checker Checker, progress func(done, total int64), extra ...host.Disk) (Report, error) {
	return AuditAs(ctx, disk, dir, check.NewSequence(checker), progress, extra...)
}

// AuditAs is Audit by a sequence that is given, as one that takes what a snapshot covers as one piece.
func AuditAs(ctx context.Context, disk host.Disk, dir string, order *check.Sequence, progress func(done, total int64), extra ...host.Disk) (Report, error) {
	workers := runtime.GOMAXPROCS(0)
	if workers == 1 {
		workers = 0
	}
	a := audit{folders: foldersOf(disk, dir, extra), order: order, progress: progress}
	return a.run(ctx, workers, aheadEntries)
}

// How far an audit reads ahead of the entry that it checks.
const (
	aheadEntries = 256
	aheadBytes   = 16 << 20 // unless one entry is larger
)

// audit is an audit that goes on.
type audit struct {
	folders  []folder
	order    *check.Sequence
	ahead    *check.Ahead
	room     uint64 // how many steps may wait
	progress func(done, total int64)
	total    int64
	shown    int64

	files   int
	bytes   int64 // of the files
	waiting []step
	held    int // bytes of the entries that wait
}

// step is an entry that was read and is to be checked, or the end of a file.
type step struct {
	entry *check.Prepared // nil at a file's end
	kind  batch.Kind
	index uint64
	data  []byte
	file  string
	off   int64 // of the entry's frame in the file
	end   int64 // behind it; of a file, its size when it was listed
}

// run audits with so many goroutines and so many steps that wait.
func (a *audit) run(ctx context.Context, workers int, room uint64) (Report, error) {
	a.ahead, a.room = check.NewAhead(workers), room
	defer a.ahead.Close()
	err := a.all(ctx)
	return Report{Files: a.files, Bytes: a.bytes, Counts: a.order.Counts()}, err
}

func (a *audit) all(ctx context.Context) error {
	found, err := list(a.folders)
	if bad := (*chunkError)(nil); errors.As(err, &bad) {
		return &Fault{File: bad.file, Index: bad.index, Reason: bad.reason}
	}
	if err != nil {
		return err
	}
	files, gap := found.whole(a.folders)
	if len(found.chunks) == 0 {
		return fmt.Errorf("%w: there is no ledger in %s", coco.ErrNotFound, a.folders[0].name)
	}
	for _, f := range files {
		a.total += f.size
	}
	for _, f := range files {
		if err := a.file(ctx, f); err != nil {
			return err
		}
	}
	if err := a.finish(ctx); err != nil {
		return err
	}
	transactions := a.order.Counts().Transactions
	if gap != nil {
		f := &Fault{File: gap.file, Index: gap.index, Reason: gap.reason}
		f.First.Seqno = transactions + 1
		return f
	}
	if transactions == 0 {
		name := a.name(files[len(files)-1])
		return &Fault{File: name, Reason: "the ledger holds no transaction: expected the network's first one, its genesis"}
	}
	return nil
}

// name names a file for people.
func (a *audit) name(cf chunkFile) string { return a.folders[cf.in].show(cf.name()) }

// file reads one file, and checks what there is no room for. Where reading fails, what was read before is checked first.
func (a *audit) file(ctx context.Context, cf chunkFile) error {
	name := a.name(cf)
	failed := func(err error) error {
		if before := a.finish(ctx); before != nil {
			return before
		}
		return fmt.Errorf("ledger: %s: %w", name, err)
	}
	file, err := a.folders[cf.in].open(cf)
	if err != nil {
		return failed(err)
	}
	defer file.Close()
	retry := 0
	if cf.last == 0 {
		retry = liveRetries
	}
	r, err := newFrameReader(file, cf.first, retry)
	if err != nil {
		return failed(err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, off, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad := (*damage)(nil); errors.As(err, &bad) {
			return a.damaged(ctx, name, cf, r, bad)
		}
		if err != nil {
			return failed(err)
		}
		e.Data = bytes.Clone(e.Data)
		if err := a.add(ctx, step{a.ahead.Prepare(e), e.Kind, e.Index, e.Data, name, off, r.off}); err != nil {
			return err
		}
	}
	if bad := checkEnd(cf, r); bad != nil {
		return a.damaged(ctx, name, cf, r, bad)
	}
	return a.add(ctx, step{end: cf.size})
}

// add puts a step behind those that wait, and checks the first ones until there is room. At first there is little, so that
// the nodes' keys are known before their batches are prepared.
func (a *audit) add(ctx context.Context, s step) error {
	a.waiting = append(a.waiting, s)
	a.held += len(s.data)
	for uint64(len(a.waiting)) > min(a.room, a.order.Counts().Entries) || a.held > aheadBytes {
		if err := a.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finish checks all that waits.
func (a *audit) finish(ctx context.Context) error {
	for len(a.waiting) > 0 {
		if err := a.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// next checks the first step that waits.
func (a *audit) next(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := a.waiting[0]
	a.waiting[0] = step{}
	a.waiting = a.waiting[1:]
	a.held -= len(s.data)
	if s.entry == nil {
		a.done(s.end)
		return nil
	}
	if err := a.order.Check(s.entry); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f := &Fault{File: s.file, Offset: s.off, Index: s.index, Reason: reason(err)}
		if s.kind == batch.KindBatch {
			f.First, f.Last = a.transactions(s.data)
		}
		return f
	}
	a.show(s.end)
	return nil
}

// damaged makes a Fault of a place where no valid frame is, if nothing is wrong before it.
func (a *audit) damaged(ctx context.Context, file string, cf chunkFile, r *frameReader, bad *damage) error {
	if err := a.finish(ctx); err != nil {
		return err
	}
	f := &Fault{File: file, Offset: bad.off, Index: bad.index, Reason: bad.reason}
	var data []byte
	if len(bad.frame) > frameHead {
		data = bad.frame[frameHead:]
	}
	f.First, f.Last = a.transactions(data)
	if cf.last != 0 {
		return f
	}
	_, found, err := r.validAfter(bad)
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", file, err)
	}
	if !found {
		f.Reason += "; no valid frame follows, as after an interrupted write, which a node cuts off when it starts"
	}
	return f
}

// transactions names the transactions of the next batch, as far as its data tells them. Otherwise
// only the seqno of the first is known.
func (a *audit) transactions(data []byte) (first, last coco.TxID) {
	first.Seqno = a.order.Counts().Transactions + 1
	if h, err := batch.DecodeHeader(data); err == nil && h.First == first.Seqno {
		return h.TxIDs()
	}
	return first, last
}

// reason returns the error's text without the kind, which a Fault has already.
func reason(err error) string {
	text := err.Error()
	for _, kind := range [...]error{coco.ErrVerify, coco.ErrCorrupt} {
		text = strings.TrimPrefix(text, kind.Error()+": ")
	}
	return text
}

// show reports progress within a file, once for each window.
func (a *audit) show(off int64) {
	if a.progress != nil && off-a.shown >= windowSize {
		a.shown = off
		a.progress(min(a.bytes+off, a.total), a.total)
	}
}

// done reports that a file is done.
func (a *audit) done(size int64) {
	a.files++
	a.bytes += size
	a.shown = 0
	if a.progress != nil {
		a.progress(a.bytes, a.total)
	}
}
