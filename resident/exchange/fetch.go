package exchange

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/store"
)

// progress is how far this node has come with its last plan.
type progress struct {
	lacks  []resident.Ref
	next   int                      // the one of lacks to fetch next
	rows   int                      // for this node's organisation
	made   time.Duration            // Clock.Elapsed when
	took   time.Duration            // to read the rows
	renew  []coco.Digest            // files to look at before they are sealed under expired keys
	unheld map[coco.Digest]struct{} // rows of lacks whose payload no node that could be asked has
	before int                      // how many these were at the plan before
	told   int                      // how many of these operators were told of
}

// want is a payload that other nodes are asked for, one after another.
type want struct {
	ref   resident.Ref
	left  []coco.NodeID // to ask
	asked coco.NodeID
	since time.Duration // Clock.Elapsed when it was asked
	later bool          // a node has it, or may have it
	done  chan struct{} // closed when the payload is here, or when no node is left to ask
}

// Get returns the payload of a row. The error is coco.ErrPending while it is being fetched, or while the epoch that it is sealed under is opened, and
// coco.ErrMissing if no node that can be reached has it.
func (x *Exchange) Get(ctx context.Context, ref resident.Ref) (resident.Payload, error) {
	c := ref.Row.Commitment
	x.mu.Lock()
	_, held := x.files[c]
	x.mu.Unlock()
	if held {
		if _, p, err := x.load(c); err == nil || !x.gone(c) {
			return p, err
		}
	}
	x.mu.Lock()
	w := x.want(ref)
	x.mu.Unlock()
	select {
	case <-w.done:
	case <-ctx.Done():
		return resident.Payload{}, fmt.Errorf("%w: the request ended before the value was fetched", coco.ErrBusy)
	case <-x.cfg.Clock.After(getPatience):
		return resident.Payload{}, errFetching()
	}
	switch {
	case x.gone(c) && w.later:
		return resident.Payload{}, errFetching()
	case x.gone(c):
		return resident.Payload{}, fmt.Errorf("%w: no node that this one reaches has the value; nodes of %s had it when it was committed", coco.ErrMissing, x.names(ref.Audience, ref.Row.Holders))
	}
	_, p, err := x.load(c)
	return p, err
}

func errFetching() error {
	return fmt.Errorf("%w: the value is being fetched from another node of its audience; ask again", coco.ErrPending)
}

func (x *Exchange) gone(c coco.Digest) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, held := x.files[c]
	return !held
}

// want begins to ask for a payload, unless it is being asked for. It needs x.mu.
func (x *Exchange) want(ref resident.Ref) *want {
	c := ref.Row.Commitment
	if w := x.wants[c]; w != nil {
		return w
	}
	w := &want{ref: ref, left: resident.Ask(ref, x.cfg.Self, x.cfg.Nodes()), done: make(chan struct{})}
	x.wants[c] = w
	x.ask(w)
	return w
}

// ask asks the next node. It needs x.mu.
func (x *Exchange) ask(w *want) {
	c := w.ref.Row.Commitment
	for len(w.left) > 0 {
		w.asked, w.left, w.since = w.left[0], w.left[1:], x.cfg.Clock.Elapsed()
		if x.cfg.Send(w.asked, &peer.PayloadWord{Commitment: c, Word: peer.PayloadWanted}) {
			return
		}
	}
	if delete(x.plan.unheld, c); !w.later {
		x.plan.unheld[c] = struct{}{}
	}
	x.finish(w)
}

// end ends what waits for a payload that is here. It needs x.mu.
func (x *Exchange) end(c coco.Digest) {
	delete(x.plan.unheld, c)
	if w := x.wants[c]; w != nil {
		x.finish(w)
	}
}

func (x *Exchange) finish(w *want) {
	delete(x.wants, w.ref.Row.Commitment)
	close(w.done)
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// fetch makes plans, and follows them.
func (x *Exchange) fetch(ctx context.Context) error {
	ticker := x.cfg.Clock.NewTicker(tick)
	defer ticker.Stop()
	for {
		x.follow()
		select {
		case <-ctx.Done():
			return nil
		case <-x.wake:
			x.refill()
			continue
		case <-ticker.C():
		}
	}
}

// follow makes a plan every few seconds, and goes on with it. Reading the rows takes a tenth of the time at most.
func (x *Exchange) follow() {
	now := x.cfg.Clock.Elapsed()
	x.mu.Lock()
	for _, w := range x.wants {
		if now-w.since >= askPatience {
			w.later = true // it may be slow
			x.ask(w)
		}
	}
	due := x.plan.made == 0 || now-x.plan.made >= max(5*tick, 10*x.plan.took)
	x.mu.Unlock()
	if due {
		x.replan(now)
	}
	x.refill()
}

// refill asks for as many payloads as may be fetched at a time.
func (x *Exchange) refill() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.wants) < window && x.plan.next < len(x.plan.lacks) {
		ref := x.plan.lacks[x.plan.next]
		x.plan.next++
		if _, held := x.files[ref.Row.Commitment]; !held {
			x.want(ref)
		}
	}
}

// replan compares the rows with the files. A file that was written after the rows were read is one that no row names yet. What grows with the rows is done
// without the lock, for which connections to other nodes wait.
func (x *Exchange) replan(now time.Duration) {
	ledger := x.cfg.Now() // before the state is read: later transactions are not in it
	rows := x.rows()
	x.mu.Lock()
	files := maps.Clone(x.files)
	x.mu.Unlock()
	before := maps.Clone(files)
	p := resident.NewPlan(rows, files, ledger)
	for c, since := range before { // what is left of files are those that changed
		if files[c].Equal(since) {
			delete(files, c)
		}
	}
	named := make(map[coco.Digest]struct{}, len(rows))
	for _, r := range rows {
		named[r.Row.Commitment] = struct{}{}
	}
	x.mu.Lock()
	for c, since := range files {
		if _, held := x.files[c]; held {
			x.files[c] = since
		}
	}
	for c, w := range x.waiting {
		_, ok := named[c]
		if ok || now-w.since > underWay { // a row may have named it, and another payload since: no plan has seen that
			x.release(c)
		}
	}
	for c := range x.plan.unheld {
		if _, ok := named[c]; !ok {
			delete(x.plan.unheld, c)
		}
	}
	if x.plan.next >= len(x.plan.lacks) { // otherwise the older ones would never have their turn
		x.plan.next = 0
		x.plan.lacks = p.Lacks
	}
	x.plan.rows, x.plan.made, x.plan.took = p.Rows, now, x.cfg.Clock.Elapsed()-now
	x.mu.Unlock()
	x.tell()
	for _, c := range p.Drop {
		x.remove(c)
	}
	x.renew()
}

// tell says when there are more rows than before whose payloads no node has that can be asked, and when there are none any more. What is so at one plan alone is not
// told: connections come and go.
func (x *Exchange) tell() {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := len(x.plan.unheld)
	lasting := min(now, x.plan.before)
	x.plan.before = now
	switch {
	case lasting > x.plan.told:
		x.plan.told = lasting
		x.cfg.Log.Warn("no node that this one reaches has the values of some rows that reside with its organisation and others: start the nodes of these, or put back their folders",
			logevent.ResidentMissing.Attr(), "rows", lasting)
	case now == 0 && x.plan.told > 0:
		x.plan.told = 0
		x.cfg.Log.Info("nodes have the values again of all rows that reside with this node's organisation and others, or they were written again", logevent.ResidentFound.Attr())
	}
}

// renew seals files again that are half as old as keys are kept, some at a time: what a row names must not depend on an epoch that only members can open.
func (x *Exchange) renew() {
	keep := x.cfg.Retention()
	if keep == 0 {
		return
	}
	x.mu.Lock()
	if len(x.plan.renew) == 0 {
		for c, since := range x.files {
			if since.IsZero() {
				x.plan.renew = append(x.plan.renew, c)
			}
		}
	}
	n := min(len(x.plan.renew), renewals)
	some := x.plan.renew[:n]
	x.plan.renew = x.plan.renew[n:]
	x.mu.Unlock()
	for _, c := range some {
		if !x.folder.Old(c, keep/2) {
			continue
		}
		if err := x.folder.Renew(c); err != nil {
			x.cfg.Log.Debug("a payload stays sealed under an epoch that has ended", "error", err)
		}
		if x.gone(c) { // it was dropped meanwhile
			_ = x.folder.Remove(c)
		}
	}
}

// rows returns the rows of audiences that this node's organisation is in.
func (x *Exchange) rows() (rows []resident.Ref) {
	s := x.cfg.Store.Snapshot()
	defer s.Release()
	for _, t := range x.cfg.Store.Tables() {
		if !t.Resident {
			continue
		}
		_ = s.Each(t.Name, func(key string, value []byte) error { // fn never fails
			audience, _, err := store.CutAudience([]byte(key))
			if err != nil || !x.Here(audience) {
				return nil
			}
			value, err = store.CutSalt(value)
			row, perr := resident.ParseRow(value)
			if err != nil || perr != nil {
				x.cfg.Log.Error("the row of a resident payload does not decode", "table", t.Name, "error", perr)
				return nil
			}
			rows = append(rows, resident.Ref{Audience: audience, Row: row})
			return nil
		})
	}
	return rows
}

// Lacks counts the rows of this node's organisation whose payloads it does not have now. Status knows them once Run has read the rows.
func (x *Exchange) Lacks() (n int) {
	rows := x.rows()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range rows {
		if _, held := x.files[r.Row.Commitment]; !held {
			n++
		}
	}
	return n
}

// Status is what a node knows of the rows of its organisation's audiences.
type Status struct {
	Rows    int // as of the last plan
	Lacking int // whose payloads this node does not have
	Unheld  int // of these, those that no node has that could be asked
}

// Status returns what this node knows.
func (x *Exchange) Status() Status {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := Status{Rows: x.plan.rows}
	for _, ref := range x.plan.lacks {
		c := ref.Row.Commitment
		if _, held := x.files[c]; held {
			continue
		}
		s.Lacking++
		if _, ok := x.plan.unheld[c]; ok {
			s.Unheld++
		}
	}
	return s
}
