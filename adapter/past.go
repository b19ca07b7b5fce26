package adapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

// ErrPastLimit says that a request reads more of the past than one request may.
var ErrPastLimit = fmt.Errorf("%w: too much of the past for one request", coco.ErrInvalid)

const (
	// pastPatience is how long one request waits, all its reads together, for an index that is being
	// made: a chunk that was written a moment ago is indexed by then, a whole ledger is not.
	pastPatience = 2 * time.Second
	pastPoll     = 50 * time.Millisecond
)

// readPast is how the past is read; see Env.Past.
type readPast = func(ctx context.Context, table string, key []byte, at uint64) (PastValue, error)

// OwnPast narrows read to the tables of a scope. The error for other tables is coco.ErrInvalid.
func OwnPast(scope *store.Scope, read readPast) readPast {
	return func(ctx context.Context, table string, key []byte, at uint64) (PastValue, error) {
		if !scope.Has(table) {
			return PastValue{}, fmt.Errorf("%w: table %q does not belong to this adapter", coco.ErrInvalid, table)
		}
		return read(ctx, table, key, at)
	}
}

// OwnPastFor narrows read to the tables of a scope whose rows have audiences, and to the rows that an actor may see; see
// Env.PastFor. The error for other tables is coco.ErrInvalid.
func OwnPastFor(scope *store.Scope, read readPast) func(context.Context, coco.ActorID, store.Audience, string, []byte, uint64) (PastValue, error) {
	return func(ctx context.Context, actor coco.ActorID, audience store.Audience, table string, key []byte, at uint64) (PastValue, error) {
		if !scope.HasAudiences(table) {
			return PastValue{}, fmt.Errorf("%w: table %q is none of this adapter's whose rows have audiences", coco.ErrInvalid, table)
		}
		if !audience.Has(actor) {
			return PastValue{}, fmt.Errorf("%w: nothing was written up to seqno %d", coco.ErrNotFound, at)
		}
		v, err := read(ctx, table, append(audience.Append(make([]byte, 0, audience.Size()+len(key))), key...), at)
		if err != nil || v.Deleted {
			return v, err
		}
		v.Value, err = store.CutSalt(v.Value)
		return v, err
	}
}

// searchPast is how the past is searched; see Env.Search.
type searchPast = func(ctx context.Context, table string, groups [][][]byte, from, to uint64, fn func(first, last uint64) error) (uint64, error)

// OwnSearch narrows search to the tables of an adapter's scope; it is nil if the adapter has no terms. The error for other
// tables is coco.ErrInvalid.
func OwnSearch(a Adapter, scope *store.Scope, search searchPast) searchPast {
	if _, ok := a.(Indexer); !ok {
		return nil
	}
	return func(ctx context.Context, table string, groups [][][]byte, from, to uint64, fn func(first, last uint64) error) (uint64, error) {
		if !scope.Has(table) {
			return from - 1, fmt.Errorf("%w: table %q does not belong to this adapter", coco.ErrInvalid, table)
		}
		return search(ctx, table, groups, from, to, fn)
	}
}

// PastIn is PastFor for a key of rows that have an audience, and Past for others, whose audience is nil.
func (e *Env) PastIn(ctx context.Context, actor coco.ActorID, audience store.Audience, table string, key []byte, at uint64) (PastValue, error) {
	if audience != nil {
		return e.PastFor(ctx, actor, audience, table, key, at)
	}
	return e.Past(ctx, table, key, at)
}

// EnterPast is PastTurn; where nothing is shared it waits for nobody.
func (e *Env) EnterPast(ctx context.Context, caller coco.Caller) (leave func(), err error) {
	if e.PastTurn == nil {
		return func() {}, nil
	}
	return e.PastTurn(ctx, caller)
}

// PastReader reads the past for one request, within bounds of time for all its reads together. It is
// safe for concurrent use.
type PastReader struct {
	env    *Env
	limit  time.Duration
	caller coco.Caller
	within store.Audience // nil: tables without audiences

	mu     sync.Mutex
	spent  time.Duration // in reads
	waited time.Duration // for pending answers
}

// NewPastReader returns the reader of one request, which may spend limit on reading the past.
func (e *Env) NewPastReader(limit time.Duration) *PastReader {
	return &PastReader{env: e, limit: limit}
}

// For says on whose behalf the reader reads, before its first use, and returns it: see Env.PastTurn.
func (r *PastReader) For(caller coco.Caller) *PastReader {
	r.caller = caller
	return r
}

// In says that the reader reads rows of an audience, before its first use, and returns it: see Env.PastFor. The actor is that of For.
func (r *PastReader) In(audience store.Audience) *PastReader {
	r.within = audience
	return r
}

// Get is Env.Past, but it waits a little for an answer that is being prepared, and fails with
// ErrPastLimit once the request has spent its time. Without Env.Past everything is coco.ErrMissing.
func (r *PastReader) Get(ctx context.Context, table string, key []byte, at uint64) (PastValue, error) {
	if r.env.Past == nil {
		return PastValue{}, fmt.Errorf("%w: this node keeps no index of its ledger, and memory does not go back to seqno %d", coco.ErrMissing, at)
	}
	for {
		if err := r.mayRead(ctx); err != nil {
			return PastValue{}, err
		}
		leave, err := r.env.EnterPast(ctx, r.caller)
		if err != nil {
			return PastValue{}, err
		}
		start := r.env.Clock.Elapsed()
		v, err := r.env.PastIn(ctx, r.caller.Actor, r.within, table, key, at)
		leave()
		r.spend(r.env.Clock.Elapsed() - start)
		if !r.waits(ctx, err) {
			return v, err
		}
	}
}

// Search is Env.Search, but it waits a little for a part of the index that is being made, and fails with ErrPastLimit once
// the request has spent its time. What fn reads by Get counts there.
func (r *PastReader) Search(ctx context.Context, table string, groups [][][]byte, from, to uint64, fn func(first, last uint64) error) error {
	for {
		if err := r.mayRead(ctx); err != nil {
			return err
		}
		done, err := r.env.Search(ctx, table, groups, from, to, func(first, last uint64) error {
			if err := r.mayRead(ctx); err != nil {
				return err
			}
			return fn(first, last)
		})
		if from = done + 1; from > to || !r.waits(ctx, err) {
			return err
		}
	}
}

// mayRead fails once the request has spent its time, or has ended.
func (r *PastReader) mayRead(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spent > r.limit {
		return fmt.Errorf("%w: %v were spent on it: ask for less at a time", ErrPastLimit, r.limit)
	}
	return nil
}

func (r *PastReader) spend(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spent += d
}

// waits reports whether an answer may be there in a moment, after that moment.
func (r *PastReader) waits(ctx context.Context, err error) bool {
	r.mu.Lock()
	wait := errors.Is(err, coco.ErrPending) && r.waited < pastPatience
	if wait {
		r.waited += pastPoll
	}
	r.mu.Unlock()
	if wait {
		select {
		case <-r.env.Clock.After(pastPoll):
		case <-ctx.Done():
		}
	}
	return wait
}
