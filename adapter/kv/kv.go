// Package kv is a ledger of keys and values: the smallest adapter, and the model for authors.
//
// An adapter has three parts, and so has this package:
//
//   - What a call is: codec.go gives the bytes that travel to the leader, the bytes that come back
//     and the claims that a receipt proves. A decoder checks every length before it allocates.
//   - What a call does: Execute runs on the leader only, one transaction of the set for each call.
//     It reads and writes the set and nothing else, so a batch that is never committed leaves
//     nothing behind. Followers do not execute; they get the writes.
//   - What clients see: endpoints answer reads from a snapshot of this node's last commit and
//     send writes through Env.Submit, whose return means committed.
//
// Everything durable is in the table kv.data. Its values are private, and start with the seqno of
// the transaction that wrote them: the value's version, shown as its entity tag. What a key had
// before comes from the store as long as memory holds it, and from the ledger through Env.Past.
// Rows that only some organisations see are in the table kv.parties: audience.go. Those whose contents only these
// organisations' nodes have are in kv.resident: resident.go. Members vote on who may read and write keys that begin
// with a prefix: prefix.go.
//
// Trust: enclave
package kv

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/residents"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/store"
)

const table = "kv.data"

// Adapter is the adapter kv.
type Adapter struct{}

// Manifest implements adapter.Adapter.
func (Adapter) Manifest() adapter.Manifest {
	return adapter.Manifest{
		Name:   "kv",
		Tables: []store.Table{{Name: table, Private: true, Ordered: true}, {Name: parties, Private: true, Ordered: true, Audience: true}, {Name: apart, Private: true, Ordered: true, Audience: true, Resident: true}},
	}
}

// Open implements adapter.Adapter.
func (Adapter) Open(env adapter.Env) (adapter.Ledger, error) {
	settings, err := ParseSettings(env.Settings)
	if err != nil {
		return nil, err
	}
	l := &ledger{env: env}
	l.inForce.Store(&settings)
	return l, nil
}

type ledger struct {
	env     adapter.Env
	inForce atomic.Pointer[Settings]
	// policy answers Authorize, unless it is nil: then every caller may see every key.
	policy func(coco.Caller, adapter.Read) error

	mu      sync.Mutex
	commit  adapter.Commit   // the last one; under mu
	changed chan struct{}    // closed at the next commit; nil while no request waits; under mu
	commits commits          // under mu
	keeper  *resident.Keeper // of payloads; nil where there are no nodes, as in most tests
	names   residents.Names  // of rows that reside with their parties
}

// settings are those in force.
func (l *ledger) settings() *Settings { return l.inForce.Load() }

// Configure implements adapter.Ledger. What was checked by other settings is checked again when it is executed.
func (l *ledger) Configure(section []byte) error {
	s, err := ParseSettings(section)
	if err != nil {
		return err
	}
	l.inForce.Store(&s)
	return nil
}

// Genesis implements adapter.Ledger: a new network has no keys.
func (l *ledger) Genesis(*store.Tx) error { return nil }

// Decode implements adapter.Ledger.
func (l *ledger) Decode(payload []byte) (any, error) {
	w, err := decodeWrite(payload, *l.settings())
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Execute implements adapter.Ledger.
func (l *ledger) Execute(_ context.Context, set *store.Part, calls adapter.Calls) []adapter.Outcome {
	var outcomes []adapter.Outcome
	for call := calls.Next(); call != nil; call = calls.Next() {
		outcome, full := l.execute(set, call)
		if full {
			calls.Back(call)
			break
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes
}

// execute executes one call, unless the batch is too full for it.
func (l *ledger) execute(set *store.Part, call *adapter.Call) (_ adapter.Outcome, full bool) {
	w, ok := call.Decoded.(*write)
	if !ok {
		return adapter.Outcome{Call: call, Err: fmt.Errorf("kv: a call was not decoded: found a %T", call.Decoded)}, false
	}
	settings := l.settings()
	err := settings.admit(w)
	if err == nil {
		err = l.admitResident(w)
	}
	if err == nil {
		err = settings.admitCaller(&call.Caller, w) // members may have voted since it was sent
	}
	if err != nil {
		return adapter.Outcome{Call: call, Err: err}, false
	}
	tx := set.Begin()
	rows, err := l.rowsOf(tx, call.Caller, w)
	if err != nil {
		tx.Abort()
		return adapter.Outcome{Call: call, Err: err}, false
	}
	seqno := tx.Seqno()
	reply := newReply(len(w.ops))
	claims := newClaims(call.Caller.Actor, w)
	for i := range w.ops {
		op := &w.ops[i]
		old, exists := rows.Get(w.table(), op.key)
		var version uint64
		if exists {
			version = versionOf(old)
		}
		if !op.condition.Holds(version) {
			tx.Abort()
			// The refusal is true once what it was judged by is committed, and this transaction
			// is the last of that.
			return adapter.Outcome{Call: call, TxID: l.before(set), Reply: refusal(i, version)}, false
		}
		switch op.kind {
		case opPut:
			rows.Put(w.table(), op.key, op.store(seqno))
		case opDelete:
			if exists {
				rows.Delete(w.table(), op.key)
			}
		}
		reply = binary.BigEndian.AppendUint64(reply, version)
		claims = op.appendClaim(claims, version)
	}
	tx.Claim(appendUser(claims, call.Caller.User))
	if now, alone := tx.Fits(0); !now {
		size := tx.Size()
		tx.Abort()
		if alone {
			return adapter.Outcome{}, true
		}
		_, most := set.Room()
		return adapter.Outcome{Call: call, Err: fmt.Errorf("%w: the writes of this request have %d bytes in the ledger, expected at most %d: write less at a time",
			coco.ErrInvalid, size, most)}, false
	}
	tx.Commit()
	return adapter.Outcome{Call: call, Tx: tx, Reply: reply}, false
}

// before names the last transaction that a set's next one sees.
func (l *ledger) before(set *store.Part) coco.TxID {
	id := coco.TxID{View: set.View(), Seqno: set.Next() - 1}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.commit.Last == id.Seqno {
		id.View = l.commit.View
	}
	return id
}

// Authorize implements adapter.Ledger. The store keeps rows of an audience from outsiders, and views of the rules of prefixes keep rows
// from callers who may not read their keys. Receipts of what was written there, and digests of the whole state, are kept from both here.
func (l *ledger) Authorize(caller coco.Caller, read adapter.Read) error {
	if read.Subject == adapter.Receipt && !(mayClaim(caller, read.Claims) && mayReadClaimed(l.settings().rules, &caller, read.Claims)) {
		return fmt.Errorf("%w: receipt of transaction %s", coco.ErrNotFound, read.TxID)
	}
	if read.Subject == adapter.Digest || read.Subject == adapter.Measures {
		if err := l.settings().mayDigest(&caller); err != nil {
			return err
		}
	}
	if read.Subject == adapter.Measures && l.settings().Audiences {
		return fmt.Errorf("%w: what a node measures of its state tells the size of rows that only some organisations see: the organisation that runs the node is told", coco.ErrDenied)
	}
	if l.policy == nil {
		return nil
	}
	return l.policy(caller, read)
}

// mayWrite asks for the keys of a write, whose answer tells the versions that it met.
func (l *ledger) mayWrite(caller coco.Caller, w *write) error {
	if err := l.settings().admitCaller(&caller, w); err != nil {
		return err
	}
	for i := range w.ops {
		if err := l.Authorize(caller, adapter.Read{Subject: adapter.State, Table: w.table(), Key: w.ops[i].key}); err != nil {
			return err
		}
	}
	return nil
}

// Committed implements adapter.Ledger.
func (l *ledger) Committed(c adapter.Commit) {
	l.mu.Lock()
	changed := l.changed
	l.commit, l.changed = c, nil
	l.commits.add(c)
	l.mu.Unlock()
	if changed != nil {
		close(changed)
	}
}

// Rollback implements adapter.Ledger: nothing is cached of batches that are not committed, and no
// call is kept.
func (l *ledger) Rollback(uint64) []adapter.Outcome { return nil }

// Close implements adapter.Ledger: there is no goroutine to end.
func (l *ledger) Close() error { return nil }
