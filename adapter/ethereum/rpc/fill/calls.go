package fill

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/calls"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// Calls is the methods that send what nobody has signed, of the namespace coco.
type Calls struct {
	s   *group.Server
	env *adapter.Env
}

// NewCalls returns the methods. What they commit and read is the ledger's of env.
func NewCalls(s *group.Server, env *adapter.Env) *Calls { return &Calls{s, env} }

// maxTries is how often a call is sent whose nonce this node has chosen: another node may have chosen the same one.
const maxTries = 8

// SendCall executes a call as a transaction of one of the caller's own addresses, the first one that was linked if it names none, and returns its hash once
// that is committed. A call with a nonce is executed once, however often it is sent; without, this node chooses the nonce.
func (m *Calls) SendCall(ctx context.Context, args callargs.Args) (json.RawMessage, error) {
	r := m.send(ctx, []callargs.Args{args})[0]
	if err := m.s.Sent(ctx, r); err != nil {
		return nil, err
	}
	return encode.AppendData(nil, r.Hash[:]), nil
}

// sent is what became of one of several calls.
type sent struct {
	Hash  *common.Hash `json:"hash,omitempty"`
	Error *failure     `json:"error,omitempty"`
}

type failure struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

// SendCalls is SendCall for several calls, which are executed in their order unless others of the same sender come between. One that is refused keeps no other
// from being executed.
func (m *Calls) SendCalls(ctx context.Context, list []callargs.Args) (json.RawMessage, error) {
	if most := m.s.Ledger.Settings().RPC.BatchItems; len(list) == 0 || len(list) > most {
		return nil, m.s.Fail(group.Errorf(group.CodeInvalidParams, "expected 1 to %d calls, found %d", most, len(list)))
	}
	out := make([]sent, len(list))
	for i, r := range m.send(ctx, list) {
		if err := m.s.Sent(ctx, r); err != nil {
			var e *group.Error
			if !errors.As(err, &e) {
				e = group.Errorf(group.CodeInternal, "%v", err)
			}
			out[i].Error = &failure{e.Code, e.Message, e.Data}
			continue
		}
		out[i].Hash = &r.Hash
	}
	return m.s.Reply(ctx, out, nil, "send fewer calls at a time")
}

// call is one on its way.
type call struct {
	chain.Unsigned
	args callargs.Args
	free bool // this node chooses the nonce
	give func()
}

func (m *Calls) send(ctx context.Context, list []callargs.Args) []chain.SendResult {
	out, under := make([]chain.SendResult, len(list)), make([]*call, len(list))
	for i := range list {
		under[i], out[i].Err = m.prepare(ctx, list[i])
	}
	for range maxTries {
		var txs []chain.Unsigned
		var at []int
		for i, c := range under {
			if c == nil {
				continue
			}
			if out[i].Err = m.number(ctx, c); out[i].Err != nil {
				under[i] = nil
				continue
			}
			txs, at = append(txs, c.Unsigned), append(at, i)
		}
		if len(txs) == 0 {
			break
		}
		m.submit(ctx, under, at, txs, out)
	}
	return out
}

// submit submits calls by their places in the list. Those that are done leave the list: all but those whose nonce this node has chosen, and another node, too.
func (m *Calls) submit(ctx context.Context, under []*call, at []int, txs []chain.Unsigned, out []chain.SendResult) {
	for j, r := range m.s.Ledger.SendCalls(ctx, m.s.Caller(ctx), calls.How(ctx), txs) {
		i := at[j]
		c := under[i]
		out[i] = r
		if c.give != nil {
			c.give()
		}
		if !c.free || ctx.Err() != nil || !lostNonce(r.Err) {
			under[i] = nil
		}
	}
}

// lostNonce reports whether a call was refused for its nonce alone, and was not executed.
func lostNonce(err error) bool {
	return errors.Is(err, core.ErrNonceTooLow) || errors.Is(err, core.ErrNonceTooHigh) || errors.Is(err, chain.ErrReplaceUnderpriced)
}

// prepare completes a call but for its nonce, and checks whatever can be checked before it is sent: a call that is refused later leaves a gap in the sender's nonces.
func (m *Calls) prepare(ctx context.Context, args callargs.Args) (*call, error) {
	caller, how := m.s.Caller(ctx), calls.How(ctx)
	if err := m.s.Ledger.Settings().Admits(how.String()); err != nil {
		return nil, err
	}
	from, err := m.own(caller, args.From)
	if err != nil {
		return nil, err
	}
	args.From = &from
	v, err := m.s.View(ctx, account(&from))
	if err != nil {
		return nil, err
	}
	defer v.Release()
	c := &call{args: args, free: args.Nonce == nil}
	if c.Unsigned.Tx, _, err = complete(ctx, m.s, v, &c.args); err != nil {
		return nil, err
	}
	c.From = from
	if c.free {
		err = m.s.Ledger.CheckCall(caller, how, c.Unsigned)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// number gives a call its nonce, if this node chooses it.
func (m *Calls) number(ctx context.Context, c *call) error {
	if !c.free {
		return nil
	}
	v, err := m.s.View(ctx, account(&c.From))
	if err != nil {
		return err
	}
	defer v.Release()
	next, err := v.Nonce(ctx, c.From)
	if err != nil {
		return err
	}
	var salt [8]byte
	_, _ = rand.Read(salt[:]) // it never fails
	c.Salt = binary.BigEndian.Uint64(salt[:])
	next, c.give = m.s.Ledger.Sending().Take(c.From, next)
	c.args.Nonce = (*hexutil.Uint64)(&next)
	if c.Unsigned.Tx, _, err = complete(ctx, m.s, v, &c.args); err != nil {
		c.give()
	}
	return err
}

// own returns the address that a call is from: one that is linked to the caller itself.
func (m *Calls) own(caller coco.Caller, given *common.Address) (common.Address, error) {
	state := m.env.State.Snapshot()
	defer state.Release()
	if given == nil {
		if list := links.Addresses(state, caller.Actor, caller.User); len(list) > 0 {
			return list[0], nil
		}
		return common.Address{}, fmt.Errorf("%w: no address is linked to the caller itself: link one by `coco identity link` (coco_linkAddress)", coco.ErrDenied)
	}
	if h, ok := links.Of(state, *given); !ok || h.Actor != caller.Actor || h.User != caller.User {
		return common.Address{}, fmt.Errorf("%w: from is not linked to the caller itself: an organisation sends from none of its users' addresses (coco_linkedAddresses)", coco.ErrDenied)
	}
	return *given, nil
}
