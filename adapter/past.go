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

// PastReader reads the past for one request, within bounds of time for all its reads together. It is
// safe for concurrent use.
type PastReader struct {
	env   *Env
	limit time.Duration

	mu     sync.Mutex
	spent  time.Duration // in reads
	waited time.Duration // for pending answers
}

// NewPastReader returns the reader of one request, which may spend limit on reading the past.
func (e *Env) NewPastReader(limit time.Duration) *PastReader {
	return &PastReader{env: e, limit: limit}
}

// Get is Env.Past, but it waits a little for an answer that is being prepared, and fails with
// ErrPastLimit once the request has spent its time. Without Env.Past everything is coco.ErrMissing.
func (r *PastReader) Get(ctx context.Context, table string, key []byte, at uint64) (PastValue, error) {
	if r.env.Past == nil {
		return PastValue{}, fmt.Errorf("%w: this node keeps no index of its ledger, and memory does not go back to seqno %d", coco.ErrMissing, at)
	}
	for {
		if err := context.Cause(ctx); err != nil {
			return PastValue{}, err
		}
		r.mu.Lock()
		spent := r.spent
		r.mu.Unlock()
		if spent > r.limit {
			return PastValue{}, fmt.Errorf("%w: %v were spent on it: ask for less at a time", ErrPastLimit, r.limit)
		}
		start := r.env.Clock.Elapsed()
		v, err := r.env.Past(ctx, table, key, at)
		r.mu.Lock()
		r.spent += r.env.Clock.Elapsed() - start
		wait := errors.Is(err, coco.ErrPending) && r.waited < pastPatience
		if wait {
			r.waited += pastPoll
		}
		r.mu.Unlock()
		if !wait {
			return v, err
		}
		select {
		case <-r.env.Clock.After(pastPoll):
		case <-ctx.Done():
		}
	}
}
