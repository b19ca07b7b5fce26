package kv

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv/precondition"
	"github.com/cocoframework/coco/store"
)

const root = "/app/kv"

// document describes the endpoints in OpenAPI.
//
//go:embed openapi.json
var document []byte

// Endpoints implements adapter.Ledger.
func (l *ledger) Endpoints() []adapter.Endpoint {
	return []adapter.Endpoint{
		{Pattern: "GET " + root, Handler: l.list, Query: []string{"prefix", "from", "to", "limit", "keys", "at", audienceQuery}, OpenAPI: document},
		{Pattern: "POST " + root, Handler: l.batch, OpenAPI: document},
		{Pattern: "GET " + root + "/{key...}", Handler: l.get, Query: []string{"at", "history", "limit", "before", "proof", audienceQuery}, OpenAPI: document},
		{Pattern: "PUT " + root + "/{key...}", Handler: l.put, OpenAPI: document},
		{Pattern: "DELETE " + root + "/{key...}", Handler: l.delete, OpenAPI: document},
	}
}

// key is the rest of the path after root, unescaped.
func (l *ledger) key(r *http.Request) ([]byte, error) {
	key := strings.TrimPrefix(r.URL.Path, root+"/")
	op := operation{key: []byte(key)}
	return op.key, l.settings().check(&op)
}

// condition reads the condition of a write.
func (l *ledger) condition(op *operation, h http.Header) error {
	c, err := precondition.Of(h)
	if err != nil {
		return err
	}
	op.condition = c.Both()
	return l.settings().check(op)
}

func (l *ledger) put(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	wr := newWrite()
	op := &wr.ops[0]
	op.kind = opPut
	var err error
	if op.key, err = l.key(r); err == nil {
		err = l.condition(op, r.Header)
	}
	if err == nil {
		err = l.limit(wr, caller, r.Header)
	}
	if err == nil {
		err = l.here(w, wr.to())
	}
	if err == nil && l.settings().Format >= formatMedia {
		op.media, err = parseMedia(r.Header["Content-Type"])
	}
	if err == nil && (len(r.Header["Content-Range"]) > 0 || len(r.Header["Content-Encoding"]) > 0) {
		err = fmt.Errorf("%w: a value is put as a whole and as it is: without Content-Range and Content-Encoding", coco.ErrInvalid)
	}
	if err != nil {
		l.fail(w, err)
		return
	}
	payload, err := l.readValue(r, wr.audience(), op)
	if err != nil {
		l.fail(w, err)
		return
	}
	if wr.to().resident {
		l.submitResident(caller, wr, w, r)
		return
	}
	op.digest = sha256.Sum256(op.value)
	l.submitOne(caller, wr, payload, w, r)
}

// readValue reads the body into the payload that it will travel in, and makes op refer to it.
func (l *ledger) readValue(r *http.Request, audience store.Audience, op *operation) ([]byte, error) {
	if r.ContentLength < 0 {
		value, err := io.ReadAll(io.LimitReader(r.Body, int64(l.settings().MaxValueBytes)+1))
		if err != nil {
			return nil, bodyError(err)
		}
		op.value = value
		if err := l.settings().check(op); err != nil {
			return nil, err
		}
		return encodeWriteTo(audience, []operation{*op}), nil
	}
	if r.ContentLength > int64(l.settings().MaxValueBytes) {
		return nil, l.settings().valueTooLarge()
	}
	n := int(r.ContentLength)
	payload := make([]byte, 0, payloadHeaderSize(audience)+op.size()+n)
	payload = op.append(appendPayloadHeader(payload, audience, 1), n)
	op.value = payload[len(payload) : len(payload)+n]
	if _, err := io.ReadFull(r.Body, op.value); err != nil {
		return nil, bodyError(err)
	}
	return payload[:len(payload)+n], nil
}

func (l *ledger) delete(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	wr := newWrite()
	op := &wr.ops[0]
	var err error
	if op.key, err = l.key(r); err == nil {
		err = l.condition(op, r.Header)
	}
	if err == nil {
		err = l.limit(wr, caller, r.Header)
	}
	if err == nil {
		err = l.here(w, wr.to())
	}
	if err != nil {
		l.fail(w, err)
		return
	}
	op.kind = opDelete
	if wr.to().resident {
		l.submitResident(caller, wr, w, r)
		return
	}
	op.digest = sha256.Sum256(nil)
	l.submitOne(caller, wr, encodeWriteTo(wr.audience(), wr.ops), w, r)
}

// submit sends a write through consensus. A write that was refused is a preconditionError.
func (l *ledger) submit(caller coco.Caller, wr *write, payload []byte, r *http.Request) (coco.TxID, reply, error) {
	if err := l.mayWrite(caller, wr); err != nil {
		return coco.TxID{}, reply{}, err
	}
	ctx := r.Context()
	result := l.env.Submit(ctx, &adapter.Call{Caller: caller, Payload: payload, Decoded: wr, Done: ctx.Done()})[0]
	if result.Err != nil {
		return coco.TxID{}, reply{}, result.Err
	}
	rep, err := decodeReply(result.Reply, len(wr.ops))
	if err == nil && rep.refused {
		err = &preconditionError{op: rep.op, of: len(wr.ops), condition: wr.ops[rep.op].condition, found: rep.version}
	}
	return result.TxID, rep, err
}

func (l *ledger) submitOne(caller coco.Caller, wr *write, payload []byte, w http.ResponseWriter, r *http.Request) {
	id, rep, err := l.submit(caller, wr, payload, r)
	l.answerWrite(w, wr, id, rep, err)
}

// answerWrite answers a write of one operation.
func (l *ledger) answerWrite(w http.ResponseWriter, wr *write, id coco.TxID, rep reply, err error) {
	if refused := (*preconditionError)(nil); errors.As(err, &refused) && refused.found != 0 {
		setTag(w, refused.found)
	}
	if err != nil {
		l.fail(w, err)
		return
	}
	setID(w, id)
	status := http.StatusNoContent
	if wr.ops[0].kind == opPut {
		setTag(w, id.Seqno)
		if rep.previousOf(0) == 0 {
			status = http.StatusCreated
		}
	}
	w.WriteHeader(status)
}

// batchOperation is one of the list that a POST brings.
type batchOperation struct {
	Op          string  `json:"op"` // "put" or "delete"
	Key         []byte  `json:"key"`
	Media       *string `json:"content_type"`  // of a put; absent for wire.MediaBytes
	Value       *[]byte `json:"value"`         // of a put
	IfMatch     *string `json:"if_match"`      // "*" or an entity tag without quotes
	IfNoneMatch *string `json:"if_none_match"` // the same
}

func (b *batchOperation) operation(s Settings) (op operation, err error) {
	op.key = b.Key
	switch {
	case b.Op == "put" && b.Value != nil:
		op.kind, op.value = opPut, *b.Value
	case b.Op == "delete" && b.Value == nil && b.Media == nil:
		op.kind = opDelete
	default:
		return op, fmt.Errorf("%w: expected \"op\":\"put\" with a value or \"op\":\"delete\" without one, found %q", coco.ErrInvalid, b.Op)
	}
	if b.Media != nil {
		if s.Format < formatMedia {
			return op, s.unknown("content_type")
		}
		if op.media, err = parseMedia([]string{*b.Media}); err != nil {
			return op, err
		}
	}
	var c precondition.Pair
	if b.IfMatch != nil {
		c.Match, err = precondition.Plain("if_match", precondition.Present, precondition.Equals, *b.IfMatch)
	}
	if err == nil && b.IfNoneMatch != nil {
		c.None, err = precondition.Plain("if_none_match", precondition.Absent, precondition.Differs, *b.IfNoneMatch)
	}
	op.condition = c.Both()
	return op, err
}

// batchAnswer is the answer to a batch that was committed.
type batchAnswer struct {
	ID      coco.TxID     `json:"transaction_id"`
	Version uint64        `json:"etag,string"` // of everything that was put
	Results []batchResult `json:"results"`     // one for each operation
}

type batchResult struct {
	Previous uint64 `json:"previous,string,omitempty"` // the entity tag that the operation met; absent if there was no such key
}

func (l *ledger) batch(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	to, err := l.writesTo(caller, r.Header)
	if err == nil {
		err = to.alone()
	}
	if err != nil {
		l.fail(w, err)
		return
	}
	wr, err := l.readBatch(r.Body)
	if err != nil {
		l.fail(w, err)
		return
	}
	wr.limit(to)
	id, rep, err := l.submit(caller, wr, encodeWriteTo(to.audience, wr.ops), r)
	if err != nil {
		l.fail(w, err)
		return
	}
	answer := batchAnswer{ID: id, Version: id.Seqno, Results: make([]batchResult, len(wr.ops))}
	for i := range answer.Results {
		answer.Results[i].Previous = rep.previousOf(i)
	}
	setID(w, id)
	l.answer(w, answer)
}

// readBatch reads a JSON list of operations, one at a time, so that what it takes in memory is
// bounded by the number of operations allowed. Names are compared exactly, and none may be there twice.
func (l *ledger) readBatch(body io.Reader) (*write, error) {
	dec := jsontext.NewDecoder(body)
	if t, err := dec.ReadToken(); err != nil || t.Kind() != jsontext.KindBeginArray {
		return nil, jsonError("expected a list of operations", err)
	}
	wr := new(write)
	for dec.PeekKind() != jsontext.KindEndArray {
		i := len(wr.ops)
		if i == l.settings().MaxBatchOps {
			return nil, fmt.Errorf("%w: batch: more than %d operations", coco.ErrInvalid, i)
		}
		var b batchOperation
		if err := jsonv2.UnmarshalDecode(dec, &b, jsonv2.RejectUnknownMembers(true)); err != nil {
			return nil, jsonError(fmt.Sprintf("operation %d", i), err)
		}
		op, err := b.operation(*l.settings())
		if err == nil {
			err = l.settings().check(&op)
		}
		if err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
		op.digest = sha256.Sum256(op.value)
		wr.ops = append(wr.ops, op)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, jsonError("expected the end of the list", err)
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, jsonError("expected nothing after the list", err)
	}
	if len(wr.ops) == 0 {
		return nil, fmt.Errorf("%w: batch: expected at least one operation", coco.ErrInvalid)
	}
	return wr, nil
}

// jsonError tells a malformed batch from a body that could not be read.
func jsonError(what string, err error) error {
	if unread(err) {
		return err
	}
	if err == nil {
		return fmt.Errorf("%w: batch: %s", coco.ErrInvalid, what)
	}
	return fmt.Errorf("%w: batch: %s: %v", coco.ErrInvalid, what, err)
}
