package rpc

import (
	"bytes"
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/scan"
	"github.com/cocoframework/coco/internal/budget"
)

// A reply is built in two places. Small results are appended to buffers.out, which is used again. A large result is
// built in a budget.Buffer, within what is left of the limit of the reply (rpc.reply_bytes) and of the claim of the
// exchange, and is never copied: go-ethereum's server, which would copy it three times, gets a token for it, and the
// parts of the result are put where the token stands in the reply.

// smallResult is the size up to which a result is copied into the reply.
const smallResult = budget.Free / 2

// buffers hold a request and its reply.
type buffers struct {
	in, out []byte
	reqs    []scan.Request
	done    *budget.Buffer // what the reply has before out; nil as a rule
}

// bodies keeps buffers for requests and replies.
var bodies = sync.Pool{New: func() any { return &buffers{} }}

// release returns b to the pool unless it has grown large.
func (b *buffers) release() {
	const keep = 64 << 10
	b.done.Release()
	b.done = nil
	if cap(b.in) <= keep && cap(b.out) <= keep && cap(b.reqs) <= keep/64 {
		clear(b.reqs[:cap(b.reqs)])
		bodies.Put(b)
	}
}

// size is that of the reply.
func (b *buffers) size() int {
	if b.done == nil {
		return len(b.out)
	}
	return b.done.Len() + len(b.out)
}

// writeTo writes the reply and gives its memory back.
func (b *buffers) writeTo(w io.Writer) error {
	if b.done != nil {
		if _, err := b.done.WriteTo(w); err != nil {
			return err
		}
	}
	if len(b.out) == 0 {
		return nil
	}
	_, err := w.Write(b.out)
	return err
}

// flush moves out to done. It does so even if the claim of the exchange has no room for it, and returns that error.
func (b *buffers) flush(x *exchange) error {
	if b.done == nil {
		b.done = budget.NewBuffer(x.claim, 0)
	}
	_, err := b.done.Write(b.out)
	if err != nil {
		b.done.Must(b.out)
	}
	b.out = b.out[:0]
	return err
}

// token stands for a large result in a reply. It is random, so that no request can contain it.
var token = func() []byte {
	var random [16]byte
	_, _ = crand.Read(random[:]) // never fails
	return fmt.Appendf(nil, "%q", hex.EncodeToString(random[:]))
}()

// settle puts the large result of the call that was answered at out[start:] in its place.
func (b *buffers) settle(x *exchange, start int) {
	large := x.large
	x.large = nil
	if large == nil {
		return
	}
	i := bytes.Index(b.out[start:], token)
	if i < 0 { // the call failed after all
		large.Release()
		return
	}
	rest := bytes.Clone(b.out[start+i+len(token):])
	b.out = b.out[:start+i]
	_ = b.flush(x) // the result is there: its envelope goes with it
	b.done.Adopt(large)
	b.out = append(b.out, rest...)
}

// buffer returns a buffer for the result of the exchange's next call. Small results have no limit of their own: they
// count towards that of the reply once they are there.
func (s *Server) buffer(x *exchange) *budget.Buffer {
	return budget.NewBuffer(x.claim, max(smallResult, s.limits().ReplyBytes-x.size))
}

// result returns what a method has written. A refusal for the size of the reply says what else to ask for.
func (s *Server) result(x *exchange, out *budget.Buffer, err error, instead string) (json.RawMessage, error) {
	switch {
	case errors.Is(err, budget.ErrLimit):
		err = s.tooLarge(x, instead)
	case errors.Is(err, coco.ErrBusy):
		x.busy = true
	}
	if err != nil {
		out.Release()
		return nil, rpcErrorOf(err)
	}
	if out.Len() <= smallResult {
		defer out.Release()
		return out.Bytes(), nil
	}
	x.large = out
	return token, nil
}

// tooLarge is the error for a result beyond the limit of a reply.
func (s *Server) tooLarge(x *exchange, instead string) error {
	if x.size > 0 {
		return errReplyTooLarge
	}
	return group.Errorf(codeReplyTooLarge, "response too large: more than %d bytes (rpc.reply_bytes): %s", s.limits().ReplyBytes, instead)
}

// data returns bytes that a call has returned, in hexadecimal digits.
func (s *Server) data(x *exchange, data []byte) (json.RawMessage, error) {
	out := s.buffer(x)
	err := out.Append(2*len(data)+4, func(b []byte) []byte { return encode.AppendData(b, data) })
	return s.result(x, out, err, "ask for less at a time")
}
