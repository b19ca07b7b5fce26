package chain

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// SendResult is what became of a raw transaction. Err nil means committed.
type SendResult struct {
	Hash common.Hash // if the transaction could be decoded
	TxID coco.TxID
	Err  error
}

// Send checks signed transactions on this node and submits them. They are executed in the order
// given. It returns once each is refused, or committed and applied on this node. raw is kept.
func (l *Ledger) Send(ctx context.Context, caller coco.Caller, raw ...[]byte) []SendResult {
	out := make([]SendResult, len(raw))
	calls := make([]*adapter.Call, 0, len(raw))
	at := make([]int, 0, len(raw))
	for i, c := range l.checkAll(raw, out) {
		if out[i].Err != nil {
			continue
		}
		calls = append(calls, &adapter.Call{Caller: caller, Payload: c.payload(), Decoded: c, Repeatable: true, Done: ctx.Done()})
		at = append(at, i)
	}
	if len(calls) == 0 {
		return out
	}
	l.sending.add(calls)
	defer l.sending.remove(calls)
	for i, r := range l.env.Submit(ctx, calls...) {
		out[at[i]].TxID, out[at[i]].Err = r.TxID, r.Err
	}
	return out
}

// checkAll checks transactions, those of a large batch on all processors: recovering a sender is
// the dearest step of all.
func (l *Ledger) checkAll(raw [][]byte, out []SendResult) []*checked {
	const perWorker = 8 // makes up for the cost of a goroutine many times over
	list := make([]*checked, len(raw))
	check := func(i int) {
		if list[i], out[i].Err = l.checker.check(raw[i]); list[i] != nil {
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
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(raw); i = int(next.Add(1)) - 1 {
				check(i)
			}
		})
	}
	wg.Wait()
	return list
}

// PendingNonce is the nonce that the sender's next transaction needs: the committed one, advanced
// over those that this node is sending.
func (l *Ledger) PendingNonce(ctx context.Context, addr common.Address) (uint64, error) {
	v := l.Latest()
	defer v.Release()
	nonce, err := v.Nonce(ctx, addr)
	return l.sending.next(addr, nonce), err
}

// sending counts the transactions under way on this node, by sender and nonce.
type sending struct {
	mu    sync.Mutex
	count map[sendingKey]int
}

type sendingKey struct {
	from  common.Address
	nonce uint64
}

func (s *sending) init() { s.count = map[sendingKey]int{} }

func keyOf(c *adapter.Call) sendingKey {
	m := &c.Decoded.(*checked).msg
	return sendingKey{m.From, m.Nonce}
}

func (s *sending) add(calls []*adapter.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range calls {
		s.count[keyOf(c)]++
	}
}

func (s *sending) remove(calls []*adapter.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range calls {
		if k := keyOf(c); s.count[k] > 1 {
			s.count[k]--
		} else {
			delete(s.count, k)
		}
	}
}

func (s *sending) next(from common.Address, nonce uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.count[sendingKey{from, nonce}] > 0 {
		nonce++
	}
	return nonce
}
