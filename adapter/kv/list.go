package kv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

const (
	defaultItems = 100
	maxItems     = 1000
	// pageBytes is the size of keys and values after which a page ends before its limit of items.
	pageBytes = 1 << 20
)

// listQuery is what is asked of a range of keys.
type listQuery struct {
	place
	from, to []byte // from ≤ key < to; nil: no end
	prefix   []byte // of all keys; then to is its end
	limit    int    // items of a page
	keys     bool   // without values
	at       uint64 // as of this committed seqno; 0: the newest state
	named    string // the audience, as the query has it
}

func (l *ledger) list(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	q, err := l.parseList(r.URL.RawQuery)
	if err == nil {
		q.place, err = l.placeOf(caller, w, r, q.named)
	}
	if err == nil {
		err = q.alone()
	}
	if err == nil {
		err = l.Authorize(caller, adapter.Read{Subject: adapter.State, Table: q.table(), Key: q.from, End: q.to, Range: true})
	}
	if err == nil && q.at != 0 {
		err = l.Authorize(caller, adapter.Read{Subject: adapter.Past, Table: q.table(), Key: q.from, End: q.to, Range: true, At: q.at})
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
	var found stretch
	if q.at == 0 || q.at == id.Seqno {
		found = q.collect(l.rows(&q.place, snap))
		snap.Release()
	} else {
		snap.Release()
		if found, err = l.rangeAt(q, id.Seqno); err != nil {
			l.fail(w, err)
			return
		}
	}
	p := q.page(id, found)
	setID(w, id)
	l.answerPage(w, func(out *budget.Buffer) error { return writePage(out, p.ID, p.Items, p.Next) })
}

// entry is a key and what is stored under it.
type entry struct{ key, stored []byte }

// stretch is the beginning of a range, as much as a page may have.
type stretch struct {
	entries []entry
	next    []byte // the first key of the range that is not in entries; nil if there is none
}

// collect returns the beginning of a range.
func (q *listQuery) collect(rows store.Reader) (s stretch) {
	size := 0
	rows.Range(q.table(), q.from, q.to, func(key, stored []byte) bool {
		if len(s.entries) == q.limit || size >= pageBytes {
			s.next = key
			return false
		}
		s.entries = append(s.entries, entry{key, stored})
		size += len(key) + len(stored)
		return true
	})
	return s
}

// page makes a page of the beginning of a range.
func (q *listQuery) page(id coco.TxID, s stretch) wire.Rows {
	p := wire.Rows{ID: id, Items: []wire.Row{}}
	for _, e := range s.entries {
		p.Items = append(p.Items, q.newItem(e.key, e.stored))
	}
	if s.next != nil {
		p.Next = root + "?" + q.next(s.next)
	}
	return p
}

// next is the query of the page that begins with a key.
func (q *listQuery) next(key []byte) string {
	v := url.Values{"from": {string(key)}, "limit": {strconv.Itoa(q.limit)}}
	switch {
	case q.prefix != nil:
		v.Set("prefix", string(q.prefix))
	case q.to != nil:
		v.Set("to", string(q.to))
	}
	if q.keys {
		v.Set("keys", "")
	}
	if q.at != 0 {
		v.Set("at", strconv.FormatUint(q.at, 10))
	}
	if q.audience != nil {
		v.Set(audienceQuery, q.query())
	}
	return v.Encode()
}

// rangeAt returns the beginning of a range as of a seqno in memory. The store has the states at the ends of batches; a key that one batch
// wrote and deleted is in none of them.
func (l *ledger) rangeAt(q listQuery, newest uint64) (stretch, error) {
	if q.at > newest {
		return stretch{}, inFuture(q.at, newest)
	}
	l.mu.Lock()
	before, end, oldest, ok := l.commits.around(q.at)
	l.mu.Unlock()
	if !ok {
		return stretch{}, goneRange(q.at, oldest)
	}
	if q.at != end {
		return stretch{}, fmt.Errorf("%w: a range as of seqno %d: expected the end of a batch, which every transaction_id of a page is; the next ones are %d and %d", coco.ErrInvalid, q.at, before, end)
	}
	snap, err := l.env.State.SnapshotAt(end)
	if err != nil {
		return stretch{}, goneRange(q.at, end+1) // it has just left memory
	}
	defer snap.Release()
	return q.collect(l.rows(&q.place, snap)), nil
}

func goneRange(at, oldest uint64) error {
	return fmt.Errorf("%w: a range as of seqno %d: this node has whole states from about seqno %d on; a single key can be read as of any seqno", coco.ErrNotFound, at, oldest)
}

// parseList reads the query of a range.
func (l *ledger) parseList(query string) (q listQuery, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return q, fmt.Errorf("%w: query: %v", coco.ErrInvalid, err)
	}
	q.limit = defaultItems
	for name, v := range values {
		if len(v) != 1 {
			return q, fmt.Errorf("%w: query: %q is given %d times", coco.ErrInvalid, name, len(v))
		}
		switch name {
		case "from":
			q.from = []byte(v[0])
		case "to":
			q.to = []byte(v[0])
		case "prefix":
			q.prefix = []byte(v[0])
		case "limit":
			q.limit, err = strconv.Atoi(v[0])
			if err != nil || q.limit < 1 || q.limit > maxItems {
				return q, fmt.Errorf("%w: query: limit: expected 1 to %d, found %q", coco.ErrInvalid, maxItems, v[0])
			}
		case "keys":
			if q.keys = true; v[0] != "" {
				return q, fmt.Errorf("%w: query: keys has no value, found %q", coco.ErrInvalid, v[0])
			}
		case audienceQuery:
			if q.named = v[0]; q.named == "" {
				return q, noAudience()
			}
		case "at":
			if q.at, err = parseSeqno(name, v[0]); err != nil {
				return q, err
			}
		default:
			return q, fmt.Errorf("%w: query: expected prefix, from, to, limit, keys, at and audience, found %q", coco.ErrInvalid, name)
		}
	}
	if most := max(len(q.from), len(q.to), len(q.prefix)); most > maxKeyBytes {
		return q, fmt.Errorf("%w: query: a bound of %d bytes: keys have at most %d", coco.ErrInvalid, most, maxKeyBytes)
	}
	if len(q.to) == 0 {
		q.to = nil // no end
	}
	if len(q.prefix) == 0 {
		q.prefix = nil
		return q, nil
	}
	if q.to != nil || len(q.from) > 0 && !bytes.HasPrefix(q.from, q.prefix) {
		return q, fmt.Errorf("%w: query: expected prefix with no to, and from within the prefix", coco.ErrInvalid)
	}
	if q.to = store.Behind(q.prefix); len(q.from) == 0 {
		q.from = q.prefix
	}
	return q, nil
}

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

// newItem makes the item of a key and what is stored.
func (q *listQuery) newItem(key, stored []byte) wire.Row {
	media, value := contentOf(stored)
	it := wire.Row{Key: key, Media: otherMedia(media), Version: versionOf(stored)}
	if utf8.Valid(key) && !bytes.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) }) {
		it.Text = string(key)
	}
	if !q.keys {
		it.Value = &value
	}
	return it
}

// otherMedia is what a page says of a media type.
func otherMedia(media string) string {
	if media == wire.MediaBytes {
		return ""
	}
	return media
}
