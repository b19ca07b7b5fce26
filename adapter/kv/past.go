package kv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/precondition"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/wire"
)

const (
	// pastTime bounds what one request may cost that reads the ledger.
	pastTime = 5 * time.Second

	defaultVersions = 10
	maxVersions     = 100
)

// pastQuery is what is asked of a key beside its value: that as of a seqno, its proof, or its history.
type pastQuery struct {
	at      uint64 // 0: the history, or the newest value with its proof
	before  uint64 // versions of earlier transactions only; 0: all
	limit   int
	history bool
	proof   bool
	named   string // the audience, as the query has it
}

func parsePast(query string) (q pastQuery, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return q, fmt.Errorf("%w: query: %v", coco.ErrInvalid, err)
	}
	for name, v := range values {
		if len(v) != 1 {
			return q, fmt.Errorf("%w: query: %q is given %d times", coco.ErrInvalid, name, len(v))
		}
		switch name {
		case "at":
			q.at, err = parseSeqno(name, v[0])
		case "before":
			q.before, err = parseSeqno(name, v[0])
		case "history":
			if q.history = true; v[0] != "" {
				err = fmt.Errorf("%w: query: history has no value, found %q", coco.ErrInvalid, v[0])
			}
		case "proof":
			if q.proof = true; v[0] != "" {
				err = fmt.Errorf("%w: query: proof has no value, found %q", coco.ErrInvalid, v[0])
			}
		case audienceQuery:
			if q.named = v[0]; q.named == "" {
				err = noAudience()
			}
		case "limit":
			q.limit, err = strconv.Atoi(v[0])
			if err != nil || q.limit < 1 || q.limit > maxVersions {
				err = fmt.Errorf("%w: query: limit: expected 1 to %d, found %q", coco.ErrInvalid, maxVersions, v[0])
			}
		default:
			err = fmt.Errorf("%w: query: expected at, proof, or history with limit and before, each with audience if wanted, found %q", coco.ErrInvalid, name)
		}
		if err != nil {
			return q, err
		}
	}
	if q.history == (q.at != 0 || q.proof) || !q.history && (q.before != 0 || q.limit != 0) {
		return q, fmt.Errorf("%w: query: expected at, proof, or history with limit and before", coco.ErrInvalid)
	}
	if q.limit == 0 {
		q.limit = defaultVersions
	}
	return q, nil
}

func parseSeqno(name, text string) (uint64, error) {
	seqno, err := strconv.ParseUint(text, 10, 64)
	if err != nil || seqno == 0 {
		return 0, fmt.Errorf("%w: query: %s: expected a seqno from 1 on, found %q", coco.ErrInvalid, name, text)
	}
	return seqno, nil
}

// getPast answers a read of what a key had.
func (l *ledger) getPast(caller coco.Caller, w http.ResponseWriter, r *http.Request, key []byte, conditions precondition.Pair) {
	q, err := parsePast(r.URL.RawQuery)
	var in place
	if err == nil {
		in, err = l.placeOf(caller, w, r, q.named)
	}
	if err == nil {
		err = in.alone()
	}
	if err == nil {
		read := adapter.Read{Subject: adapter.Past, Table: in.table(), Key: key, At: q.at}
		if q.proof && q.at == 0 {
			read.Subject = adapter.State
		}
		err = l.Authorize(caller, read)
	}
	if err != nil {
		l.fail(w, err)
		return
	}
	snap, newest, err := l.fresh(w, r)
	if err != nil {
		l.fail(w, err)
		return
	}
	present, exists := l.rows(&in, snap).Get(in.table(), key)
	snap.Release()
	if q.at > newest.Seqno || q.before > newest.Seqno+1 {
		l.fail(w, inFuture(max(q.at, q.before), newest.Seqno))
		return
	}
	if q.history {
		l.history(in, w, r, key, q, newest)
		return
	}
	if !exists {
		present = nil
	}
	asOf := newest
	if q.at == 0 {
		q.at = newest.Seqno
	}
	old, err := l.valueAt(r.Context(), in, key, q.at, newest.Seqno, present)
	if err != nil {
		l.fail(w, err)
		return
	}
	if q.proof {
		l.prove(in, w, r, old, asOf, conditions)
		return
	}
	if old.id != (coco.TxID{}) {
		setID(w, old.id)
	}
	l.answerValue(w, old.stored, conditions)
}

func inFuture(seqno, newest uint64) error {
	return fmt.Errorf("%w: seqno %d is in the future: this node has committed up to %d", coco.ErrInvalid, seqno, newest)
}

// oldValue is a value and the transaction that wrote it, which is zero if this node cannot tell its
// view at the moment.
type oldValue struct {
	stored []byte
	id     coco.TxID
}

// valueAt returns what a key had as of a committed seqno. present is what it has as of newest, or nil.
func (l *ledger) valueAt(ctx context.Context, in place, key []byte, at, newest uint64, present []byte) (oldValue, error) {
	stored, known := present, present != nil && versionOf(present) <= at || at == newest
	if !known {
		stored, known = l.remembered(in, key, at)
	}
	switch {
	case !known:
		return l.recorded(ctx, in, key, at)
	case stored == nil:
		return oldValue{}, noKeyAt(at)
	}
	return oldValue{stored, l.writerOf(ctx, in, key, versionOf(stored))}, nil
}

func noKeyAt(at uint64) error {
	return fmt.Errorf("%w: there was no such key as of seqno %d", coco.ErrNotFound, at)
}

// remembered looks for a value in the store, which keeps one version of a key for a batch: the last.
// That answers unless the key was written later in the very batch that holds the seqno.
func (l *ledger) remembered(in place, key []byte, at uint64) (stored []byte, known bool) {
	l.mu.Lock()
	end, ok := l.commits.end(at)
	l.mu.Unlock()
	if !ok {
		return nil, false
	}
	snap, err := l.env.State.SnapshotAt(end)
	if err != nil {
		return nil, false // it has just left memory
	}
	defer snap.Release()
	if stored, ok = l.rows(&in, snap).Get(in.table(), key); !ok {
		return nil, at == end
	}
	return stored, versionOf(stored) <= at
}

// writerOf names the transaction that wrote a value, by asking the ledger if memory does not tell.
func (l *ledger) writerOf(ctx context.Context, in place, key []byte, seqno uint64) coco.TxID {
	l.mu.Lock()
	id, ok := l.commits.id(seqno)
	l.mu.Unlock()
	if ok || l.env.Past == nil {
		return id
	}
	if p, err := l.env.PastIn(ctx, in.caller.Actor, in.audience, in.table(), key, seqno); err == nil && p.TxID.Seqno == seqno {
		return p.TxID
	}
	return coco.TxID{}
}

// recorded reads a value from the ledger.
func (l *ledger) recorded(ctx context.Context, in place, key []byte, at uint64) (oldValue, error) {
	p, err := l.readPast(ctx, l.pastOf(in), in, key, at)
	switch {
	case errors.Is(err, coco.ErrNotFound):
		return oldValue{}, noKeyAt(at)
	case err != nil:
		return oldValue{}, err
	case p.Deleted:
		return oldValue{}, fmt.Errorf("%w: there was no such key as of seqno %d: transaction %v had deleted it", coco.ErrNotFound, at, p.TxID)
	}
	return oldValue{p.Value, p.TxID}, nil
}

// readPast reads a key's version as of a seqno. A value names the transaction that wrote it: an entry of the ledger
// that names another one is coco.ErrCorrupt.
func (l *ledger) readPast(ctx context.Context, past *adapter.PastReader, in place, key []byte, at uint64) (adapter.PastValue, error) {
	if err := l.mayKnow(&in, key); err != nil {
		return adapter.PastValue{}, err
	}
	p, err := past.Get(ctx, in.table(), key, at)
	switch {
	case err != nil:
		return p, err
	case p.TxID.Seqno < 1 || p.TxID.Seqno > at:
		return p, fmt.Errorf("%w: as of seqno %d the ledger answers by transaction %v, which is later", coco.ErrCorrupt, at, p.TxID)
	case !p.Deleted && !wellFormed(p.Value, p.TxID.Seqno):
		return p, fmt.Errorf("%w: a value in %s of transaction %v has %d bytes and does not begin with its seqno", coco.ErrCorrupt, in.table(), p.TxID, len(p.Value))
	}
	return p, nil
}

// history answers by a key's versions. A page that has some ends where the ledger cannot be read at
// the moment: the request for the next page then says why.
func (l *ledger) history(in place, w http.ResponseWriter, r *http.Request, key []byte, q pastQuery, newest coco.TxID) {
	at := newest.Seqno
	if q.before != 0 {
		at = q.before - 1
	}
	past, claim := l.pastOf(in), adapter.ClaimOf(w)
	page, size := wire.RowVersions{ID: newest, Items: []wire.RowVersion{}}, 0
	for at > 0 {
		if len(page.Items) == q.limit || size >= pageBytes {
			page.Next = nextVersions(r.URL, &in, q.limit, at+1)
			break
		}
		p, err := l.readPast(r.Context(), past, in, key, at)
		if errors.Is(err, coco.ErrNotFound) {
			break
		}
		if err != nil && len(page.Items) > 0 {
			page.Next = nextVersions(r.URL, &in, q.limit, at+1)
			break
		}
		if err != nil {
			l.fail(w, err)
			return
		}
		if err := claim.Take(len(p.Value)); err != nil { // the value came from the ledger: it is this request's alone
			l.fail(w, err)
			return
		}
		page.Items = append(page.Items, versionItem(&p))
		size += len(p.Value)
		at = p.TxID.Seqno - 1
	}
	if len(page.Items) == 0 && q.before == 0 {
		l.fail(w, fmt.Errorf("%w: there never was such a key", coco.ErrNotFound))
		return
	}
	setID(w, newest)
	l.answerPage(w, func(out *budget.Buffer) error { return writePage(out, page.ID, page.Items, page.Next) })
}

func versionItem(p *adapter.PastValue) wire.RowVersion {
	v := wire.RowVersion{ID: p.TxID, Deleted: p.Deleted, Time: time.UnixMilli(int64(p.Time)).UTC().Format("2006-01-02T15:04:05.000Z")}
	if !p.Deleted {
		media, value := contentOf(p.Value)
		v.Media, v.Value = otherMedia(media), &value
	}
	return v
}

func nextVersions(at *url.URL, in *place, limit int, before uint64) string {
	next := at.EscapedPath() + "?history&limit=" + strconv.Itoa(limit) + "&before=" + strconv.FormatUint(before, 10)
	if in.audience != nil {
		next += "&" + audienceQuery + "=" + url.QueryEscape(in.query())
	}
	return next
}
