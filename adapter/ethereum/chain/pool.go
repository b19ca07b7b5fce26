package chain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/internal/fair"
)

// kept is a call on its way to a block.
type kept struct {
	call    *adapter.Call
	checked *checked
	since   uint64 // the set's time when it came, in milliseconds
}

// errAbandoned is the outcome of a call whose client has stopped waiting; it is not delivered.
var errAbandoned = fmt.Errorf("%w: %w", coco.ErrNotCommitted, context.Canceled)

func (k *kept) abandoned() bool {
	select {
	case <-k.call.Done: // a nil channel never is ready
		return true
	default:
		return false
	}
}

// pool keeps the calls that wait for lower nonces of their sender, on the leader. None of the organisations that send
// them may fill it (package fair).
type pool struct {
	settings *settings.Settings
	gaps     map[common.Address]map[uint64]*kept
	calls    *fair.Shares
	bytes    *fair.Shares
	swept    uint64
}

// sweepEvery is how often kept calls are looked through, in milliseconds.
const sweepEvery = 100

func newPool(s *settings.Settings) *pool {
	return &pool{
		settings: s, gaps: map[common.Address]map[uint64]*kept{},
		calls: fair.New(s.GapTotal), bytes: fair.New(s.GapBytes),
	}
}

// configure bounds what waits by other settings. What waits already stays.
func (p *pool) configure(s *settings.Settings) {
	p.settings = s
	p.calls.Resize(s.GapTotal)
	p.bytes.Resize(s.GapBytes)
}

func (p *pool) room(k *kept) error {
	who, size := k.call.Caller.Actor, k.checked.size
	switch {
	case p.calls.Used()+1 > p.settings.GapTotal || p.bytes.Used()+size > p.settings.GapBytes:
		return fmt.Errorf("%w: %d transactions of %d bytes wait already: send this one again later", coco.ErrBusy, p.calls.Used(), p.bytes.Used())
	case !p.calls.Fits(who, 1) || !p.bytes.Fits(who, size):
		return fmt.Errorf("%w: this organisation has its share of the transactions that wait for lower nonces already: send this one again later", coco.ErrBusy)
	}
	return nil
}

func (p *pool) add(k *kept) {
	p.calls.Take(k.call.Caller.Actor, 1)
	p.bytes.Take(k.call.Caller.Actor, k.checked.size)
}

func (p *pool) sub(k *kept) {
	p.calls.Give(k.call.Caller.Actor, 1)
	p.bytes.Give(k.call.Caller.Actor, k.checked.size)
}

// keep lets a call wait for lower nonces. It may take the place of one with the same nonce that
// offers a tenth less, as in go-ethereum's pool.
func (p *pool) keep(k *kept, next uint64) (replaced *kept, err error) {
	from, nonce := k.checked.msg.From, k.checked.msg.Nonce
	waiting := p.gaps[from]
	if old := waiting[nonce]; old != nil {
		switch {
		case old.abandoned():
		case old.checked.hash == k.checked.hash:
			return nil, refuse(errAlreadyKnown)
		case !outbids(k.checked, old.checked):
			return nil, refuse(ErrReplaceUnderpriced)
		}
		p.remove(old)
		replaced = old
	}
	if len(waiting) >= p.settings.GapPerSender {
		err = &refusal{coco.ErrBusy, fmt.Errorf("%w: %d transactions of %v wait already for nonce %d", errAccountLimit, len(waiting), from, next)}
	} else {
		err = p.room(k)
	}
	if err != nil {
		if replaced != nil {
			p.insert(replaced)
		}
		return nil, err
	}
	p.insert(k)
	return replaced, nil
}

var errAccountLimit = errors.New("account limit exceeded")

// outbids tells whether a offers at least a tenth more than b in both fees.
func outbids(a, b *checked) bool {
	more := func(x, y *uint256.Int) bool {
		// x*10 >= y*11, and more than y even for small y; the fees of a free-gas network are 0.
		if y.IsZero() {
			return !x.IsZero()
		}
		tenth := new(uint256.Int).Div(y, uint256.NewInt(10))
		least, overflow := new(uint256.Int).AddOverflow(y, tenth)
		return !overflow && x.Gt(y) && !x.Lt(least)
	}
	return more(a.msg.GasFeeCap, b.msg.GasFeeCap) && more(a.msg.GasTipCap, b.msg.GasTipCap)
}

func (p *pool) insert(k *kept) {
	from := k.checked.msg.From
	if p.gaps[from] == nil {
		p.gaps[from] = map[uint64]*kept{}
	}
	p.gaps[from][k.checked.msg.Nonce] = k
	p.add(k)
}

func (p *pool) remove(k *kept) {
	from := k.checked.msg.From
	delete(p.gaps[from], k.checked.msg.Nonce)
	if len(p.gaps[from]) == 0 {
		delete(p.gaps, from)
	}
	p.sub(k)
}

// take removes and returns the call of a sender with a nonce, or nil.
func (p *pool) take(from common.Address, nonce uint64) *kept {
	if len(p.gaps) == 0 {
		return nil
	}
	k := p.gaps[from][nonce]
	if k != nil {
		p.remove(k)
	}
	return k
}

// sweep removes and returns, from time to time, the waiting calls that have waited long enough,
// whose client has stopped waiting, or whose nonce is not above the next any more.
func (p *pool) sweep(now uint64, next func(common.Address) uint64) []*kept {
	if len(p.gaps) == 0 || now < p.swept+sweepEvery {
		return nil
	}
	p.swept = now
	wait := uint64(p.settings.GapWait.Milliseconds())
	var out []*kept
	for from, waiting := range p.gaps {
		nonce := next(from)
		for _, k := range waiting {
			if now >= k.since+wait || k.checked.msg.Nonce <= nonce || k.abandoned() {
				out = append(out, k)
			}
		}
	}
	for _, k := range out {
		p.remove(k)
	}
	sortKept(out)
	return out
}

// drain removes everything, with the same outcome.
func (p *pool) drain(err error) []adapter.Outcome {
	var all []*kept
	for _, waiting := range p.gaps {
		for _, k := range waiting {
			all = append(all, k)
		}
	}
	for _, k := range all {
		p.remove(k)
	}
	sortKept(all)
	out := make([]adapter.Outcome, len(all))
	for i, k := range all {
		out[i] = adapter.Outcome{Call: k.call, Err: err}
	}
	return out
}

// sortKept orders calls by sender and nonce, so that maps decide nothing.
func sortKept(list []*kept) {
	slices.SortFunc(list, func(a, b *kept) int {
		x, y := &a.checked.msg, &b.checked.msg
		return cmp.Or(x.From.Cmp(y.From), cmp.Compare(x.Nonce, y.Nonce))
	})
}
