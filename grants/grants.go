// Package grants has the nodes of a network put on the ledger what an auditor reads with, once members have voted for it (package gov/granting). It needs no member's
// encryption key.
//
//	the node that leads     Seal: the grant's key, to the committee in force
//	                        Add: for each epoch what reads it, encrypted to the grant's key
//	a node with a seat      Give: the seat's part, encrypted to the auditor ── peer.Grants ──▶ the node that leads
//
// What is left to do follows from the committed rows, so that a node which was away, or comes to lead, goes on where others stopped. What is asked for twice is refused by the
// ledger, and what fails is tried again. A grant that does not come to its end holds up nothing.
//
// Trust: enclave
package grants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gov/granting"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/grant"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

const (
	retry    = time.Second // after which what has failed is tried again
	maxBoxes = 64          // epochs in one transaction
	sayAgain = time.Hour   // after which it is said again that an epoch cannot be opened
)

// Config is what a Driver needs of its node. The functions are called by the goroutine of Run.
type Config struct {
	Log   *slog.Logger
	Clock host.Clock
	Store *store.Store
	Self  coco.NodeID
	Since uint64                                                                         // seqno at which this node became part of the network
	Now   func() time.Time                                                               // the ledger's time
	Leads func() bool                                                                    // this node does
	Do    func(context.Context, func(*store.Tx) ([]byte, error)) (adapter.Result, error) // commits a transaction if this node leads
	Ask   func(context.Context, peer.Request) adapter.Result                             // asks the node that leads, once
	Give  func(seats.Granted) ([]byte, error)                                            // makes the part of a seat whose package this node has
	// Open returns the secret of an epoch, which is the caller's to wipe. It does not wait: the error is coco.ErrPending while the node asks others for what opens the epoch, and may as well ask for the epochs ahead.
	Open func(epoch uint64, ahead []uint64) (keys.Secret, error)
}

// Driver puts on the ledger what its node owes auditors.
type Driver struct {
	cfg     Config
	wake    chan struct{} // of room one
	changed atomic.Bool   // the network's tables have changed since they were read
	pending atomic.Int64  // grants that are not complete
	given   atomic.Uint64 // parts

	told  map[uint64]bool          // grants whose completion was logged
	known map[string]time.Duration // when a failure was logged
}

// New returns a driver, of which Run must be called.
func New(cfg Config) *Driver {
	d := &Driver{cfg: cfg, wake: make(chan struct{}, 1), told: map[uint64]bool{}, known: map[string]time.Duration{}}
	d.changed.Store(true)
	return d
}

// Committed says that the network's own tables have changed. The executor calls it.
func (d *Driver) Committed() {
	d.changed.Store(true)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run does what this node owes until ctx ends.
func (d *Driver) Run(ctx context.Context) error {
	tick := d.cfg.Clock.NewTicker(retry)
	defer tick.Stop()
	owed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		case <-d.wake:
		}
		if !d.changed.Swap(false) && !owed {
			continue
		}
		list, err := d.look()
		if err != nil { // commits go on without grants
			d.cfg.Log.Error("the rows about grants cannot be followed", "error", err)
			owed = true
			continue
		}
		owed = len(list) > 0 || d.pending.Load() > 0 // whoever comes to lead has to go on
		for _, t := range list {
			d.carryOut(ctx, &t)
		}
	}
}

// task is what this node owes one grant.
type task struct {
	*granting.Grant
	of     grant.Of
	seats  []uint32             // whose parts this node has to give
	parts  *committee.Committee // of the grant's sealing, where seats are owed
	seal   bool                 // the node leads, and the grant's key is to be sealed
	epochs []uint64             // the node leads, and these have no boxes
}

// look reads what is owed, the oldest grant first.
func (d *Driver) look() (list []task, err error) {
	r := d.cfg.Store.Snapshot()
	defer r.Release()
	if c, err := table.LoadCore(r); err != nil || c.Rules < 3 {
		return nil, err
	}
	all, err := granting.Pending(r, uint64(max(0, d.cfg.Now().UnixMilli())))
	if err != nil {
		return nil, err
	}
	if err := d.tell(r, all); err != nil || len(all) == 0 {
		return nil, err
	}
	if closed, err := table.Closed(r); err != nil || closed {
		return nil, err
	}
	network, err := table.Audience(r)
	if err != nil {
		return nil, err
	}
	leads := d.cfg.Leads()
	for _, g := range slices.Backward(all) {
		t := task{Grant: g}
		if err := d.owes(r, &t, network, leads); err != nil {
			return nil, err
		}
		if t.seal || len(t.seats)+len(t.epochs) > 0 {
			list = append(list, t)
		}
	}
	return list, nil
}

// owes finds what this node has to do for a grant.
func (d *Driver) owes(r store.Reader, t *task, network coco.Digest, leads bool) error {
	newest, has, err := table.NewestCommittee(r)
	if err != nil || !has {
		return err
	}
	if t.Sealable(r) {
		held, err := granting.Held(r, &newest)
		t.seal = leads && held >= newest.Threshold()
		return err
	}
	t.of = t.Of(network, t.Sealing.Committee, t.Sealing.Key)
	if leads {
		t.epochs = t.Missing
	}
	if t.Sealing.Committee != newest.Number {
		return nil // the seats' packages are gone, and enough parts are there
	}
	for i, seat := range t.Sealing.Seats {
		if number := uint32(i + 1); seat.Node == d.cfg.Self && t.Parts[number] == nil {
			t.seats = append(t.seats, number)
		}
	}
	if len(t.seats) > 0 {
		t.parts, err = newest.Committee()
	}
	return err
}

// tell logs, once, that a grant has become complete in the time of this node.
func (d *Driver) tell(r store.Reader, pending []*granting.Grant) error {
	incomplete := map[uint64]bool{}
	for _, g := range pending {
		if !g.Complete() {
			incomplete[g.Number] = true
		}
	}
	d.pending.Store(int64(len(incomplete)))
	for n := table.LastGrant(r); n > 0; n-- {
		if incomplete[n] {
			continue
		}
		rec, err := table.Grant(r, n)
		if err != nil {
			return err
		}
		if rec.Since <= d.cfg.Since {
			break
		}
		if d.told[n] {
			continue // one before it may have become complete later
		}
		if g, err := granting.Load(r, n); err != nil {
			return err
		} else if !g.Complete() {
			continue // it has ended
		}
		d.told[n] = true
		d.cfg.Log.Info("an auditor can read the epochs that members have granted to it", logevent.GrantComplete.Attr(), "grant", n, "auditor", rec.Name, "first", rec.First, "last", rec.Last)
	}
	return nil
}

func (d *Driver) carryOut(ctx context.Context, t *task) {
	for _, seat := range t.seats {
		d.report(ctx, fmt.Sprintf("the part of seat %d", seat), t.Number, d.give(ctx, t, seat))
	}
	if t.seal {
		_, err := d.cfg.Do(ctx, func(tx *store.Tx) ([]byte, error) { return nil, granting.Seal(tx, t.Number) })
		d.report(ctx, "the key", t.Number, err)
	}
	for some := range slices.Chunk(t.epochs, maxBoxes) {
		d.report(ctx, "the boxes of epochs", t.Number, d.add(ctx, t, some))
	}
}

// give asks the leader for the part of a seat.
func (d *Driver) give(ctx context.Context, t *task, seat uint32) error {
	s, err := grant.Parse(t.Sealing.Sealing)
	if err != nil {
		return err
	}
	box, err := d.cfg.Give(seats.Granted{
		Committee: t.Sealing.Committee, Seat: seat,
		Part: func(p *committee.Package) ([]byte, error) { return s.Part(t.parts, t.of, p) },
	})
	if errors.Is(err, coco.ErrNotFound) {
		return nil // this node has lost the package, or not got it yet
	}
	if err != nil {
		return err
	}
	raw, err := (&granting.Part{Grant: t.Number, Committee: t.Sealing.Committee, Seat: seat, Box: box}).Marshal()
	if err != nil {
		return err
	}
	if err := d.cfg.Ask(ctx, peer.Request{Kind: peer.Grants, Body: raw}).Err; err != nil {
		return err
	}
	d.given.Add(1)
	d.cfg.Log.Info("this node gives the part of its seat to an auditor for whom members have voted", logevent.GrantGiven.Attr(), "grant", t.Number, "seat", seat, "committee", t.Sealing.Committee)
	return nil
}

// add writes the boxes of epochs. One whose secret cannot be had now is left out, and tried again.
func (d *Driver) add(ctx context.Context, t *task, epochs []uint64) error {
	s, err := grant.Parse(t.Sealing.Sealing)
	if err != nil {
		return err
	}
	boxes := map[uint64][]byte{}
	var failed error // of the first one
	unopened := 0
	for i, epoch := range epochs {
		box, err := d.box(t, epoch, epochs[i+1:], s.Public)
		switch {
		case err == nil:
			boxes[epoch] = box
		case !errors.Is(err, coco.ErrPending):
			failed = cmp.Or(failed, err)
			unopened++
		}
	}
	if failed != nil {
		d.again(fmt.Sprintf("open %d", t.Number), func() {
			d.cfg.Log.Warn("epochs that members have granted to an auditor cannot be opened now: it is tried again", logevent.GrantUnopened.Attr(), "grant", t.Number, "epochs", unopened, "error", failed)
		})
	}
	if len(boxes) == 0 {
		return nil
	}
	_, err = d.cfg.Do(ctx, func(tx *store.Tx) ([]byte, error) {
		return nil, granting.Add(tx, t.Number, t.Sealing.Committee, boxes)
	})
	return err
}

func (d *Driver) box(t *task, epoch uint64, ahead []uint64, public []byte) ([]byte, error) {
	secret, err := d.cfg.Open(epoch, ahead)
	if err != nil {
		return nil, err
	}
	defer clear(secret[:])
	return keys.GrantEpoch(t.of.Network, epoch, secret, public)
}

// report logs that something was not committed. If another node leads or the ledger has it, the next look tells.
func (d *Driver) report(ctx context.Context, what string, number uint64, err error) {
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, coco.ErrInvalid) || errors.Is(err, coco.ErrNotCommitted) || errors.Is(err, coco.ErrUnknown):
		d.cfg.Log.Debug("not committed for an auditor: "+what, "grant", number, "error", err)
	default:
		d.again(fmt.Sprintf("%s %d", what, number), func() {
			d.cfg.Log.Warn("not committed for an auditor: "+what, "grant", number, "error", err)
		})
	}
}

// again says something that was not said for a while.
func (d *Driver) again(what string, say func()) {
	now := d.cfg.Clock.Elapsed()
	if last, before := d.known[what]; before && now-last < sayAgain {
		return
	}
	d.known[what] = now
	say()
}

// Give is the transaction of a part that a node asks for, on the leader.
func (d *Driver) Give(from coco.NodeID, raw []byte) func(*store.Tx) ([]byte, error) {
	return func(tx *store.Tx) ([]byte, error) { return nil, granting.Give(tx, from, raw) }
}

// Notices says that grants are not complete; nil if none is.
func (d *Driver) Notices() []string {
	switch n := d.pending.Load(); n {
	case 0:
		return nil
	case 1:
		return []string{"A grant of epochs to an auditor is not complete: coco gov show says what is missing."}
	default:
		return []string{fmt.Sprintf("%d grants of epochs to auditors are not complete: coco gov show says what is missing.", n)}
	}
}

// Collectors are what Prometheus reads of grants.
func (d *Driver) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "coco", Name: "grants_pending", Help: "Grants of epochs to auditors that are voted for and not complete."}, func() float64 { return float64(d.pending.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "coco", Name: "grant_parts_given_total", Help: "Parts of its seats that this node gave to auditors."}, func() float64 { return float64(d.given.Load()) }),
	}
}
