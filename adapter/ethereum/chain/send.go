package chain

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/sending"
)

// SendResult is what became of a raw transaction. Err nil means committed.
type SendResult struct {
	Hash common.Hash // if the transaction could be decoded
	TxID coco.TxID
	Err  error
}

// Send checks signed transactions on this node and submits them. They are executed in the order
// given. It returns once each is refused, or committed and applied on this node. raw is kept.
//
// A transaction that was sent before is refused in go-ethereum's words, so that a client does not take one payment for
// two: "already known" while this node sends it, "nonce too low" once it is committed. With again it is answered as the
// first time instead, for clients that repeat what they did not hear the answer of.
func (l *Ledger) Send(ctx context.Context, caller coco.Caller, again bool, raw ...[]byte) []SendResult {
	out := make([]SendResult, len(raw))
	l.submit(ctx, caller, again, l.checkAll(raw, out), out)
	return out
}

// submit submits checked transactions: those whose result is no error yet.
func (l *Ledger) submit(ctx context.Context, caller coco.Caller, again bool, list []*checked, out []SendResult) {
	calls := make([]*adapter.Call, 0, len(list))
	at := make([]int, 0, len(list))
	under := make([]sending.Tx, 0, len(list))
	for i, c := range list {
		if out[i].Err != nil {
			continue
		}
		if !again && l.sending.Knows(c.hash) {
			out[i].Err = refuse(errAlreadyKnown)
			continue
		}
		calls = append(calls, &adapter.Call{Caller: caller, Payload: c.payload(), Decoded: c, Repeatable: true, Done: ctx.Done()})
		at, under = append(at, i), append(under, sending.Tx{Hash: c.hash, From: c.msg.From, Nonce: c.msg.Nonce, Owner: caller.Actor, Signed: c.tx})
	}
	if len(calls) == 0 {
		return
	}
	l.sending.Add(under)
	defer l.sending.Remove(under)
	for i, r := range l.env.Submit(ctx, calls...) {
		res := &out[at[i]]
		res.TxID, res.Err = r.TxID, r.Err
		if next, known := isKnownReply(r.Reply); r.Err == nil && known && !r.Again && !again {
			res.TxID, res.Err = coco.TxID{}, nonceTooLow(next, calls[i].Decoded.(*checked).msg.Nonce)
		}
	}
}

// knownReply is the reply to a call whose transaction was executed before: the hash, as in any reply, and the sender's
// next nonce.
func knownReply(hash common.Hash, next uint64) []byte {
	return binary.BigEndian.AppendUint64(hash.Bytes(), next)
}

// isKnownReply tells whether a reply is a knownReply.
func isKnownReply(reply []byte) (next uint64, known bool) {
	if len(reply) != common.HashLength+8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(reply[common.HashLength:]), true
}

// checkAll checks transactions, those of a large batch on all processors: recovering a sender is
// the dearest step of all.
func (l *Ledger) checkAll(raw [][]byte, out []SendResult) []*checked {
	const perWorker = 8 // makes up for the cost of a goroutine many times over
	list := make([]*checked, len(raw))
	check := func(i int) {
		if list[i], out[i].Err = l.chain().check(raw[i]); list[i] != nil {
			out[i].Hash = list[i].hash
		}
	}
	workers := min(runtime.GOMAXPROCS(0), len(raw)/perWorker)
	if workers < 2 {
		for i := range raw {
			check(i)
		}
		return list
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	var failed atomic.Pointer[any] // what a check panicked with
	for range workers {
		wg.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					failed.Store(&v)
				}
			}()
			for i := int(next.Add(1)) - 1; i < len(raw); i = int(next.Add(1)) - 1 {
				check(i)
			}
		})
	}
	wg.Wait()
	if v := failed.Load(); v != nil {
		panic(*v) // in the goroutine of the request, which contains it
	}
	return list
}
