package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

const kvRoot = "/app/kv"

// KV reads and writes rows of kv (docs/http.md, "/app/kv"): those that all callers see or, by [KV.For], those of an audience. It is safe for
// concurrent use. Errors have the kinds of the table in package wire.
type KV struct {
	c        *Client
	audience string // the value of wire.HeaderAudience
	limited  bool   // there is an audience, if it is one that no node admits
	least    string // the value of wire.HeaderAtLeast; empty for none
}

// KV returns the rows that all callers see.
func (c *Client) KV() KV { return KV{c: c} }

// For returns the rows of an audience: organisations by their names or by their ids (64 hexadecimal digits), in any order. The caller's
// organisation sees and writes them only if it is one of them. Without organisations they are the rows that all callers see; an organisation whose name is
// empty is coco.ErrInvalid in every request, so that a name which is missing opens nothing.
func (k KV) For(audience ...string) KV {
	k.audience, k.limited = strings.Join(audience, ","), len(audience) > 0
	return k
}

// AtLeast returns the same rows, read as of a state that holds a transaction which any node has answered: a node waits up to 5 s for it. The error is
// coco.ErrBusy if it does not have it by then.
func (k KV) AtLeast(tx coco.TxID) KV {
	k.least = tx.String()
	return k
}

// Resident returns the rows of an audience whose contents are on the nodes of its organisations alone (docs/http.md, "Resident rows"): for rows that For has
// returned. A node of another organisation refuses and names nodes of the audience, which are asked in its place if the client's policy names a service, once they
// have proven what it says; the value is not sent to a node that refuses. There are no lists and histories of these rows.
func (k KV) Resident() KV {
	k.audience, k.limited = k.audience+resident, true
	return k
}

// resident marks an audience's rows as those whose contents its nodes alone have.
const resident = "; resident"

// Condition is what must hold for a write. The zero Condition always holds.
type Condition struct {
	Match     string // "*": the key exists; or the only version that it may have, such as "17"
	NoneMatch string // "*": there is no such key; or a version that it must not have
}

// Value is a value and its version.
type Value struct {
	TxID        coco.TxID // the last transaction of the state that was read, or of GetAt the one that wrote, which is zero if the node cannot name it now
	Version     uint64    // seqno of the transaction that wrote the value
	ContentType string    // as it was put; wire.MediaBytes if it was put without
	Value       []byte
	Salt        []byte // of a resident row's commitment: with it, and the receipt of the write, the value is proven to somebody else; nil for other rows
}

// Written says what became of a write.
type Written struct {
	TxID    coco.TxID // its Seqno is the version of what was put
	Created bool      // of Put: there was no such key
}

// Get reads a key. The error is coco.ErrNotFound if it is absent, or if the caller may not see it.
func (k KV) Get(ctx context.Context, key string) (Value, error) { return k.get(ctx, key, "") }

// GetAt reads what a key had as of a committed seqno.
func (k KV) GetAt(ctx context.Context, key string, seqno uint64) (Value, error) {
	return k.get(ctx, key, "?at="+strconv.FormatUint(seqno, 10))
}

func (k KV) get(ctx context.Context, key, query string) (Value, error) {
	resp, err := k.ask(ctx, http.MethodGet, pathOf(key)+query, nil, nil)
	if err != nil {
		return Value{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return Value{}, readError(resp)
	}
	v := Value{ContentType: resp.Header.Get("Content-Type")}
	if salt := resp.Header.Get(wire.HeaderSalt); salt != "" {
		if v.Salt, err = hex.DecodeString(salt); err != nil {
			resp.Body.Close()
			return Value{}, fmt.Errorf("%w: key %q: header %s is no hexadecimal number: %.100q", coco.ErrCorrupt, key, wire.HeaderSalt, salt)
		}
	}
	if v.Value, err = readAll(resp); err != nil {
		return Value{}, err
	}
	tag := resp.Header.Get("Etag")
	if v.Version, err = strconv.ParseUint(strings.Trim(tag, `"`), 10, 64); err != nil {
		return Value{}, fmt.Errorf("%w: key %q: the entity tag %q is no version", coco.ErrCorrupt, key, tag)
	}
	v.TxID, err = txOf(resp, query != "")
	return v, err
}

// Put puts a value under a key, by one transaction; when it returns without an error, that is committed. An empty content type is wire.MediaBytes.
// An error with the code wire.CodePrecondition says that the condition did not hold: nothing was written.
func (k KV) Put(ctx context.Context, key string, value []byte, contentType string, c Condition) (Written, error) {
	h := c.header()
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return k.write(ctx, http.MethodPut, key, value, h)
}

// Delete removes a key, by one transaction, as Put puts one. To delete an absent key is no error, unless the condition is that it exists.
func (k KV) Delete(ctx context.Context, key string, c Condition) (Written, error) {
	return k.write(ctx, http.MethodDelete, key, nil, c.header())
}

func (k KV) write(ctx context.Context, method, key string, body []byte, h http.Header) (Written, error) {
	resp, err := k.ask(ctx, method, pathOf(key), body, h)
	if err != nil {
		return Written{}, err
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusNoContent {
		return Written{}, readError(resp)
	}
	resp.Body.Close()
	tx, err := txOf(resp, false)
	return Written{TxID: tx, Created: resp.StatusCode == http.StatusCreated}, err
}

// Range is a range of keys. The zero Range is all of them.
type Range struct {
	Prefix string // of all keys
	From   string // the first key; within Prefix, if there is one
	Limit  int    // rows of a page, at most 1,000; 0 is 100
	Keys   bool   // without values
	At     uint64 // as of this seqno, which a page's transaction id is; 0 is the newest state
}

// List returns the first page of a range. Rows that the caller may not see are not in it.
func (k KV) List(ctx context.Context, r Range) (page wire.Rows, err error) {
	q := url.Values{}
	set := func(name, value string, given bool) {
		if given {
			q.Set(name, value)
		}
	}
	set("prefix", r.Prefix, r.Prefix != "")
	set("from", r.From, r.From != "")
	set("limit", strconv.Itoa(r.Limit), r.Limit != 0)
	set("keys", "", r.Keys)
	set("at", strconv.FormatUint(r.At, 10), r.At != 0)
	return page, k.page(ctx, kvRoot+"?"+q.Encode(), kvRoot+"?", &page)
}

// More returns the page after one whose Next is not empty.
func (k KV) More(ctx context.Context, after wire.Rows) (page wire.Rows, err error) {
	return page, k.page(ctx, after.Next, kvRoot+"?", &page)
}

// History returns the newest versions of a key, at most limit (1 to 100; 0 is 10).
func (k KV) History(ctx context.Context, key string, limit int) (page wire.RowVersions, err error) {
	path := pathOf(key) + "?history"
	if limit != 0 {
		path += "&limit=" + strconv.Itoa(limit)
	}
	return page, k.page(ctx, path, kvRoot+"/", &page)
}

// Earlier returns the versions before those of a page whose Next is not empty.
func (k KV) Earlier(ctx context.Context, than wire.RowVersions) (page wire.RowVersions, err error) {
	return page, k.page(ctx, than.Next, kvRoot+"/", &page)
}

// page asks for a page, at a path below root: a page's next is the node's word.
func (k KV) page(ctx context.Context, path, root string, page any) error {
	if !strings.HasPrefix(path, root) {
		return fmt.Errorf("%w: the next page is said to be at %.100q: expected a path below %s", coco.ErrCorrupt, path, root)
	}
	resp, err := k.ask(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return readError(resp)
	}
	body, err := readAll(resp)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, page); err != nil {
		return fmt.Errorf("%w: a page of kv: %w", coco.ErrCorrupt, err)
	}
	return nil
}

func (k KV) ask(ctx context.Context, method, path string, body []byte, h http.Header) (*http.Response, error) {
	request := func() (*http.Request, error) { return k.request(ctx, method, path, body, h) }
	if strings.HasSuffix(k.audience, resident) {
		return k.c.reside(ctx, k.audience, request)
	}
	return k.c.once(request)
}

func (k KV) request(ctx context.Context, method, path string, body []byte, h http.Header) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://node"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	for name, v := range h {
		req.Header[name] = v
	}
	if k.limited {
		req.Header.Set(wire.HeaderAudience, k.audience)
	}
	if len(body) > 0 && strings.HasSuffix(k.audience, resident) {
		req.Header.Set("Expect", "100-continue") // a node that must not have the value refuses before it is sent
	}
	if k.least != "" && method == http.MethodGet {
		req.Header.Set(wire.HeaderAtLeast, k.least)
	}
	return req, nil
}

func (c Condition) header() http.Header {
	h := http.Header{}
	for name, tag := range map[string]string{"If-Match": c.Match, "If-None-Match": c.NoneMatch} {
		switch tag {
		case "":
		case "*":
			h.Set(name, tag)
		default:
			h.Set(name, `"`+tag+`"`)
		}
	}
	return h
}

// pathOf escapes a key. The dots of a key that is a dot segment are escaped, too: a path with one names another path.
func pathOf(key string) string {
	escaped := url.PathEscape(key)
	if key == "." || key == ".." {
		escaped = strings.ReplaceAll(key, ".", "%2E")
	}
	return kvRoot + "/" + escaped
}

// txOf reads the transaction of an answer, which may be missing if it is optional.
func txOf(resp *http.Response, optional bool) (coco.TxID, error) {
	h := resp.Header.Get(wire.HeaderTxID)
	if h == "" && optional {
		return coco.TxID{}, nil
	}
	tx, err := coco.ParseTxID(h)
	if err != nil {
		return tx, fmt.Errorf("header %s: %w", wire.HeaderTxID, err)
	}
	return tx, nil
}
