package rpc

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/scan"
)

// direct answers the hottest calls, appending the reply to out. It reports false, and has done
// nothing, if the call is not one of them or not in their plain form.
func (s *Server) direct(x *exchange, req scan.Request, out []byte) (reply []byte, done bool) {
	size := len(out)
	defer func() { // go-ethereum's server answers for a method that panics; so does this
		if p := recover(); p != nil {
			s.logPanic(string(req.Method), p)
			reply, done = appendError(out[:size], req.ID, errCrashed), true
		}
	}()
	switch string(req.Method) {
	case "eth_sendRawTransaction":
		raw, ok := rawParam(req.Params)
		if !ok {
			return out, false
		}
		return s.appendSent(x, out, req.ID, s.send(x.ctx, x, raw)[0]), true
	case "eth_call":
		return s.directCall(x, req, out)
	case "eth_getTransactionReceipt":
		var hash common.Hash
		if value, ok := onlyParam(req.Params); !ok || !fixedHex(hash[:], value) {
			return out, false
		}
		reply, err := s.appendReceiptOf(x.ctx, x, appendReply(out, req.ID), hash)
		if err != nil {
			return appendError(out, req.ID, err), true
		}
		return append(reply, '}'), true
	case "eth_blockNumber":
		if !noParams(req.Params) {
			return out, false
		}
		n, err := s.height(x)
		if err != nil {
			return appendError(out, req.ID, err), true
		}
		out = encode.AppendQuantity(appendReply(out, req.ID), n)
		return append(out, '}'), true
	case "eth_chainId":
		if !noParams(req.Params) {
			return out, false
		}
		return append(append(appendReply(out, req.ID), s.chain...), '}'), true
	}
	return out, false
}

var errCrashed = rpcErrorf(codeInternal, "method handler crashed")

func (s *Server) logPanic(method string, p any) {
	stack := make([]byte, 16<<10)
	stack = stack[:runtime.Stack(stack, false)]
	s.env.Log.Error("a JSON-RPC method crashed", "method", method, "panic", fmt.Sprint(p), "stack", string(stack))
}

// appendSent writes the reply to a transaction.
func (s *Server) appendSent(x *exchange, out, id []byte, res chain.SendResult) []byte {
	if res.Err != nil {
		return appendError(out, id, x.failed(res.Err))
	}
	return append(encode.AppendData(appendReply(out, id), res.Hash[:]), '}')
}

// directCall answers an eth_call whose members are the usual ones, on the newest state.
func (s *Server) directCall(x *exchange, req scan.Request, out []byte) ([]byte, bool) {
	var args callArgs
	var at *rpc.BlockNumberOrHash // nil: latest
	position, plain := 0, true
	scan.Elements(req.Params, func(value []byte) bool {
		switch position {
		case 0:
			plain = plainCall(value, &args)
		case 1:
			switch string(value) {
			case `"latest"`, `"safe"`, `"finalized"`:
			case `"pending"`:
				at = &pending
			default:
				plain = false
			}
		default:
			plain = false
		}
		position++
		return plain
	})
	if !plain || position == 0 {
		return out, false
	}
	result, err := s.callMessage(x.ctx, x, at, &args, &chain.CallOptions{})
	if err != nil {
		return appendError(out, req.ID, err), true
	}
	return append(encode.AppendData(appendReply(out, req.ID), result), '}'), true
}

// plainCall reads a transaction object with the usual members, each once and well-formed.
func plainCall(object []byte, args *callArgs) bool {
	return scan.Members(object, func(key, value []byte) bool {
		switch string(key) {
		case "to":
			return addressMember(&args.To, value)
		case "from":
			return addressMember(&args.From, value)
		case "data":
			return dataMember(&args.Data, value)
		case "input":
			return dataMember(&args.Input, value)
		case "gas":
			text, ok := stringValue(value)
			gas, err := hexutil.DecodeUint64(text)
			if !ok || err != nil || args.Gas != nil {
				return false
			}
			args.Gas = (*hexutil.Uint64)(&gas)
			return true
		case "value":
			text, ok := stringValue(value)
			amount, err := hexutil.DecodeBig(text)
			if !ok || err != nil || args.Value != nil {
				return false
			}
			args.Value = (*hexutil.Big)(amount)
			return true
		}
		return false
	})
}

func addressMember(field **common.Address, value []byte) bool {
	var addr common.Address
	if *field != nil || !fixedHex(addr[:], value) {
		return false
	}
	*field = &addr
	return true
}

func dataMember(field **hexutil.Bytes, value []byte) bool {
	data, ok := hexValue(value)
	if *field != nil || !ok {
		return false
	}
	*field = (*hexutil.Bytes)(&data)
	return true
}

// noParams reports whether a call has no parameters.
func noParams(params []byte) bool {
	return params == nil || scan.SkipSpace(params, 1) == len(params)-1
}

// onlyParam returns the one parameter of a call.
func onlyParam(params []byte) (value []byte, ok bool) {
	n := 0
	if params != nil {
		scan.Elements(params, func(v []byte) bool {
			value = v
			n++
			return n < 2
		})
	}
	return value, n == 1
}

// rawParam returns the transaction that is the one parameter of a call.
func rawParam(params []byte) ([]byte, bool) {
	value, ok := onlyParam(params)
	if !ok {
		return nil, false
	}
	return hexValue(value)
}

func stringValue(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	return string(value[1 : len(value)-1]), true
}

// hexValue decodes a JSON string of bytes, which must have its prefix.
func hexValue(value []byte) ([]byte, bool) {
	if len(value) < 4 || value[0] != '"' || value[1] != '0' || value[2] != 'x' {
		return nil, false
	}
	digits := value[3 : len(value)-1]
	data := make([]byte, len(digits)/2)
	if _, err := hex.Decode(data, digits); err != nil {
		return nil, false
	}
	return data, true
}

// fixedHex is hexValue for a known length.
func fixedHex(dst, value []byte) bool {
	if len(value) != 2*len(dst)+4 || value[0] != '"' || value[1] != '0' || value[2] != 'x' {
		return false
	}
	_, err := hex.Decode(dst, value[3:len(value)-1])
	return err == nil
}

// replyBatch answers a JSON-RPC batch. Transactions that follow one another are submitted
// together, in order: they become one batch of the ledger instead of one each.
func (s *Server) replyBatch(x *exchange, b *buffers) {
	reqs, plain := scan.ParseBatch(b.in, b.reqs, s.limits.BatchItems)
	b.reqs = reqs
	if !plain {
		s.replyUnusualBatch(x, b)
		return
	}
	batch := batchReply{server: s, x: x, out: b.out}
	for i := 0; i < len(reqs); {
		if n := batch.transactions(reqs[i:]); n > 0 {
			i += n
			continue
		}
		batch.call(reqs[i], nil)
		i++
	}
	b.out = batch.close()
}

// replyUnusualBatch answers a batch with an element that is not in plain form: it is split as
// go-ethereum does it, and element by element takes the direct way or the full server's.
func (s *Server) replyUnusualBatch(x *exchange, b *buffers) {
	var raw []json.RawMessage
	if err := json.Unmarshal(b.in, &raw); err != nil || len(raw) == 0 || len(raw) > s.limits.BatchItems {
		b.out = s.replyFull(x, b.in, b.out)
		return
	}
	batch := batchReply{server: s, x: x, out: b.out}
	for i := 0; i < len(raw); {
		b.reqs = b.reqs[:0]
		for _, element := range raw[i:] {
			req, end, ok := scan.Parse(element, 0)
			if !ok || end != len(element) {
				break
			}
			if b.reqs = append(b.reqs, req); string(req.Method) != "eth_sendRawTransaction" {
				break
			}
		}
		if n := batch.transactions(b.reqs); n > 0 {
			i += n
			continue
		}
		var req scan.Request
		if len(b.reqs) > 0 {
			req = b.reqs[0]
		}
		batch.call(req, raw[i])
		i++
	}
	b.out = batch.close()
}

// batchReply collects the replies to a batch.
type batchReply struct {
	server *Server
	x      *exchange
	out    []byte
	count  int
	size   int  // of the results, which is what the limit counts
	full   bool // the limit is reached: all other calls are refused
}

// next makes room for a reply.
func (r *batchReply) next() {
	if r.count == 0 {
		r.out = append(r.out, '[')
	} else {
		r.out = append(r.out, ',')
	}
	r.count++
}

// close returns the whole reply, nothing if no call wants one.
func (r *batchReply) close() []byte {
	if r.count == 0 {
		return r.out
	}
	return append(r.out, ']')
}

var errReplyTooLarge = rpcErrorf(codeReplyTooLarge, "response too large")

// transactions submits the transactions that reqs begin with, and returns how many they are. No
// more are submitted than there is room for replies; what was submitted is always told.
func (r *batchReply) transactions(reqs []scan.Request) int {
	const result = 68 // bytes of a hash in JSON
	var raw [][]byte
	for room := r.server.limits.ReplyBytes - r.size; room >= 0; room -= result {
		if len(raw) == len(reqs) || string(reqs[len(raw)].Method) != "eth_sendRawTransaction" {
			break
		}
		req := reqs[len(raw)]
		tx, ok := rawParam(req.Params)
		if !ok {
			break
		}
		raw = append(raw, tx)
	}
	if len(raw) < 2 || r.full {
		return 0
	}
	results, err := r.server.sendAll(r.x.ctx, r.x, raw)
	for i := range raw {
		r.next()
		start := len(r.out)
		if err != nil {
			r.out = appendError(r.out, reqs[i].ID, err)
		} else {
			r.out = r.server.appendSent(r.x, r.out, reqs[i].ID, results[i])
		}
		r.grown(start, reqs[i].ID)
	}
	return len(raw)
}

// sendAll is send with go-ethereum's answer to a panic.
func (s *Server) sendAll(ctx context.Context, x *exchange, raw [][]byte) (results []chain.SendResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.logPanic("eth_sendRawTransaction", p)
			err = errCrashed
		}
	}()
	return s.send(ctx, x, raw...), nil
}

// call answers one call, given in plain form or else raw.
func (r *batchReply) call(req scan.Request, raw []byte) {
	if r.full {
		id, answered := req.ID, true
		if id == nil {
			id, answered = leftOver(raw)
		}
		if answered {
			r.next()
			r.out = appendError(r.out, id, errReplyTooLarge)
		}
		return
	}
	mark, count := len(r.out), r.count
	r.next()
	start := len(r.out)
	if req.ID != nil {
		if out, done := r.server.direct(r.x, req, r.out); done {
			r.out = out
			r.grown(start, req.ID)
			return
		}
	}
	if raw == nil {
		raw = req.Encode()
	}
	// A batch of one is answered by an array of one, or by nothing.
	one := make([]byte, 0, len(raw)+2)
	one = append(append(append(one, '['), raw...), ']')
	reply := r.server.replyFull(r.x, one, nil)
	if len(reply) < 2 {
		r.out, r.count = r.out[:mark], count
		return
	}
	r.out = append(r.out, reply[1:len(reply)-1]...)
	r.grown(start, req.ID)
}

// leftOver tells whether an element that is not in plain form is answered when the replies are too
// large already, and under which id: go-ethereum's server answers all but notifications, and takes
// no notice of replies.
func leftOver(raw []byte) (id []byte, answered bool) {
	var msg struct {
		Version        string `json:"jsonrpc"`
		Method         string
		ID             json.RawMessage
		Params, Result json.RawMessage
		Error          json.RawMessage
	}
	_ = json.Unmarshal(raw, &msg) // what is no object has no members
	known := msg.Version == "2.0"
	named := len(msg.ID) > 0 && msg.ID[0] != '{' && msg.ID[0] != '['
	notification := known && msg.ID == nil && msg.Method != ""
	response := known && named && msg.Method == "" && msg.Params == nil && (msg.Result != nil || msg.Error != nil)
	return msg.ID, !notification && !response
}

// grown counts the reply at out[start:] towards the limit of all replies: its result or error.
func (r *batchReply) grown(start int, id []byte) {
	const envelope, failed = `{"jsonrpc":"2.0","id":`, `,"error":`
	reply := r.out[start:]
	switch {
	case id == nil: // as the full server read it
		var parts struct{ Result, Error json.RawMessage }
		_ = json.Unmarshal(reply, &parts)
		r.size += len(parts.Result) + len(parts.Error)
	case bytes.HasPrefix(reply[len(envelope)+len(id):], []byte(failed)):
		r.size += len(reply) - len(envelope) - len(id) - len(failed) - 1
	default:
		r.size += len(reply) - len(envelope) - len(id) - len(`,"result":`) - 1
	}
	r.full = r.full || r.size > r.server.limits.ReplyBytes
}
