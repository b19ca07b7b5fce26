package rpc

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/scan"
)

// direct answers the hottest calls, appending the reply to out. It reports false, and has done
// nothing, if the call is not one of them or not in their plain form.
func (s *Server) direct(x *exchange, req scan.Request, out []byte) (reply []byte, done bool) {
	size := len(out)
	defer func() { // go-ethereum's server answers for a method that panics; so does this
		if p := recover(); p != nil {
			s.panics.Caught(string(req.Method), p)
			reply, done = appendError(out[:size], req.ID, errCrashed), true
		}
	}()
	switch string(req.Method) {
	case sendOnce, sendAgain:
		raw, ok := scan.DataParam(req.Params)
		if !ok {
			return out, false
		}
		again, _ := isSend(req.Method)
		return s.appendSent(x, out, req.ID, s.send(x.ctx, x, again, raw)[0]), true
	case "coco_sendCall":
		var args callargs.Args
		if value, ok := scan.OnlyParam(req.Params); !ok || !plainCall(value, &args) {
			return out, false
		}
		result, err := s.unsigned.SendCall(context.WithValue(x.ctx, exchangeKey{}, x), args)
		if err != nil {
			return appendError(out, req.ID, err), true
		}
		return append(append(appendReply(out, req.ID), result...), '}'), true
	case "eth_call":
		return s.directCall(x, req, out)
	case "eth_getTransactionReceipt":
		var hash common.Hash
		if value, ok := scan.OnlyParam(req.Params); !ok || !scan.FixedHex(hash[:], value) {
			return out, false
		}
		result, err := s.receiptOf(x.ctx, x, hash)
		if err != nil {
			return appendError(out, req.ID, err), true
		}
		return append(append(appendReply(out, req.ID), result...), '}'), true
	case "eth_blockNumber":
		if !scan.NoParams(req.Params) {
			return out, false
		}
		n, err := s.height(x)
		if err != nil {
			return appendError(out, req.ID, err), true
		}
		out = encode.AppendQuantity(appendReply(out, req.ID), n)
		return append(out, '}'), true
	case "eth_chainId":
		if !scan.NoParams(req.Params) {
			return out, false
		}
		return append(append(appendReply(out, req.ID), s.chain...), '}'), true
	}
	return out, false
}

var errCrashed = group.Errorf(codeInternal, "method handler crashed")

// appendSent writes the reply to a transaction.
func (s *Server) appendSent(x *exchange, out, id []byte, res chain.SendResult) []byte {
	if res.Err != nil {
		return appendError(out, id, x.failed(res.Err))
	}
	return append(encode.AppendData(appendReply(out, id), res.Hash[:]), '}')
}

// directCall answers an eth_call whose members are the usual ones, on the newest state.
func (s *Server) directCall(x *exchange, req scan.Request, out []byte) ([]byte, bool) {
	var args callargs.Args
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
	if len(result) <= smallResult {
		return append(encode.AppendData(appendReply(out, req.ID), result), '}'), true
	}
	large, err := s.data(x, result)
	if err != nil {
		return appendError(out, req.ID, err), true
	}
	return append(append(appendReply(out, req.ID), large...), '}'), true
}

// plainCall reads a transaction object with the usual members, each once and well-formed.
func plainCall(object []byte, args *callargs.Args) bool {
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
			return numberMember(&args.Gas, value)
		case "nonce":
			return numberMember(&args.Nonce, value)
		case "value":
			return amountMember(&args.Value, value)
		case "maxFeePerGas":
			return amountMember(&args.MaxFeePerGas, value)
		case "maxPriorityFeePerGas":
			return amountMember(&args.MaxPriorityFeePerGas, value)
		}
		return false
	})
}

func numberMember(field **hexutil.Uint64, value []byte) bool {
	text, ok := scan.StringValue(value)
	n, err := hexutil.DecodeUint64(text)
	if !ok || err != nil || *field != nil {
		return false
	}
	*field = (*hexutil.Uint64)(&n)
	return true
}

func amountMember(field **hexutil.Big, value []byte) bool {
	text, ok := scan.StringValue(value)
	amount, err := hexutil.DecodeBig(text)
	if !ok || err != nil || *field != nil {
		return false
	}
	*field = (*hexutil.Big)(amount)
	return true
}

func addressMember(field **common.Address, value []byte) bool {
	var addr common.Address
	if *field != nil || !scan.FixedHex(addr[:], value) {
		return false
	}
	*field = &addr
	return true
}

func dataMember(field **hexutil.Bytes, value []byte) bool {
	data, ok := scan.HexValue(value)
	if *field != nil || !ok {
		return false
	}
	*field = (*hexutil.Bytes)(&data)
	return true
}

// replyBatch answers a JSON-RPC batch. Transactions that follow one another are submitted
// together, in order: they become one batch of the ledger instead of one each.
func (s *Server) replyBatch(x *exchange, b *buffers) {
	reqs, plain := scan.ParseBatch(b.in, b.reqs, s.limits().BatchItems)
	b.reqs = reqs
	if !plain {
		s.replyUnusualBatch(x, b)
		return
	}
	batch := batchReply{server: s, x: x, buffers: b}
	for i := 0; i < len(reqs); {
		if n := batch.transactions(reqs[i:]); n > 0 {
			i += n
			continue
		}
		batch.call(reqs[i], nil)
		i++
	}
	batch.close()
}

// replyUnusualBatch answers a batch with an element that is not in plain form: it is split as
// go-ethereum does it, and element by element takes the direct way or the full server's.
func (s *Server) replyUnusualBatch(x *exchange, b *buffers) {
	var raw []json.RawMessage
	if err := json.Unmarshal(b.in, &raw); err != nil || len(raw) == 0 || len(raw) > s.limits().BatchItems {
		b.out = s.replyFull(x, b.in, b.out)
		return
	}
	batch := batchReply{server: s, x: x, buffers: b}
	for i := 0; i < len(raw); {
		b.reqs = b.reqs[:0]
		for _, element := range raw[i:] {
			req, end, ok := scan.Parse(element, 0)
			if !ok || end != len(element) {
				break
			}
			b.reqs = append(b.reqs, req)
			if _, sends := isSend(req.Method); !sends {
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
	batch.close()
}

// batchReply collects the replies to a batch.
type batchReply struct {
	*buffers
	server  *Server
	x       *exchange // its size is that of the results, which is what the limit counts
	count   int
	refused error // once the limit or the claim is reached: the answer to all other calls
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

// close ends the reply, which is empty if no call wants one.
func (r *batchReply) close() {
	if r.count > 0 {
		r.out = append(r.out, ']')
	}
}

var errReplyTooLarge = group.Errorf(codeReplyTooLarge, "response too large")

// transactions submits the transactions that reqs begin with, by one method, and returns how many they are. No
// more are submitted than there is room for replies; what was submitted is always told.
func (r *batchReply) transactions(reqs []scan.Request) int {
	const result = 68 // bytes of a hash in JSON
	var raw [][]byte
	if len(reqs) == 0 {
		return 0
	}
	again, sends := isSend(reqs[0].Method)
	if !sends {
		return 0
	}
	for room := r.server.limits().ReplyBytes - r.x.size; room >= 0; room -= result {
		if len(raw) == len(reqs) || string(reqs[len(raw)].Method) != string(reqs[0].Method) {
			break
		}
		req := reqs[len(raw)]
		tx, ok := scan.DataParam(req.Params)
		if !ok {
			break
		}
		raw = append(raw, tx)
	}
	if len(raw) < 2 || r.refused != nil {
		return 0
	}
	results, err := r.server.sendAll(r.x.ctx, r.x, again, raw)
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
func (s *Server) sendAll(ctx context.Context, x *exchange, again bool, raw [][]byte) (results []chain.SendResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.panics.Caught(sendOnce, p)
			err = errCrashed
		}
	}()
	return s.send(ctx, x, again, raw...), nil
}

// call answers one call, given in plain form or else raw.
func (r *batchReply) call(req scan.Request, raw []byte) {
	if r.refused != nil {
		id, answered := req.ID, true
		if id == nil {
			id, answered = leftOver(raw)
		}
		if answered {
			r.next()
			r.out = appendError(r.out, id, r.refused)
			r.flushed()
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
	reply, x := r.out[start:], r.x
	switch {
	case id == nil: // as the full server read it
		var parts struct{ Result, Error json.RawMessage }
		_ = json.Unmarshal(reply, &parts)
		x.size += len(parts.Result) + len(parts.Error)
	case bytes.HasPrefix(reply[len(envelope)+len(id):], []byte(failed)):
		x.size += len(reply) - len(envelope) - len(id) - len(failed) - 1
	default:
		x.size += len(reply) - len(envelope) - len(id) - len(`,"result":`) - 1
	}
	if x.large != nil {
		x.size += x.large.Len() - len(token)
		r.settle(x, start)
	}
	r.flushed()
	if x.size > r.server.limits().ReplyBytes {
		r.refused = errReplyTooLarge
	}
}

// flushed moves what is ready to memory that is claimed. If there is none left, the calls that follow are refused.
func (r *batchReply) flushed() {
	if len(r.out) < smallResult {
		return
	}
	if err := r.flush(r.x); err != nil && r.refused == nil {
		r.refused = err
	}
}
