package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

const (
	// maxWait bounds how long a read waits for this node to catch up with its session.
	maxWait = 5 * time.Second

	defaultItems = 100
	maxItems     = 1000
	// pageBytes is the size of keys and values after which a page ends before its limit of items.
	pageBytes = 1 << 20
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
	}
	commit := l.newest()
	if commit.Last == 0 && l.env.State.Committed() > 0 {
		return nil, coco.TxID{}, fmt.Errorf("%w: this node is beginning with a state that is restored; ask again", coco.ErrBusy)
	}
	snap, err := l.env.State.SnapshotAt(commit.Last)
	return snap, coco.TxID{View: commit.View, Seqno: commit.Last}, err
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
	condition, err := conditionOf(r.Header)
	if err != nil {
		l.fail(w, err)
		return
	}
	if r.URL.RawQuery != "" {
		l.getPast(caller, w, r, key, condition)
		return
	}
	err = l.Authorize(caller, adapter.Read{Subject: adapter.State, Table: table, Key: key})
	if err == nil {
		err = l.latest(caller, r)
	}
	if err != nil {
		l.fail(w, err)
		return
	}
	snap, id, err := l.snapshot(r)
	if err != nil {
		l.fail(w, err)
		return
	}
	stored, exists := snap.Get(table, key)
	snap.Release() // the value itself is never changed
	setID(w, id)
	if !exists {
		l.fail(w, fmt.Errorf("%w: no such key", coco.ErrNotFound))
		return
	}
	l.answerValue(w, stored, condition)
}

// answerValue answers by a stored value, if the condition holds for it.
func (l *ledger) answerValue(w http.ResponseWriter, stored []byte, condition condition) {
	version := versionOf(stored)
	setTag(w, version)
	switch {
	case condition.holds(version):
		media, value := contentOf(stored)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", valuePolicy)
		writeContent(w, media, value)
	case condition.match():
		l.fail(w, &preconditionError{condition: condition, found: version})
	default:
		w.WriteHeader(http.StatusNotModified)
	}
}

// valuePolicy keeps a browser that opens a value from running it, or from letting it use what the page's origin may: the
// value is another organisation's, and the loopback proxy serves it beside JSON-RPC.
const valuePolicy = "sandbox; default-src 'none'"

// page is the answer to a range.
type page struct {
	ID    coco.TxID `json:"transaction_id"` // of the state read
	Items []item    `json:"items"`
	Next  string    `json:"next,omitempty"` // path and query of the next page, if there is more
}

// write writes the page's JSON item by item.
func (p *page) write(out *budget.Buffer) error { return writePage(out, p.ID, p.Items, p.Next) }

// writePage writes a page as encoding/json would, with one item in memory twice at a time.
func writePage[T any](out *budget.Buffer, id coco.TxID, items []T, next string) error {
	head, err := json.Marshal(id)
	if err == nil {
		_, err = fmt.Fprintf(out, `{"transaction_id":%s,"items":[`, head)
	}
	for i := 0; i < len(items) && err == nil; i++ {
		var text []byte
		if i > 0 {
			_, err = out.WriteString(",")
		}
		if err == nil {
			text, err = json.Marshal(&items[i])
		}
		if err == nil {
			err = out.Own(text)
		}
	}
	if err != nil {
		return err
	}
	end := []byte("]")
	if next != "" {
		text, err := json.Marshal(next)
		if err != nil {
			return err
		}
		end = append(append(end, `,"next":`...), text...)
	}
	_, err = out.Write(append(end, "}\n"...))
	return err
}

type item struct {
	Key     []byte `json:"key"`
	Media   string `json:"content_type,omitempty"` // absent for wire.MediaBytes
	Value   []byte `json:"value"`
	Version uint64 `json:"etag,string"`
}

// otherMedia is what a page says of a media type.
func otherMedia(media string) string {
	if media == wire.MediaBytes {
		return ""
	}
	return media
}

func (l *ledger) list(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	from, to, limit, err := l.bounds(r.URL.RawQuery)
	if err == nil {
		err = l.Authorize(caller, adapter.Read{Subject: adapter.State, Table: table, Key: from, End: to, Range: true})
	}
	if err == nil {
		err = l.latest(caller, r)
	}
	if err != nil {
		l.fail(w, err)
		return
	}
	snap, id, err := l.snapshot(r)
	if err != nil {
		l.fail(w, err)
		return
	}
	p, size := page{ID: id, Items: []item{}}, 0
	snap.Range(table, from, to, func(key, stored []byte) bool {
		if len(p.Items) == limit || size >= pageBytes {
			query := url.Values{"from": {string(key)}, "limit": {strconv.Itoa(limit)}}
			if to != nil {
				query.Set("to", string(to))
			}
			p.Next = root + "?" + query.Encode()
			return false
		}
		media, value := contentOf(stored)
		p.Items = append(p.Items, item{key, otherMedia(media), value, versionOf(stored)})
		size += len(key) + len(stored)
		return true
	})
	snap.Release()
	setID(w, id)
	l.answerPage(w, p.write)
}

// bounds reads the query of a range.
func (l *ledger) bounds(query string) (from, to []byte, limit int, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("%w: query: %v", coco.ErrInvalid, err)
	}
	limit = defaultItems
	for name, v := range values {
		if len(v) != 1 {
			return nil, nil, 0, fmt.Errorf("%w: query: %q is given %d times", coco.ErrInvalid, name, len(v))
		}
		switch name {
		case "from":
			from = []byte(v[0])
		case "to":
			to = []byte(v[0])
		case "limit":
			limit, err = strconv.Atoi(v[0])
			if err != nil || limit < 1 || limit > maxItems {
				return nil, nil, 0, fmt.Errorf("%w: query: limit: expected 1 to %d, found %q", coco.ErrInvalid, maxItems, v[0])
			}
		default:
			return nil, nil, 0, fmt.Errorf("%w: query: expected from, to and limit, found %q", coco.ErrInvalid, name)
		}
	}
	if most := max(len(from), len(to)); most > l.settings.MaxKeyBytes {
		return nil, nil, 0, fmt.Errorf("%w: query: a bound of %d bytes: keys have at most %d", coco.ErrInvalid, most, l.settings.MaxKeyBytes)
	}
	if len(to) == 0 {
		to = nil // no end
	}
	return from, to, limit, nil
}
