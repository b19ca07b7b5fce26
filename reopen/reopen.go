// Package reopen opens a ledger of which no node is left that holds the keys.
//
//	audit, without any key ──▶ where it ends ──▶ members release their parts ──▶ secrets of its epochs, the service's key
//
// The audit begins at a snapshot of the node's own where the ledger proves one (package basis), unless How.Whole says otherwise; the node then begins with that state, too.
//
// What it finds is what a node goes on with: Open does all that comes before the node's first transaction, and nothing of it writes to the ledger.
//
// Trust: enclave
package reopen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/basis"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/locks"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/store"
)

// How says how members open a ledger when no node is left that holds its keys.
type How struct {
	// AtLeast is a transaction that is known to be committed: a ledger without it was rolled back, and is not gone on from. Zero
	// if none is known.
	AtLeast coco.TxID
	// Progress is told how many bytes of how many of the ledger are verified. May be nil.
	Progress func(done, total int64)
	// Replayed is told how many entries of how many of the ledger are in the node's state, once it is open. May be nil.
	Replayed func(done, total int64)
	// Whole has every entry audited from the first one on, and the state made by replaying all of them, whatever snapshots there are.
	Whole bool
	// Refused is told why a snapshot, by the name of its file, is left out. May be nil.
	Refused func(name string, why error)
	// Show is told where the ledger ends, before any key is used. An error ends the recovery. May be nil.
	Show func(Ending) error
	// Release has members release their parts of a lock, and submits them to the round. It returns once there are enough of them, or when there will be
	// no more, and why it did not get others. An error ends the recovery. It is not called before Show has returned.
	Release func(context.Context, *recovery.Round) (missing []error, _ error)
	// Successor has the network closed until members vote to open it, under a new service that follows the one before. It needs rules 3; by earlier ones the
	// network goes on at once, under the same service, as it does without Successor. What members release is bound to it.
	Successor bool
	// Closed is told that the node waits for the members' vote. May be nil.
	Closed func()
	// Receiver makes what opens the members' releases; nil for recovery.NewReceiver.
	Receiver func(p recovery.Point, resume bool) (*recovery.Receiver, error)
	// Time returns what time it is, as the members say who open the ledger; it is called once they have, as an audit and a ceremony take their
	// time. The ledger's time goes on there, whatever this host's clock says, until the
	// clocks of a quorum of nodes say otherwise. Nil if the members say nothing: then it goes on at most ten minutes after the ledger's last batch,
	// until a quorum has told its time.
	Time func() time.Time
}

// Ending is what an audit before a recovery has found at the end of a ledger.
type Ending struct {
	Point        recovery.Point
	Constitution *constitution.Constitution // in force
	Service      []byte                     // the service's certificate, DER
	Epochs       int                        // that were announced
	From         coco.TxID                  // up to which a snapshot stands for the audit of each entry; zero if each was audited
	Nodes        []table.NodeRecord         // that are trusted
}

// LossError refuses to go on from a ledger that lacks a transaction which is known to be committed.
type LossError struct {
	Point recovery.Point // where the ledger ends
	Lacks coco.TxID
}

func (e *LossError) Error() string {
	return fmt.Sprintf("%v: the ledger ends with transaction %s of %s (root %s) and lacks transaction %s, which was committed: it is older, or another history",
		coco.ErrVerify, e.Point.Last(), time.UnixMilli(int64(e.Point.Time)).UTC().Format(time.RFC3339), e.Point.Root, e.Lacks)
}

// Unwrap returns coco.ErrVerify.
func (e *LossError) Unwrap() error { return coco.ErrVerify }

// Ledger is what is opened, and with what.
type Ledger struct {
	Log   *slog.Logger
	Clock host.Clock
	Disk  host.Disk
	Dir   string
	Extra []host.Disk
	// Snapshots is the folder of the node's snapshots; empty for none.
	Snapshots string
	Entries   *ledger.Log // in Dir
	Audit     audit.Config
	Keys      *keys.Ring // gets the epochs' secrets
	How       *How
}

// Opened is a ledger that is open.
type Opened struct {
	Constitution *constitution.Constitution // in force at its end
	Origin       coco.NodeID                // the node that started the network
	Service      *channel.Service           // under which the network goes on
	Last         coco.TxID                  // the last transaction
	Transactions uint64
	Recovered    *members.Recovered // nil: the network goes on at once, under the same service
	Basis        *basis.Snapshot    // the snapshot to begin with; nil: the ledger's first entry
}

// Open opens the ledger.
func (l *Ledger) Open(ctx context.Context) (*Opened, error) {
	from := basis.Ledger{Log: l.Log, Disk: l.Disk, Dir: l.Dir, Extra: l.Extra, Snapshots: l.Snapshots, Progress: l.How.Progress, Refused: l.How.Refused}
	if l.How.Whole {
		from.Snapshots = ""
	}
	seen, report, snapshot, err := basis.Audit(ctx, from, func() *witness {
		return &witness{Auditor: audit.New(l.Audit), of: l.How.AtLeast.Seqno}
	})
	if err != nil {
		return nil, fmt.Errorf("audit before recovery: %w", err)
	}
	auditor := seen.Auditor
	receiver, err := l.agree(seen, report, snapshot.TxID())
	if err != nil {
		return nil, err
	}
	opening, err := locks.Opening(auditor.Tables(), auditor.Used)
	if err != nil {
		return nil, err
	}
	if err := l.openLocks(ctx, receiver, opening); err != nil {
		return nil, err
	}
	out := &Opened{Constitution: auditor.Constitution(), Last: report.Last, Transactions: report.Transactions, Basis: snapshot}
	if out.Origin, out.Service, err = l.readService(auditor); err != nil {
		return nil, fmt.Errorf("read the service's key: %w", err)
	}
	if rq := receiver.Request(); !rq.Resume {
		if err := out.succeed(rq.Point, l.Clock.Now()); err != nil {
			return nil, err
		}
	}
	l.Log.Info("recovering", "transactions", report.Transactions, "last", report.Last.String(), "epochs", len(opening.Secrets()))
	return out, nil
}

// succeed makes the service that follows.
func (o *Opened) succeed(p recovery.Point, now time.Time) (err error) {
	if o.Service, err = o.Service.Succeed(p.Last(), p.Root, now); err != nil {
		return err
	}
	key, err := o.Service.MarshalKey()
	o.Recovered = &members.Recovered{Service: o.Service.Certificate().Raw, ServiceKey: key, Last: p.Last(), Root: p.Root}
	return err
}

// witness notes, beside an audit, in which view one transaction is in the ledger.
type witness struct {
	*audit.Auditor
	of   uint64 // seqno of the transaction
	view uint64 // zero if it is not in the ledger
}

// Apply implements ledger.Checker.
func (w *witness) Apply(b *batch.Batch, public [][]byte) error {
	if w.of >= b.Header.First && w.of <= b.Header.Last() {
		w.view = b.Header.View
	}
	return w.Auditor.Apply(b, public)
}

// agree shows where the ledger ends, unless it lacks what is known to be committed, and returns what opens the shares that members
// release for that end.
func (l *Ledger) agree(seen *witness, report ledger.Report, from coco.TxID) (*recovery.Receiver, error) {
	network, err := table.NetworkID(seen.ServiceCertificate())
	if err != nil {
		return nil, err
	}
	point := recovery.Point{
		Network: network, View: report.Last.View, Seqno: report.Last.Seqno, Index: seen.Last().Index, Time: seen.Last().Time, Root: report.Root,
	}
	if want := l.How.AtLeast; want.Seqno > 0 && seen.view != want.View {
		return nil, &LossError{Point: point, Lacks: want}
	}
	l.Log.Warn("recovering: members release their shares for this end of the ledger", logevent.RecoveryBegins.Attr(),
		"last", point.Last().String(), "time", point.Time, "root", point.Root.String(), "point", point.Digest().String())
	if l.How.Show != nil {
		e := Ending{
			Point: point, Constitution: seen.Constitution(), Service: seen.ServiceCertificate(), Epochs: int(table.LastEpoch(seen.Tables())), From: from,
			Nodes: slices.DeleteFunc(seen.Nodes(), func(n table.NodeRecord) bool { return n.State != table.Trusted }),
		}
		if err := l.How.Show(e); err != nil {
			return nil, err
		}
	}
	resume := !l.How.Successor || seen.Constitution().Rules < 3
	if l.How.Receiver != nil {
		return l.How.Receiver(point, resume)
	}
	return recovery.NewReceiver(point, resume)
}

// openLocks has members open every epoch that batches are sealed in. Members whose releases are missing or wrong are named, whether or not there are
// enough others.
func (l *Ledger) openLocks(ctx context.Context, receiver *recovery.Receiver, opening *recovery.Opening) error {
	warn := func(faults []error, lock *recovery.Lock) {
		for _, fault := range faults {
			l.Log.Warn("a member's part is missing, or what was brought in its name is not its part", logevent.ShareUnusable.Attr(), "lock", lock.String(), "error", fault)
		}
	}
	for lock := opening.Next(); lock != nil; lock = opening.Next() {
		round := receiver.Round(lock)
		missing, err := l.How.Release(ctx, round)
		if err != nil {
			return err
		}
		secret, wrong, err := round.Secret()
		warn(append(missing, wrong...), lock)
		if err == nil {
			for _, fault := range opening.Open(lock, secret) {
				l.Log.Warn("an epoch does not open those before it", "lock", lock.String(), "error", fault)
			}
		} else if !opening.GiveUp(lock) {
			return errors.Join(fmt.Errorf("open %s with what members released: %w", lock, err), errors.Join(append(missing, wrong...)...))
		}
	}
	for epoch, secret := range opening.Secrets() {
		l.Keys.Add(epoch, secret)
	}
	return nil
}

// readService reads which node started the network, from the first batch, and the service's key, from that or from the batch of the last recovery that gave the
// network another one.
func (l *Ledger) readService(seen *audit.Auditor) (origin coco.NodeID, _ *channel.Service, err error) {
	first, err := l.batchFrom(1)
	if err != nil {
		return origin, nil, err
	}
	from := first
	if at := seen.Recovered(); at > 0 {
		if from, err = l.batchFrom(at); err != nil {
			return origin, nil, err
		}
	}
	key, err := l.serviceKey(from)
	if err != nil {
		return origin, nil, err
	}
	service, err := channel.ParseService(seen.ServiceCertificate(), key)
	return first.Header.Node, service, err
}

// batchFrom returns the first batch from an entry on.
func (l *Ledger) batchFrom(index uint64) (*batch.Batch, error) {
	for log := l.Entries; index <= log.Last(); index++ {
		entries, err := log.Read(index, index+1, 0)
		if err != nil {
			return nil, err
		}
		if entries[0].Kind == batch.KindBatch {
			return batch.Decode(entries[0].Data)
		}
	}
	return nil, fmt.Errorf("%w: the ledger holds no transaction", coco.ErrNotFound)
}

// serviceKey opens the service's key in the first transaction of a batch.
func (l *Ledger) serviceKey(from *batch.Batch) (keys.SecretBytes, error) {
	k, err := l.Keys.Of(from.Header.Epoch)
	if err != nil {
		return nil, err
	}
	records, err := from.Open(k)
	if err != nil {
		return nil, err
	}
	writes, err := store.DecodeWrites(records[0].Private)
	if err != nil {
		return nil, err
	}
	tables := store.New()
	if err := tables.Create(table.All()...); err != nil {
		return nil, err
	}
	tx := tables.Begin(0, 0).Begin()
	for _, w := range writes {
		if w.Table == table.SecretsTable {
			tx.Put(w.Table, w.Key, w.Value)
		}
	}
	return table.ServiceKey(tx)
}
