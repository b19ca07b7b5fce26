package ledger

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/merkle"
)

// Checker knows what the records mean, which the ledger does not: whose keys may sign. Its errors
// become the Reason of a Fault, unless the context has ended.
type Checker interface {
	// Signer returns the key that the batch MUST be signed with, given what Apply was told so far.
	Signer(h batch.Header) (*ecdsa.PublicKey, error)
	// Apply takes the public records of a batch. It is called before Signer, because the first
	// batch of a network or of a recovery names its own signer; a batch whose signature then does
	// not hold ends the audit. The arguments may be kept, and MUST NOT be modified.
	Apply(b *batch.Batch, public [][]byte) error
}

// Report says what an audit has checked.
type Report struct {
	Files        int    `json:"files"`
	Bytes        int64  `json:"bytes"`
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
// writes, needs memory for a few entries only, and may run while a node appends, of which it then
// sees what was there when it came to the last file.
//
// It returns a *Fault for the first thing that is wrong, also where the ledger ends before its first
// transaction or a chunk is missing; the report then counts exactly what was checked before. What was cut off the end of a ledger
// leaves no trace in it: compare Report.Last with other
// nodes' or with a receipt. progress, if not nil, is told how many bytes of how many are done.
func Audit(ctx context.Context, disk host.Disk, dir string, checker Checker, progress func(done, total int64), extra ...host.Disk) (Report, error) {
	a := audit{folders: foldersOf(disk, dir, extra), checker: checker, progress: progress}
	a.report.Signed = make(map[coco.NodeID]uint64)
	found, err := list(a.folders)
	if bad := (*chunkError)(nil); errors.As(err, &bad) {
		return a.report, &Fault{File: bad.file, Index: bad.index, Reason: bad.reason}
	}
	if err != nil {
		return a.report, err
	}
	files, gap := found.whole(a.folders)
	if len(found.chunks) == 0 {
		return a.report, fmt.Errorf("%w: there is no ledger in %s", coco.ErrNotFound, dir)
	}
	for _, f := range files {
		a.total += f.size
	}
	for _, f := range files {
		if err := a.file(ctx, f); err != nil {
			return a.report, err
		}
		a.report.Files++
		a.done(f.size)
	}
	if gap != nil {
		f := &Fault{File: gap.file, Index: gap.index, Reason: gap.reason}
		f.First.Seqno = a.report.Transactions + 1
		return a.report, f
	}
	if a.report.Transactions == 0 {
		name := a.name(files[len(files)-1])
		return a.report, &Fault{File: name, Reason: "the ledger holds no transaction: expected the network's first one, its genesis"}
	}
	return a.report, nil
}

// audit is an audit that goes on.
type audit struct {
	folders  []folder
	checker  Checker
	progress func(done, total int64)
	total    int64
	shown    int64

	report  Report
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

// maxPending bounds audit.pending. A network commits what it writes within milliseconds; a ledger
// whose batches never say so still has to be audited in little memory.
const maxPending = 1 << 16

// name names a file for people.
func (a *audit) name(cf chunkFile) string { return a.folders[cf.in].show(cf.name()) }

// file audits one file.
func (a *audit) file(ctx context.Context, cf chunkFile) error {
	name := a.name(cf)
	file, err := a.folders[cf.in].open(cf)
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", name, err)
	}
	defer file.Close()
	retry := 0
	if cf.last == 0 {
		retry = liveRetries
	}
	r, err := newFrameReader(file, cf.first, retry)
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", name, err)
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
			return a.damaged(name, cf, r, bad)
		}
		if err != nil {
			return fmt.Errorf("ledger: %s: %w", name, err)
		}
		e.Data = bytes.Clone(e.Data)
		if err := a.entry(e); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			f := &Fault{File: name, Offset: off, Index: e.Index, Reason: reason(err)}
			if e.Kind == batch.KindBatch {
				f.First, f.Last = a.transactions(e.Data)
			}
			return f
		}
		a.show(r.off)
	}
	if bad := checkEnd(cf, r); bad != nil {
		return a.damaged(name, cf, r, bad)
	}
	return nil
}

// entry audits one entry, and moves on behind it if nothing is wrong.
func (a *audit) entry(e batch.Entry) error {
	if e.View < a.view {
		return fmt.Errorf("its view is %d, after view %d", e.View, a.view)
	}
	if e.Kind == batch.KindBatch {
		if err := a.batch(e); err != nil {
			return err
		}
		a.report.Unsigned = 0
	} else {
		a.report.Unsigned++
	}
	a.chain, a.view = e.Chain(a.chain), e.View
	a.report.Entries++
	return nil
}

func (a *audit) batch(e batch.Entry) error {
	b, err := batch.DecodeEntry(e, a.chain)
	if err != nil {
		return err
	}
	if err := b.VerifyRoot(&a.tree); err != nil {
		return err
	}
	public, err := b.PublicRecords()
	if err != nil {
		return err
	}
	if err := a.checker.Apply(b, public); err != nil {
		return err
	}
	signer, err := a.checker.Signer(b.Header)
	if err != nil {
		return err
	}
	if err := b.VerifySignature(signer); err != nil {
		return err
	}
	a.count(&b.Header)
	return nil
}

// count adds a good batch to the report.
func (a *audit) count(h *batch.Header) {
	a.report.Batches++
	a.report.Transactions += h.Count
	a.report.Signed[h.Node]++
	a.report.Root = h.Root
	_, a.report.Last = h.TxIDs()

	if len(a.pending) == maxPending {
		// Forget every other one: what is then said to be committed is less, but still true.
		for i := range maxPending / 2 {
			a.pending[i] = a.pending[2*i]
		}
		a.pending = a.pending[:maxPending/2]
	}
	a.pending = append(a.pending, lastTx{h.Index, a.report.Last})
	a.report.CommittedIndex = max(a.report.CommittedIndex, h.Committed)
	n := 0
	for ; n < len(a.pending) && a.pending[n].index <= a.report.CommittedIndex; n++ {
		a.report.Committed = a.pending[n].tx
	}
	a.pending = a.pending[n:]
}

// damaged makes a Fault of a place where no valid frame is.
func (a *audit) damaged(file string, cf chunkFile, r *frameReader, bad *damage) error {
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
	first.Seqno = a.report.Transactions + 1
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
		a.progress(min(a.report.Bytes+off, a.total), a.total)
	}
}

// done reports that a file is done.
func (a *audit) done(size int64) {
	a.report.Bytes += size
	a.shown = 0
	if a.progress != nil {
		a.progress(a.report.Bytes, a.total)
	}
}
