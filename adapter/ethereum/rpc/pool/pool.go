// Package pool is the JSON-RPC namespace txpool: the transactions that this node is sending. No pool is shared by the nodes of
// a network: the node that a client has reached submits its transactions, and they are under way until they are
// committed or refused. A caller sees those of its own organisation.
//
// Trust: enclave
package pool

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sending"
	"github.com/cocoframework/coco/internal/budget"
)

// Methods is the namespace.
type Methods struct{ s *group.Server }

// New returns the methods.
func New(s *group.Server) *Methods { return &Methods{s} }

const instead = "ask for single senders by txpool_contentFrom"

// waiting is a transaction under way. It is ready if no lower nonce of its sender is missing.
type waiting struct {
	sending.Tx
	ready bool
}

// list returns what is under way for the caller's organisation, of all senders or of one, by senders and nonces.
func (m *Methods) list(ctx context.Context, of *common.Address) ([]waiting, error) {
	v, err := m.s.View(ctx, group.AnyState)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	var out []waiting
	for _, tx := range m.s.Ledger.Sending().Of(m.s.Caller(ctx).Actor) {
		if (of == nil || tx.From == *of) && (v.User() == "" || v.Owns(tx.From)) {
			out = append(out, waiting{Tx: tx})
		}
	}
	slices.SortFunc(out, func(a, b waiting) int { return cmp.Or(a.From.Cmp(b.From), cmp.Compare(a.Nonce, b.Nonce)) })
	next := uint64(0)
	for i := range out {
		tx := &out[i]
		if i == 0 || tx.From != out[i-1].From {
			if next, err = v.Nonce(ctx, tx.From); err != nil {
				return nil, err
			}
		}
		if tx.ready = tx.Nonce <= next; tx.Nonce == next {
			next++
		}
	}
	return out, nil
}

// Status counts the transactions that are ready, and those that wait for lower nonces.
func (m *Methods) Status(ctx context.Context) (map[string]hexutil.Uint, error) {
	list, err := m.list(ctx, nil)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	out := map[string]hexutil.Uint{"pending": 0, "queued": 0}
	for i := range list {
		out[kinds[kind(&list[i])]]++
	}
	return out, nil
}

var kinds = [2]string{"pending", "queued"}

func kind(tx *waiting) int {
	if tx.ready {
		return 0
	}
	return 1
}

// Content is the transactions by senders and nonces.
func (m *Methods) Content(ctx context.Context) (json.RawMessage, error) {
	return m.write(ctx, nil, writeWhole)
}

// ContentFrom is the transactions of a sender by nonces.
func (m *Methods) ContentFrom(ctx context.Context, from common.Address) (json.RawMessage, error) {
	return m.write(ctx, &from, writeWhole)
}

// Inspect is Content in short.
func (m *Methods) Inspect(ctx context.Context) (json.RawMessage, error) {
	return m.write(ctx, nil, writeShort)
}

func writeWhole(out *budget.Buffer, tx *waiting) error {
	return encode.WritePending(out, tx.Signed, tx.From)
}

func writeShort(out *budget.Buffer, tx *waiting) error {
	_, err := out.WriteString(fmt.Sprintf("%q", short(tx.Signed)))
	return err
}

func short(tx *types.Transaction) string {
	to := "contract creation"
	if tx.To() != nil {
		to = tx.To().Hex()
	}
	return fmt.Sprintf("%s: %v wei + %v gas × %v wei", to, tx.Value(), tx.Gas(), tx.GasPrice())
}

// write writes what is pending and what is queued, each by senders, unless they are of one, and by nonces.
func (m *Methods) write(ctx context.Context, of *common.Address, one func(*budget.Buffer, *waiting) error) (json.RawMessage, error) {
	list, err := m.list(ctx, of)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	out := m.s.Buffer(ctx)
	w := writer{out: out}
	for k, name := range kinds {
		w.text(map[bool]string{true: `{`, false: `,`}[k == 0], `"`, name, `":{`)
		var from *common.Address
		for i := range list {
			tx := &list[i]
			if kind(tx) != k {
				continue
			}
			switch {
			case from != nil && *from == tx.From:
				w.text(`,`)
			case of == nil && from != nil:
				w.text(`},"`, tx.From.Hex(), `":{`)
			case of == nil:
				w.text(`"`, tx.From.Hex(), `":{`)
			}
			from = &tx.From
			w.text(fmt.Sprintf(`"%d":`, tx.Nonce))
			if w.err == nil {
				w.err = one(out, tx)
			}
		}
		if of == nil && from != nil {
			w.text(`}`)
		}
		w.text(`}`)
	}
	w.text(`}`)
	return m.s.Result(ctx, out, w.err, instead)
}

// writer keeps the first error.
type writer struct {
	out *budget.Buffer
	err error
}

func (w *writer) text(parts ...string) {
	for _, p := range parts {
		if w.err == nil {
			_, w.err = w.out.WriteString(p)
		}
	}
}

// Pending is eth_pendingTransactions, of the namespace eth.
type Pending struct{ m *Methods }

// NewPending returns the method.
func NewPending(s *group.Server) *Pending { return &Pending{New(s)} }

// PendingTransactions is the transactions that are under way, as a list.
func (p *Pending) PendingTransactions(ctx context.Context) (json.RawMessage, error) {
	list, err := p.m.list(ctx, nil)
	if err != nil {
		return nil, p.m.s.Fail(err)
	}
	out := p.m.s.Buffer(ctx)
	w := writer{out: out}
	w.text(`[`)
	for i := range list {
		if i > 0 {
			w.text(`,`)
		}
		if w.err == nil {
			w.err = writeWhole(out, &list[i])
		}
	}
	w.text(`]`)
	return p.m.s.Result(ctx, out, w.err, instead)
}
