// Package retention is for how long a node's enclave keeps the secrets of epochs, and how it has one again that it keeps no longer.
//
//	ledger's time ──▶ Expire: secrets of epochs that ended long ago are erased
//	a read of the past, the index, a node that joins or catches up ──▶ Of, Ahead, Granted, Again ──▶ the members' nodes open the epoch (ceremonies.Driver.Open)
//
// How long is a setting of the constitution, keys.retention_seconds; 0 is for ever. An epoch ends, by the ledger's time, when the next one is announced. The one that a node seals its batches under, or that of the last
// batch that it has applied, stays. One that was opened again stays as long as one that has ended.
//
// Trust: enclave
package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/store"
)

// Config is what Keys needs of its node. The functions are called by several goroutines at a time.
type Config struct {
	Log       *slog.Logger
	Clock     host.Clock
	Disk      host.Disk
	Snapshots string // folder of snapshots
	Ring      *keys.Ring
	Store     *store.Store
	Keep      func() time.Duration // 0: for ever
	Now       func() time.Time     // the ledger's
	Leads     func() bool
	// Open has an epoch opened again, and others along with it if that takes no more. It does not wait: coco.ErrPending and coco.ErrBusy say that it may be asked again, coco.ErrMissing that no node opens it.
	Open func(epoch uint64, ahead ...uint64) error
	// Most is how many epochs one opening gives at most.
	Most int
	// Ended says which epochs have ended, and when; nil while none counts as such.
	Ended func(store.Reader) func(epoch uint64) (time.Time, bool)
	// Expired is told which epochs were erased, and Woken that one is here again.
	Expired func(epochs []uint64)
	Woken   func()
	// Snapshot has the network write a snapshot.
	Snapshot func(context.Context) error
}

// Keys are the epochs' keys that a node has, or can have again. It is safe for concurrent use, but for Expire, which belongs to one goroutine.
type Keys struct {
	cfg     Config
	expired atomic.Uint64 // epochs
	asked   time.Duration // when a snapshot was asked for

	mu    sync.Mutex
	known map[coco.Digest]uint64 // epochs of recorded snapshots whose files were read, by their digests; under mu
}

// New returns the keys of a node.
func New(cfg Config) *Keys { return &Keys{cfg: cfg, known: map[coco.Digest]uint64{}} }

// Of returns the keys of an epoch. If they have expired, it has the epoch opened, and fails with coco.ErrPending or coco.ErrBusy: they may be asked for again; with coco.ErrMissing if no node opens it.
func (k *Keys) Of(epoch uint64) (*batch.Keys, error) { return k.of(epoch, nil) }

// Ahead is Of for one who goes through the ledger: the epochs after it are opened along with it, where that takes no more.
func (k *Keys) Ahead(epoch uint64) (*batch.Keys, error) {
	return k.of(epoch, func() (ahead []uint64) {
		newest, _ := k.cfg.Ring.Current()
		for n := epoch + 1; n <= newest && len(ahead) < k.cfg.Most; n++ {
			if !k.cfg.Ring.Holds(n) {
				ahead = append(ahead, n)
			}
		}
		return ahead
	})
}

func (k *Keys) of(epoch uint64, ahead func() []uint64) (*batch.Keys, error) {
	held, err := k.cfg.Ring.Of(epoch)
	if err == nil || k.cfg.Keep() == 0 {
		return held, err
	}
	var more []uint64
	if ahead != nil {
		more = ahead()
	}
	if err := k.cfg.Open(epoch, more...); err != nil {
		return nil, err
	}
	return k.cfg.Ring.Of(epoch)
}

// Opened keeps an epoch that was opened again, and erases the secret.
func (k *Keys) Opened(epoch uint64, secret *keys.Secret) {
	k.cfg.Ring.Open(epoch, *secret, k.cfg.Now())
	clear(secret[:])
	k.cfg.Woken()
}

// Again has an epoch opened that another node lacks, which asks on.
func (k *Keys) Again(epoch uint64) {
	if _, err := k.Of(epoch); err != nil && !errors.Is(err, coco.ErrPending) {
		k.cfg.Log.Debug("an epoch that another node lacks does not open", "epoch", epoch, "error", err)
	}
}

const (
	grantPatience = 3 * time.Second // for how long a node that joins waits for an epoch to be opened
	grantPause    = 50 * time.Millisecond
)

// Granted returns the secrets that a node which joins is given: those that this one keeps, and that of the epoch of the newest recorded snapshot whose file is here, without which it could not begin; an
// older one counts if that does not open. What they are to keep no longer they erase once they have begun.
func (k *Keys) Granted(ctx context.Context) (map[uint64]keys.Secret, error) {
	var why error
	for epoch := range k.snapshotEpochs(ctx) {
		err := k.await(ctx, epoch)
		if err == nil {
			return k.cfg.Ring.Kept(epoch), nil
		}
		why = errors.Join(why, fmt.Errorf("a snapshot that the node would begin with: %w", err))
	}
	if why != nil {
		return nil, why
	}
	return k.cfg.Ring.Kept(), nil
}

// SecretAhead returns the secret of an epoch. If it has expired, it has the epoch opened, and those ahead along with it where that takes no more, and fails as Of does. The caller wipes it.
func (k *Keys) SecretAhead(epoch uint64, ahead []uint64) (keys.Secret, error) {
	if _, err := k.of(epoch, func() []uint64 { return ahead }); err != nil {
		return keys.Secret{}, err
	}
	return k.cfg.Ring.Secret(epoch)
}

func (k *Keys) await(ctx context.Context, epoch uint64) error {
	for began := k.cfg.Clock.Elapsed(); ; {
		_, err := k.Of(epoch)
		if err == nil || errors.Is(err, coco.ErrMissing) || k.cfg.Clock.Elapsed()-began > grantPatience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.cfg.Clock.After(grantPause):
		}
	}
}

// snapshotEpochs gives the epochs of the snapshots that the ledger records, the newest first, as far as their files are on this node. A file is what the host says it is until its digest is the one that
// is recorded: before that, nothing is opened on its word.
func (k *Keys) snapshotEpochs(ctx context.Context) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		if k.cfg.Keep() == 0 {
			return
		}
		s := k.cfg.Store.Snapshot()
		records, err := table.Snapshots(s)
		s.Release()
		if err != nil {
			return
		}
		files, err := snapshot.List(k.cfg.Disk, k.cfg.Snapshots)
		if err != nil {
			return
		}
		k.forget(records)
		for _, r := range slices.Backward(records) {
			i := slices.IndexFunc(files, func(f snapshot.Info) bool { return f.Index == r.Index && f.Seqno == r.Seqno })
			if i < 0 {
				continue
			}
			epoch, err := k.snapshotEpoch(ctx, r, k.cfg.Snapshots+"/"+files[i].Name())
			switch {
			case err != nil:
				k.cfg.Log.Warn("a snapshot on this node is not what the ledger records: no epoch is opened for it", logevent.SnapshotDamaged.Attr(), "index", r.Index, "error", err)
			case !yield(epoch):
				return
			}
		}
	}
}

// forget forgets the epochs of snapshots that are recorded no more.
func (k *Keys) forget(but []table.SnapshotRecord) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.known, func(digest coco.Digest, _ uint64) bool {
		return !slices.ContainsFunc(but, func(r table.SnapshotRecord) bool { return r.Digest == digest })
	})
}

// snapshotEpoch returns the epoch of a recorded snapshot. The file is read once: what has a digest does not change.
func (k *Keys) snapshotEpoch(ctx context.Context, r table.SnapshotRecord, name string) (uint64, error) {
	k.mu.Lock()
	epoch, ok := k.known[r.Digest]
	k.mu.Unlock()
	if ok {
		return epoch, nil
	}
	f, err := snapshot.Open(k.cfg.Disk, name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	h, digest, err := f.Read(ctx)
	if err == nil && digest != r.Digest {
		err = fmt.Errorf("%w: its digest is %s, the ledger records %s", coco.ErrVerify, digest.Short(), r.Digest.Short())
	}
	if err != nil {
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known[r.Digest] = h.Epoch
	return h.Epoch, nil
}
