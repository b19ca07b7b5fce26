// Package sight is the chain as one caller may see it.
//
// Everything that answers callers gets a [View], and nothing else of the chain: a View returns what its caller may see, and what it does not
// show looks as if it did not exist. So a method that reads needs no check of its own, and a new one cannot forget it.
//
//	methods of rpc ──> sight.View ──┬── the caller sees all: an open network, an auditor ──> blocks.View
//	                                └── package access decides, item by item ─────────────> blocks.View
//
// What executes does so on a state in which the accounts that its caller may not see do not exist. It cannot tell a forbidden account from
// one that was never there, by no answer, no gas and no order of failures: there is nothing in it that depends on that account.
//
// What needs the whole state takes [View.Whole], which only callers get who see all.
//
// Trust: enclave
package sight

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/access"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/store"
)

// Sights makes views of a chain for callers. It is safe for concurrent use.
type Sights struct {
	ledger *chain.Ledger
	cache  cache
}

// New returns the sights of a chain.
func New(l *chain.Ledger) *Sights { return &Sights{ledger: l} }

// auditor reports whether a caller is one by the settings: an organisation itself, and none of its users.
func auditor(s *settings.Settings, caller *coco.Caller) bool {
	return caller.User == "" && slices.Contains(s.Auditors, caller.Name)
}

// seesAll reports whether a caller sees everything by the settings.
func seesAll(s *settings.Settings, caller *coco.Caller) bool {
	return !s.Closed() || auditor(s, caller)
}

// All reports whether a caller sees everything.
func (s *Sights) All(caller *coco.Caller) bool { return seesAll(s.ledger.Settings(), caller) }

// View is one state of the chain, as its caller may see it. It belongs to one request and one goroutine, until it is released.
type View struct {
	raw  *blocks.View
	eyes *eyes // nil: the caller sees all
}

// View returns the newest state for a caller. It MUST be released.
func (s *Sights) View(past *adapter.PastReader, caller *coco.Caller) *View {
	raw := s.ledger.View(past)
	return &View{raw, s.eyes(raw, caller)}
}

// ViewAt returns the state after a block. Who may see what is decided by the newest links and rules. It fails with coco.ErrNotFound if there is
// no such block. The view MUST be released.
func (s *Sights) ViewAt(ctx context.Context, number uint64, past *adapter.PastReader, caller *coco.Caller) (*View, error) {
	raw, err := s.ledger.ViewAt(ctx, number, past)
	if err != nil {
		return nil, err
	}
	v := &View{raw: raw}
	if !s.All(caller) {
		now := s.ledger.View(past)
		if v.eyes = s.eyes(now, caller); v.eyes == nil {
			now.Release() // a vote has opened the network meanwhile
		}
	}
	return v, nil
}

// Release lets the state be pruned. It MUST be called once.
func (v *View) Release() {
	v.raw.Release()
	if v.eyes != nil && v.eyes.now != v.raw {
		v.eyes.now.Release()
	}
}

// ErrWhole is the answer to a caller who does not see all, for what needs the whole state.
var ErrWhole = fmt.Errorf("%w: this is answered to callers only who see the whole state: the network is closed (docs/access.md)", coco.ErrDenied)

// All reports whether the caller sees everything.
func (v *View) All() bool { return v.eyes == nil }

// Whole returns ErrWhole unless the caller sees everything. What reads the whole state, or executes on it what others have signed, MUST ask it
// before it looks anything up.
func (v *View) Whole() error {
	if v.eyes != nil {
		return ErrWhole
	}
	return nil
}

// Raw is the chain's own view, for callers who see all. The error is ErrWhole.
func (v *View) Raw() (*blocks.View, error) { return v.raw, v.Whole() }

// Rows returns all rows of the view's state; nil if they are not in memory, or if the caller does not see all.
func (v *View) Rows() store.Reader {
	if v.eyes != nil {
		return nil
	}
	return v.raw.Rows()
}

// Number returns the number of the block whose resulting state this is.
func (v *View) Number() uint64 { return v.raw.Number() }

// Time returns the time of that block, in seconds; 0 before genesis.
func (v *View) Time() uint64 {
	if h := v.raw.Head(); h != nil {
		return h.Header.Time
	}
	return 0
}

// Hash returns the hash of that block.
func (v *View) Hash() common.Hash {
	if h := v.raw.Head(); h != nil {
		return h.Hash
	}
	return common.Hash{}
}

// InMemory tells whether a block, and so every later one, can be read without the ledger.
func (v *View) InMemory(number uint64) bool { return v.raw.InMemory(number) }

// Balance returns an account's balance, which MUST NOT be modified.
func (v *View) Balance(ctx context.Context, addr common.Address) (*uint256.Int, error) {
	if !v.may(ctx, access.State, addr) {
		return new(uint256.Int), nil
	}
	return v.raw.Balance(ctx, addr)
}

// Nonce returns an account's nonce.
func (v *View) Nonce(ctx context.Context, addr common.Address) (uint64, error) {
	if !v.may(ctx, access.State, addr) {
		return 0, nil
	}
	return v.raw.Nonce(ctx, addr)
}

// PendingNonce is the nonce that a sender's next transaction needs: the committed one, advanced over those that this node is sending.
func (v *View) PendingNonce(ctx context.Context, l *chain.Ledger, addr common.Address) (uint64, error) {
	if !v.may(ctx, access.State, addr) {
		return 0, nil
	}
	nonce, err := v.raw.Nonce(ctx, addr)
	return l.Sending().Next(addr, nonce), err
}

// Code returns an account's code, which MUST NOT be modified.
func (v *View) Code(ctx context.Context, addr common.Address) ([]byte, error) {
	if !v.may(ctx, access.Code, addr) {
		return nil, nil
	}
	return v.raw.Code(ctx, addr)
}

// Storage returns the value of a slot.
func (v *View) Storage(ctx context.Context, addr common.Address, slot common.Hash) (common.Hash, error) {
	if !v.may(ctx, access.State, addr) {
		return common.Hash{}, nil
	}
	return v.raw.Storage(ctx, addr, slot)
}

func (v *View) may(ctx context.Context, q access.Question, addr common.Address) bool {
	return v.eyes == nil || v.eyes.account(ctx, access.Ask{Question: q, Contract: addr})
}

// State is the state that executing for the caller meets, which may show all that it comes to: traces, access lists, simulations.
func (v *View) State(ctx context.Context) *blocks.State {
	if v.eyes == nil {
		return v.raw.State(ctx)
	}
	return v.raw.Through(v.eyes.shown(ctx, access.State, common.Address{}, nil)).State(ctx)
}

// Prepare completes the options of a call: in a closed network an account whose code is replaced shows none of its storage, for
// the code may print it.
func (v *View) Prepare(state chain.StateOverride) chain.StateOverride {
	if v.eyes == nil {
		return state
	}
	for addr, o := range state {
		if o.Code != nil && o.State == nil {
			o.State, o.StateDiff = o.StateDiff, nil
			if o.State == nil {
				o.State = map[common.Hash]common.Hash{}
			}
			state[addr] = o
		}
	}
	return state
}

// calling is the chain's view on which a message is executed of which the caller is told the outcome.
func (v *View) calling(ctx context.Context, msg *core.Message, o *chain.CallOptions) *blocks.View {
	switch {
	case v.eyes == nil:
		return v.raw
	case o != nil && len(o.State) > 0: // code of the caller's own stands in for others'
		o.State = v.Prepare(o.State)
		return v.raw.Through(v.eyes.shown(ctx, access.State, common.Address{}, nil))
	case msg.To == nil:
		return v.raw.Through(v.eyes.shown(ctx, access.Call, common.Address{}, nil))
	}
	return v.raw.Through(v.eyes.shown(ctx, access.Call, *msg.To, msg.Data))
}

// Call executes a message: see chain.Ledger.Call.
func (v *View) Call(ctx context.Context, l *chain.Ledger, msg *core.Message, o *chain.CallOptions) (*chain.CallResult, error) {
	return l.Call(ctx, v.calling(ctx, msg, o), msg, o)
}

// EstimateGas finds the least gas with which a message succeeds: see chain.Ledger.EstimateGas.
func (v *View) EstimateGas(ctx context.Context, l *chain.Ledger, msg *core.Message, o *chain.CallOptions) (uint64, *chain.CallResult, error) {
	return l.EstimateGas(ctx, v.calling(ctx, msg, o), msg, o)
}

// HeaderFor is the header of the block that a call meets: see chain.Ledger.HeaderFor. A caller who does not see all gets what a contract can
// ask for of it.
func (v *View) HeaderFor(ctx context.Context, l *chain.Ledger, next bool) (*types.Header, error) {
	h, err := l.HeaderFor(ctx, v.raw, next)
	if err != nil || v.eyes == nil {
		return h, err
	}
	out := blank(h)
	out.MixDigest = h.MixDigest
	return out, nil
}

// Errors about whose address a message is from.
var (
	errNotYours = errors.New("from is none of the addresses that are linked to you: link it by `coco identity link` (coco_linkAddress), or name one of coco_linkedAddresses")
	errNoneYet  = errors.New("no address is linked to you, and a message in a closed network is from one: link one by `coco identity link` (coco_linkAddress)")
)

// From returns the address that a message is from: in a closed network one of the caller's own, and the first one that was linked if none
// is given; else the given one, or none. The error is coco.ErrDenied.
func (v *View) From(given *common.Address) (common.Address, error) {
	var none common.Address
	switch {
	case v.eyes == nil && given == nil:
		return none, nil
	case v.eyes == nil || given != nil && v.eyes.owns(*given):
		return *given, nil
	case given != nil:
		return none, fmt.Errorf("%w: %w", coco.ErrDenied, errNotYours)
	}
	viewer := &v.eyes.viewer
	if list := links.OfCaller(v.eyes.src, viewer.Actor, viewer.User, 1); len(list) > 0 {
		return list[0], nil
	}
	return none, fmt.Errorf("%w: %w", coco.ErrDenied, errNoneYet)
}

// User is the organisation's user whose own are shown alone; "" if the organisation's are, or everything.
func (v *View) User() string {
	if v.eyes == nil {
		return ""
	}
	return v.eyes.viewer.User
}

// Owns reports whether an address is the caller's, to whom all are who sees all.
func (v *View) Owns(addr common.Address) bool { return v.eyes == nil || v.eyes.owns(addr) }

// errRefused is told of a transaction whose sender is another's.
var errRefused = fmt.Errorf("%w: the transaction is refused; why is told to whom its sender's address is linked", coco.ErrInvalid)

// Refusal is what a caller is told of a refused transaction: why, if its sender is the caller's own, for the reasons tell nonce and
// balance. What a caller has not signed it may send all the same.
func (s *Sights) Refusal(caller *coco.Caller, raw []byte, err error) error {
	if s.All(caller) || !errors.Is(err, coco.ErrInvalid) {
		return err
	}
	tx := new(types.Transaction)
	if tx.UnmarshalBinary(raw) != nil {
		return err
	}
	from, failed := types.Sender(s.ledger.Signer(), tx)
	if failed != nil {
		return err
	}
	v := s.View(nil, caller)
	defer v.Release()
	if v.Owns(from) {
		return err
	}
	return errRefused
}
