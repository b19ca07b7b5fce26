package kv

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/precondition"
	"github.com/cocoframework/coco/adapter/reading"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

const (
	// maxWait bounds how long a read waits for this node to catch up with its session.
	maxWait = 5 * time.Second
)

// snapshot returns this node's last committed state, and its transaction id. It waits until the
// state holds what the client has seen elsewhere.
func (l *ledger) snapshot(r *http.Request) (*store.Snapshot, coco.TxID, error) {
	if h := r.Header[wire.HeaderAtLeast]; len(h) > 0 {
		least, err := coco.ParseTxID(h[0])
		if err != nil {
			return nil, coco.TxID{}, fmt.Errorf("%s: %w", wire.HeaderAtLeast, err)
		}
		if err := l.wait(r.Context(), least.Seqno); err != nil {
			return nil, coco.TxID{}, err
		}
		// A transaction of the newest view is in the ledger if its number is.
		if l.env.Lost != nil && least.View != l.newest().View && l.env.Lost(least) {
			return nil, coco.TxID{}, fmt.Errorf("%w: %s: transaction %s is not in this ledger, where another one has its number: members went on from an older copy, or it was never committed. Begin a new session, and check what it was to write",
				coco.ErrInvalid, wire.HeaderAtLeast, least)
		}
	}
	commit := l.newest()
	if commit.Last == 0 && l.env.State.Committed() > 0 {
		return nil, coco.TxID{}, fmt.Errorf("%w: this node is beginning with a state that is restored; ask again", coco.ErrBusy)
	}
	snap, err := l.env.State.SnapshotAt(commit.Last)
	return snap, coco.TxID{View: commit.View, Seqno: commit.Last}, err
}

// fresh is snapshot of a state that is as new as the request asks for, whose age the answer's header tells.
func (l *ledger) fresh(w http.ResponseWriter, r *http.Request) (*store.Snapshot, coco.TxID, error) {
	if err := reading.Freshen(r.Context(), &l.env, r.Header, w.Header()); err != nil {
		return nil, coco.TxID{}, err
	}
	return l.snapshot(r)
}

// newest returns the last commit that this ledger was told of. The store may hold a later one already,
// for a moment: nothing is read from that, because its view is not known yet.
func (l *ledger) newest() adapter.Commit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commit
}

// wait returns once this node has committed and applied seqno.
func (l *ledger) wait(ctx context.Context, seqno uint64) error {
	if l.newest().Last >= seqno {
		return nil
	}
	timeout := l.env.Clock.After(maxWait)
	for {
		l.mu.Lock()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		commit, changed := l.commit, l.changed
		l.mu.Unlock()
		if commit.Last >= seqno {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: the request ended before this node committed seqno %d", coco.ErrBusy, seqno)
		case <-timeout:
			return fmt.Errorf("%w: X-Coco-At-Least: this node has committed up to seqno %d, not %d yet; ask again or ask another node",
				coco.ErrBusy, commit.Last, seqno)
		}
	}
}

func (l *ledger) get(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	key, err := l.key(r)
	if err != nil {
		l.fail(w, err)
		return
	}
	conditions, err := precondition.Of(r.Header)
	if err != nil {
		l.fail(w, err)
		return
	}
	if r.URL.RawQuery != "" {
		l.getPast(caller, w, r, key, conditions)
		return
	}
	at, err := l.placeOf(caller, w, r, "")
	if err == nil && at.audience.Has(caller.Actor) { // for others there is no row, whichever node they ask
		err = l.here(w, at.to)
	}
	if err == nil {
		err = l.Authorize(caller, adapter.Read{Subject: adapter.State, Table: at.table(), Key: key})
	}
	if err != nil {
		l.fail(w, err)
		return
	}
	snap, id, err := l.fresh(w, r)
	if err != nil {
		l.fail(w, err)
		return
	}
	if at.resident && at.audience.Has(caller.Actor) {
		l.getResident(w, r, at, key, conditions, snap, id)
		return
	}
	stored, exists := l.rows(&at, snap).Get(at.table(), key)
	snap.Release() // the value itself is never changed
	setID(w, id)
	if !exists {
		l.fail(w, fmt.Errorf("%w: no such key", coco.ErrNotFound))
		return
	}
	l.answerValue(w, stored, conditions)
}

// answerValue answers by a stored value, if the conditions hold for it, in the order of RFC 9110, section 13.2.2.
func (l *ledger) answerValue(w http.ResponseWriter, stored []byte, conditions precondition.Pair) {
	if !l.wanted(w, stored, conditions) {
		return
	}
	media, value := contentOf(stored)
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", valuePolicy)
	writeContent(w, media, value)
}

// wanted tells a value's version, and reports whether the conditions hold for it. If not, it has answered.
func (l *ledger) wanted(w http.ResponseWriter, stored []byte, conditions precondition.Pair) bool {
	version := versionOf(stored)
	setTag(w, version)
	switch {
	case !conditions.Match.Holds(version):
		l.fail(w, &preconditionError{condition: conditions.Match, found: version})
	case !conditions.None.Holds(version):
		w.WriteHeader(http.StatusNotModified)
	default:
		return true
	}
	return false
}

// valuePolicy keeps a browser that opens a value from running it, or from letting it use what the page's origin may: the
// value is another organisation's, and the loopback proxy serves it beside JSON-RPC.
const valuePolicy = "sandbox; default-src 'none'"
